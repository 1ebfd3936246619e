/* marks.h - when a mark has been passed, and when to look again. Pure. */
#pragma once
#include <plimsoll.h>
#include <stdbool.h>

struct mark {
    uint32_t percent, hysteresis; /* PLIM_PRESSURE: not a mark of usage */
    bool above;
    plim_fn *fn;
    void *ctx;
};

/* `percent` of bytes, without overflow. */
uint64_t marks_bytes(uint64_t bytes, uint32_t percent);

/* 1: used has reached the mark; -1: it has fallen below it by the hysteresis; 0: neither is new.
 * `m->above` is brought up to date. */
int marks_step(struct mark *m, uint64_t used, uint64_t limit);

/* How far used is from the nearest mark that it has not reached; UINT64_MAX: from none. */
uint64_t marks_distance(const struct mark *mark, unsigned n, uint64_t used, uint64_t limit);

/* How fast used grows. */
struct slope {
    int64_t at_us; /* 0: not seen yet */
    uint64_t used;
    uint64_t per_s;
};
void slope_see(struct slope *s, int64_t now_us, uint64_t used);

/* min(longest, distance / (4 x rate)), at least a millisecond: three looks before it is there. */
int64_t slope_period_us(const struct slope *s, uint64_t distance, int64_t longest_us);
