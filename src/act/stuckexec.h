/* stuckexec.h - what a container engine's exec leaves waiting inside a group that hangs.
 *
 * The engine's runtime enters the group before it starts the program, and waits for memory there.
 * The engine waits for it, and with it every stop and kill. It has done no work yet, so nothing is
 * lost with it.
 */
#pragma once
#include "act/grip.h"
#include "model/policy.h"

enum { STUCKEXEC_MOST = 32 };

struct stuckexec {
    int32_t pid;
    uint64_t start_ticks;
    char comm[64];
};

/* Those that came from outside of the group (candidate_came_in), and which are no container's pid 1
 * (then it would be the container that starts). The count, or -errno. */
int stuckexec_find(struct grip *g, const struct policy *p, struct stuckexec out[STUCKEXEC_MOST]);

/* SIGKILL, when it still is the same; waits some ms until it is gone. 0; -ESRCH: it was gone;
 * -EPERM; -EBUSY: it stays. */
int stuckexec_end(const struct grip *g, const struct stuckexec *e);
