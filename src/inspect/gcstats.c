#include "inspect/gcstats.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLOPE_BLOCKS = 96,
    HOUR_MS = 3600000,
    LEVEL_PARTS = 50,
    LEAST_GROWTH = 1 << 20,
    LOST_MOST = 16
};

void gcstats_init(struct gcstats *s, bool own_clock) {
    memset(s, 0, sizeof(*s));
    s->own_clock = own_clock;
    s->per_point = 1;
}

/* --- pauses ------------------------------------------------------------------------------------
 */

static unsigned pause_slot(uint64_t ns) {
    unsigned octave = ns < GCSTATS_OCTAVE ? 0 : 57 - (unsigned)__builtin_clzll(ns);

    /* The first two octaves have a slot for each value. */
    return octave * GCSTATS_OCTAVE + (unsigned)(ns >> (octave > 0 ? octave - 1 : 0)) -
           (octave > 0 ? GCSTATS_OCTAVE : 0);
}

static void add_pause(struct gcstats *s, uint64_t ns) {
    unsigned slot = pause_slot(ns);

    s->pause[slot].n++;
    if (ns > s->pause[slot].longest_ns)
        s->pause[slot].longest_ns = ns;
    s->sum.stopped_ns += ns;
    s->sum.have_pause = true;
    if (ns > s->sum.max_ns)
        s->sum.max_ns = ns;
}

/* The least pause that at least that share (in percent) of all do not exceed. */
static uint64_t percentile(const struct gcstats *s, uint64_t n, unsigned pct) {
    uint64_t wanted = (n * pct + 99) / 100, seen = 0;

    for (size_t i = 0; i < 64 * GCSTATS_OCTAVE; i++) {
        seen += s->pause[i].n;
        if (seen >= wanted && seen > 0)
            return s->pause[i].longest_ns;
    }
    return s->sum.max_ns;
}

/* --- the history -------------------------------------------------------------------------------
 */

static void larger(uint64_t *into, uint64_t value) {
    if (value > *into)
        *into = value;
}

static void merge(struct gcpoint *into, const struct gcpoint *p) {
    bool lower = !(into->have >> GCTRACE_LIVE & 1) ||
                 ((p->have >> GCTRACE_LIVE & 1) && p->live < into->live);

    into->at_ms = p->at_ms;
    into->n += p->n;
    into->forced += p->forced;
    if (lower)
        into->live = p->live;
    larger(&into->goal, p->goal);
    larger(&into->start, p->start);
    larger(&into->end, p->end);
    larger(&into->stw_ns, p->stw_ns);
    if (p->have >> GCTRACE_GC_CPU & 1)
        into->share = p->share;
    if (p->have >> GCTRACE_SYS & 1)
        into->sys = p->sys;
    if (p->have >> GCTRACE_RELEASED & 1)
        into->released = p->released;
    into->have |= p->have;
}

static void halve(struct gcstats *s) {
    for (size_t i = 0; i < GCSTATS_POINTS / 2; i++) {
        struct gcpoint one = s->point[2 * i];

        merge(&one, &s->point[2 * i + 1]);
        s->point[i] = one;
    }
    s->points_n = GCSTATS_POINTS / 2;
    s->per_point *= 2;
}

static void add_point(struct gcstats *s, const struct gctrace *g, int64_t at_ms, bool marked) {
    struct gcsummary *sum = &s->sum;
    struct gcpoint p = {
        .at_ms = at_ms,
        .n = 1,
        .forced = marked,
        .live = g->value[GCTRACE_LIVE],
        .goal = g->value[GCTRACE_GOAL],
        .start = g->value[GCTRACE_HEAP_START],
        .end = g->value[GCTRACE_HEAP_END],
        .stw_ns = g->value[GCTRACE_STW_NS],
        .share = (uint32_t)g->value[GCTRACE_GC_CPU],
        .sys = sum->sys,
        .released = sum->released,
        .have = g->have | (sum->have & (1u << GCTRACE_SYS | 1u << GCTRACE_RELEASED)),
    };

    if (s->points_n > 0 && s->point[s->points_n - 1].n < s->per_point) {
        merge(&s->point[s->points_n - 1], &p);
        return;
    }
    if (s->points_n == GCSTATS_POINTS)
        halve(s);
    s->point[s->points_n++] = p;
}

/* --- lines -------------------------------------------------------------------------------------
 */

/* Whose next collection it may be, of a program that was seen: as few as can be lost between, then
 * as little time. NULL: nobody's, a program begins. */
static struct gcprogram *program_of(struct gcstats *s, const struct gctrace *g) {
    uint64_t number = g->value[GCTRACE_NUMBER], at_us = g->value[GCTRACE_AT_US];
    struct gcprogram *best = NULL;

    for (size_t i = 0; i < GCSTATS_PROGRAMS && s->program[i].line; i++) {
        struct gcprogram *p = &s->program[i];

        if (p->number >= number || number - p->number > LOST_MOST || p->at_us > at_us)
            continue;
        if (!best || p->number > best->number ||
            (p->number == best->number && p->at_us > best->at_us))
            best = p;
    }
    return best;
}

/* A place for a new one: an empty one, or of who has been silent the longest. */
static struct gcprogram *new_program(struct gcstats *s, const struct gctrace *g) {
    struct gcprogram *p = &s->program[0];
    int64_t at_ms = (int64_t)(g->value[GCTRACE_AT_US] / 1000);

    for (size_t i = 0; i < GCSTATS_PROGRAMS && p->line; i++)
        if (s->program[i].line < p->line)
            p = &s->program[i];
    s->sum.programs_lost |= p->line > 0;
    s->sum.programs++;
    *p = (struct gcprogram){
        .offset_ms = s->last_ms > at_ms ? s->last_ms - at_ms : 0,
    };
    return p;
}

static const struct gcprogram *take_program(struct gcstats *s, const struct gctrace *g) {
    struct gcprogram *p = program_of(s, g);

    if (!p)
        p = new_program(s, g);
    p->number = g->value[GCTRACE_NUMBER];
    p->at_us = g->value[GCTRACE_AT_US];
    p->line = s->sum.collections + 1;
    return p;
}

/* Our time or its own, made one that does not go back. */
static int64_t moment(const struct gcstats *s, const struct gctrace *g, const struct gcprogram *p,
                      int64_t now_ms) {
    int64_t at_ms = p->offset_ms + (int64_t)(p->at_us / 1000);

    if (!s->own_clock || !gctrace_has(g, GCTRACE_AT_US))
        at_ms = now_ms;
    return at_ms > s->last_ms ? at_ms : s->last_ms;
}

static void add_scavenger(struct gcstats *s, const struct gctrace *g) {
    if (gctrace_has(g, GCTRACE_SYS))
        s->sum.sys = g->value[GCTRACE_SYS];
    if (gctrace_has(g, GCTRACE_RELEASED))
        s->sum.released = g->value[GCTRACE_RELEASED];
    s->sum.have |= g->have & (1u << GCTRACE_SYS | 1u << GCTRACE_RELEASED);
}

static void add_sums(struct gcstats *s, const struct gctrace *g) {
    struct gcsummary *sum = &s->sum;

    sum->collections++;
    sum->forced += g->forced;
    if (gctrace_has(g, GCTRACE_STW_NS))
        add_pause(s, g->value[GCTRACE_STW_NS]);
    sum->cpu_ns += g->value[GCTRACE_CPU_NS];
    if (gctrace_has(g, GCTRACE_GC_CPU)) {
        sum->have_share = true;
        sum->share = (uint32_t)g->value[GCTRACE_GC_CPU];
    }
    larger(&sum->heap_max, g->value[GCTRACE_HEAP_START]);
    larger(&sum->heap_max, g->value[GCTRACE_HEAP_END]);
    larger(&sum->live_max, g->value[GCTRACE_LIVE]);
    sum->live_last = g->value[GCTRACE_LIVE];
    sum->goal_last = g->value[GCTRACE_GOAL];
    sum->have |= g->have;
}

int64_t gcstats_add(struct gcstats *s, const struct gctrace *g, int64_t now_ms) {
    bool periodic = s->periodic_next;
    int64_t at_ms;

    if (g->kind == GCTRACE_PERIODIC)
        s->periodic_next = true;
    if (g->kind == GCTRACE_SCVG)
        add_scavenger(s, g);
    if (g->kind != GCTRACE_GC)
        return -1;
    at_ms = moment(s, g, take_program(s, g), now_ms);
    if (s->sum.collections == 0)
        s->sum.first_ms = at_ms;
    s->sum.periodic += periodic && !g->forced;
    s->periodic_next = false;
    add_sums(s, g);
    add_point(s, g, at_ms, g->forced || periodic);
    s->last = *g;
    s->last_ms = at_ms;
    return at_ms;
}

/* --- the slope of what is live -----------------------------------------------------------------
 */

struct block {
    double at_h, live;
};

/* The lowest of each of up to SLOPE_BLOCKS spans of time. The first tenth is left out: a program
 * that starts grows. */
static size_t lows(const struct gcstats *s, struct block *out) {
    int64_t from = s->sum.first_ms + (s->last_ms - s->sum.first_ms) / 10;
    int64_t span = (s->last_ms - from) / SLOPE_BLOCKS + 1, newest = -1; /* of a block */
    size_t n = 0;

    for (size_t i = 0; i < s->points_n; i++) {
        const struct gcpoint *p = &s->point[i];
        int64_t block = (p->at_ms - from) / span;

        if (p->at_ms < from || !(p->have >> GCTRACE_LIVE & 1))
            continue;
        if (n > 0 && block == newest) {
            if ((double)p->live < out[n - 1].live)
                out[n - 1] = (struct block){(double)p->at_ms / HOUR_MS, (double)p->live};
            continue;
        }
        if (n == SLOPE_BLOCKS)
            break;
        out[n++] = (struct block){(double)p->at_ms / HOUR_MS, (double)p->live};
        newest = block;
    }
    return n;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Theil-Sen over all pairs; a trend is one if Mann-Kendall says so (two-sided p < 0.01) and it is
 * more than 1 MiB and 2 % of the level over the time. Of several programs there is none: what is
 * live in one and in another is no line. */
static void find_slope(const struct gcstats *s, struct gcsummary *out) {
    static double slope[SLOPE_BLOCKS * (SLOPE_BLOCKS - 1) / 2];
    struct block b[SLOPE_BLOCKS];
    size_t n, k = 0;
    double balance = 0, variance, grown, level;

    if (s->sum.programs > 1 || s->sum.collections < GCSTATS_SLOPE_N ||
        s->last_ms - s->sum.first_ms < GCSTATS_SLOPE_MS)
        return;
    n = lows(s, b);
    if (n < GCSTATS_SLOPE_N)
        return;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            slope[k++] = (b[j].live - b[i].live) / (b[j].at_h - b[i].at_h);
            balance += (b[j].live > b[i].live) - (b[j].live < b[i].live);
        }
    qsort(slope, k, sizeof(slope[0]), by_value);
    out->have_slope = true;
    out->bytes_per_h = (int64_t)(k % 2 ? slope[k / 2] : (slope[k / 2 - 1] + slope[k / 2]) / 2);
    variance = (double)(n * (n - 1) * (2 * n + 5)) / 18;
    grown = slope[k / 2] * (b[n - 1].at_h - b[0].at_h);
    level = b[0].live;
    out->trend = GCTREND_STEADY;
    if (balance * balance < 2.576 * 2.576 * variance)
        return;
    if (grown > LEAST_GROWTH && grown > level / LEVEL_PARTS)
        out->trend = GCTREND_GROWING;
    else if (-grown > LEAST_GROWTH && -grown > level / LEVEL_PARTS)
        out->trend = GCTREND_SHRINKING;
}

void gcstats_sum(const struct gcstats *s, struct gcsummary *out) {
    uint64_t n = 0;

    *out = s->sum;
    out->last_ms = s->last_ms;
    out->have_share = s->sum.have_share && s->sum.programs == 1;
    for (size_t i = 0; i < 64 * GCSTATS_OCTAVE; i++)
        n += s->pause[i].n;
    if (n > 0) {
        out->p50_ns = percentile(s, n, 50);
        out->p95_ns = percentile(s, n, 95);
        out->p99_ns = percentile(s, n, 99);
    }
    find_slope(s, out);
}

const char *gcstats_trend(enum gctrend trend) {
    static const char *const words[] = {"unknown", "steady", "growing", "shrinking"};

    return words[trend];
}
