/* gcstats.h - what a collector's lines add up to: a history of bounded size from the first
 * collection on, and a summary. Pure, allocates nothing.
 *
 * The history has GCSTATS_POINTS points. When it is full, pairs become one: of pauses and sizes
 * the largest stays, of what is live after a collection the smallest.
 */
#pragma once
#include "base/json.h"
#include "runtime/gctrace.h"

enum {
    GCSTATS_POINTS = 1024,
    GCSTATS_OCTAVE = 128, /* parts of a doubling of the pause: what is told is within 1 % */
    GCSTATS_SLOPE_MS = 60000,
    GCSTATS_SLOPE_N = 8, /* below these no slope is told */
};

struct gcpoint {
    int64_t at_ms;      /* of the last one in it */
    uint32_t n, forced; /* collections; forced by the program, or for two minutes without one */
    uint64_t live, goal, start, end;
    uint64_t stw_ns; /* the longest */
    uint32_t share;  /* hundredths of a percent, since the program's start */
    uint64_t sys, released;
    uint32_t have; /* as in struct gctrace, of all in it */
};

enum gctrend { GCTREND_UNKNOWN, GCTREND_STEADY, GCTREND_GROWING, GCTREND_SHRINKING };

struct gcsummary {
    uint64_t collections, forced, periodic, programs;
    uint64_t stopped_ns, cpu_ns;
    uint64_t p50_ns, p95_ns, p99_ns, max_ns; /* of pauses; a pause that was seen */
    bool have_pause, have_share, have_slope;
    uint32_t share;
    uint64_t heap_max, live_last, live_max, goal_last;
    uint32_t have; /* of those: GCTRACE_HEAP_START, GCTRACE_LIVE, GCTRACE_GOAL; GCTRACE_SYS ... */
    uint64_t sys, released;
    enum gctrend trend;
    int64_t bytes_per_h;
    int64_t first_ms, last_ms;
};

struct gcstats {
    bool
        own_clock; /* times are the lines' own, not ours: what is read may have been written then */
    uint64_t points_n, per_point; /* collections to a point */
    struct gcpoint point[GCSTATS_POINTS];
    struct gctrace last; /* the newest collection */
    int64_t last_ms, offset_ms;
    bool periodic_next;
    struct gcsummary sum;
    struct {
        uint32_t n;
        uint64_t longest_ns;
    } pause[64 * GCSTATS_OCTAVE];
};

void gcstats_init(struct gcstats *s, bool own_clock);

/* A line of the collector's that came so long after our start. For a collection its point in time
 * comes back, for others -1. */
int64_t gcstats_add(struct gcstats *s, const struct gctrace *g, int64_t now_ms);

void gcstats_sum(const struct gcstats *s, struct gcsummary *out);

/* "growing", "shrinking", "steady", "unknown" */
const char *gcstats_trend(enum gctrend trend);
