#include "inspect/heapreport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { COMMAND_MAX = 16 << 10 };

void heapreport_init(struct heapreport *r) {
    *r = (struct heapreport){0};
    buf_init(&r->command, COMMAND_MAX);
    buf_init(&r->runtime, 256);
    heapview_init(&r->before.view);
    heapview_init(&r->after.view);
}

static void look_done(struct heaplook *l) {
    heapview_done(&l->view);
    profile_free(l->heap);
    profile_free(l->tally);
    profile_free(l->goroutines);
}

void heapreport_done(struct heapreport *r) {
    look_done(&r->before);
    look_done(&r->after);
    profile_free(r->heap_growth);
    profile_free(r->tally_growth);
    profile_free(r->goroutines_growth);
    free(r->row);
    buf_done(&r->command);
    buf_done(&r->runtime);
    *r = (struct heapreport){0};
}

int64_t heapreport_growth(int64_t before, int64_t after) {
    return profile_sum(after, before == INT64_MIN ? INT64_MAX : -before);
}

/* --- types ------------------------------------------------------------------------------------ */

/* A row of what tallyprofile_make made: one frame, its count and perhaps its bytes. */
static void take_row(const struct profile *tally, size_t i, struct heaprow *out, bool before) {
    struct profile_sample s = profile_sample(tally, i);
    bool have_bytes = profile_types(tally) > 1;

    out->name = s.frames ? profile_frame(tally, s.frame[0]).function : STR("");
    out->have_bytes = have_bytes;
    if (before) {
        out->count_before = s.value[0];
        out->bytes_before = have_bytes ? s.value[1] : 0;
    } else {
        out->count = s.value[0];
        out->bytes = have_bytes ? s.value[1] : 0;
    }
}

static int compare_names(const void *a, const void *b) {
    const struct heaprow *x = a, *y = b;
    size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
    int r = n ? memcmp(x->name.p, y->name.p, n) : 0;

    return r ? r : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

/* Rows of one name, sorted, become one. */
static size_t join(struct heaprow *row, size_t n) {
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        struct heaprow *last = kept ? &row[kept - 1] : NULL;

        if (!last || !str_eq(last->name, row[i].name)) {
            row[kept++] = row[i];
            continue;
        }
        last->count = profile_sum(last->count, row[i].count);
        last->bytes = profile_sum(last->bytes, row[i].bytes);
        last->count_before = profile_sum(last->count_before, row[i].count_before);
        last->bytes_before = profile_sum(last->bytes_before, row[i].bytes_before);
        last->have_bytes = last->have_bytes && row[i].have_bytes;
    }
    return kept;
}

static int make_rows(struct heapreport *r) {
    const struct profile *before = r->before.tally, *after = r->after.tally;
    size_t n = after ? profile_samples(after) : 0, more = before ? profile_samples(before) : 0;

    if (!after)
        return 0;
    r->row = calloc(n + more + 1, sizeof(*r->row));
    if (!r->row)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        take_row(after, i, &r->row[i], false);
    for (size_t i = 0; i < more; i++)
        take_row(before, i, &r->row[n + i], true);
    qsort(r->row, n + more, sizeof(*r->row), compare_names);
    r->rows = join(r->row, n + more);
    return 0;
}

struct order {
    enum heap_sort by;
    bool diff;
};

/* What rows are sorted by: what changed most comes first, growing or shrinking. */
static uint64_t weight(const struct heaprow *row, bool diff, bool bytes) {
    int64_t value = bytes ? row->bytes : row->count;

    if (diff)
        value = heapreport_growth(bytes ? row->bytes_before : row->count_before, value);
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

static int compare_rows(const void *a, const void *b, void *ctx) {
    const struct order *o = ctx;
    bool first = o->by == HEAP_SORT_BYTES;

    for (int key = 0; key < 2 && o->by != HEAP_SORT_NAME; key++) {
        uint64_t v = weight(a, o->diff, first == (key == 0));
        uint64_t w = weight(b, o->diff, first == (key == 0));

        if (v != w)
            return v > w ? -1 : 1;
    }
    return compare_names(a, b);
}

/* --- all -------------------------------------------------------------------------------------- */

static int subtract(const struct profile *before, const struct profile *after,
                    struct profile **out) {
    return before && after ? profile_diff(before, after, out) : 0;
}

/* Types of one runtime: files that were saved say whose they are. */
static bool same_kind(const struct profile *before, const struct profile *after) {
    struct str b = profile_comment(before), a = profile_comment(after);

    return b.n == 0 || a.n == 0 || str_eq(b, a);
}

static bool comparable(const struct heapreport *r) {
    if (!r->pid && r->before.tally && r->after.tally && !same_kind(r->before.tally, r->after.tally))
        return false;
    return (r->before.heap && r->after.heap) || (r->before.tally && r->after.tally) ||
           (r->before.goroutines && r->after.goroutines) || r->pid;
}

int heapreport_finish(struct heapreport *r, enum heap_sort sort) {
    struct order order = {sort, r->is_diff};
    int code = 0;

    if (r->is_diff && !comparable(r))
        return -EINVAL;
    if (r->is_diff)
        code = subtract(r->before.heap, r->after.heap, &r->heap_growth);
    if (code == 0 && r->is_diff)
        code = subtract(r->before.tally, r->after.tally, &r->tally_growth);
    if (code == 0 && r->is_diff)
        code = subtract(r->before.goroutines, r->after.goroutines, &r->goroutines_growth);
    if (code == 0)
        code = make_rows(r);
    if (code == 0 && r->rows > 0)
        qsort_r(r->row, r->rows, sizeof(*r->row), compare_rows, &order);
    if (r->is_diff && r->before.at_ms && r->after.at_ms > r->before.at_ms)
        r->passed_ms = r->after.at_ms - r->before.at_ms;
    return code;
}

const struct profile *heapreport_profile(const struct heapreport *r) {
    if (r->after.heap)
        return r->is_diff ? r->heap_growth : r->after.heap;
    if (r->after.tally)
        return r->is_diff ? r->tally_growth : r->after.tally;
    return r->is_diff ? r->goroutines_growth : r->after.goroutines;
}

bool heaprow_changed(const struct heaprow *row) {
    return row->bytes != row->bytes_before || row->count != row->count_before;
}

/* A profile of growth has no samples that did not change. */
static bool has_samples(const struct profile *growth) {
    return growth && profile_samples(growth) > 0;
}

bool heapreport_changed(const struct heapreport *r) {
    for (size_t i = 0; i < r->rows; i++)
        if (heaprow_changed(&r->row[i]))
            return true;
    return has_samples(r->heap_growth) || has_samples(r->goroutines_growth);
}

static uint64_t size_of(int64_t value) {
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

static int compare_stacks(const void *a, const void *b) {
    const struct heapstack *x = a, *y = b;
    uint64_t v = size_of(x->value), w = size_of(y->value);

    if (v != w)
        return v > w ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

int heapreport_stacks(const struct profile *p, unsigned type, struct heapstack **out) {
    size_t n = profile_samples(p);

    *out = calloc(n + 1, sizeof(**out));
    if (!*out)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        (*out)[i] = (struct heapstack){i, profile_sample(p, i).value[type]};
    qsort(*out, n, sizeof(**out), compare_stacks);
    return 0;
}
