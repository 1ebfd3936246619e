/* hang.h - whether a group hangs at its limit: three kinds, each seen in its own way. Pure.
 *
 * A: v1, killing disabled: tasks sleep (D) in mem_cgroup_oom_synchronize; PSI does not move, nor
 *    does failcnt. under_oom is 1 in all looks of HANG_CONFIRM_US (it flickers in a kill); where
 *    the group itself has not disabled the killer (a group above may have) for HANG_REFAULT_US.
 * B: refault livelock: usage at the limit, hardly any of it page cache, and that is read again as a
 *    whole many times a second by page faults (program text, mapped files); under_oom 0. A file
 *    that is streamed or read in a loop is none: that faults nothing in, or has a cache.
 * A2: v2, nobody can be killed (oom_score_adj -1000): `oom` rises, `oom_kill` does not.
 * T: v2, slowed down to a standstill by memory.high: no hang at the limit, told apart from one.
 */
#pragma once
#include "base/buf.h"
#include "model/facts.h"

enum hang_kind { HANG_NONE, HANG_OOM_WAIT, HANG_REFAULT, HANG_UNKILLABLE, HANG_THROTTLED, HANG_N };

enum {
    HANG_CONFIRM_US = 250000,  /* A and A2: so long at least */
    HANG_REFAULT_US = 1000000, /* B and T: so long at least */
    HANG_NEAR_CENTI = 9800,    /* B: usage from here on, in hundredths of a percent of the limit */
    HANG_CLEAR_US = 1000000,   /* over when nothing was seen for so long */
    HANG_LOOK_US = 250000,     /* how often to look while it may be one */
};

struct hang {
    enum hang_kind kind; /* NONE: does not hang */
    int64_t since_us;    /* when it was first seen (monotonic), of what is told in `kind` */
    /* its own: */
    enum hang_kind suspect, moving; /* of this look; of the last two that rates were taken from */
    int64_t suspect_us, seen_us;    /* the suspicion's first and last sign */
    int64_t kind_us;                /* the last sign of `kind` */
    int64_t killed_us;              /* when a kill was last seen; 0: never */
    struct facts last;              /* that rates are taken from */
    bool any;
};

/* Takes in a look; they come in any rhythm up to a second apart. Wants GRIP_STAT, GRIP_EVENTS and,
 * where there is any, GRIP_PSI. True when `kind` changed. */
bool hang_see(struct hang *h, const struct facts *f);

/* Whether the next look should come after HANG_LOOK_US rather than at leisure. */
bool hang_suspects(const struct hang *h);

/* "oom-wait", "refault-livelock", "unkillable", "throttled"; "none" */
const char *hang_name(enum hang_kind kind);

/* For people, a sentence or two: what hangs, what will not help and what will. now_us: for "since".
 */
void hang_add_text(struct buf *out, const struct hang *h, int64_t now_us);
