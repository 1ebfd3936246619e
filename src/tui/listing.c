#include "tui/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_workload(const struct tui_row *row) {
    return str_eq(row->kind, STR("container")) || str_eq(row->kind, STR("vm"));
}

static bool is_service(const struct tui_row *row) {
    return !row->is_inside &&
           (str_eq(row->kind, STR("service")) || str_eq(row->kind, STR("session")));
}

static bool is_group(const struct tui_row *row) {
    return !row->is_inside && str_eq(row->kind, STR("group"));
}

static int compare(const void *a, const void *b) {
    const struct str *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int r = n > 0 ? memcmp(x->p, y->p, n) : 0;

    return r != 0 ? r : x->n < y->n ? -1 : x->n > y->n;
}

static int take_parents(struct listing *l, const struct tui_source *source) {
    size_t n = source->rows(source->ctx);

    l->parents = calloc(n, sizeof(*l->parents));
    if (!l->parents)
        return -ENOMEM;
    l->n = n;
    for (size_t i = 0; i < n; i++)
        l->parents[i] = source->row(source->ctx, i)->slice;
    qsort(l->parents, n, sizeof(*l->parents), compare);
    return 0;
}

int listing_choose(struct listing *l, const struct tui_source *source, const struct filter *f) {
    size_t n = source->rows(source->ctx);

    *l = (struct listing){.of = filter_names_kinds(f) ? LISTING_ASKED : LISTING_NOTHING};
    for (size_t i = 0; i < n && l->of != LISTING_ASKED && l->of != LISTING_WORKLOADS; i++) {
        const struct tui_row *row = source->row(source->ctx, i);

        if (is_workload(row))
            l->of = LISTING_WORKLOADS;
        else if (is_service(row))
            l->of = LISTING_SERVICES;
        else if (is_group(row) && l->of == LISTING_NOTHING)
            l->of = LISTING_GROUPS;
    }
    return l->of == LISTING_GROUPS ? take_parents(l, source) : 0;
}

void listing_done(struct listing *l) {
    free(l->parents);
    l->parents = NULL;
    l->n = 0;
}

bool listing_has(const struct listing *l, const struct tui_row *row) {
    switch (l->of) {
    case LISTING_WORKLOADS:
        return is_workload(row);
    case LISTING_SERVICES:
        return is_service(row);
    case LISTING_GROUPS:
        return is_group(row) && !bsearch(&row->path, l->parents, l->n, sizeof(row->path), compare);
    case LISTING_ASKED:
        return true;
    case LISTING_NOTHING:
        break;
    }
    return false;
}

const char *listing_word(enum listing_of of, size_t n) {
    static const char *const word[][2] = {
        [LISTING_WORKLOADS] = {"container", "containers"},
        [LISTING_SERVICES] = {"service", "services"},
        [LISTING_GROUPS] = {"group", "groups"},
        [LISTING_NOTHING] = {"container", "containers"},
        [LISTING_ASKED] = {"row", "rows"},
    };

    return word[of][n != 1];
}
