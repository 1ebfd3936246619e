/* job.h - what may block, done in a child process with a deadline.
 *
 * An engine's socket, a file inside a container, a namespace to enter: each can hang for ever. The
 * child hangs then, and is killed; if even that has to wait (a dead file server), it is left alone
 * and reaped when the kernel lets go. Children are waited for by their pid; nobody else in the
 * process may wait for just any child.
 */
#pragma once
#include <sys/types.h>

#include "base/buf.h"

struct job {
    pid_t pid; /* 0: not running */
    int fd;    /* of the pipe with the answer; pollable; -1: none */
    int64_t deadline_us;
    struct buf answer;
};

enum job_state { JOB_NONE, JOB_RUNNING, JOB_DONE, JOB_FAILED };

void job_init(struct job *j, size_t max);
void job_done(struct job *j); /* a running child is killed */

/* Runs work(arg, out) in a child; what it writes to `out` is the answer if it returns 0. Signals
 * are at their defaults there. 0; -EBUSY when one is running; -EAGAIN when children of before still
 * hang; -errno of fork or pipe. */
int job_start(struct job *j, int (*work)(void *arg, struct buf *out), void *arg,
              int64_t deadline_us);

/* For work that is long: sends what is in `out` so far, so that it is not lost when the child has
 * to be ended. What a failed job had sent is in j->answer after job_poll has said JOB_FAILED, until
 * the next one is started; it may end anywhere. 0 or -errno. */
int job_flush(struct buf *out);

/* Takes in what has come. JOB_DONE: the answer is complete, and the job may be started again.
 * JOB_FAILED: the work failed, died or ran out of time. Never blocks. */
enum job_state job_poll(struct job *j, int64_t now_us);

/* How many children could not be reaped yet, of all jobs of this process. */
unsigned job_hanging(void);
