/* gcstats.h - what a collector's lines add up to: a history of bounded size from the first
 * collection on, and a summary. Pure, allocates nothing.
 *
 * The history has GCSTATS_POINTS points. When it is full, pairs become one: of pauses and sizes
 * the largest stays, of what is live after a collection the smallest.
 *
 * Several programs may write the same lines (make, go test, a shell's children): a line belongs to
 * the one whose last number is before its own, and whose clock is not past its own. That tells how
 * many they are, not always which is which.
 */
#pragma once
#include "base/json.h"
#include "runtime/gctrace.h"

enum {
    GCSTATS_POINTS = 1024,
    GCSTATS_OCTAVE = 128, /* parts of a doubling of the pause: what is told is within 1 % */
    GCSTATS_SLOPE_MS = 60000,
    GCSTATS_SLOPE_N = 8,    /* below these no slope is told */
    GCSTATS_PROGRAMS = 256, /* that are told apart at once */
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
    bool programs_lost; /* more at once than are told apart: of some there may be two */
    uint64_t stopped_ns, cpu_ns;
    uint64_t p50_ns, p95_ns, p99_ns, max_ns; /* of pauses; a pause that was seen */
    bool have_pause, have_share, have_slope; /* the last two: of one program only */
    uint32_t share;
    uint64_t heap_max, live_last, live_max, goal_last;
    uint32_t have; /* of those: GCTRACE_HEAP_START, GCTRACE_LIVE, GCTRACE_GOAL; GCTRACE_SYS ... */
    uint64_t sys, released;
    enum gctrend trend;
    int64_t bytes_per_h;
    int64_t first_ms, last_ms;
};

struct gcprogram {
    uint64_t number, at_us; /* of its last collection */
    uint64_t line;          /* which of all collections that was; 0: no program is here */
    int64_t offset_ms;      /* of its own clock */
};

struct gcstats {
    bool
        own_clock; /* times are the lines' own, not ours: what is read may have been written then */
    uint64_t points_n, per_point; /* collections to a point */
    struct gcpoint point[GCSTATS_POINTS];
    struct gctrace last; /* the newest collection */
    int64_t last_ms;
    struct gcprogram program[GCSTATS_PROGRAMS];
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
