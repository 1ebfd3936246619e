#include "runtime/jvmguard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void close_between(unsigned from, unsigned to) {
    if (from <= to)
        (void)close_range(from, to, 0);
}

/* The next descriptor to keep from `from` on; UINT_MAX: none. */
static unsigned next_kept(unsigned from, const int *keep, size_t n) {
    unsigned best = UINT_MAX;

    for (size_t i = 0; i < n; i++)
        if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < best)
            best = (unsigned)keep[i];
    return best;
}

static void close_others(int fd, const int *keep, size_t n) {
    unsigned from = 0;

    for (;;) {
        unsigned kept = next_kept(from, keep, n), pipe = (unsigned)fd;

        if (pipe >= from && pipe < kept)
            kept = pipe;
        if (kept == UINT_MAX)
            break;
        if (kept > from)
            close_between(from, kept - 1);
        from = kept + 1;
    }
    close_between(from, UINT_MAX);
}

static _Noreturn void wait_and_undo(int fd, void (*undo)(void *), void *arg, unsigned seconds) {
    char word;
    ssize_t n;

    do
        n = read(fd, &word, 1);
    while (n < 0 && errno == EINTR);
    if (n != 0)
        _exit(0);
    alarm(seconds);
    undo(arg);
    _exit(0);
}

int jvmguard_start(struct jvmguard *g, void (*undo)(void *arg), void *arg, const int *keep,
                   size_t keeps, unsigned seconds) {
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid < 0) {
        int r = -errno;

        close(ends[0]);
        close(ends[1]);
        return r;
    }
    if (pid == 0) {
        (void)setsid(); /* not ended with its parent's group or terminal */
        (void)prctl(PR_SET_PDEATHSIG, 0);
        for (int s = 1; s < NSIG; s++)
            if (s != SIGALRM)
                (void)signal(s, SIG_IGN);
        close(ends[1]);
        close_others(ends[0], keep, keeps);
        wait_and_undo(ends[0], undo, arg, seconds);
    }
    close(ends[0]);
    *g = (struct jvmguard){pid, ends[1]};
    return 0;
}

void jvmguard_end(struct jvmguard *g) {
    if (g->pid <= 0)
        return;
    while (write(g->fd, "x", 1) < 0 && errno == EINTR)
        ;
    close(g->fd);
    while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *g = (struct jvmguard){0, -1};
}
