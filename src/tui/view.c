#include "tui/view.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

const char *const top_sort_names[TOP_SORT_N] = {
    [TOP_SORT_NAME] = "name",    [TOP_SORT_RUNTIME] = "runtime", [TOP_SORT_PCT] = "used%",
    [TOP_SORT_USED] = "used",    [TOP_SORT_LIMIT] = "limit",     [TOP_SORT_TREND] = "trend",
    [TOP_SORT_TIME] = "full-in", [TOP_SORT_SWAP] = "swap",       [TOP_SORT_CPU] = "cpu",
    [TOP_SORT_PSI] = "psi",      [TOP_SORT_OOM] = "oom",         [TOP_SORT_RESTARTS] = "restarts",
    [TOP_SORT_STATE] = "state",
};

const char *const view_group_names[VIEW_GROUP_N] = {"none", "pod", "compose", "slice"};

void view_init(struct view *v, enum top_sort sort) {
    *v = (struct view){.sort = sort};
    filter_parse(&v->filter, STR(""));
}

void view_done(struct view *v) {
    free(v->line);
    v->line = NULL;
    v->n = v->room = 0;
}

struct str view_group_of(const struct tui_row *row, enum view_group group) {
    switch (group) {
    case VIEW_POD:
        return row->pod;
    case VIEW_COMPOSE:
        return row->compose;
    case VIEW_SLICE:
        return row->slice;
    case VIEW_FLAT:
    case VIEW_GROUP_N:
        break;
    }
    return STR("");
}

#define UNKNOWN (-HUGE_VAL)

/* What a row is sorted by: the larger comes first, and what is not known last, whichever way it is
 * turned. */
struct sort_key {
    const struct tui_row *row;
    uint32_t index;
    double value;
};

static double metric_or(const struct tui_row *row, enum metric m) {
    const struct sample *s = row->sample;

    return s && sample_has(s, m) && s->value[m] != SAMPLE_NONE ? (double)s->value[m] : UNKNOWN;
}

static double share_of(const struct tui_row *row) {
    double used = metric_or(row, METRIC_USED), limit = metric_or(row, METRIC_LIMIT);

    return used >= 0 && limit > 0 ? used / limit : UNKNOWN;
}

static double sort_value(const struct tui_row *row, enum top_sort sort) {
    switch (sort) {
    case TOP_SORT_PCT:
        return share_of(row);
    case TOP_SORT_USED:
        return metric_or(row, METRIC_USED);
    case TOP_SORT_LIMIT:
        return metric_or(row, METRIC_LIMIT);
    case TOP_SORT_TREND:
        return row->trend.word == TREND_UNKNOWN ? UNKNOWN : (double)row->trend.bytes_per_h;
    case TOP_SORT_TIME:
        return row->have_time_to_limit ? -(double)row->time_to_limit_s : UNKNOWN;
    case TOP_SORT_SWAP:
        return metric_or(row, METRIC_SWAP);
    case TOP_SORT_CPU:
        return row->have_cpu ? (double)row->cpu_centi : UNKNOWN;
    case TOP_SORT_PSI:
        return metric_or(row, METRIC_PSI_SOME);
    case TOP_SORT_OOM:
        return row->have_kills ? (double)row->kills : UNKNOWN;
    case TOP_SORT_RESTARTS:
        return row->have_restarts ? (double)row->restarts : UNKNOWN;
    case TOP_SORT_STATE:
        return (double)row->state;
    case TOP_SORT_NAME:
    case TOP_SORT_RUNTIME:
    case TOP_SORT_N:
        break;
    }
    return 0;
}

static int compare_text(struct str a, struct str b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n ? memcmp(a.p, b.p, n) : 0;

    return r != 0 ? r : a.n < b.n ? -1 : a.n > b.n;
}

static char small(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The number at the beginning, without its leading zeros. */
static struct str cut_number(struct str *s) {
    struct str number;
    size_t n = 0;

    while (s->n > 0 && s->p[0] == '0')
        *s = str_from(*s, 1);
    while (n < s->n && is_digit(s->p[n]))
        n++;
    number = str_head(*s, n);
    *s = str_from(*s, n);
    return number;
}

/* As people count: "web-2" is before "Web-10". */
static int compare_names(struct str one, struct str two) {
    struct str a = one, b = two;

    while (a.n > 0 && b.n > 0) {
        if (is_digit(a.p[0]) && is_digit(b.p[0])) {
            struct str x = cut_number(&a), y = cut_number(&b);
            int r = x.n != y.n ? (x.n < y.n ? -1 : 1) : compare_text(x, y);

            if (r != 0)
                return r;
            continue;
        }
        if (small(a.p[0]) != small(b.p[0]))
            return (unsigned char)small(a.p[0]) < (unsigned char)small(b.p[0]) ? -1 : 1;
        a = str_from(a, 1);
        b = str_from(b, 1);
    }
    return a.n != b.n ? (a.n < b.n ? -1 : 1) : compare_text(one, two);
}

static const struct view *sorting; /* one thread */

static int compare_values(double a, double b) {
    if (a == b)
        return 0;
    if (a == UNKNOWN || b == UNKNOWN)
        return a == UNKNOWN ? 1 : -1;
    return (a < b) != sorting->reverse ? 1 : -1;
}

static struct str runtime_of(const struct tui_row *row) {
    return row->runtime.n > 0 ? row->runtime : row->kind;
}

/* Of one state, the fuller first. */
static int compare_rows(const struct tui_row *x, const struct tui_row *y, double a, double b) {
    int r = compare_values(a, b);

    if (r == 0 && sorting->sort == TOP_SORT_STATE)
        return compare_values(share_of(x), share_of(y));
    if (sorting->sort == TOP_SORT_RUNTIME)
        r = compare_names(runtime_of(x), runtime_of(y));
    else if (sorting->sort == TOP_SORT_NAME)
        r = compare_names(x->name, y->name);
    else
        return r;
    return sorting->reverse ? -r : r;
}

static int by_order(const void *a, const void *b) {
    const struct sort_key *x = a, *y = b;
    int r = 0;

    if (sorting->group != VIEW_FLAT) {
        struct str one = view_group_of(x->row, sorting->group);
        struct str two = view_group_of(y->row, sorting->group);

        if ((one.n == 0) != (two.n == 0)) /* those in none come last */
            return one.n == 0 ? 1 : -1;
        r = compare_text(one, two);
        if (r != 0)
            return r;
    }
    r = compare_rows(x->row, y->row, x->value, y->value);
    if (r == 0)
        r = compare_names(x->row->name, y->row->name);
    return r != 0 ? r : x->row->id < y->row->id ? -1 : x->row->id > y->row->id;
}

static int reserve(struct view *v, size_t n) {
    struct view_line *line;

    if (n <= v->room)
        return 0;
    line = realloc(v->line, n * sizeof(*line));
    if (!line)
        return -ENOMEM;
    v->line = line;
    v->room = n;
    return 0;
}

static void add_lines(struct view *v, const struct sort_key *key, size_t n) {
    struct view_line *head = NULL;

    v->n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct sample *s = key[i].row->sample;

        if (v->group != VIEW_FLAT && (i == 0 || !str_eq(view_group_of(key[i].row, v->group),
                                                        view_group_of(key[i - 1].row, v->group)))) {
            head = &v->line[v->n++];
            *head = (struct view_line){.head = true, .row = key[i].index};
        }
        if (head)
            head->count++;
        if (head && s && sample_has(s, METRIC_USED))
            head->used += s->value[METRIC_USED];
        v->line[v->n++] = (struct view_line){.row = key[i].index};
    }
}

/* The cursor follows the selected target; if that is gone, what is at its place is selected. */
static void follow(struct view *v, const struct tui_source *source) {
    for (size_t i = 0; v->have_selected && i < v->n; i++)
        if (!v->line[i].head && source->row(source->ctx, v->line[i].row)->id == v->selected) {
            v->cursor = i;
            return;
        }
    if (v->cursor >= v->n)
        v->cursor = v->n ? v->n - 1 : 0;
    if (v->n > 0 && v->line[v->cursor].head)
        v->cursor++;
    v->have_selected = v->n > 0;
    if (v->have_selected)
        v->selected = source->row(source->ctx, v->line[v->cursor].row)->id;
}

int view_update(struct view *v, const struct tui_source *source) {
    size_t all = source->rows(source->ctx), n = 0;
    auto_free struct sort_key *key = malloc((all ? all : 1) * sizeof(*key));
    struct listing listing;

    v->n = v->rows = 0; /* after a failure too: the lines are of rows that may be gone */
    if (!key || reserve(v, 2 * all) < 0)
        return -ENOMEM;
    if (listing_choose(&listing, source, &v->filter) < 0)
        return -ENOMEM;
    v->all = 0;
    v->of = listing.of;
    memset(v->states, 0, sizeof(v->states));
    for (size_t i = 0; i < all; i++) {
        const struct tui_row *row = source->row(source->ctx, i);

        if (!listing_has(&listing, row))
            continue;
        v->all++;
        v->states[row->state]++;
        if (filter_match(&v->filter, row))
            key[n++] = (struct sort_key){row, (uint32_t)i, sort_value(row, v->sort)};
    }
    listing_done(&listing);
    sorting = v;
    qsort(key, n, sizeof(*key), by_order);
    add_lines(v, key, n);
    v->rows = n;
    follow(v, source);
    return 0;
}

void view_move(struct view *v, const struct tui_source *source, ptrdiff_t rows) {
    ptrdiff_t step = rows < 0 ? -1 : 1;
    size_t at = v->cursor;

    for (ptrdiff_t left = rows * step; v->n > 0 && left > 0;) {
        if ((step < 0 && at == 0) || (step > 0 && at + 1 >= v->n))
            break;
        at = (size_t)((ptrdiff_t)at + step);
        if (v->line[at].head)
            continue;
        v->cursor = at;
        left--;
    }
    if (v->n > 0)
        v->selected = source->row(source->ctx, v->line[v->cursor].row)->id;
    v->have_selected = v->n > 0;
}

void view_scroll(struct view *v, size_t height) {
    size_t first = v->cursor;

    if (height == 0)
        return;
    if (first > 0 && v->line[first - 1].head) /* with the head of its group */
        first--;
    if (first < v->top)
        v->top = first;
    if (v->cursor >= v->top + height)
        v->top = v->cursor + 1 - height;
    if (v->top + height > v->n)
        v->top = v->n > height ? v->n - height : 0;
}

const struct tui_row *view_selected(const struct view *v, const struct tui_source *source) {
    return v->n > 0 ? source->row(source->ctx, v->line[v->cursor].row) : NULL;
}

void view_sort_step(struct view *v, int step) {
    v->sort = (enum top_sort)(((int)v->sort + step + TOP_SORT_N) % TOP_SORT_N);
    v->reverse = false;
}
