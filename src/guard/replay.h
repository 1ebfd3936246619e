/* replay.h - the decisions of a guard made again from its records. Pure: no clock, no group.
 *
 * Records of one guard (one target, one policy) come in their order; each that changed its state or
 * decided something carries the facts of that moment.
 */
#pragma once
#include "guard/ladder.h"

struct replay {
    struct policy policy;
    struct ladder ladder;
    bool any;            /* a GUARD record has come */
    struct decision due; /* decided at the last record, not yet seen to begin */
    struct facts due_at;
    unsigned same, other; /* decisions that were made again, and those that were not */
};

enum replay_said {
    REPLAY_QUIET, /* nothing is decided by it */
    REPLAY_SAME,  /* the record says BEGIN, and that is what is decided */
    REPLAY_OTHER, /* ... and something else is decided, or nothing: *out says what */
    REPLAY_ASKED, /* BEGIN, because somebody had asked: not the guard's own decision */
};

void replay_init(struct replay *r);

/* The next record; policy: of a GUARD record, else NULL. *out: what is decided. */
enum replay_said replay_take(struct replay *r, const struct audit *a, const struct policy *policy,
                             struct decision *out);
