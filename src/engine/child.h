/* child.h - a process that the agent keeps running: started, waited for, started again.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { CHILD_ARGS = 20, CHILD_FDS = 3 };

struct child {
    const char *name; /* for the log */
    const char *path; /* of the executable; NULL: a function of ours in a fork */
    int (*run)(void *ctx);
    void *ctx;
    const char *argv[CHILD_ARGS]; /* ends with NULL */
    int fd[CHILD_FDS];            /* become 3, 4 and 5; -1: none */
    pid_t pid;                    /* 0: does not run */
    int64_t began_us;             /* monotonic */
    int64_t again_us;             /* when to start it again; 0: not to be */
    unsigned failures;            /* in a row, each soon after its start */
    unsigned starts;
    bool done;    /* it said that there is nothing to do for it */
    bool stopped; /* was told to end, since its start */
};

/* Forks. The child has the standard descriptors, fd[] and nothing else, no blocked signals, and is
 * its own session's child. 0 or -errno. */
int child_start(struct child *c, int64_t now_us);

/* It ended, by a signal or with a code of its own: when it is due again. */
void child_ended(struct child *c, bool killed, int64_t now_us);

/* Tells it to end. */
void child_signal(struct child *c, int signal);
