#include "runtime/goguard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { GRACE_US = 200000 }; /* that we have after the deadline to do it ourselves */

/* Written by us before the word itself is. */
struct word {
    _Atomic uint64_t address; /* 0: not touched, or put back */
    _Atomic uint64_t old;
    _Atomic uint64_t value, before; /* what is being written, and what was written last */
};

struct goguard_page {
    struct word word[GOGUARD_WORDS];
    _Atomic bool over; /* the guardian has put everything back */
};

static int get(int mem, uint64_t address, uint64_t *out) {
    ssize_t n = pread(mem, out, sizeof(*out), (off_t)address);

    return n == sizeof(*out) ? 0 : n < 0 ? -errno : -ESRCH;
}

static int put(int mem, uint64_t address, uint64_t value) {
    ssize_t n = pwrite(mem, &value, sizeof(value), (off_t)address);

    return n == sizeof(value) ? 0 : n < 0 ? -errno : -ESRCH;
}

static int restore(int mem, struct word *w) {
    uint64_t address = w->address, now;
    int r;

    if (address == 0)
        return 0;
    r = get(mem, address, &now);
    if (r == 0 && now != w->old && (now == w->value || now == w->before))
        r = put(mem, address, w->old);
    if (r == 0)
        w->address = 0;
    return r;
}

static int restore_all(int mem, struct goguard_page *page) {
    int r = 0;

    for (unsigned i = 0; i < GOGUARD_WORDS; i++)
        if (restore(mem, &page->word[i]) < 0)
            r = -EIO;
    return r;
}

/* Until we say that all is well (a byte), end, or are late. */
static _Noreturn void guard(int mem, int socket, int pidfd, struct goguard_page *page,
                            int64_t deadline_us) {
    for (;;) {
        struct pollfd fd[] = {{.fd = socket, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
        int64_t left_us = deadline_us - clock_mono_us();
        int n = poll(fd, ARRAY_N(fd), left_us <= 0 ? 0 : (int)(left_us / 1000 + 1));
        char byte;

        if (n < 0 && errno == EINTR)
            continue;
        if (n > 0 && fd[1].revents != 0)
            _exit(0); /* the process is gone */
        if (n > 0 && read(socket, &byte, 1) == 1)
            _exit(0);
        page->over = true;
        _exit(restore_all(mem, page) < 0);
    }
}

static int raised(int fd) {
    return fcntl(fd, F_DUPFD_CLOEXEC, 10);
}

/* Nothing else stays open: the pipe that our parent waits at, say, would. */
static _Noreturn void guardian(int mem, int socket, int pidfd, struct goguard_page *page,
                               int64_t deadline_us) {
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (setsid() < 0 || fork() != 0)
        _exit(0);
    prctl(PR_SET_NAME, "plimsoll-undo");
    if ((mem = raised(mem)) < 0 || (socket = raised(socket)) < 0 || (pidfd = raised(pidfd)) < 0 ||
        dup2(mem, 0) < 0 || dup2(socket, 1) < 0 || dup2(pidfd, 2) < 0 || write(1, ".", 1) != 1)
        _exit(1);
    if (syscall(SYS_close_range, 3U, ~0U, 0U) < 0) /* before Linux 5.9 */
        for (int fd = 3; fd < 65536; fd++)
            close(fd);
    guard(0, 1, 2, page, deadline_us);
}

static int fork_guardian(struct goguard *g, const struct rtproc *p, int64_t deadline_us) {
    auto_close int theirs = -1;
    int pair[2], pidfd = p->pidfd;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    g->socket = pair[0];
    theirs = pair[1];
    pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        guardian(g->mem, theirs, pidfd, g->page, deadline_us);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

static bool stands(struct goguard *g, int64_t wait_us) {
    int64_t until_us = clock_mono_us() + wait_us;
    char byte;

    for (;;) {
        struct pollfd fd = {.fd = g->socket, .events = POLLIN};
        int64_t left_us = until_us - clock_mono_us();
        int n = poll(&fd, 1, left_us > 0 ? (int)(left_us / 1000 + 1) : 0);

        if (n < 0 && errno == EINTR)
            continue;
        return n > 0 && read(g->socket, &byte, 1) == 1;
    }
}

static void drop(struct goguard *g) {
    if (g->page)
        munmap(g->page, sizeof(*g->page));
    if (g->mem >= 0)
        close(g->mem);
    if (g->socket >= 0)
        close(g->socket);
    *g = (struct goguard){.mem = -1, .socket = -1};
}

int goguard_start(struct goguard *g, const struct rtproc *p, int64_t deadline_us, struct err *err) {
    void *page = mmap(NULL, sizeof(struct goguard_page), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int r;

    *g = (struct goguard){.mem = -1, .socket = -1};
    if (page == MAP_FAILED)
        return err_set(err, -errno, "cannot share a page:");
    g->page = page;
    g->mem = rtproc_open_mem(p);
    if (g->mem < 0) {
        r = err_set(err, g->mem, "cannot open the memory of process %d:", p->pid);
        drop(g);
        return r;
    }
    /* Opened by its number: it must be the memory of the process that was looked at. */
    r = rtproc_same(p);
    if (r == 0)
        r = fork_guardian(g, p, deadline_us + GRACE_US);
    if (r == 0 && !stands(g, 1000000))
        r = -ECHILD;
    if (r < 0) {
        drop(g);
        return err_set(err, r, "cannot start what would undo the change:");
    }
    return 0;
}

/* A guardian that is gone has closed its end. */
static bool is_guarded(const struct goguard *g) {
    struct pollfd fd = {.fd = g->socket, .events = POLLIN};

    return !g->page->over && poll(&fd, 1, 0) == 0;
}

int goguard_write(struct goguard *g, unsigned word, uint64_t address, uint64_t old,
                  uint64_t value) {
    struct word *w = &g->page->word[word];
    uint64_t now;
    int r;

    if (!is_guarded(g))
        return -ECANCELED;
    r = get(g->mem, address, &now);
    if (r < 0)
        return r;
    if (now != (w->address ? w->value : old))
        return -ESTALE;
    if (w->address == 0) {
        w->old = old;
        w->value = old;
    }
    w->before = w->value;
    w->value = value;
    w->address = address;
    r = put(g->mem, address, value);
    if (g->page->over) { /* between the question and the write: what it put back, we overwrote */
        w->address = address;
        (void)restore(g->mem, w);
        return -ECANCELED;
    }
    if (r == 0)
        r = get(g->mem, address, &now);
    return r < 0 ? r : now == value ? 0 : -ESTALE;
}

void goguard_keep(struct goguard *g, unsigned word) {
    g->page->word[word].address = 0;
}

int goguard_restore(struct goguard *g, unsigned word) {
    return restore(g->mem, &g->page->word[word]);
}

int goguard_end(struct goguard *g) {
    int r;

    if (!g->page)
        return 0;
    r = restore_all(g->mem, g->page);
    if (r == 0) {
        (void)send(g->socket, ".", 1, MSG_NOSIGNAL);
        (void)stands(g, 100000); /* until it has closed its end */
    }
    drop(g);
    return r;
}
