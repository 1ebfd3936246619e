#include "engine/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

enum {
    FIRST_FD = 3,
    SOON_US = 10 * 1000000,         /* an end so soon after the start is a failure; */
    AT_ONCE = 4,                    /* after so many it is started again with a wait, */
    FIRST_WAIT_US = 20 * 1000,      /* that doubles */
    LONGEST_WAIT_US = 5000000,      /* up to here, */
    LONGEST_KILLED_US = 200 * 1000, /* or to here when it was killed and has not failed itself */
};

/* fd[] to 3, 4, ... by way of numbers above them, so that none is overwritten before it was moved.
 */
static int arrange(const struct child *c) {
    int high[CHILD_FDS], n = 0;

    for (; n < CHILD_FDS && c->fd[n] >= 0; n++) {
        high[n] = fcntl(c->fd[n], F_DUPFD, FIRST_FD + CHILD_FDS);
        if (high[n] < 0)
            return -errno;
    }
    for (int i = 0; i < n; i++)
        if (dup2(high[i], FIRST_FD + i) < 0)
            return -errno;
    return syscall(SYS_close_range, FIRST_FD + n, ~0U, 0) < 0 ? -errno : 0;
}

static void in_child(struct child *c) {
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (arrange(c) < 0)
        _exit(125);
    if (!c->path)
        _exit(c->run(c->ctx));
    execv(c->path, (char *const *)(uintptr_t)c->argv);
    log_line(LOG_BAD, "cannot execute '%s'", c->path);
    _exit(126);
}

int child_start(struct child *c, int64_t now_us) {
    pid_t pid = fork();

    if (pid < 0)
        return -errno;
    if (pid == 0)
        in_child(c);
    c->pid = pid;
    c->began_us = now_us;
    c->again_us = 0;
    c->stopped = false;
    c->starts++;
    return 0;
}

void child_ended(struct child *c, bool killed, int64_t now_us) {
    int64_t most = killed ? LONGEST_KILLED_US : LONGEST_WAIT_US, wait = FIRST_WAIT_US;

    c->pid = 0;
    c->failures = now_us - c->began_us < SOON_US ? c->failures + 1 : 0;
    for (unsigned i = AT_ONCE; i < c->failures && wait < most; i++)
        wait *= 2;
    c->again_us = c->failures < AT_ONCE ? now_us : now_us + (wait < most ? wait : most);
}

void child_signal(struct child *c, int signal) {
    if (c->pid <= 0)
        return;
    c->stopped = true;
    kill(c->pid, signal);
}
