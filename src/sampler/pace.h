/* pace.h - how soon a target has to be looked at again: the less room it has, and the faster it
 * loses it, the sooner.
 *
 * Pure. The aim is to have looked at least ten times between now and the limit, if growth goes on
 * as it did, within [fastest, slowest]; periods are slowest / 1, 2, 5 and 10, and one that was made
 * shorter holds for a few seconds, so that a saw does not make it flicker. A target that is nearly
 * full is looked at sooner though it does not grow. When the room is not its own but what a group
 * around it or the machine has left, only growth counts: else all targets would be in a hurry at
 * once.
 */
#pragma once
#include "model/sample.h"

/* Zeroed before its first use. */
struct pace {
    uint64_t used, room; /* when it was looked at last */
    int64_t at_us;       /* monotonic; 0: never */
    int64_t period_us;   /* as of then */
    int64_t hold_us;     /* until then the period is not made longer */
};

/* Takes in a new sample and tells in how many microseconds the next is due. */
int64_t pace_next(struct pace *p, const struct sample *s, int64_t now_us, int64_t slowest_us,
                  int64_t fastest_us);
