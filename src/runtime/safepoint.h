/* safepoint.h - threads that wait where nothing of the program is half done: in a blocking system
 * call that no allocator makes, with room on their stack, and in no signal handler.
 *
 * A handler may have interrupted malloc and then wait: it is seen by its signal frame on the stack
 * above us, with a mask that lacks signals which the thread has blocked, or with the siginfo of a
 * crash. What cannot be seen is a handler with SA_NODEFER for another signal: a call may then wait
 * for a lock for ever, which inject.h handles for calls that allow it.
 */
#pragma once
#include "base/err.h"
#include "runtime/rtproc.h"

struct safepoint {
    int32_t tid;
    uint64_t nr; /* of the system call */
    uint64_t sp, pc;
    bool filtered; /* by seccomp: what its filters allow is to be found out once it is stopped */
};

/* PROC/PID/syscall: "7 0x.. (six arguments) SP PC". 0; -EAGAIN: it runs, or is in no call;
 * -EBADMSG. Pure. */
int safepoint_parse(struct str text, struct safepoint *out);

/* Whether a thread may be in that call when we come, by number. Pure. */
bool safepoint_allows(uint64_t nr);
/* The call's name, "" for those that are not in our list. */
const char *safepoint_name(uint64_t nr);

/* Which call a restart_syscall(2) goes on with: from the instructions before the call. UINT64_MAX
 * when that is not to be seen. */
uint64_t safepoint_restarted(const struct rtproc *p, uint64_t pc);

/* Whether this thread waits at a safe point now. 0 and *out; -EAGAIN: not now, another time
 * perhaps; -EOPNOTSUPP: never; -ESRCH. *why says what it is. trampoline: of rt_sigreturn. */
int safepoint_look(const struct rtproc *p, int32_t tid, uint64_t trampoline, struct safepoint *out,
                   struct err *why);

/* The threads, the first one first; at most `size`. Count or -errno. */
int safepoint_threads(const struct rtproc *p, int32_t *out, size_t size);
