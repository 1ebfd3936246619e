/* life.h - one run from start to end: the states between them, and what moves it on.
 *
 * running -> clearing (the rest of its tree is ended) -> waiting (back-off) -> running ..., until
 * it is over. Everything it needs is open before it begins; supervise.c prepares and takes down.
 */
#pragma once
#include "act/launch.h"
#include "act/oomwatch.h"
#include "act/supervise.h"

enum phase {
    PHASE_RUNNING,
    PHASE_CLEARING, /* the main process is gone, the rest of its tree is being ended */
    PHASE_WAITING,  /* for the next start */
    PHASE_OVER,
};

struct life {
    /* Prepared by the owner; borrowed: */
    const struct supervise_options *options;
    const struct host *host;
    const struct cgfs *fs;
    struct err *err; /* why it failed, for exit codes 125 to 127 */
    struct rungroup *group;
    const char *cgroup; /* path of the outer group */
    char **env;         /* of the program */
    struct runlog *log;
    struct loop *loop;
    struct oomwatch *oom;
    struct pressurewatch *pressure;
    int signals;        /* of signals_open */
    sigset_t inherited; /* mask for the program */
    bool terminal;      /* we have one: the program stays in our process group */

    /* Its own, zeroed: */
    bool is_protected;
    char oom_adj[16]; /* what ours was, for the program; "": unchanged */
    struct restart restart;
    enum phase phase;
    struct launched child; /* pid 0: none */
    uint32_t child_id;
    bool watching_child;
    int64_t started_us;

    int asked;        /* the last signal that asked it to end; 0: none */
    int64_t asked_us; /* when */
    bool stopping;    /* by TERM: it ends, with grace */
    int sent;         /* what it got last on the way to its end */

    uint32_t timer;
    bool has_timer;
    int64_t deadline_us, poll_us;
    bool killing; /* the deadline is that of SIGKILL */
    bool again;   /* after clearing: wait, then start again */
    int64_t delay_us;
    int exit_code;
    bool gave_up;
};

/* Lives it: starts the program and returns when all is over; blocks. The groups are still there.
 * exit_code and gave_up tell the rest. */
void life_run(struct life *life);

/* For oomwatch: somebody else than the main process was killed for memory. ctx: the struct life. */
void life_child_oom(const struct oom_evidence *evidence, void *ctx);
