/* candidate.h - reads what victim.h decides on: one process after the other, from /proc.
 *
 * Nothing here allocates or waits for the process. What a process says of itself (its name, its
 * command line) is used for rules of names alone. One of ours is we, what we started, and what runs
 * our executables as root or as our user in our pid namespace.
 */
#pragma once
#include <sys/types.h>

#include "act/victim.h"
#include "kern/host.h"
#include "kern/pidlist.h"
#include "kern/procstat.h"

enum { CANDIDATE_OWN = 6 }; /* executables of ours */

/* How our own processes are known. Made once. */
struct candidate_own {
    struct {
        dev_t dev;
        ino_t ino;
    } exe[CANDIDATE_OWN];
    unsigned exes;
    int64_t ticks_a_second;
};
void candidate_own_init(struct candidate_own *own);

/* Whether PROC belongs to the pid namespace that we send signals in: 0; -EXDEV. */
int candidate_check_proc(const struct host *h);

/* 0; -ESRCH: gone, or has ended and only waits to be waited for; -ENODATA: its memory cannot be
 * told. program: read its command line too. start_ticks is 0 when it began in this very tick: then
 * a process that is given its pid later cannot be told from it (candidate_is_same says no). */
int candidate_read(const struct host *h, const struct candidate_own *own, int32_t pid, bool program,
                   struct candidate *out);

/* The thread of a process by which its memory and its group are told: the first, or where that has
 * ended before the others, one of those. 0: it has ended. */
int32_t candidate_thread(const struct host *h, const struct procstat *stat);

/* Whether the process that has this pid now began at that time. */
bool candidate_is_same(const struct host *h, int32_t pid, uint64_t start_ticks);

/* Whether that process has given its memory back: it is gone, or has ended with all its threads.
 * One that is in the middle of that is not over yet, although candidate_is_same says no. */
bool candidate_is_over(const struct host *h, int32_t pid, uint64_t start_ticks);

/* Whether it was put into the group from outside, as an engine does it, whatever it calls itself:
 * its parent is not in the group (`inside`, sorted: all pids of it), nor one that adopts anybody
 * (pid 1), nor in the same pid namespace when that is a container's. */
bool candidate_came_in(const struct host *h, const struct pidlist *inside, int32_t pid);

/* One of ours (see above), or the machine's pid 1. */
bool candidate_is_ours(const struct host *h, const struct candidate_own *own, int32_t pid);
