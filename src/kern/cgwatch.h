/* cgwatch.h - descriptors that become readable when memory runs short in a group.
 *
 * v1 counts events into an eventfd that is registered with the group (cgroup.event_control), v2
 * makes memory.events pollable. An event says that something may have happened, never what: the
 * numbers are read afterwards. v1 also signals when the group is removed, and thresholds in both
 * directions (Documentation/admin-guide/cgroup-v1/memory.rst).
 */
#pragma once
#include "kern/cgfs.h"

struct cgwatch {
    int fd; /* to poll; -1: none */
    enum cg_version version;
};

/* What to poll for: EPOLLIN (v1) or EPOLLPRI (v2; EPOLLERR comes with it and is no error). */
uint32_t cgwatch_poll_events(const struct cgwatch *w);

/* Signals each time that an OOM is declared at this group's limit or at one of its ancestors' (v1:
 * also each descendant of the group at fault is told), or, on v2, that a number of memory.events
 * moved: of this group and those below it. 0; -EOPNOTSUPP where the kernel cannot (PREEMPT_RT). */
int cgwatch_oom(int dir, enum cg_version version, struct cgwatch *out);

/* v1: signals when usage crosses `bytes` upwards or downwards, late by up to 128 pages. -EOPNOTSUPP
 * on v2. */
int cgwatch_usage(int dir, enum cg_version version, uint64_t bytes, struct cgwatch *out);

/* v1: one more of either kind, counted by the descriptor that `w` has already: one is enough for
 * who reads the numbers anyhow. 0; -errno as above. */
int cgwatch_add_usage(struct cgwatch *w, int dir, uint64_t bytes);
int cgwatch_add_oom(struct cgwatch *w, int dir);

/* What is charged to the group now, in bytes: what a threshold is about. 0; -errno (-ENODEV,
 * -ENOENT: the group was removed). */
int cgwatch_read_usage(int dir, enum cg_version version, uint64_t *out);

/* Takes in what was signalled, so that polling waits for the next. The number of signals (v1), or
 * 1 (v2); 0 when there was none. Never blocks. */
uint64_t cgwatch_take(struct cgwatch *w);

void cgwatch_close(struct cgwatch *w);
