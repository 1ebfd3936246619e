/* state.h - one word for how a target's memory is doing, with thresholds that are written down
 * once.
 *
 * Pure. Only what a single look can tell; what needs history (growing, leaking) is not here.
 */
#pragma once
#include "model/sample.h"

/* From good to bad: the worst that holds is the state. */
enum state {
    STATE_UNKNOWN, /* nothing to judge by */
    STATE_OK,
    STATE_HIGH,      /* used is STATE_HIGH_CENTI of the limit or more: little room for a peak */
    STATE_SWAPPING,  /* STATE_SWAP_CENTI of the swap it may use, or more, is used */
    STATE_STALLED,   /* for STATE_STALL_CENTI of the last 10 s all its tasks waited for memory */
    STATE_THROTTLED, /* used is STATE_FULL_CENTI of memory.high or more: slowed down to a crawl */
    STATE_FULL,      /* used is STATE_FULL_CENTI of the limit or more: the next step is a kill */
    STATE_HUNG,      /* tasks wait for memory that nobody will free (v1, killing disabled) */
    STATE_N,
};

/* Hundredths of a percent. */
enum {
    STATE_HIGH_CENTI = 7000,
    STATE_FULL_CENTI = 9000,
    STATE_SWAP_CENTI = 3000,
    STATE_STALL_CENTI = 1000,
};

/* swap_total: of the machine, in bytes; 0 where there is none, or nobody knows. */
enum state state_of(const struct sample *s, uint64_t swap_total);

/* Whether v1 hides how much of a group's kernel memory could be reclaimed, and it is enough to make
 * `used` misleading. */
bool state_kernel_unsplit(const struct sample *s, bool v1);

const char *state_name(enum state state); /* "ok", "high", ...; "-" for unknown */
