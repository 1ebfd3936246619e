/* standstill.h - keeps the tasks of a group from user space for a moment, while several files that
 * belong together are written.
 *
 * Whoever waits for memory on v1 wakes at the first of them. On his way back he takes the signals
 * that have come meanwhile (Go's runtime sends one each 10 ms), and when the stack for their
 * handler needs a page that cannot be charged yet, the kernel ends him with SIGSEGV. A task in a
 * group that is being frozen stops before that.
 */
#pragma once
#include <sched.h>

#include "act/grip.h"
#include "act/warden.h"

struct standstill {
    int freeze, hold; /* cgroup.freeze, -1: not frozen by us; its hold */
    struct warden *warden;
    bool hurried; /* this thread: */
    int policy;
    struct sched_param param;
};
#define STANDSTILL_NONE                                                                            \
    { .freeze = -1, .hold = -1 }

/* By cgroup.freeze, undone by the warden after a second at the latest. Where there is none, or
 * somebody else has frozen the group, this thread is given a realtime priority as the next best: it
 * is not preempted by those whom it wakes. Never fails: what cannot be had is done without.
 * Allocates nothing. The grip's files and the warden stay open until the end. */
void standstill_begin(const struct grip *g, struct warden *w, struct standstill *out);
void standstill_end(struct standstill *s); /* also of one that is none, or has ended */
