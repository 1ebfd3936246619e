/* brakestop.h - every process of a group stopped by signal, where no cgroup.freeze can do it.
 *
 * Whoever was stopped before, by somebody else, is not in the list, so he stays so afterwards.
 * A signal does not end a system call at once: a fork() under way, milliseconds for a large
 * process, still bears a child that no signal has reached. So the processes are listed again once
 * every thread has been seen to stand, until nobody new is there. After BRAKESTOP_US it is told who
 * still runs: a chain of processes each of which forks and ends at once, or a thread that waits in
 * the kernel and cannot be interrupted, as who has called vfork() does.
 */
#pragma once
#include "act/grip.h"
#include "act/stopped.h"

enum { BRAKESTOP_US = 20000 };

struct brakestop {
    size_t stopped;  /* in the list */
    unsigned missed; /* could not be stopped: the machine's pid 1, or more than the list holds */
    size_t running;  /* of these, had not come to a stand in the end */
    bool all;        /* all others stand, and nobody new was found after that */
};

/* pids: of the group now, sorted; used for what it is later. list: STOPPED_MOST and one more, all
 * zero; written before each signal. Allocates nothing as long as `pids` is large enough; every
 * signal is sent in the first moment, what may take BRAKESTOP_US is to be sure of it. */
void brakestop(const struct grip *g, struct pidlist *pids, struct stopped *list,
               struct brakestop *out);
