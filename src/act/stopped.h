/* stopped.h - a list of processes that were stopped by us, in a memfd, so that another process (the
 * warden) can let them go on when we cannot.
 *
 * Whoever is to be stopped is written there before he is. A pid may be given again: each entry has
 * its start, and nobody else gets a signal.
 */
#pragma once
#include <stdint.h>

enum { STOPPED_MOST = 4096 };

struct stopped {
    int32_t pid; /* 0: the end of the list */
    uint64_t start_ticks;
};

/* Sends SIGCONT if it still is that process. 0, also when it is gone; -errno: not known. */
int stopped_continue_one(int proc, const struct stopped *one);

/* All of the list that begins at byte `offset` of `list`. 0 or the first -errno; the others are
 * served all the same. Allocates nothing. */
int stopped_continue(int list, uint64_t offset);
