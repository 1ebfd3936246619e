#include "lib/selfguard.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/plim.h"
#include "lib/preconf.h"

enum {
    QUANTUM_LEAST = 16 << 10,
    QUANTUM_MOST = 1 << 20,
    CHILD_CALLS = 32,  /* then a child of fork is there to stay, and gets a handle of its own */
    THREAD_BELOW = 30, /* percent points below the first mark from which the thread runs */
    OPENS_MOST = 100,
};
static const int64_t open_again_us = 5000000, ask_again_us = 20000;

static struct {
    struct preconf conf;
    struct plim *plim; /* NULL: off */
    size_t quantum, quantum_above;
    bool above;         /* the gate was found closed */
    uint64_t waited_to; /* so far above the gate nobody waits any more */
    unsigned opens, child_calls;
    int64_t open_from_us;
} self;

/* Python's own, when this is a Python: a pending call runs between two instructions of its
 * interpreter, where a collection is safe. It may be asked for from any thread. */
static struct {
    int (*add_pending)(int (*call)(void *), void *arg);
    ptrdiff_t (*collect)(void);
    int (*is_initialized)(void);
    bool asked;
    int64_t from_us, asked_us, ended_us;
    int64_t went_on_us; /* of the main thread alone */
} python;

/* --- giving back --- */

static uint64_t usage_now(void) {
    struct plim *p = self.plim;
    uint64_t usage = 0;

    plim_lock(p);
    (void)look_usage(p, &usage);
    plim_unlock(p);
    return usage;
}

/* One that brought little is not repeated before ten times its duration has passed. */
static int collect_python(void *ctx) {
    int64_t begin = clock_mono_us(), end;
    uint64_t before = usage_now(), after;

    (void)ctx;
    python.collect(); /* nothing where the program has switched it off */
    (void)plim_trim(self.plim, NULL);
    after = usage_now();
    end = clock_mono_us();
    if (before < after || before - after < before / 32)
        __atomic_store_n(&python.from_us, end + (end - begin) * 10, __ATOMIC_RELAXED);
    __atomic_store_n(&python.ended_us, end, __ATOMIC_RELAXED);
    __atomic_store_n(&python.asked, false, __ATOMIC_RELEASE);
    return 0;
}

/* CPython 3.11 may lose the notice when a thread without its lock gives one while the main thread
 * takes another: what is long in coming is asked for again. */
static void ask_python(void) {
    int64_t now = clock_mono_us();

    if (!python.collect || !python.is_initialized() ||
        now < __atomic_load_n(&python.from_us, __ATOMIC_RELAXED))
        return;
    if (__atomic_exchange_n(&python.asked, true, __ATOMIC_ACQUIRE) &&
        now - __atomic_load_n(&python.asked_us, __ATOMIC_RELAXED) < ask_again_us)
        return;
    __atomic_store_n(&python.asked_us, now, __ATOMIC_RELAXED);
    if (python.add_pending(collect_python, NULL) != 0)
        __atomic_store_n(&python.asked, false, __ATOMIC_RELEASE);
}

/* Pending calls are made by the main thread: while that waits for room, nothing is collected. So it
 * goes on at once, but not again as long as it would have had to wait. */
static bool must_go_on(void) {
    int64_t now = clock_mono_us(), wait = (int64_t)self.conf.wait * 1000;

    if (!python.collect || !python.is_initialized() || getpid() != gettid() ||
        now - __atomic_load_n(&python.ended_us, __ATOMIC_RELAXED) < wait ||
        now - python.went_on_us < wait)
        return false;
    python.went_on_us = now;
    __atomic_store_n(&python.from_us, 0, __ATOMIC_RELAXED);
    ask_python();
    return true;
}

static void on_mark(void *ctx, const struct plim_event *event) {
    (void)ctx;
    if (!event->above)
        return;
    ask_python();
    (void)plim_trim(self.plim, NULL);
}

static void find_python(void) {
    *(void **)&python.add_pending = dlsym(RTLD_DEFAULT, "Py_AddPendingCall");
    *(void **)&python.is_initialized = dlsym(RTLD_DEFAULT, "Py_IsInitialized");
    if (python.add_pending && python.is_initialized)
        *(void **)&python.collect = dlsym(RTLD_DEFAULT, "PyGC_Collect");
}

/* --- the handle --- */

/* On a machine's memory as a whole nobody asked us to act. */
static bool has_group_limit(const struct plim *p) {
    for (unsigned i = 0; i < p->levels; i++)
        if (p->level[i].kind == LEVEL_HOST)
            return false;
    return p->levels > 0;
}

static size_t clamp(uint64_t bytes) {
    return bytes < QUANTUM_LEAST  ? QUANTUM_LEAST
           : bytes > QUANTUM_MOST ? QUANTUM_MOST
                                  : (size_t)bytes;
}

static int open_handle(struct plim **out) {
    const struct plim_options options = {
        .size = sizeof(options), .limit = self.conf.limit, .gate = self.conf.gate};
    struct plim *p;
    uint64_t limit;
    int r = plim_open(&options, &p);

    if (r < 0)
        return r;
    r = plim_limit(p, &limit);
    if (r < 0 || !has_group_limit(p)) {
        plim_close(p);
        return r < 0 ? r : -ENODATA;
    }
    self.quantum = clamp(limit / 512);
    self.quantum_above = clamp(limit / 4096);
    (void)plim_on(p, self.conf.at, self.conf.at < 5 ? 0 : 5, on_mark, NULL);
    (void)plim_on(p, PLIM_PRESSURE, 0, on_mark, NULL);
    *out = p;
    return 0;
}

void selfguard_begin(void) {
    struct str bad;

    if (preconf_parse(getenv("PLIMSOLL_PRELOAD"), &self.conf, &bad) < 0) {
        dprintf(STDERR_FILENO,
                "libplimsoll-preload: PLIMSOLL_PRELOAD: not understood: '%.*s' "
                "(try: at=80,gate=87,wait=100ms,mode=delay); it does nothing\n",
                STR_ARG(bad));
        return;
    }
    if (self.conf.off)
        return;
    find_python();
    if (open_handle(&self.plim) < 0)
        self.plim = NULL;
}

size_t selfguard_quantum(void) {
    if (!self.plim)
        return SIZE_MAX;
    return self.above ? self.quantum_above : self.quantum;
}

/* The program closed our descriptors, the group has gone, or we are a child that stays. The old
 * handle may be in use by other threads: it is left as it is. */
static void open_again(void) {
    struct live *live = __atomic_load_n(&self.plim, __ATOMIC_ACQUIRE)->live;
    struct plim *fresh;

    if (__atomic_exchange_n(&live->opening, 1, __ATOMIC_ACQUIRE))
        return;
    if (self.opens < OPENS_MOST && clock_mono_us() >= self.open_from_us) {
        self.opens++;
        self.open_from_us = clock_mono_us() + open_again_us;
        if (open_handle(&fresh) == 0) {
            self.child_calls = 0;
            __atomic_store_n(&self.plim, fresh, __ATOMIC_RELEASE);
        }
    }
    __atomic_store_n(&live->opening, 0, __ATOMIC_RELEASE);
}

/* --- asking --- */

struct answer {
    int r;         /* as plim_gate's */
    uint64_t over; /* -EAGAIN: by how much; UINT64_MAX: not known */
    bool past;     /* the first mark */
};

static struct answer look(struct plim *p, uint64_t bytes) {
    struct answer a = {.over = UINT64_MAX};
    uint64_t past = 0;

    plim_lock(p);
    a.r = gate_ask(p, bytes, &a.over);
    if (a.r == -EAGAIN && a.over == UINT64_MAX) { /* too many threads to remember each one's */
        a.r = look_over(p, bytes, p->gate_pct, &a.over);
        a.r = a.r == 0 && a.over > 0 ? -EAGAIN : a.r;
    }
    a.past = look_over(p, bytes, self.conf.at, &past) == 0 && past > 0;
    plim_unlock(p);
    return a;
}

/* --- above the gate ---
 *
 * A thread waits for what is used to rise, not for what it was handed out: most of that is memory
 * which it has just freed. `waited_to` follows what is used: down at once, but for as much as the
 * kernel's own counting goes up and down by; up by a part of the difference with each wait. So who
 * stays where he is soon is not held up any more, and who grows waits for each piece. */

enum {
    NOISE = 256 << 10, /* each CPU charges 64 pages ahead */
    RISE_SHARE = 8,
};

static void waited(uint64_t over) {
    uint64_t to = __atomic_load_n(&self.waited_to, __ATOMIC_RELAXED), step;

    if (over == UINT64_MAX || over <= to)
        return;
    step = (over - to) / RISE_SHARE;
    if (step < self.quantum_above)
        step = self.quantum_above;
    __atomic_store_n(&self.waited_to, over - to < step ? over : to + step, __ATOMIC_RELAXED);
}

/* What is asked for may come out of free memory, which counts as used until it is trimmed. */
static void fell(uint64_t over, uint64_t bytes) {
    uint64_t to = __atomic_load_n(&self.waited_to, __ATOMIC_RELAXED), swing = NOISE + bytes;

    if (to > swing && over < to - swing)
        __atomic_store_n(&self.waited_to, over + swing, __ATOMIC_RELAXED);
}

static bool is_steady(uint64_t over) {
    return !self.conf.refuse && over <= __atomic_load_n(&self.waited_to, __ATOMIC_RELAXED);
}

static void give_back(struct plim *p, bool may_trim) {
    bool due;

    ask_python();
    if (!may_trim)
        return;
    plim_lock(p);
    due = gate_trim_due(p, clock_mono_us());
    plim_unlock(p);
    if (due)
        gate_trim(p);
}

/* Nobody wakes up for a program that stays far below. */
static void begin_thread(struct plim *p) {
    uint32_t pct = self.conf.at > THREAD_BELOW ? self.conf.at - THREAD_BELOW : 1;
    uint64_t over = 0;

    if (!plim_is_ours(p) || __atomic_load_n(&p->live->has_thread, __ATOMIC_ACQUIRE))
        return;
    plim_lock(p);
    (void)look_over(p, 0, pct, &over);
    plim_unlock(p);
    if (over > 0 && !__atomic_exchange_n(&p->live->opening, 1, __ATOMIC_ACQUIRE)) {
        (void)plim_thread(p, 1);
        __atomic_store_n(&p->live->opening, 0, __ATOMIC_RELEASE);
    }
}

/* What does not fit at all waits like the rest: it may never be touched. */
static bool wait_for_room(struct plim *p, uint64_t bytes, bool may_trim) {
    int64_t end = clock_mono_us() + (int64_t)self.conf.wait * 1000;
    const struct timespec moment = {.tv_nsec = 2000000};
    struct answer a;

    self.above = true;
    if (must_go_on())
        return true;
    for (;;) {
        give_back(p, may_trim);
        a = look(p, bytes);
        if (a.r != -EAGAIN && a.r != -E2BIG)
            return true;
        fell(a.over, bytes);
        if (is_steady(a.over))
            return true;
        if (clock_mono_us() >= end)
            break;
        nanosleep(&moment, NULL);
    }
    waited(a.over);
    (void)must_go_on();
    return !self.conf.refuse;
}

bool selfguard_ask(size_t bytes, bool may_trim) {
    struct plim *p = __atomic_load_n(&self.plim, __ATOMIC_ACQUIRE);
    struct answer a = {.r = -ECHILD};
    int saved = errno;
    bool fits = true;

    if (plim_check(p, true) < 0 || (!plim_is_ours(p) && ++self.child_calls > CHILD_CALLS)) {
        open_again();
        p = __atomic_load_n(&self.plim, __ATOMIC_ACQUIRE);
    }
    if (plim_check(p, true) == 0)
        a = look(p, bytes);
    if (a.r == -EBADF || a.r == -ENODEV) {
        open_again();
    } else if (a.r == -EAGAIN || a.r == -E2BIG) {
        fits = wait_for_room(p, bytes, may_trim);
    } else if (a.r == 0) {
        self.above = false;
        fell(0, bytes);
        if (a.past)
            give_back(p, may_trim);
        begin_thread(p);
    }
    errno = saved;
    return fits;
}
