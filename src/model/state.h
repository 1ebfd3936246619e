/* state.h - one word for how a target's memory is doing, with thresholds that are written down
 * once.
 *
 * Pure. Whether something leaks is not said here: that needs hours and a verdict.
 */
#pragma once
#include "model/trend.h"

/* From good to bad: the worst that holds is the state. The words are those of every list, page and
 * screen. */
enum state {
    STATE_UNKNOWN,   /* nothing to judge by */
    STATE_OK,        /* nothing bad; seen too shortly to say how it moves */
    STATE_STEADY,    /* ... and it does not move */
    STATE_SHRINKING, /* ... and it falls (trend.h) */
    STATE_GROWING,   /* ... and it grows */
    STATE_CACHE,     /* usage is STATE_FULL_CENTI of the limit or more, but much of it is cache */
    STATE_HIGH,      /* used is STATE_HIGH_CENTI of the limit or more: little room for a peak */
    STATE_SWAPPING,  /* STATE_SWAP_CENTI of the swap it may use, or more, is used */
    STATE_STALLED,   /* for STATE_STALL_CENTI of the last 10 s all its tasks waited for memory */
    STATE_THRASHING, /* it reads back what was just reclaimed, and waits for it */
    STATE_THROTTLED, /* used is STATE_FULL_CENTI of memory.high or more: slowed down to a crawl */
    STATE_KILLED,    /* the kernel killed in it within the last STATE_KILLED_MS, for memory */
    STATE_FULL,      /* used is STATE_FULL_CENTI of the limit or more: the next step is a kill */
    STATE_HUNG,      /* tasks wait for memory that nobody will free (v1, killing disabled) */
    STATE_N,
};

/* Hundredths of a percent; refaults in pages a second. */
enum {
    STATE_HIGH_CENTI = 7000,
    STATE_FULL_CENTI = 9000,
    STATE_SWAP_CENTI = 3000,
    STATE_STALL_CENTI = 1000,
    STATE_THRASH_REFAULTS = 100,
    STATE_THRASH_CENTI = 500, /* of the last 10 s at least one task waited, where PSI is known */
    STATE_KILLED_MS = 10 * 60 * 1000,
};

/* What a single look tells. swap_total: of the machine, in bytes; 0 where there is none, or nobody
 * knows. */
enum state state_of(const struct sample *s, uint64_t swap_total);

/* Whether a kill at that moment (0: there was none) is lately at the other; one that is told before
 * the sample of its second is. */
bool state_is_killed(int64_t killed_ms, int64_t at_ms);

/* The same as state_of with what the last minutes tell. killed_ms: when the newest OOM kill in the
 * target or in an instance of it before this one was; 0: none is known. */
enum state state_moving(const struct sample *s, uint64_t swap_total, const struct trend_view *v,
                        int64_t killed_ms);

/* Whether v1 hides how much of a group's kernel memory could be reclaimed, and it is enough to make
 * `used` misleading. */
bool state_kernel_unsplit(const struct sample *s, bool v1);

/* "ok", "steady", "shrinking", "growing", "cache-bound", "high", "swapping", "stalled",
 * "thrashing", "throttled", "oom-killed", "at-limit", "hung"; "-" for unknown */
const char *state_name(enum state state);
