/* safepoint.h - threads that wait where nothing of the program is half done: in a blocking system
 * call that no allocator makes, with room on their stack, and in no signal handler.
 *
 * A handler may have interrupted malloc and then wait: it is seen by the signal frame that the
 * kernel put on the stack above it. A frame that an earlier handler left, and nothing has written
 * over since, looks the same: better such a thread is not taken than one that is in the middle of
 * malloc.
 */
#pragma once
#include "base/err.h"
#include "runtime/rt.h"
#include "runtime/rtproc.h"

struct safepoint {
    int32_t tid;
    uint64_t nr; /* of the system call */
    uint64_t arg[6];
    uint64_t sp, pc;
    bool filtered;    /* by seccomp: what its filters allow is to be found out once it is stopped */
    bool has_handler; /* the program has a handler for some signal: it knows EINTR */
    bool anew;        /* an interruption makes its timeout begin anew: rather another thread */
};

/* PROC/PID/syscall: "7 0x.. (six arguments) SP PC". 0; -EAGAIN: it runs, or is in no call;
 * -EBADMSG. Pure. */
int safepoint_parse(struct str text, struct safepoint *out);

/* Whether a thread may be in that call when we come, by number. Pure. */
bool safepoint_allows(uint64_t nr);
/* The call's name, "" for those that are not in our list. */
const char *safepoint_name(uint64_t nr);
/* Whether an interruption would show: the call would return early, with a part. Pure. */
bool safepoint_shows(const struct safepoint *s);
/* Whether its timeout begins anew when it is interrupted and goes on. Pure. */
bool safepoint_begins_anew(const struct safepoint *s);
/* Whether these bytes of a stack may begin with a signal frame: what it returns to is in *restorer,
 * which must be code that calls rt_sigreturn. `address` of the first byte. Pure. */
bool safepoint_is_frame(const char *bytes, size_t n, uint64_t address, uint64_t *restorer);

/* Which call a restart_syscall(2) goes on with: from the instructions before the call. UINT64_MAX
 * when that is not to be seen. */
uint64_t safepoint_restarted(const struct rtproc *p, uint64_t pc);

/* Whether this thread waits at a safe point now. 0 and *out; -EAGAIN: not now, another time
 * perhaps; -EOPNOTSUPP: never; -ESRCH. *why says what it is. trampoline: of rt_sigreturn. */
int safepoint_look(const struct rtproc *p, int32_t tid, uint64_t trampoline, struct safepoint *out,
                   struct err *why);

/* Whether its stack, to its end, has room and no signal frame. 0; -EAGAIN. tls: its thread pointer,
 * above which its stack does not reach unless it is the first thread's; 0: not known, what is far
 * above is not looked at. To be asked again, with it, once the thread is stopped. */
int safepoint_look_stack(const struct rtproc *p, const struct safepoint *s, uint64_t trampoline,
                         uint64_t tls, struct err *why);

/* Whether it is stopped by a signal; says so, and what makes it go on. is_held: by who traces it,
 * still at the deadline. */
bool safepoint_is_stopped(const struct rtproc *p);
bool safepoint_is_held(const struct rtproc *p, int64_t deadline_us);
int safepoint_refuse_stopped(const struct rtproc *p, struct rt_result *out);

/* The threads, the first one first; at most `size`. Count or -errno. */
int safepoint_threads(const struct rtproc *p, int32_t *out, size_t size);
