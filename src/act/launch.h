/* launch.h - starts a program inside its groups from its first instruction on.
 *
 * v2: clone3(CLONE_INTO_CGROUP), the child is born there; where that is refused (old kernel,
 * seccomp) and on v1 the child joins by itself before exec, so that nothing it does is charged
 * elsewhere. Why exec failed comes back through a pipe.
 */
#pragma once
#include <signal.h>
#include <sys/types.h>

#include "act/rungroup.h"

struct launch {
    const struct rungroup *group;
    char *const *argv; /* argv[0] is looked up in PATH unless it has a '/' */
    char *const *env;
    sigset_t mask;       /* the signal mask of the child */
    bool ignore_pipe;    /* SIGPIPE was ignored when we were started; it is default otherwise */
    bool own_group;      /* a process group of its own: no terminal */
    const char *oom_adj; /* written to its oom_score_adj, when ours was changed; NULL: not */
};

struct launched {
    pid_t pid;
    int pidfd;  /* readable when it ended; -1 where the kernel has none (before 5.3) */
    int report; /* pipe: end of file when exec succeeded or the child died, else a struct
                   launch_failure; non-blocking */
};

enum launch_stage { LAUNCH_JOIN, LAUNCH_EXEC };
struct launch_failure {
    int stage, error; /* errno */
};

/* 0 or -errno with a text: nothing was started. The descriptors are the caller's. */
int launch(const struct launch *l, struct launched *out, struct err *err);

/* 1: exec failed, *out tells why; 0: it succeeded or the child died before; -EAGAIN: not known
 * yet. */
int launch_report(int report, struct launch_failure *out);

/* The exit code a shell would give: 127 not found, 126 cannot be executed, 125 join failed. Fills
 * err with what is wrong with argv[0] ("not executable", "no such interpreter" ...). */
int launch_explain(const struct launch_failure *f, const char *program, struct err *err);
