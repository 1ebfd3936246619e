/* liveguard.h - what guards told of a target, as of now: whether it hangs, which marks are passed,
 * and what was done since this process started.
 */
#pragma once
#include "model/audit.h"

struct live;
struct live_row;
struct live_lost;

struct live_guard {
    bool guarded, dry_run;
    char name[64];       /* of the policy; "" where it was not told */
    enum hang_kind hang; /* NONE: it does not, or nobody looks */
    int64_t hang_ms;     /* since when, wall clock */
    unsigned above;      /* marks that are passed now */
    /* Counted since this process started: */
    uint64_t ended[ACTION_N][OUTCOME_N];
    uint64_t marks, freed; /* marks passed upwards; bytes less after actions than before */
};

/* Takes in a record. `count`: it is told for the first time. 0 or -ENOMEM. */
int live_guard_take(struct live *l, struct live_row *row, const struct audit *a, bool count);

/* The same of one that is gone: who has ended something is told of it when that is over. */
int live_guard_take_lost(struct live_lost *lost, const struct audit *a, bool count);

/* Whether anything was counted. NULL: nothing was. */
bool live_guard_counted(const struct live_guard *g);

/* Takes over what was counted of those that bore the key of this row, and if the group is the same,
 * of another collector's number, all that was told of it. Without a history nobody
 * knows who bore it. */
void live_guard_inherit(struct live *l, struct live_row *row);

/* Whether it hangs at its limit by what a guard saw; slowed down to a standstill is no hang. */
bool live_guard_hangs(const struct live_guard *g);
