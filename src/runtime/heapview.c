#include "runtime/heapview.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

/* Names lie in chunks that never move, rows in an array, places in a hash of open addressing. */
enum { CHUNK = 1 << 16, FIRST = 1024 };

struct chunk {
    struct chunk *next;
    size_t used;
    char text[CHUNK];
};

struct tally {
    struct hash_key key;
    struct tally_row *row;
    size_t n, size;
    uint32_t *slot; /* row + 1; 0: free */
    size_t slots;   /* a power of two, at least twice the rows */
    struct chunk *chunk;
};

int tally_new(struct tally **out) {
    struct tally *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    hash_key_init(&t->key);
    *out = t;
    return 0;
}

void tally_free(struct tally *t) {
    if (!t)
        return;
    while (t->chunk) {
        struct chunk *next = t->chunk->next;

        free(t->chunk);
        t->chunk = next;
    }
    free(t->row);
    free(t->slot);
    free(t);
}

/* Where the name is, or where it would be. */
static size_t find(const struct tally *t, struct str name) {
    size_t at = hash_str(&t->key, name) & (t->slots - 1);

    while (t->slot[at] && !str_eq(t->row[t->slot[at] - 1].name, name))
        at = (at + 1) & (t->slots - 1);
    return at;
}

static void place_all(struct tally *t) {
    memset(t->slot, 0, t->slots * sizeof(*t->slot));
    for (size_t i = 0; i < t->n; i++)
        t->slot[find(t, t->row[i].name)] = (uint32_t)i + 1;
}

static int grow(struct tally *t) {
    size_t size = t->size ? t->size * 2 : FIRST;
    struct tally_row *row = reallocarray(t->row, size, sizeof(*row));
    uint32_t *slot;

    if (!row)
        return -ENOMEM;
    t->row = row;
    slot = reallocarray(t->slot, size * 2, sizeof(*slot));
    if (!slot)
        return -ENOMEM;
    t->slot = slot;
    t->slots = size * 2;
    t->size = size;
    place_all(t);
    return 0;
}

static int keep(struct tally *t, struct str name, struct str *out) {
    char *to;

    if (!t->chunk || CHUNK - t->chunk->used < name.n) {
        struct chunk *c = malloc(sizeof(*c));

        if (!c)
            return -ENOMEM;
        c->next = t->chunk;
        c->used = 0;
        t->chunk = c;
    }
    to = t->chunk->text + t->chunk->used;
    memcpy(to, name.p, name.n);
    t->chunk->used += name.n;
    *out = (struct str){to, name.n};
    return 0;
}

static uint64_t plus(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

int tally_add(struct tally *t, struct str name, uint64_t count, uint64_t bytes, bool have_bytes) {
    struct tally_row *row;
    size_t at;
    int r;

    name = str_head(name, TALLY_NAME);
    if (t->n == t->size && t->n < TALLY_ROWS) {
        r = grow(t);
        if (r < 0)
            return r;
    }
    at = find(t, name);
    if (t->slot[at]) {
        row = &t->row[t->slot[at] - 1];
        row->count = plus(row->count, count);
        row->bytes = plus(row->bytes, bytes);
        row->have_bytes = row->have_bytes && have_bytes;
        return 0;
    }
    if (t->n >= TALLY_ROWS)
        return -E2BIG;
    row = &t->row[t->n];
    r = keep(t, name, &row->name);
    if (r < 0)
        return r;
    row->count = count;
    row->bytes = bytes;
    row->have_bytes = have_bytes;
    t->slot[at] = (uint32_t)++t->n;
    return 0;
}

size_t tally_n(const struct tally *t) {
    return t->n;
}

const struct tally_row *tally_row(const struct tally *t, size_t i) {
    return &t->row[i];
}

static int compare_names(struct str a, struct str b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n ? memcmp(a.p, b.p, n) : 0;

    return r ? r : (a.n > b.n) - (a.n < b.n);
}

static int by_size(const void *left, const void *right) {
    const struct tally_row *a = left, *b = right;

    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return compare_names(a->name, b->name);
}

void tally_sort(struct tally *t) {
    if (t->n == 0)
        return;
    qsort(t->row, t->n, sizeof(*t->row), by_size);
    place_all(t);
}

/* --- the view --------------------------------------------------------------------------------- */

void heapview_init(struct heapview *v) {
    *v = (struct heapview){0};
}

void heapview_done(struct heapview *v) {
    tally_free(v->types);
    for (unsigned i = 0; i < v->blobs; i++)
        free(v->blob[i].data);
    heapview_init(v);
}

void heapview_figure(struct heapview *v, const char *key, const char *says, enum heap_unit unit,
                     uint64_t value) {
    if (v->figures < HEAP_FIGURES)
        v->figure[v->figures++] = (struct heap_figure){key, says, unit, value};
}

void heapview_note(struct heapview *v, const char *format, ...) {
    va_list args;

    if (v->notes == HEAP_NOTES)
        return;
    va_start(args, format);
    (void)vsnprintf(v->note[v->notes++], sizeof(v->note[0]), format, args);
    va_end(args);
}

bool heapview_value(const struct heapview *v, const char *key, uint64_t *out) {
    for (unsigned i = 0; i < v->figures; i++) {
        if (strcmp(v->figure[i].key, key) != 0)
            continue;
        *out = v->figure[i].value;
        return true;
    }
    return false;
}
