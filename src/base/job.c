#include "base/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sanitized.h"

enum {
    HANGING_MAX = 16, /* no more is started then */
    HANGING_SIZE = 32,
    CHILD_DATA_MAX = 256 << 20, /* an answer of 16 MiB takes some 100 as parsed JSON */
};

/* The last byte of a complete answer. */
static const char mark = '.';

/* Children that were killed but have not ended. One list for the process, as wait(2) is. */
static pid_t hanging[HANGING_SIZE];

static bool reaped(pid_t pid) {
    pid_t r = waitpid(pid, NULL, WNOHANG);

    return r == pid || (r < 0 && errno == ECHILD);
}

unsigned job_hanging(void) {
    unsigned n = 0;

    for (size_t i = 0; i < HANGING_SIZE; i++) {
        if (hanging[i] > 0 && reaped(hanging[i]))
            hanging[i] = 0;
        n += hanging[i] > 0;
    }
    return n;
}

/* Of the child: the pipe to its parent. */
static int to_parent = -1;

int job_flush(struct buf *out) {
    return to_parent < 0 ? -EBADF : buf_flush(out, to_parent);
}

void job_init(struct job *j, size_t max) {
    *j = (struct job){.fd = -1};
    buf_init(&j->answer, max);
}

static void end(struct job *j) {
    if (j->fd >= 0)
        close(j->fd);
    j->fd = -1;
    if (j->pid <= 0)
        return;
    kill(j->pid, SIGKILL); /* our own child, not reaped yet: the pid cannot be another's */
    if (!reaped(j->pid)) {
        for (size_t i = 0; i < HANGING_SIZE; i++) {
            if (hanging[i] > 0)
                continue;
            hanging[i] = j->pid;
            break;
        }
    }
    j->pid = 0;
}

void job_done(struct job *j) {
    end(j);
    buf_done(&j->answer);
    *j = (struct job){.fd = -1};
}

static _Noreturn void child(int fd, size_t max, int (*work)(void *, struct buf *), void *arg,
                            int64_t left_us, pid_t parent) {
    const struct rlimit data = {CHILD_DATA_MAX, CHILD_DATA_MAX};
    struct buf out;
    sigset_t none;

    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    alarm((unsigned)(left_us / 1000000) + 2); /* should the parent be stopped */
    if (!SANITIZED)
        setrlimit(RLIMIT_DATA, &data);
    buf_init(&out, max);
    to_parent = fd;
    if (work(arg, &out) < 0)
        _exit(1);
    buf_add_char(&out, mark);
    _exit(buf_flush(&out, fd) < 0);
}

int job_start(struct job *j, int (*work)(void *arg, struct buf *out), void *arg,
              int64_t deadline_us) {
    pid_t parent = getpid(), pid;
    int ends[2];

    if (j->pid > 0)
        return -EBUSY;
    if (job_hanging() >= HANGING_MAX)
        return -EAGAIN;
    buf_clear(&j->answer);
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
        close(ends[0]);
        child(ends[1], j->answer.max, work, arg, deadline_us - clock_mono_us(), parent);
    }
    close(ends[1]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    j->pid = pid;
    j->fd = ends[0];
    j->deadline_us = deadline_us;
    return 0;
}

/* 1 at the end of the answer, 0 when more is to come, -1 on failure. */
static int take_in(struct job *j) {
    for (;;) {
        size_t left = j->answer.max - j->answer.n, want = left < 4096 ? left : 4096;
        char over, *room = want > 0 ? buf_room(&j->answer, want) : &over;
        ssize_t n = room ? read(j->fd, room, want > 0 ? want : 1) : -1;

        if (!room || (n > 0 && want == 0))
            return -1; /* no memory, or more than was allowed */
        if (n == 0)
            return 1;
        if (n > 0)
            buf_grow(&j->answer, (size_t)n);
        else if (errno == EAGAIN)
            return 0;
        else if (errno != EINTR)
            return -1;
    }
}

enum job_state job_poll(struct job *j, int64_t now_us) {
    int r;

    if (j->pid <= 0)
        return JOB_NONE;
    r = take_in(j);
    if (r == 0 && now_us < j->deadline_us)
        return JOB_RUNNING;
    end(j);
    if (r <= 0 || j->answer.n == 0 || j->answer.p[j->answer.n - 1] != mark)
        return JOB_FAILED;
    j->answer.n--;
    return JOB_DONE;
}
