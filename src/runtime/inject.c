#include "runtime/inject.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/maps.h"
#include "runtime/elf.h"
#include "runtime/injectfit.h"
#include "runtime/injectrun.h"
#include "runtime/safepoint.h"

static_assert((int)INJECT_DATA <= (int)SIGFRAME_DATA, "what calls are given fits on the frame");

enum { THREADS_MAX = 4096, PAUSE_LEAST_US = 200, PAUSE_MOST_US = 5000, FDS_MAX = 4096 };

/* By this others know who traces. */
#define INJECT_NAME "plimsoll-call"

static void pause_us(int64_t us) {
    const struct timespec t = {.tv_nsec = us * 1000};

    nanosleep(&t, NULL);
}

/* One look at every thread. -EAGAIN: none was ready, why tells of the last. */
static int try_threads(const struct rtproc *p, const struct injectcode *code, int32_t *tid,
                       struct inject_call *call, unsigned n, int64_t deadline_us, struct err *why) {
    int threads = safepoint_threads(p, tid, THREADS_MAX);
    int r = -EAGAIN;

    if (threads < 0)
        return err_set(why, threads, "process %d is gone", p->pid);
    /* Those whose timeout would begin anew come last. */
    for (int i = 0; i < 2 * threads; i++) {
        bool anew = i >= threads;
        struct safepoint at;

        r = safepoint_look(p, tid[anew ? i - threads : i], code->trampoline, &at, why);
        if (r == 0 && at.anew != anew)
            r = err_set(why, -EAGAIN, "thread %d waits in another way now", at.tid);
        if (r == 0)
            r = injectrun_calls(p, &at, code, call, n, deadline_us, why);
        /* One thread may end; only the whole process's end is ours. */
        if (r == -ESRCH && rtproc_same(p) == 0)
            r = -EAGAIN;
        if (r != -EAGAIN || clock_mono_us() >= deadline_us)
            return r;
    }
    return r;
}

static bool is_sound(const struct inject_call *call, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        if (call[i].data_n > INJECT_DATA || (call[i].data_n > 0 && !call[i].data) ||
            (call[i].data_n > 0 && (call[i].data_arg < 1 || call[i].data_arg > INJECT_ARGS)))
            return false;
        for (unsigned a = 0; a < INJECT_ARGS; a++)
            if (call[i].arg_from[a] > i)
                return false;
    }
    return n > 0 && n <= INJECT_CALLS;
}

/* Until a thread has made them. Whoever asked may have ended: nothing is begun for nobody. */
static int try_until(const struct rtproc *p, const struct injectcode *code,
                     struct inject_call *call, unsigned n, int64_t deadline_us, pid_t asker,
                     struct err *why) {
    auto_free int32_t *tid = malloc(THREADS_MAX * sizeof(*tid));
    int64_t wait = PAUSE_LEAST_US;
    struct err last = {0};
    int r;

    if (!tid)
        return err_set(why, -ENOMEM, "no memory");
    for (;;) {
        r = try_threads(p, code, tid, call, n, deadline_us, &last);
        if (r != -EAGAIN || getppid() != asker)
            break;
        if (clock_mono_us() + wait >= deadline_us)
            return err_set(why, -EBUSY,
                           "no thread of process %d waited at a safe point in time (the last: %s)",
                           p->pid, last.text);
        pause_us(wait);
        wait = wait * 2 > PAUSE_MOST_US ? PAUSE_MOST_US : wait * 2;
    }
    if (r < 0)
        (void)err_set(why, r == -ETIMEDOUT ? -EBUSY : r, "%s", last.text);
    return r == -ETIMEDOUT ? -EBUSY : r;
}

/* --- in a process of its own ------------------------------------------------------------------ */

/* Shared with it. */
struct away {
    struct inject_call call[INJECT_CALLS];
    char data[INJECT_CALLS][INJECT_DATA];
    struct err why;
    int result;
};

static bool is_needed(const struct rtproc *p, int fd) {
    return fd == p->dir || fd == p->pidfd || fd == p->host->proc || fd == p->host->root;
}

/* No signal ends it, the end of nobody, and nobody waits for a pipe that it holds. */
static void stand_apart(const struct rtproc *p) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t all;

    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)setsid();
    (void)prctl(PR_SET_NAME, INJECT_NAME);
    for (int fd = 0; fd < FDS_MAX; fd++) {
        if (is_needed(p, fd))
            continue;
        if (fd > 2)
            close(fd);
        else if (null >= 0)
            (void)dup2(null, fd);
    }
}

static void copy_calls(struct inject_call *to, const struct inject_call *from, unsigned n,
                       struct away *a) {
    for (unsigned i = 0; i < n; i++) {
        to[i] = from[i];
        to[i].data = a->data[i];
        if (from[i].data_n > 0)
            memcpy(a->data[i], from[i].data, from[i].data_n);
    }
}

static void take_back(struct inject_call *to, const struct away *a, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        to[i].result = a->call[i].result;
        if (to[i].data_n > 0)
            memcpy(to[i].data, a->data[i], to[i].data_n);
    }
}

static int call_away(const struct rtproc *p, const struct injectcode *code, struct away *a,
                     unsigned n, int64_t deadline_us) {
    pid_t asker = getpid(), pid = fork();

    if (pid < 0)
        return err_set(&a->why, -errno, "cannot start a process:");
    if (pid == 0) {
        stand_apart(p);
        a->result = try_until(p, code, a->call, n, deadline_us, asker, &a->why);
        _exit(0);
    }
    while (waitpid(pid, NULL, 0) < 0)
        if (errno != EINTR)
            break;
    return a->result;
}

int inject_calls(const struct rtproc *p, struct inject_call *call, unsigned n, int64_t deadline_us,
                 struct err *why) {
    struct injectcode code;
    struct away *a;
    int r;

    assert(is_sound(call, n));
    r = injectfit_look(p, &code, why);
    if (r < 0)
        return r;
    a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (a == MAP_FAILED)
        return err_set(why, -ENOMEM, "no memory");
    a->result = err_set(&a->why, -ECHILD, "what calls into process %d has ended", p->pid);
    copy_calls(a->call, call, n, a);
    r = call_away(p, &code, a, n, deadline_us);
    take_back(call, a, n);
    if (r < 0)
        (void)err_set(why, r, "%s", a->why.text);
    munmap(a, sizeof(*a));
    return r;
}

bool inject_goes_on(const struct rtproc *p) {
    auto_free int32_t *tid = malloc(THREADS_MAX * sizeof(*tid));
    int n = tid ? safepoint_threads(p, tid, THREADS_MAX) : 0;

    for (int i = 0; i < n; i++) {
        struct procstatus s;
        char name[32], buf[64];
        struct str comm;

        if (procstatus_read(p->host->proc, tid[i], &s) < 0 || !(s.have & 1U << PROCSTATUS_TRACER) ||
            s.value[PROCSTATUS_TRACER] == 0)
            continue;
        (void)snprintf(name, sizeof(name), "%d/comm", (int)s.value[PROCSTATUS_TRACER]);
        if (file_read_at(p->host->proc, name, buf, sizeof(buf), &comm) == 0 &&
            str_eq(str_trim(comm), STR(INJECT_NAME)))
            return true;
    }
    return false;
}

/* --- symbols ---------------------------------------------------------------------------------- */

struct wanted {
    const struct rtproc *p;
    struct str file;
    const char *symbol;
    uint64_t found;
    int error;
};

static int look_file(struct wanted *w, int fd, uint64_t start) {
    struct elf_symbol symbol = {.name = w->symbol};
    struct elf e;
    int r = elf_open(fd, &e);

    if (r == 0)
        r = elf_symbols(&e, &symbol, 1);
    if (r == 0 && symbol.value == 0)
        r = -ENOENT;
    if (r < 0)
        return r;
    w->found = symbol.value + (e.type == 3 ? start - (e.low & ~4095ull) : 0); /* ET_DYN */
    return 0;
}

/* The first mapping of a file, from its beginning. */
static int look_mapping(void *ctx, const struct mapping *m) {
    struct wanted *w = ctx;
    struct str name = str_from(m->path, (size_t)(str_rfind(m->path, '/') + 1));
    auto_close int fd = -1;
    char path[4096];

    if (m->inode == 0 || m->offset != 0 || !str_starts(name, w->file) ||
        str_copy(m->path, path, sizeof(path)) < 0)
        return 0;
    fd = rtproc_open_mapped(w->p, m->start, m->end, path);
    w->error = fd < 0 ? fd : look_file(w, fd, m->start);
    return w->error == 0 ? 1 : 0;
}

static int look_exe(void *ctx, const struct mapping *m) {
    struct wanted *w = ctx;
    auto_close int fd = -1;
    struct stat st;

    if (m->inode == 0 || m->offset != 0)
        return 0;
    fd = rtproc_open_exe(w->p);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_ino != m->inode)
        return 0;
    w->error = fd < 0 ? fd : look_file(w, fd, m->start);
    return 1;
}

int inject_symbol(const struct rtproc *p, const char *file, const char *symbol, uint64_t *out) {
    struct wanted w = {.p = p, .file = str_of(file), .symbol = symbol, .error = -ENOENT};
    int r = maps_each(p->host->proc, p->pid, w.file.n ? look_mapping : look_exe, &w);

    if (r < 0)
        return r;
    if (r == 0 || w.error < 0)
        return w.error < 0 ? w.error : -ENOENT;
    *out = w.found;
    return 0;
}
