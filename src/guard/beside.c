#include "guard/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Numbers taken at the first call, when few are in use: a table is copied up to the last that is
 * kept. In between nothing is in them that would stay open. */
static int place[BESIDE_FDS];
static int nothing = -1;

static int take_places(void) {
    if (nothing >= 0)
        return 0;
    nothing = eventfd(0, EFD_CLOEXEC);
    for (unsigned i = 0; nothing >= 0 && i < BESIDE_FDS; i++) {
        place[i] = fcntl(nothing, F_DUPFD_CLOEXEC, 0);
        if (place[i] >= 0)
            continue;
        while (i-- > 0)
            close(place[i]);
        close(nothing);
        nothing = -1;
    }
    return nothing < 0 ? -EMFILE : 0;
}

static int highest(void) {
    int top = nothing;

    for (unsigned i = 0; i < BESIDE_FDS; i++)
        top = place[i] > top ? place[i] : top;
    return top;
}

static pid_t fork_with(unsigned long flags) {
    return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

static bool is_kept(int fd, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        if (place[i] == fd)
            return true;
    return false;
}

/* Our owner waits, so that the table stands still until it is not shared any more. */
static int part(unsigned n) {
    int top = highest();

    if (syscall(SYS_close_range, (unsigned)top + 1, ~0U, 2U /* CLOSE_RANGE_UNSHARE */) < 0 &&
        unshare(CLONE_FILES) < 0) /* before Linux 5.9: a copy of all */
        return -errno;
    for (int fd = 0; fd <= top; fd++)
        if (fd <= STDERR_FILENO && !is_kept(fd, n) && fd != nothing)
            (void)dup3(nothing, fd, O_CLOEXEC); /* what an abort has to say goes nowhere */
        else if (!is_kept(fd, n) && fd != nothing)
            close(fd);
    return 0;
}

static _Noreturn void stand_alone(unsigned n, void (*work)(void *ctx, const int *fd), void *ctx) {
    int r = part(n);
    pid_t pid = r < 0 ? -1 : fork_with(0);

    if (pid == 0)
        work(ctx, place);
    _exit(pid < 0);
}

int beside_run(const int *fd, unsigned n, void (*work)(void *ctx, const int *fd), void *ctx) {
    int r = n > BESIDE_FDS ? -EINVAL : take_places(), status = -1;
    pid_t pid;

    if (r < 0)
        return r;
    for (unsigned i = 0; i < n; i++)
        if (dup3(fd[i], place[i], O_CLOEXEC) < 0)
            r = -errno;
    pid = r < 0 ? -1 : fork_with(CLONE_FILES);
    if (pid == 0)
        stand_alone(n, work, ctx);
    if (r == 0 && pid < 0)
        r = -errno;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    for (unsigned i = 0; i < n; i++)
        (void)dup3(nothing, place[i], O_CLOEXEC);
    return r < 0 ? r : status == 0 ? 0 : -EAGAIN;
}
