#include "runtime/nodeguard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime/nodeinspect.h"

enum {
    LOOK_US = 100 * 1000, /* at first; then ever slower, down to */
    LOOK_MOST_US = 900 * 1000,
    CLOSE_US = 5 * 1000 * 1000,
};

/* Everything but these: above all the pipe on which somebody waits for our parent to end. */
static void close_others(const int *keep, size_t n) {
    int highest = 0;

    for (size_t i = 0; i < n; i++)
        if (keep[i] > highest)
            highest = keep[i];
    for (int fd = 3; fd < highest; fd++) {
        bool kept = false;

        for (size_t i = 0; i < n; i++)
            kept |= keep[i] == fd;
        if (!kept)
            close(fd);
    }
    (void)close_range((unsigned)highest + 1, ~0U, 0);
}

static void be_alone(const struct rtproc *p, int pipe) {
    const int keep[] = {pipe, p->dir, p->pidfd, p->host->proc};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        (void)dup2(null, fd);
    close_others(keep, ARRAY_N(keep));
    for (int s = 1; s < NSIG; s++)
        (void)signal(s, s == SIGPIPE ? SIG_IGN : SIG_DFL);
}

/* Waits until the other end is closed. True: sent away. */
static bool is_dismissed(int pipe) {
    char word;
    ssize_t n;

    do
        n = read(pipe, &word, 1);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

static void watch(const struct rtproc *p, const struct node_ports *before) {
    int64_t end = clock_mono_us() + (int64_t)NODE_GUARD_SECONDS * 1000000, wait_us = LOOK_US;

    while (clock_mono_us() < end && rtproc_same(p) == 0) {
        const struct timespec pause = {.tv_nsec = wait_us * 1000};

        wait_us = wait_us * 5 / 4 < LOOK_MOST_US ? wait_us * 5 / 4 : LOOK_MOST_US;
        if (node_inspector_end(p, before, clock_mono_us() + CLOSE_US) == 0)
            return;
        nanosleep(&pause, NULL);
    }
}

int node_guard_start(struct node_guard *g, const struct rtproc *p,
                     const struct node_ports *before) {
    int ends[2];
    pid_t pid;

    g->fd = -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid == 0) {
        close(ends[1]);
        if (fork() != 0)
            _exit(0);
        be_alone(p, ends[0]);
        if (!is_dismissed(ends[0]))
            watch(p, before);
        _exit(0);
    }
    close(ends[0]);
    if (pid < 0) {
        int r = -errno;

        close(ends[1]);
        return r;
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    g->fd = ends[1];
    return 0;
}

void node_guard_dismiss(struct node_guard *g) {
    if (g->fd >= 0 && write(g->fd, "k", 1) < 0)
        errno = 0; /* it has been killed: nothing to be done */
    node_guard_leave(g);
}

void node_guard_leave(struct node_guard *g) {
    if (g->fd >= 0)
        close(g->fd);
    g->fd = -1;
}
