#include "cmd/tophistory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { UNKNOWN = UINT32_MAX, ROOM_FIRST = 32, PAGE_SHIFT = 12 };

/* What the charts are made of. */
static const enum metric kept[TOPHISTORY_METRICS] = {
    METRIC_USED,         METRIC_USAGE,         METRIC_ANON,         METRIC_FILE,
    METRIC_SHMEM,        METRIC_KERNEL,        METRIC_SOCK,         METRIC_SLAB_RECLAIMABLE,
    METRIC_ACTIVE_FILE,  METRIC_INACTIVE_FILE, METRIC_SWAP,         METRIC_LIMIT,
    METRIC_PSI_SOME,     METRIC_PSI_FULL,      METRIC_REFAULT_FILE, METRIC_REFAULT_ANON,
    METRIC_MAJOR_FAULTS, METRIC_CPU_US,        METRIC_FAULTS,       METRIC_HIGH,
};

static bool is_counter(enum metric m) {
    return metric_info(m)->kind == METRIC_COUNTER;
}

static uint32_t pack(struct tophistory *h, size_t i, const struct sample *s) {
    enum metric m = kept[i];
    uint64_t value = s->value[m];

    if (!sample_has(s, m) || value == SAMPLE_NONE)
        return UNKNOWN;
    if (!is_counter(m))
        value >>= metric_info(m)->unit == METRIC_BYTES ? PAGE_SHIFT : 0;
    else if (!(h->based >> i & 1)) {
        h->base[i] = value;
        h->based |= 1U << i;
        value = 0;
    } else {
        value = value >= h->base[i] ? value - h->base[i] : UNKNOWN;
    }
    return value < UNKNOWN ? (uint32_t)value : UNKNOWN;
}

static uint64_t unpack(const struct tophistory *h, size_t i, uint64_t value) {
    if (is_counter(kept[i]))
        return value + h->base[i];
    return metric_info(kept[i])->unit == METRIC_BYTES ? value << PAGE_SHIFT : value;
}

void tophistory_init(struct tophistory *h, int64_t step_ms) {
    *h = (struct tophistory){.step_ms = step_ms > 0 ? step_ms : 1};
}

void tophistory_done(struct tophistory *h) {
    free(h->step);
    *h = (struct tophistory){.step_ms = 1};
}

static uint32_t mean_of(uint32_t a, uint32_t b) {
    if (a == UNKNOWN || b == UNKNOWN)
        return a == UNKNOWN ? b : a;
    return (uint32_t)(((uint64_t)a + b) / 2);
}

/* Two steps become one. */
static void halve(struct tophistory *h) {
    uint32_t n = (h->n + 1) / 2;

    for (uint32_t k = 0; k < n; k++)
        for (size_t i = 0; i < TOPHISTORY_METRICS; i++)
            h->step[k][i] = 2 * k + 1 < h->n ? mean_of(h->step[2 * k][i], h->step[2 * k + 1][i])
                                             : h->step[2 * k][i];
    if (h->n % 2 == 0)
        h->newest++; /* the mean of more than it says, but it moves no more than by one */
    h->n = n;
    h->step_ms *= 2;
}

static int make_room(struct tophistory *h, uint32_t n) {
    uint32_t room = h->room ? h->room : ROOM_FIRST;
    void *step;

    while (room < n)
        room *= 2;
    if (room > TOPHISTORY_POINTS)
        room = TOPHISTORY_POINTS;
    if (room <= h->room)
        return 0;
    step = reallocarray(h->step, room, sizeof(*h->step));
    if (!step)
        return -ENOMEM;
    h->step = step;
    h->room = room;
    return 0;
}

static void blend(struct tophistory *h, const struct sample *s) {
    uint32_t *step = h->step[h->n - 1];

    for (size_t i = 0; i < TOPHISTORY_METRICS; i++) {
        uint32_t value = pack(h, i, s);

        if (value == UNKNOWN || step[i] == UNKNOWN)
            step[i] = value == UNKNOWN ? step[i] : value;
        else
            step[i] = (uint32_t)(((uint64_t)step[i] * h->newest + value) / (h->newest + 1));
    }
    h->newest++;
}

/* Which step the moment falls into. */
static uint64_t step_at(const struct tophistory *h, int64_t at_ms) {
    return (uint64_t)(at_ms - h->first_ms) / (uint64_t)h->step_ms;
}

int tophistory_add(struct tophistory *h, const struct sample *s) {
    uint64_t at;
    int r;

    if (h->n == 0 || s->at_ms < h->first_ms) {
        int64_t step_ms = h->step_ms;

        h->n = 0;
        h->based = 0;
        h->first_ms = s->at_ms - s->at_ms % step_ms;
    }
    at = step_at(h, s->at_ms);
    if (h->n > 0 && at + 1 < h->n)
        return 0;
    if (h->n > 0 && at + 1 == h->n) {
        blend(h, s);
        return 0;
    }
    if (at >= UINT32_MAX / 2) { /* the clock was set far ahead */
        h->n = 0;
        h->based = 0;
        h->first_ms = s->at_ms - s->at_ms % h->step_ms;
        at = 0;
    }
    while (at >= TOPHISTORY_POINTS) {
        halve(h);
        at = step_at(h, s->at_ms);
    }
    if (h->n > at) { /* halving has put it into the newest step */
        blend(h, s);
        return 0;
    }
    r = make_room(h, (uint32_t)at + 1);
    if (r < 0)
        return r;
    memset(h->step[h->n], 0xff, (at + 1 - h->n) * sizeof(*h->step));
    h->n = (uint32_t)at + 1;
    h->newest = 0;
    blend(h, s);
    return 0;
}

static size_t index_of(enum metric m) {
    size_t i = 0;

    while (i < TOPHISTORY_METRICS && kept[i] != m)
        i++;
    return i;
}

static uint64_t mean_between(const struct topsteps *s, double from_ms, double to_ms) {
    double step = (double)s->step_ms, first = (double)s->first_ms + step / 2;
    double at = (from_ms - first) / step;
    unsigned __int128 sum = 0;
    size_t count = 0, k = at <= 0 ? 0 : at >= (double)s->n ? s->n : (size_t)at;
    uint64_t value;

    for (; k < s->n && first + step * (double)k < to_ms; k++) {
        value = first + step * (double)k >= from_ms ? s->at(s->ctx, k) : UINT64_MAX;
        if (value != UINT64_MAX) {
            sum += value;
            count++;
        }
    }
    if (count > 0)
        return (uint64_t)((sum + count / 2) / count);
    at = ((from_ms + to_ms) / 2 - (double)s->first_ms) / step;
    if (to_ms - from_ms >= step || at < 0 || at >= (double)s->n)
        return UINT64_MAX;
    return s->at(s->ctx, (size_t)at);
}

void topsteps_read(const struct topsteps *steps, int64_t from_ms, int64_t to_ms, size_t n,
                   uint64_t *out) {
    double width = n > 0 ? (double)(to_ms - from_ms) / (double)n : 0;

    for (size_t k = 0; k < n; k++) {
        double from = (double)from_ms + width * (double)k;

        out[k] = mean_between(steps, from, from + width);
    }
}

/* A metric of a history. */
struct column {
    const struct tophistory *h;
    size_t i;
};

static uint64_t column_at(const void *ctx, size_t k) {
    const struct column *c = ctx;
    uint32_t value = c->h->step[k][c->i];

    return value == UNKNOWN ? UINT64_MAX : unpack(c->h, c->i, value);
}

bool tophistory_read(const struct tophistory *h, enum metric m, int64_t from_ms, int64_t to_ms,
                     size_t n, uint64_t *out) {
    const struct column column = {h, index_of(m)};
    const struct topsteps steps = {&column, column_at, h->n, h->first_ms, h->step_ms};

    if (column.i == TOPHISTORY_METRICS)
        return false;
    topsteps_read(&steps, from_ms, to_ms, n, out);
    return true;
}
