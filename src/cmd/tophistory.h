/* tophistory.h - what `plimsoll top` has seen of one target since it was started, in bounded
 * memory.
 *
 * A table of equal steps of time, TOPHISTORY_POINTS at most: when it is full, two steps become one
 * and the step doubles. Bytes are kept in units of 4 KiB, counters as growth since they were first
 * seen. Pure, but for its memory.
 */
#pragma once
#include <stddef.h>

#include "model/sample.h"

enum { TOPHISTORY_POINTS = 600, TOPHISTORY_METRICS = 20 };

struct tophistory {
    int64_t first_ms, step_ms; /* when the oldest step began, and how long each is */
    uint32_t n, room;
    uint32_t newest; /* samples that the newest step is the mean of */
    uint32_t (*step)[TOPHISTORY_METRICS];
    uint64_t base[TOPHISTORY_METRICS]; /* of counters */
    uint32_t based;                    /* bits: base is set */
};

/* step_ms: of the first samples, at least 1. */
void tophistory_init(struct tophistory *h, int64_t step_ms);
void tophistory_done(struct tophistory *h); /* legal on a zeroed struct */

/* Samples come in the order of time; what comes before the newest step is left out. A clock that
 * was set begins it anew. 0 or -ENOMEM, and then the sample is left out. */
int tophistory_add(struct tophistory *h, const struct sample *s);

/* The mean of each of n equal parts of [from, to], UINT64_MAX where nothing is known, in the unit
 * of the metric. False when the metric is not kept: then nothing is written. */
bool tophistory_read(const struct tophistory *h, enum metric m, int64_t from_ms, int64_t to_ms,
                     size_t n, uint64_t *out);

/* Values at equal steps of time, wherever they are. */
struct topsteps {
    const void *ctx;
    uint64_t (*at)(const void *ctx, size_t i); /* UINT64_MAX: not known */
    size_t n;
    int64_t first_ms, step_ms;
};

/* The same for these: out[k] is the mean of the steps whose middle lies in part k, or, where parts
 * are finer than steps, the step around its middle. */
void topsteps_read(const struct topsteps *steps, int64_t from_ms, int64_t to_ms, size_t n,
                   uint64_t *out);
