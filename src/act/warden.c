#include "act/warden.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "act/wardenlink.h"
#include "act/wardenproc.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
    START_US = 2000000,
    ANSWER_US = 200000, /* in the loop of who guards others too */
    DROP_US = 50000,
};
#define LEAVE_US INT64_C(32000000) /* as long as it tries a busy file, and a little */

/* What is held, kept to be told to another warden. */
struct kept {
    bool used;
    uint32_t serial; /* of our id */
    int theirs;      /* the warden's id; -errno: it has it no longer */
    struct warden_hold hold;
};

struct warden {
    struct wardenlink link;
    pid_t user; /* who uses it; 0: the first that does (warden_of) */
    int32_t pid;
    int pidfd;         /* of the warden; -1 */
    struct kept *kept; /* WARDEN_HOLDS of them; NULL: a connection by warden_of */
};

/* --- asking --- */

/* The first to use a connection by warden_of tells the warden who it is. */
static int attach(struct warden *w) {
    struct warden_ask ask = {.op = WARDEN_ATTACH};
    auto_close int pidfd = -1;
    int r;

    if (w->user == getpid())
        return 0;
    if (w->user != 0)
        return -EPERM; /* another's */
    pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0 && errno != ENOSYS)
        return -errno;
    r = pidfd < 0 ? 0 : wardenlink_ask(&w->link, &ask, &pidfd, 1, ANSWER_US);
    if (r == 0)
        w->user = getpid();
    return r;
}

static int ask_it(struct warden *w, struct warden_ask *ask, const int *fd, unsigned fds) {
    int r = attach(w);

    return r < 0 ? r : wardenlink_ask(&w->link, ask, fd, fds, ANSWER_US);
}

/* --- starting --- */

static _Noreturn void become(const struct wardenproc_ends *ends) {
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (setsid() < 0 || fork() != 0) /* nobody's child, so that nobody waits for it */
        _exit(0);
    wardenproc_run(ends);
}

static void reap(pid_t pid) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* The child in between ends at once, or is ours to end: it may hang, say for memory. */
static int await_warden(struct warden *w, pid_t child) {
    int r = wardenlink_hear(&w->link, 0, START_US);

    if (r <= 0)
        (void)kill(child, SIGKILL);
    reap(child);
    if (r <= 0)
        return -ECHILD;
    w->pid = r;
    mem_close_fd(&w->pidfd);
    w->pidfd = (int)syscall(SYS_pidfd_open, r, 0);
    w->link.has_mail = w->link.mail->answer.seq == 1;
    return 0;
}

/* Fills socket and pid. */
static int raise_warden(struct warden *w) {
    auto_close int theirs = -1, pidfd = -1;
    struct wardenproc_ends ends;
    int pair[2], r;
    pid_t child;

    r = wardenlink_mailbox(&w->link);
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    w->link.socket = pair[0];
    w->link.gone = false;
    theirs = pair[1];
    pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0 && errno != ENOSYS)
        return -errno;
    ends = (struct wardenproc_ends){theirs,           pidfd,        w->link.rung,
                                    w->link.answered, w->link.mail, w->link.socket};
    child = fork();
    if (child < 0)
        return -errno;
    if (child == 0)
        become(&ends);
    close(take_fd(&theirs));
    return await_warden(w, child);
}

static int say_why(struct err *err, int r) {
    if (r == -ECHILD)
        return err_set(err, r,
                       "cannot start the process that would undo changes: it ended before "
                       "it was ready (is our own memory at its limit?)");
    return err_set(err, r, "cannot start the process that would undo changes:");
}

static void release(struct warden *w) {
    wardenlink_done(&w->link);
    mem_close_fd(&w->pidfd);
    if (w->kept)
        munmap(w->kept, sizeof(*w->kept) * WARDEN_HOLDS);
    free(w);
}

static struct warden *new_warden(void) {
    struct warden *w = calloc(1, sizeof(*w));

    if (w) {
        w->link = (struct wardenlink)WARDENLINK_NONE;
        w->pidfd = -1;
    }
    return w;
}

int warden_start(struct warden **out, struct err *err) {
    struct warden *w = new_warden();
    int r;

    if (!w)
        return say_why(err, -ENOMEM);
    w->user = getpid();
    r = raise_warden(w);
    if (r == 0) {
        w->kept = mmap(NULL, sizeof(*w->kept) * WARDEN_HOLDS, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (w->kept == MAP_FAILED) {
            w->kept = NULL;
            r = -ENOMEM;
        }
    }
    if (r < 0) {
        wardenlink_hang_up(&w->link); /* it ends */
        release(w);
        return say_why(err, r);
    }
    *out = w;
    return 0;
}

int warden_of(struct warden *parent, struct warden **out, struct err *err) {
    struct warden_ask ask = {.op = WARDEN_CONNECT};
    struct warden *w = new_warden();
    auto_close int theirs = -1;
    int pair[2], r;

    if (!w)
        return err_set(err, -ENOMEM, "cannot connect to the warden:");
    w->pid = parent->pid;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        r = -errno;
    } else {
        w->link.socket = pair[0];
        theirs = pair[1];
        r = ask_it(parent, &ask, &theirs, 1);
    }
    if (r < 0) {
        release(w);
        return err_set(err, r, "cannot connect to the warden:");
    }
    *out = w;
    return 0;
}

void warden_end(struct warden *w) {
    struct warden_ask ask = {.op = WARDEN_LEAVE};

    if (!w)
        return;
    if (w->user == getpid()) {
        (void)wardenlink_ask(&w->link, &ask, NULL, 0, LEAVE_US);
        wardenlink_hang_up(&w->link);
    }
    release(w);
}

/* --- holding --- */

static int send_hold(struct warden *w, const struct warden_hold *h) {
    struct warden_ask ask = {.op = WARDEN_HOLD,
                             .steps = h->steps,
                             .deadline_us = h->deadline_us,
                             .after_us = h->after_us,
                             .has_event = h->event >= 0};
    int fd[WARDEN_FDS];
    unsigned n = 0;

    if (h->steps == 0 || h->steps > WARDEN_STEPS)
        return -EINVAL;
    for (unsigned i = 0; i < h->steps; i++) {
        memcpy(ask.step[i].value, h->step[i].value, WARDEN_VALUE);
        memcpy(ask.step[i].only_if, h->step[i].only_if, WARDEN_VALUE);
        ask.step[i].kind = (uint32_t)h->step[i].kind;
        ask.step[i].guarded = h->step[i].guarded;
        ask.step[i].reclaims = h->step[i].guarded && h->step[i].reclaims;
        ask.step[i].slow = h->step[i].slow;
        fd[n++] = h->step[i].fd;
        if (h->step[i].guarded)
            fd[n++] = h->step[i].usage;
        if (ask.step[i].reclaims)
            fd[n++] = h->step[i].reclaim;
    }
    if (h->event >= 0)
        fd[n++] = h->event;
    return ask_it(w, &ask, fd, n);
}

static bool is_undone(struct warden *w, const struct kept *k) {
    struct warden_ask ask = {.op = WARDEN_STATE, .id = k->theirs};

    return ask_it(w, &ask, NULL, 0) == -ENOENT;
}

/* What was undone at its deadline and never dropped goes when there is no room. */
static struct kept *find_free(struct warden *w) {
    struct kept *found = NULL;

    for (unsigned i = 0; i < WARDEN_HOLDS; i++)
        if (!w->kept[i].used)
            return &w->kept[i];
    for (unsigned i = 0; i < WARDEN_HOLDS; i++)
        if (is_undone(w, &w->kept[i])) {
            w->kept[i].used = false;
            found = &w->kept[i];
        }
    return found;
}

static int id_of(const struct warden *w, const struct kept *k) {
    return (int)(k->serial << 10 | (uint32_t)(k - w->kept));
}

static struct kept *find(struct warden *w, int id) {
    struct kept *k = id < 0 ? NULL : &w->kept[id & (WARDEN_HOLDS - 1)];

    return k && k->used && id_of(w, k) == id ? k : NULL;
}

int warden_hold(struct warden *w, const struct warden_hold *hold) {
    struct kept *k = NULL;
    int r;

    if (w->kept) {
        k = find_free(w);
        if (!k)
            return -ENOSPC;
    }
    r = send_hold(w, hold);
    if (r < 0 || !k)
        return r;
    k->used = true;
    k->serial = (k->serial + 1) & 0x1fffff;
    k->theirs = r;
    k->hold = *hold;
    return id_of(w, k);
}

static bool is_slow(const struct warden_hold *h) {
    for (unsigned i = 0; i < h->steps; i++)
        if (h->step[i].slow)
            return true;
    return false;
}

int warden_drop(struct warden *w, int id) {
    struct warden_ask ask = {.op = WARDEN_DROP, .id = id};
    bool slow = true;
    int r;

    if (w->kept) {
        struct kept *k = find(w, id);

        if (!k)
            return -ENOENT;
        k->used = false;
        ask.id = k->theirs;
        slow = is_slow(&k->hold);
    }
    r = attach(w);
    if (r < 0)
        return r;
    /* A step that is being done, and may wait for reclaim, is waited for. */
    return slow ? wardenlink_ask(&w->link, &ask, NULL, 0, LEAVE_US)
                : wardenlink_tell(&w->link, &ask, DROP_US);
}

int warden_extend(struct warden *w, int id, int64_t deadline_us) {
    struct warden_ask ask = {.op = WARDEN_EXTEND, .id = id, .deadline_us = deadline_us};
    struct kept *k = w->kept ? find(w, id) : NULL;

    if (w->kept && !k)
        return -ENOENT;
    if (k) {
        k->hold.deadline_us = deadline_us;
        ask.id = k->theirs;
    }
    return ask_it(w, &ask, NULL, 0);
}

int warden_undo(struct warden *w, int id) {
    int r = warden_extend(w, id, 1);
    struct kept *k = w->kept ? find(w, id) : NULL;

    if (k)
        k->used = false;
    return r;
}

/* --- its end --- */

int warden_fd(const struct warden *w) {
    return w->link.socket;
}

bool warden_stands(struct warden *w) {
    struct pollfd fd = {.fd = w->link.socket, .events = POLLIN};

    if (poll(&fd, 1, 0) > 0 && fd.revents & (POLLHUP | POLLERR))
        wardenlink_hang_up(&w->link);
    return w->link.socket >= 0 && !w->link.gone;
}

/* One that is stopped, or slow, would undo what the next one holds as soon as it goes on. */
static void end_old(struct warden *w) {
    struct pollfd end = {.fd = w->pidfd, .events = POLLIN};

    if (w->pidfd >= 0 && syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0) == 0)
        (void)poll(&end, 1, ANSWER_US / 1000);
    mem_close_fd(&w->pidfd);
    wardenlink_close(&w->link);
}

int warden_again(struct warden *w, struct err *err) {
    int r;

    if (!w->kept || w->user != getpid())
        return err_set(err, -EPERM, "this connection's warden is not ours to start:");
    end_old(w);
    r = raise_warden(w);
    for (unsigned i = 0; r == 0 && i < WARDEN_HOLDS; i++) {
        struct kept *k = &w->kept[i];

        if (!k->used)
            continue;
        k->theirs = send_hold(w, &k->hold); /* what was undone already is so once more: no harm */
        r = k->theirs < 0 ? k->theirs : 0;
    }
    if (r < 0) {
        wardenlink_close(&w->link);
        return say_why(err, r);
    }
    return 0;
}

int32_t warden_pid(const struct warden *w) {
    return w->pid;
}

int warden_outside(const struct host *h, const struct cgfs *fs, struct str path, struct err *err) {
    auto_free char *own = malloc(4096);
    struct str rest;

    if (!own)
        return err_set(err, -ENOMEM, "cannot find our own group:");
    if (cgfs_own_path(h, fs, own, 4096) < 0)
        return 0; /* outside of what can be seen here, so of this group too */
    rest = str_of(own);
    if (!str_eq(path, STR("/")) && (!str_skip(&rest, path) || (rest.n > 0 && rest.p[0] != '/')))
        return 0;
    return err_set(err, -EDEADLK,
                   "plimsoll itself runs in '%.*s', which could stop the process that undoes "
                   "changes: run it in another group",
                   STR_ARG(path));
}
