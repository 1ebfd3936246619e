#include "act/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "act/signals.h"
#include "base/mem.h"

enum { CHUNK = 4096 };

/* Bytes on their way. */
struct flow {
    char bytes[CHUNK];
    size_t at, n;
    bool ended;
};

static int open_pty(struct relay *r, struct err *err) {
    struct winsize size;
    char name[64];

    r->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (r->master < 0 || grantpt(r->master) < 0 || unlockpt(r->master) < 0 ||
        ptsname_r(r->master, name, sizeof(name)) != 0)
        return err_set(err, -errno, "cannot make a pseudo-terminal:");
    r->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (r->slave < 0 || fcntl(r->master, F_SETFL, O_NONBLOCK) < 0)
        return err_set(err, -errno, "cannot open the pseudo-terminal '%s':", name);
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
        (void)ioctl(r->slave, TIOCSWINSZ, &size);
    (void)tcsetattr(r->slave, TCSANOW, &r->before);
    return 0;
}

int relay_open(struct relay *out, struct err *err) {
    struct relay r = {.master = -1, .slave = -1, .signals = -1};
    bool terminal = isatty(STDOUT_FILENO) && tcgetattr(STDIN_FILENO, &r.before) == 0 &&
                    tcgetpgrp(STDIN_FILENO) == getpgrp();
    int e = terminal ? open_pty(&r, err) : 0;

    if (e == 0) {
        r.signals = signals_open(&r.mask);
        if (r.signals < 0)
            e = err_set(err, r.signals, "cannot take in signals:");
    }
    if (e < 0)
        relay_close(&r);
    else
        *out = r;
    return e;
}

void relay_close(struct relay *r) {
    if (r->raw)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &r->before);
    r->raw = false;
    mem_close_fd(&r->master);
    mem_close_fd(&r->slave);
    mem_close_fd(&r->signals);
    r->master = r->slave = r->signals = -1;
}

int relay_child(const struct relay *r) {
    struct sigaction plain = {.sa_handler = SIG_DFL};

    if (setsid() < 0)
        return -errno;
    if (r->slave >= 0) {
        if (ioctl(r->slave, TIOCSCTTY, 0) < 0)
            return -errno;
        for (int fd = 0; fd < 3; fd++)
            if (dup2(r->slave, fd) < 0)
                return -errno;
    }
    (void)sigaction(SIGPIPE, &plain, NULL);
    return sigprocmask(SIG_SETMASK, &r->mask, NULL) < 0 ? -errno : 0;
}

static void go_raw(struct relay *r) {
    struct termios raw = r->before;

    if (r->master < 0)
        return;
    cfmakeraw(&raw);
    r->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static void fill(struct flow *f, int fd) {
    ssize_t n = read(fd, f->bytes, sizeof(f->bytes));

    f->at = 0;
    f->n = n > 0 ? (size_t)n : 0;
    /* EIO: nobody has the other end of a terminal open any more */
    f->ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void drain(struct flow *f, int fd) {
    ssize_t n = write(fd, f->bytes + f->at, f->n - f->at);

    if (n > 0)
        f->at += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        f->at = f->n; /* nobody takes it */
    if (f->at == f->n)
        f->at = f->n = 0;
}

static int tell(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

/* As a program that a shell stops: both of us. */
static void stop_both(int pidfd) {
    (void)tell(pidfd, SIGSTOP);
    (void)kill(getpid(), SIGSTOP);
    (void)tell(pidfd, SIGCONT);
}

static void take_signal(const struct relay *r, int pidfd, int number) {
    struct winsize size;

    if (number == SIGCHLD || number == SIGCONT || number == SIGTTIN || number == SIGTTOU)
        return;
    if (number == SIGTSTP && r->master < 0)
        stop_both(pidfd);
    else if (number == SIGWINCH && r->master >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
        (void)ioctl(r->master, TIOCSWINSZ, &size);
    else if (number != SIGWINCH && number != SIGTSTP)
        (void)tell(pidfd, number);
}

enum { ENDED, SIGNALS, OURS, MASTER, POLLED };

static void watch(const struct relay *r, const struct flow *in, const struct flow *out, int pidfd,
                  struct pollfd polled[POLLED]) {
    polled[ENDED] = (struct pollfd){.fd = pidfd, .events = POLLIN};
    polled[SIGNALS] = (struct pollfd){.fd = r->signals, .events = POLLIN};
    polled[OURS] = (struct pollfd){
        .fd = r->master < 0 || in->ended || in->n > 0 ? -1 : STDIN_FILENO, .events = POLLIN};
    polled[MASTER] =
        (struct pollfd){.fd = out->ended ? -1 : r->master,
                        .events = (short)((out->n == 0 ? POLLIN : 0) | (in->n > 0 ? POLLOUT : 0))};
}

/* A terminal that was paused pauses the program too; ours may be one that does not block. */
static void show(struct flow *out) {
    struct pollfd room = {.fd = STDOUT_FILENO, .events = POLLOUT};

    while (out->n > 0) {
        (void)poll(&room, 1, -1);
        drain(out, STDOUT_FILENO);
    }
}

/* What it wrote before it ended. */
static void last_words(const struct relay *r, struct flow *out) {
    while (r->master >= 0 && !out->ended) {
        show(out);
        fill(out, r->master);
        if (out->n == 0)
            break;
    }
}

int relay_run(struct relay *r, pid_t pid, int pidfd, int *status) {
    static struct flow in, out;
    struct pollfd polled[POLLED];
    struct signal_got got;

    mem_close_fd(&r->slave);
    r->slave = -1;
    in = out = (struct flow){.n = 0};
    go_raw(r);
    for (;;) {
        watch(r, &in, &out, pidfd, polled);
        if (poll(polled, POLLED, -1) < 0 && errno != EINTR)
            return -errno;
        while (polled[SIGNALS].revents && signals_next(r->signals, &got) > 0)
            take_signal(r, pidfd, got.number);
        if (polled[OURS].revents)
            fill(&in, STDIN_FILENO);
        if (in.n > 0 && polled[MASTER].revents & POLLOUT)
            drain(&in, r->master);
        if (polled[MASTER].revents & (POLLIN | POLLHUP | POLLERR) && out.n == 0)
            fill(&out, r->master);
        show(&out);
        if (polled[ENDED].revents)
            break;
    }
    last_words(r, &out);
    while (waitpid(pid, status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}
