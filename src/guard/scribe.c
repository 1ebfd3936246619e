#include "guard/scribe.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "guard/auditlog.h"
#include "guard/locked.h"

enum {
    ROOM = 256 << 10,
    AGAIN_MS = 1000,
    END_US = 1000000,
    LOST_MOST = 64 << 10, /* of what could not be written: printed */
    LOST_PIECE = 4096,    /* that a pipe takes whole */
    LOST_MS = 200,
};

/* One writes `end`, the other `begin`: bytes since the start, of which ROOM are kept. */
struct ring {
    _Atomic uint64_t begin, end;
    char text[ROOM];
};

struct scribe {
    struct ring *ring;
    pid_t pid;
    int file, wake;
    char path[4096]; /* "": it is not known */
};

static bool is_empty(struct ring *r) {
    return atomic_load_explicit(&r->begin, memory_order_acquire) ==
           atomic_load_explicit(&r->end, memory_order_acquire);
}

/* On stderr: nothing is lost in silence. Whoever does not read that is not waited for. */
static void tell_lost(struct ring *r) {
    uint64_t begin = atomic_load_explicit(&r->begin, memory_order_acquire);
    uint64_t end = atomic_load_explicit(&r->end, memory_order_acquire);

    if (begin == end)
        return;
    log_line(LOG_BAD,
             "%llu bytes of the audit could not be written%s:", (unsigned long long)(end - begin),
             end - begin > LOST_MOST ? ", here are the first 65536" : "");
    if (end - begin > LOST_MOST)
        end = begin + LOST_MOST;
    while (begin < end) {
        struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
        size_t at = (size_t)(begin % ROOM), n = (size_t)(end - begin);
        ssize_t written;

        n = n < LOST_PIECE ? n : LOST_PIECE;
        n = n < ROOM - at ? n : ROOM - at;
        if (poll(&out, 1, LOST_MS) <= 0)
            return;
        written = write(STDERR_FILENO, r->text + at, n);
        if (written <= 0)
            return;
        begin += (uint64_t)written;
    }
}

/* --- in the scribe ---------------------------------------------------------------------------- */

/* All that there is in one write, also where the ring begins anew: others append to the file, too.
 * False: it takes nothing now. */
static bool write_some(struct ring *r, int file) {
    uint64_t begin = atomic_load_explicit(&r->begin, memory_order_relaxed);
    uint64_t end = atomic_load_explicit(&r->end, memory_order_acquire);
    size_t at = (size_t)(begin % ROOM), n = (size_t)(end - begin);
    size_t first = n < ROOM - at ? n : ROOM - at;
    const struct iovec part[] = {{r->text + at, first}, {r->text, n - first}};
    ssize_t written;

    if (n == 0)
        return true;
    written = writev(file, part, n > first ? 2 : 1);
    if (written < 0 && errno != EINTR)
        log_line(LOG_BAD, "the audit cannot be written: %s; it is tried again", strerror(errno));
    if (written > 0)
        atomic_store_explicit(&r->begin, begin + (uint64_t)written, memory_order_release);
    return written > 0;
}

/* Between two lines: a file that is too large is put aside, by us, by another that writes there,
 * or by the scribe before us: the next is opened. */
static void renew(struct scribe *s) {
    uint64_t begin = atomic_load_explicit(&s->ring->begin, memory_order_relaxed);
    struct stat st;
    struct err err;
    int file;

    if (s->path[0] == '\0' || (begin > 0 && s->ring->text[(begin - 1) % ROOM] != '\n'))
        return;
    if (fstat(s->file, &st) < 0 || st.st_size < AUDITLOG_MOST)
        return;
    file = auditlog_open(s->path, &err);
    if (file < 0) {
        log_line(LOG_BAD, "%s: the audit grows on where it is", err.text);
        return;
    }
    close(s->file); /* our copy */
    s->file = file;
}

static void set_signals(void) {
    static const int kept[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE};
    sigset_t none;

    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    for (size_t i = 0; i < ARRAY_N(kept); i++)
        signal(kept[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void be_scribe(struct scribe *s, int owner) {
    struct pollfd wait[] = {{.fd = s->wake, .events = POLLIN}, {.fd = owner, .events = POLLIN}};
    bool takes = true;
    uint64_t times;

    (void)setsid();
    set_signals();
    prctl(PR_SET_NAME, "plimsoll-scribe");
    for (;;) {
        if (takes && !is_empty(s->ring)) {
            renew(s);
            takes = write_some(s->ring, s->file);
            continue;
        }
        if (wait[1].revents != 0) { /* the owner has ended: what can be written is */
            tell_lost(s->ring);
            _exit(!is_empty(s->ring));
        }
        (void)poll(wait, ARRAY_N(wait), takes ? -1 : AGAIN_MS);
        (void)!read(s->wake, &times, sizeof(times));
        takes = true;
    }
}

/* --- its owner -------------------------------------------------------------------------------- */

static int fork_one(struct scribe *s) {
    int owner = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int r = owner < 0 ? -errno : 0;

    s->pid = r < 0 ? 0 : fork();
    if (s->pid == 0 && r == 0)
        be_scribe(s, owner);
    if (r == 0 && s->pid < 0)
        r = -errno;
    if (owner >= 0)
        close(owner);
    if (r < 0)
        s->pid = 0;
    locked_again();
    return r;
}

int scribe_start(int file, const char *path, struct scribe **out, struct err *err) {
    struct scribe *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_set(err, -ENOMEM, "no memory");
    s->file = file;
    if (path && str_copy(str_of(path), s->path, sizeof(s->path)) < 0)
        s->path[0] = '\0';
    s->ring = mmap(NULL, sizeof(*s->ring), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    s->wake = s->ring == MAP_FAILED ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = s->wake < 0 ? -errno : fork_one(s);
    if (r < 0) {
        if (s->wake >= 0)
            close(s->wake);
        if (s->ring != MAP_FAILED)
            (void)munmap(s->ring, sizeof(*s->ring));
        free(s);
        return err_set(err, r, "cannot make the process that writes the audit:");
    }
    *out = s;
    return 0;
}

static void wake(struct scribe *s) {
    const uint64_t one = 1;

    (void)!write(s->wake, &one, sizeof(one));
}

int scribe_write(struct scribe *s, struct str text) {
    struct ring *r = s->ring;
    uint64_t end = atomic_load_explicit(&r->end, memory_order_relaxed);
    size_t at = (size_t)(end % ROOM), first;

    if (text.n > scribe_room(s))
        return -ENOSPC;
    first = text.n < ROOM - at ? text.n : ROOM - at;
    memcpy(r->text + at, text.p, first);
    memcpy(r->text, text.p + first, text.n - first);
    atomic_store_explicit(&r->end, end + text.n, memory_order_release);
    wake(s);
    return 0;
}

size_t scribe_room(const struct scribe *s) {
    return ROOM - (size_t)(atomic_load_explicit(&s->ring->end, memory_order_relaxed) -
                           atomic_load_explicit(&s->ring->begin, memory_order_acquire));
}

static bool is_there(struct scribe *s) {
    if (s->pid > 0 && waitpid(s->pid, NULL, WNOHANG) != 0)
        s->pid = 0;
    return s->pid > 0;
}

void scribe_check(struct scribe *s) {
    if (is_there(s))
        return;
    if (fork_one(s) == 0)
        wake(s);
}

bool scribe_wait(struct scribe *s, int64_t us) {
    int64_t until_us = clock_mono_us() + us;

    while (is_there(s) && !is_empty(s->ring) && clock_mono_us() < until_us) {
        struct pollfd none = {.fd = -1};

        (void)poll(&none, 1, 2);
    }
    return is_empty(s->ring);
}

/* Nobody waits for one that waits in the kernel for a disk: init reaps it. */
static void end(struct scribe *s) {
    int64_t until_us = clock_mono_us() + END_US;

    if (s->pid > 0)
        (void)kill(s->pid, SIGKILL);
    while (is_there(s) && clock_mono_us() < until_us) {
        struct pollfd none = {.fd = -1};

        (void)poll(&none, 1, 1);
    }
}

void scribe_end(struct scribe *s) {
    if (!s)
        return;
    (void)scribe_wait(s, END_US);
    end(s);
    tell_lost(s->ring);
    close(s->wake);
    (void)munmap(s->ring, sizeof(*s->ring));
    free(s);
}
