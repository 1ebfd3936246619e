/* Two ways, both with --inject alone.
 *
 * The first runs nothing of ours: the collector's counters are set as if enough had been allocated,
 * and a program that is at work collects by itself, at a place of its own choice. The counters go
 * back to what they were, by the collection or by us; if we die in between, all that is left is
 * that the program collects sooner than it would have.
 *
 * An idle program allocates nothing. There a thread that waits is made to call a few instructions
 * of ours that take the interpreter's lock, collect, and give it back (pythonstub.h): one call,
 * that goes on and ends without us if we die. What can be left behind then is a page of 4 KiB.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kern/procstat.h"
#include "runtime/elf.h"
#include "runtime/heaps.h"
#include "runtime/inject.h"
#include "runtime/pythonlook.h"
#include "runtime/pythonstub.h"
#include "runtime/safepoint.h"

enum {
    PAGE = 4096,
    ARMED_US = 200 * 1000, /* so long a program has to allocate something by itself */
    POLL_US = 2000,
    IDLE_LOOKS = 15, /* one after the other with no thread running */
    STUCK_US = 20 * 1000,
    SURELY_OVER = 1000, /* objects: others may be freed before the next is made */
    THREADS = 4096,
    TRIM_US = 250 * 1000,
};

static const char in_the_program[] =
    "gc.collect() in the program itself; from Python 3.14 on, sys.remote_exec(PID, FILE) from "
    "another";

struct ask {
    const struct rtproc *p;
    int mem; /* /proc/PID/mem */
    struct pygcread read;
    struct python py;
    struct pygc_state before;
    int64_t deadline_us;
    struct rt_result *out;
};

static void pause_us(int64_t us) {
    const struct timespec t = {.tv_nsec = us * 1000};

    (void)nanosleep(&t, NULL);
}

static uint64_t gc_of(const struct ask *j) {
    return python_gc(&j->py, 0);
}

/* Its memory, opened before it was last seen to be the same process: no other one's. */
static int write_word(const struct ask *j, uint64_t address, const void *from, size_t n) {
    ssize_t r = pwrite(j->mem, from, n, (off_t)address);

    return r == (ssize_t)n ? 0 : r < 0 ? -errno : -EFAULT;
}

static int read_mem(void *ctx, uint64_t address, void *out, size_t n) {
    const struct ask *j = ctx;
    ssize_t r = pread(j->mem, out, n, (off_t)address);

    return r == (ssize_t)n ? 0 : r < 0 ? -errno : -EFAULT;
}

/* Full collections and what they found since we began; false when it cannot be read. */
static bool has_collected(struct ask *j, uint64_t *found) {
    struct pygc_state now;
    unsigned old = PY_GENERATIONS - 1;

    if (pygc_state(&j->read, gc_of(j), &now) < 0 ||
        now.collections[old] == j->before.collections[old])
        return false;
    *found = (uint64_t)(now.collected[old] - j->before.collected[old]);
    return true;
}

/* --- by its own hand -------------------------------------------------------------------------- */

struct armed {
    uint64_t count_at[PY_GENERATIONS], pending_at;
    int32_t count[PY_GENERATIONS];
    int64_t pending;
};

/* What the collector compares when an object is made: the oldest generation whose count is above
 * its threshold is collected, and of the oldest of all enough must have come since the last time.
 */
static int arm(const struct ask *j, struct armed *a) {
    const struct pygc_state *s = &j->before;
    int r;

    a->pending_at = gc_of(j) + PY_GC_LONG_PENDING;
    a->pending = s->long_total / 4 + 1;
    if (a->pending < s->long_pending)
        a->pending = s->long_pending;
    r = write_word(j, a->pending_at, &a->pending, sizeof(a->pending));
    for (unsigned g = PY_GENERATIONS; g-- > 0 && r == 0;) {
        a->count_at[g] =
            gc_of(j) + PY_GC_GENERATION + (uint64_t)g * PY_GC_GENERATION_SIZE + PY_COUNT;
        a->count[g] = s->threshold[g] + SURELY_OVER;
        r = write_word(j, a->count_at[g], &a->count[g], sizeof(a->count[g]));
    }
    return r;
}

static void disarm(struct ask *j, const struct armed *a) {
    struct pygc_state now;

    if (pygc_state(&j->read, gc_of(j), &now) < 0)
        return;
    for (unsigned g = 0; g < PY_GENERATIONS; g++)
        if (now.count[g] > now.threshold[g])
            (void)write_word(j, a->count_at[g], &j->before.count[g], sizeof(j->before.count[g]));
    if (now.long_pending == a->pending)
        (void)write_word(j, a->pending_at, &j->before.long_pending, sizeof(j->before.long_pending));
}

/* Whether automatic collection is on, and can be brought about by counts that fit. */
static bool can_arm(const struct pygc_state *s) {
    for (unsigned g = 0; g < PY_GENERATIONS; g++)
        if (s->threshold[g] < 0 || s->threshold[g] > INT32_MAX / 2)
            return false;
    return s->enabled && s->threshold[0] > 0 && s->long_total >= 0 && s->long_pending >= 0;
}

static bool any_thread_runs(const struct rtproc *p) {
    static int32_t tid[THREADS];
    int n = safepoint_threads(p, tid, THREADS);

    for (int i = 0; i < n; i++) {
        struct procstat stat;

        if (procstat_read(p->host->proc, tid[i], &stat) == 0 && stat.state != 'S' &&
            stat.state != 'T' && stat.state != 't')
            return true;
    }
    return n < 0;
}

static bool is_at_it(struct ask *j) {
    struct pygc_state now;

    return pygc_state(&j->read, gc_of(j), &now) == 0 && now.collecting;
}

/* A program of which nobody runs for a while will not allocate either. */
static bool by_its_own_hand(struct ask *j, int64_t for_us, uint64_t *found) {
    int64_t until = clock_mono_us() + for_us;
    struct armed a = {.pending = 0};
    unsigned idle = 0;

    if (!can_arm(&j->before) || arm(j, &a) < 0)
        return false;
    if (until > j->deadline_us)
        until = j->deadline_us;
    while (!has_collected(j, found) && clock_mono_us() < j->deadline_us) {
        idle = any_thread_runs(j->p) ? 0 : idle + 1;
        /* One that has begun takes as long as it takes. */
        if ((clock_mono_us() >= until || idle >= IDLE_LOOKS) && !is_at_it(j))
            break;
        pause_us(POLL_US);
    }
    disarm(j, &a);
    return has_collected(j, found);
}

/* --- in a thread that waits ------------------------------------------------------------------- */

/* The lock is held, nobody runs and nobody is given it: its holder sleeps in the middle of
 * something, and whoever asks for it would wait as long. */
static bool is_stuck(struct ask *j) {
    struct python_gil first, now;

    if (python_gil(&j->read, &j->py, &first) < 0)
        return true;
    for (unsigned i = 0; i < 3; i++) {
        if (!first.locked || any_thread_runs(j->p))
            return false;
        pause_us(STUCK_US);
        if (python_gil(&j->read, &j->py, &now) < 0)
            return true;
        if (!now.locked || now.switches != first.switches)
            return false;
    }
    return true;
}

static int find_functions(const struct ask *j, struct pythonstub *out) {
    struct elf_symbol s[] = {{.name = "PyGILState_Check"},  {.name = "Py_IsInitialized"},
                             {.name = "PyGILState_Ensure"}, {.name = "PyGC_Enable"},
                             {.name = "PyGC_Collect"},      {.name = "PyGC_Disable"},
                             {.name = "PyGILState_Release"}};
    int r = python_symbols(j->p, &j->py, s, sizeof(s) / sizeof(s[0]));

    for (size_t i = 0; i < sizeof(s) / sizeof(s[0]) && r == 0; i++)
        r = s[i].value ? 0 : -ENOENT;
    *out = (struct pythonstub){s[0].value, s[1].value, s[2].value, s[3].value,
                               s[4].value, s[5].value, s[6].value};
    return r;
}

/* Of the libc, whichever it is. */
static int libc_symbol(const struct rtproc *p, const char *name, uint64_t *out) {
    static const char *const files[] = {"libc.so.6", "libc-2.", "ld-musl-", "libc.musl-"};
    int r = -ENOENT;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && r < 0; i++)
        r = inject_symbol(p, files[i], name, out);
    return r;
}

/* A page of the process with the instructions in it. */
static int place_stub(const struct ask *j, const struct pythonstub *to, uint64_t *out,
                      struct err *why) {
    struct inject_call make = {
        .arg = {0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0},
        .result = -1};
    struct inject_call seal = {.arg = {0, PAGE, PROT_READ | PROT_EXEC}, .result = -1};
    unsigned char code[PYTHONSTUB_MAX];
    size_t n = pythonstub_build(to, code);
    int r = libc_symbol(j->p, "mmap", &make.function);

    if (r == 0)
        r = libc_symbol(j->p, "mprotect", &seal.function);
    if (r < 0)
        return err_set(why, r, "its libc has no mmap that can be found");
    r = inject_calls(j->p, &make, 1, j->deadline_us, why);
    if (r < 0)
        return r;
    if (make.result <= 0 || make.result % PAGE != 0)
        return err_set(why, -ENOMEM, "it was given no page of memory");
    *out = (uint64_t)make.result;
    r = write_word(j, *out, code, n);
    if (r < 0)
        return err_set(why, r, "cannot write into its memory:");
    seal.arg[0] = *out;
    r = inject_calls(j->p, &seal, 1, j->deadline_us, why);
    if (r == 0 && seal.result != 0)
        return err_set(why, -EPERM, "the system does not let it run what was written");
    return r;
}

static void remove_page(const struct ask *j, uint64_t page) {
    struct inject_call drop = {.arg = {page, PAGE}};

    if (page && libc_symbol(j->p, "munmap", &drop.function) == 0)
        (void)inject_calls(j->p, &drop, 1, clock_mono_us() + TRIM_US, NULL);
}

static int in_waiting_thread(struct ask *j, int64_t *result, struct err *why) {
    struct pythonstub to;
    uint64_t page = 0;
    struct inject_call run = {.result = PYTHONSTUB_NOT_READY};
    int r = find_functions(j, &to);

    if (r < 0)
        return err_set(why, r, "its file exports no PyGC_Collect");
    r = place_stub(j, &to, &page, why);
    run.function = page;
    for (unsigned i = 0; i < 3 && r == 0; i++) {
        r = inject_calls(j->p, &run, 1, j->deadline_us, why);
        if (run.result != PYTHONSTUB_HOLDS_GIL)
            break;
    }
    if (r != -ESRCH)
        remove_page(j, page);
    *result = run.result;
    return r;
}

/* What the allocator of C holds goes back too, if a thread can be had for that. */
static bool trim(const struct ask *j) {
    int64_t until = clock_mono_us() + TRIM_US;
    struct inject_call call = {.arg = {0}, .may_leave_lock = true};

    if (until > j->deadline_us)
        until = j->deadline_us;
    return libc_symbol(j->p, "malloc_trim", &call.function) == 0 &&
           inject_calls(j->p, &call, 1, until, NULL) == 0;
}

/* --- told ------------------------------------------------------------------------------------- */

static int collected(struct ask *j, const char *how, uint64_t found) {
    bool trimmed = trim(j);

    j->out->outcome = RT_COLLECTED;
    (void)snprintf(j->out->how, sizeof(j->out->how), "%s (%lu objects of garbage)%s", how, found,
                   trimmed ? ", then malloc_trim" : "");
    if (!j->before.enabled)
        (void)snprintf(j->out->why, sizeof(j->out->why),
                       "the program has turned automatic collection off (gc.disable()); it was "
                       "collected this once, and it is off again");
    else if (!trimmed)
        (void)snprintf(j->out->why, sizeof(j->out->why),
                       "no thread waited in a place where malloc_trim may be called: what the C "
                       "allocator holds stays with it");
    return 0;
}

static int say_failure(struct ask *j, int r, const struct err *why) {
    static const char again[] = "again, when a thread of it waits for input or sleeps";

    if (r == -ESRCH)
        return r;
    if (r == -EFAULT || r == -ENOENT)
        return rt_fail(j->out, in_the_program, "%s", why->text);
    return rt_refuse(j->out, r == -EBUSY ? again : in_the_program, "%s", why->text);
}

static int collect(struct ask *j) {
    struct err why = {0};
    uint64_t found = 0;
    int64_t result = 0;
    int r;

    if (by_its_own_hand(j, ARMED_US, &found))
        return collected(j, "its collector's counters set, and it collected", found);
    if (clock_mono_us() >= j->deadline_us)
        return rt_fail(j->out, "a longer --timeout",
                       "it is at a collection that takes longer than it was given");
    if (is_stuck(j))
        return rt_refuse(j->out, "again, later",
                         "the interpreter's lock is held by a thread that sleeps: whoever asks for "
                         "it would wait as long");
    r = in_waiting_thread(j, &result, &why);
    if (r == -EBUSY && by_its_own_hand(j, j->deadline_us - clock_mono_us(), &found))
        return collected(j, "its collector's counters set, and it collected", found);
    if (r < 0)
        return say_failure(j, r, &why);
    if (result == PYTHONSTUB_HOLDS_GIL)
        return rt_refuse(j->out, in_the_program,
                         "the thread that waits holds the interpreter's lock, or it has had "
                         "sub-interpreters");
    if (result == PYTHONSTUB_NOT_READY)
        return rt_refuse(j->out, in_the_program, "Python is not up, or at its end");
    if (!has_collected(j, &found))
        return rt_fail(j->out, in_the_program,
                       "PyGC_Collect did nothing: a collection was going on already");
    return collected(j, "PyGC_Collect in a thread that waited", found);
}

int python_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
                   struct rt_result *out) {
    struct ask j = {.p = p, .deadline_us = ask->deadline_us, .out = out};
    auto_close int mem = -1;
    struct err why = {0};
    int r;

    (void)id;
    if (!ask->inject)
        return rt_refuse(out,
                         "--inject; or gc.collect() in the program itself, from Python 3.14 "
                         "on also by sys.remote_exec(PID, FILE)",
                         "nothing makes CPython collect from outside without writing into it");
    if (safepoint_is_stopped(p))
        return safepoint_refuse_stopped(p, out);
    if (safepoint_is_held(p, ask->deadline_us))
        return rt_refuse(out, "again, when its debugger lets it go on",
                         "process %d is stopped by who traces it", p->pid);
    mem = rtproc_open_mem(p);
    if (mem < 0)
        return rt_refuse(out, rtproc_mem_hint, "its memory may not be opened by us");
    if (rtproc_same(p) < 0)
        return -ESRCH;
    j.mem = mem;
    j.read = (struct pygcread){.fn = read_mem, .ctx = &j};
    r = python_look(p, &j.read, &j.py, &why);
    if (r == -ESRCH)
        return r;
    if (r < 0)
        return rt_refuse(out, in_the_program, "%s", why.text);
    if (j.py.finalizing)
        return rt_refuse(out, "", "Python is at its end");
    if (j.py.n > 1)
        return rt_refuse(out, in_the_program,
                         "it has %u interpreters, and a thread of C cannot choose between them",
                         j.py.n);
    if (pygc_state(&j.read, gc_of(&j), &j.before) < 0)
        return rt_refuse(out, in_the_program, "the state of its collector cannot be read");
    return collect(&j);
}
