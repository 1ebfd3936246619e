/* pygc.h - the lists of CPython's collector, walked from outside while the program runs.
 *
 * Every object that can be in a cycle is in one of them. Nothing is stopped, so a list may change
 * under us: each link is believed only if the next object points back, a contradiction is read
 * afresh and the walk goes on from the last object that is still in the list. A list that was
 * collected meanwhile is walked again. What cannot be had so is told, not guessed.
 */
#pragma once
#include "runtime/pygctype.h"

enum { PYGC_LISTS = PY_GENERATIONS + 1, PYGC_FROZEN = PY_GENERATIONS };

struct pygc_state {
    bool enabled, collecting;
    int32_t threshold[PY_GENERATIONS], count[PY_GENERATIONS];
    int64_t collections[PY_GENERATIONS], collected[PY_GENERATIONS], uncollectable[PY_GENERATIONS];
    int64_t long_total, long_pending;
};

/* What interp->gc at this address says. 0; -EBADMSG when it cannot be that; -errno. */
int pygc_state(struct pygcread *r, uint64_t gc, struct pygc_state *out);

struct pygc_walk {
    uint64_t objects[PYGC_LISTS]; /* generations 0 to 2, and frozen ones (gc.freeze) */
    uint64_t unread;              /* objects whose type could not be read */
    unsigned missed;              /* bit (1u << list): changed faster than it could be read */
    unsigned again;               /* lists that had to be walked again */
};

/* Counts into `types`, adds to *out. 0, also when lists were missed; -ETIMEDOUT; -ENOMEM; -E2BIG;
 * -EBADMSG: the lists contradict themselves; -errno. */
int pygc_walk(struct pygcread *r, uint64_t gc, struct pygctypes *types, int64_t deadline_us,
              struct pygc_walk *out);
