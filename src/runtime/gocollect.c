#include "runtime/gocollect.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kern/procstat.h"
#include "runtime/goguard.h"
#include "runtime/gopprof.h"

enum {
    LOOK_US = 1000,          /* between two looks at the words */
    KNOCK_BLIND_US = 150000, /* the same when it cannot be seen whether it is idle */
    KNOCK_US = 60000,        /* between two connections to a program that is idle */
    SWEEP_US = 200000,       /* for sweeping, when memory has stopped moving */
    SWEPT_LOOKS = 8,         /* looks without a fall: sweeping is done */
    RELEASE_US = 700000,     /* for giving back */
    END_US = 300000,         /* kept of the time we have, for undoing */
    AGAIN_US = 30000,        /* between two collections by pprof */
    SETTLE_US = 10 * 1000 * 1000,
    SLACK = 2 << 20,       /* of memory above what is in use that a soft limit leaves */
    HELD_LITTLE = 4 << 20, /* unused memory below this is not worth waiting for */
    PERIOD_LEAST_NS = 1000000,
    PERIOD_MOST_NS = 20000000,
};

enum word { WORD_PERIOD, WORD_LIMIT };

static const char pprof_hint[] = "import _ \"net/http/pprof\" and serve it on loopback";

struct run {
    const struct rtproc *p;
    const struct rt_ask *ask;
    struct go_words words;
    struct goguard guard;
    struct go_state first, now; /* before anything was done; the last look */
    struct rtproc_port port;    /* to knock at; 0: none */
    uint64_t limit;             /* that is in force */
    uint64_t lasting;           /* the limit that is wanted for good; 0: none */
    int64_t knocked_us, began_us;
    unsigned knocks, collections;
    /* An idle program that cannot be woken: the thread that forces collections sleeps for half of
     * the period, so a short one, left until the end, keeps it from falling asleep once more. */
    bool stays_awake;
};

static void pause_us(int64_t us) {
    const struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    nanosleep(&t, NULL);
}

/* A look at the words; one that makes no sense was made in the middle of a change. */
static int look(struct run *u) {
    int r = -ENODATA;

    for (int i = 0; i < 20 && r == -ENODATA; i++) {
        r = go_words_read(u->p, &u->words, &u->now);
        if (r == -ENODATA)
            pause_us(LOOK_US / 4);
    }
    return r == -EFAULT ? -ESRCH : r;
}

static bool has_collected(const struct go_state *before, const struct go_state *now) {
    if (go_has(before, GO_COUNT) && go_has(now, GO_COUNT))
        return now->value[GO_COUNT] != before->value[GO_COUNT];
    return now->value[GO_START] != before->value[GO_START] &&
           now->value[GO_TRIGGERED] == UINT64_MAX;
}

/* A connection to a port of its own, closed again: a goroutine that accepts it makes system calls,
 * and the first of them wakes the thread that forces collections. */
static void knock(struct run *u) {
    int64_t now = clock_mono_us();
    bool known = go_has(&u->now, GO_ASLEEP);
    int fd;

    if (u->port.port == 0 || (known && !u->now.value[GO_ASLEEP]) ||
        now - u->knocked_us < (known ? KNOCK_US : KNOCK_BLIND_US))
        return;
    u->knocked_us = now;
    fd = rtproc_connect(u->p, u->port.port, u->port.six, now + KNOCK_US);
    if (fd >= 0) {
        close(fd);
        u->knocks++;
    }
}

/* How long since the last collection the next one is due: so that one comes now, and not many. */
static uint64_t period_now(const struct go_state *s) {
    enum go_value v = go_has(s, GO_LAST) ? GO_LAST : GO_START;
    int64_t since = clock_mono_us() * 1000 - (int64_t)s->value[v] - PERIOD_LEAST_NS;

    if (since < PERIOD_LEAST_NS)
        return PERIOD_LEAST_NS;
    return since > PERIOD_MOST_NS ? PERIOD_MOST_NS : (uint64_t)since;
}

/* One collection, forced by time (and by the soft limit, when that was lowered). -ETIMEDOUT. */
static int force(struct run *u, int64_t until_us) {
    const struct go_state before = u->now;
    bool timed = (int64_t)before.value[GO_PERCENT] >= 0;
    int r = 0;

    if (timed)
        r = goguard_write(&u->guard, WORD_PERIOD, u->words.period,
                          (uint64_t)u->words.layout->period, period_now(&before));
    while (r == 0) {
        r = look(u);
        if (r == 0 && has_collected(&before, &u->now))
            break;
        if (r == 0 && clock_mono_us() >= until_us)
            r = -ETIMEDOUT;
        if (r == 0)
            knock(u);
        pause_us(LOOK_US);
    }
    if (!u->stays_awake)
        (void)goguard_restore(&u->guard, WORD_PERIOD);
    u->collections += r == 0;
    return r;
}

/* What the collection found free becomes unused memory by and by. */
static int await_sweep(struct run *u) {
    int64_t until_us = clock_mono_us() + SWEEP_US;
    uint64_t last = u->now.value[GO_IN_USE];
    int same = 0, r = 0;

    while (same < SWEPT_LOOKS && clock_mono_us() < until_us && r == 0) {
        pause_us(LOOK_US);
        r = look(u);
        same = u->now.value[GO_IN_USE] >= last ? same + 1 : 0;
        last = u->now.value[GO_IN_USE];
    }
    return r;
}

/* Memory that counts against the limit, less what is unused. */
static uint64_t in_use(const struct go_state *s) {
    uint64_t ready = s->value[GO_READY], unused = s->value[GO_FREE];

    return (ready > unused ? ready - unused : 0) + SLACK;
}

/* The same, less the heap: a limit that no heap fits in. */
static uint64_t without_heap(const struct go_state *s) {
    uint64_t all = in_use(s), heap = s->value[GO_IN_USE];

    return (all > heap ? all - heap : 0) + SLACK;
}

/* Never above what was there. */
static int set_limit(struct run *u, uint64_t to) {
    int r;

    if (to >= u->first.value[GO_LIMIT])
        return 0;
    r = goguard_write(&u->guard, WORD_LIMIT,
                      u->words.controller + u->words.layout->controller.limit,
                      u->first.value[GO_LIMIT], to);
    if (r == 0)
        u->limit = to;
    return r;
}

/* When sweeping finds more, the limit follows. */
static int await_release(struct run *u, int64_t until_us) {
    int r = 0;

    while (r == 0 && u->now.value[GO_FREE] > HELD_LITTLE && clock_mono_us() < until_us) {
        knock(u);
        pause_us(LOOK_US);
        r = look(u);
        if (r == 0 && in_use(&u->now) + HELD_LITTLE < u->limit)
            r = set_limit(u, in_use(&u->now));
    }
    return r;
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* A collection; then, with a soft limit just above what is in use, another one, after which the
 * next allocation gives back what is unused at once. */
static int collect(struct run *u) {
    int64_t end_us = u->ask->deadline_us - END_US;
    int r = 0;

    /* With GOGC=off nothing is due by time, but the limit is still heeded. */
    if ((int64_t)u->now.value[GO_PERCENT] < 0)
        r = set_limit(u, without_heap(&u->now));
    if (r == 0)
        r = force(u, end_us);
    if (r == 0)
        r = await_sweep(u);
    if (r == 0)
        r = set_limit(u, in_use(&u->now));
    if (r < 0)
        return r;
    r = force(u, earlier(end_us, clock_mono_us() + RELEASE_US));
    if (r == 0 || r == -ETIMEDOUT)
        r = await_release(u, earlier(end_us, clock_mono_us() + RELEASE_US));
    return r;
}

/* A limit that stays: nine tenths of what it may use, less what is not the runtime's. 0: none. */
static uint64_t lasting_limit(const struct run *u) {
    uint64_t rss = 0, anon, ready = u->now.value[GO_READY], limit, other;

    if (u->ask->limit == 0 || rtproc_rss(u->p, &rss, &anon) < 0)
        return 0;
    other = rss > ready ? rss - ready : 0;
    limit = u->ask->limit / 10 * 9;
    limit = limit > other ? limit - other : 0;
    return limit > in_use(&u->now) ? limit : 0;
}

/* Leaves it in force. One that is lower already stays as it is. */
static int set_lasting(struct run *u) {
    int r = 0;

    u->lasting = lasting_limit(u);
    if (u->lasting > 0 && u->lasting < u->first.value[GO_LIMIT]) {
        r = set_limit(u, u->lasting);
        if (r == 0)
            goguard_keep(&u->guard, WORD_LIMIT);
    }
    return r;
}

static void say_limit(const struct run *u, struct rt_result *out) {
    unsigned long long was_mib = u->first.value[GO_LIMIT] >> 20, mib = u->lasting >> 20;

    if (u->lasting >= u->first.value[GO_LIMIT])
        (void)snprintf(out->why, sizeof(out->why), "its soft limit is %llu MiB, as it was",
                       was_mib);
    else if (u->lasting)
        (void)snprintf(out->why, sizeof(out->why), "its soft limit is %llu MiB from now on", mib);
    else if (u->ask->limit)
        (void)snprintf(out->why, sizeof(out->why),
                       "its soft limit was left as it is: what is in use leaves no room below %llu "
                       "MiB",
                       (unsigned long long)(u->ask->limit >> 20));
}

static void say_done(struct run *u, struct rt_result *out) {
    bool stays = u->lasting > 0 && u->lasting < u->first.value[GO_LIMIT];
    int64_t ms = (clock_mono_us() - u->began_us + 500) / 1000;
    char knocks[48] = "";

    if (u->knocks)
        (void)snprintf(knocks, sizeof(knocks), ", woken by %u connection%s to port %u", u->knocks,
                       u->knocks == 1 ? "" : "s", (unsigned)u->port.port);
    out->outcome = RT_COLLECTED;
    (void)snprintf(out->how, sizeof(out->how),
                   "forced GC period and soft limit written into its memory for %lld ms, %s%s",
                   (long long)ms, stays ? "the limit stays" : "both put back", knocks);
    out->settle_us = u->now.value[GO_FREE] > HELD_LITTLE ? SETTLE_US : 300000;
    say_limit(u, out);
}

static int say_failed(struct run *u, int r, struct rt_result *out) {
    if (r == -ESRCH || rtproc_same(u->p) < 0)
        return -ESRCH;
    if (r == -ESTALE)
        return rt_fail(out, "", "the program changed its collector's settings at the same time");
    if (r != -ETIMEDOUT)
        return rt_fail(out, "", "its memory could not be written: %s",
                       r == -ECANCELED ? "what undoes the change had ended" : "the kernel refused");
    if ((int64_t)u->now.value[GO_PERCENT] < 0)
        return rt_fail(out, pprof_hint,
                       "the program runs with GOGC=off and has allocated nothing in this time: "
                       "only an allocation could start a collection");
    if (go_has(&u->now, GO_LAST) && u->now.value[GO_LAST] == 0)
        return rt_fail(out, "",
                       "it has never collected: its heap never grew to 4 MiB, there is "
                       "nothing to give back");
    if (go_has(&u->now, GO_ASLEEP) && u->now.value[GO_ASLEEP])
        return rt_fail(out, "--timeout 70s: it wakes once a minute",
                       "the program is idle, and the thread that forces collections sleeps, up to "
                       "60 s; it has no port that can be reached by which it could be woken");
    return rt_fail(out, "thaw or continue it, or give it CPU time, and try again",
                   "no collection came about: the program does not run (frozen, stopped or short "
                   "of CPU time)");
}

static bool is_stopped(const struct rtproc *p) {
    struct procstat stat;

    return procstat_read(p->host->proc, p->pid, &stat) == 0 &&
           (stat.state == 'T' || stat.state == 't');
}

static void find_port(struct run *u) {
    struct rtproc_port port[8];
    int n = rtproc_ports(u->p, port, ARRAY_N(port));

    struct err err;

    if (n > 0 && rtproc_try_net(u->p, &err) == 0)
        u->port = port[0];
}

int go_collect_words(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
                     struct rt_result *out) {
    struct run u = {.p = p, .ask = ask, .began_us = clock_mono_us()};
    struct err err = {0};
    int r = go_words_find(p, id, &u.words, &err);

    if (r == -ESRCH)
        return r;
    if (r < 0)
        return rt_refuse(out, pprof_hint, "%s", err.text);
    if (is_stopped(p))
        return rt_refuse(out, "continue it (SIGCONT), and try again", "the process is stopped");
    r = look(&u);
    if (r == -ESRCH)
        return r;
    if (r < 0 || u.now.value[GO_LIMIT] < (1 << 20))
        return rt_refuse(out, pprof_hint,
                         "what is in its memory does not look like the collector of go %s",
                         id->version);
    u.first = u.now;
    u.limit = u.now.value[GO_LIMIT];
    find_port(&u);
    u.stays_awake = u.port.port == 0 && (!go_has(&u.now, GO_ASLEEP) || u.now.value[GO_ASLEEP]);
    r = goguard_start(&u.guard, p, ask->deadline_us, &err);
    if (r < 0)
        return rt_refuse(out, rtproc_mem_hint, "%s", err.text);
    u.knocked_us = clock_mono_us() - KNOCK_US;
    r = collect(&u);
    if (r == 0 && set_lasting(&u) < 0)
        u.lasting = 0;
    if (goguard_end(&u.guard) < 0 && rtproc_same(p) == 0)
        return rt_fail(out, "restart the program when it can be",
                       "what was written into its memory could not be put back");
    if (r < 0 && u.collections == 0)
        return say_failed(&u, r, out);
    say_done(&u, out);
    return 0;
}

static int refuse_pprof(const struct rtproc *p, int r, unsigned tried, struct rt_result *out) {
    const char *s = tried == 1 ? "" : "s";
    struct err err;

    if (r == -EACCES || r == -EPERM)
        return rt_refuse(out, "run as root, or as the process's user",
                         "its sockets cannot be seen");
    if (r == -ENOENT && tried == 0)
        return rt_refuse(out, "--inject, or import _ \"net/http/pprof\" and serve it on loopback",
                         "the program listens on no port: there is no pprof to ask");
    if (rtproc_try_net(p, &err) < 0)
        return rt_refuse(out, rtproc_net_hint, "%s", err.text);
    if (r == -ETIMEDOUT)
        return rt_refuse(out, "a longer --timeout, or --inject",
                         "%u port%s that the program listens on did not answer in time", tried, s);
    return rt_refuse(out, "--inject, or import _ \"net/http/pprof\" and serve it on loopback",
                     "no pprof answers on %u port%s that the program listens on", tried, s);
}

int go_collect_pprof(const struct rtproc *p, const struct rt_ask *ask, struct rt_result *out) {
    struct gopprof at;
    unsigned tried;
    int r = gopprof_find(p, 0, ask->deadline_us - END_US, &at, &tried);

    if (r == -ESRCH || rtproc_same(p) < 0)
        return -ESRCH;
    if (r < 0)
        return refuse_pprof(p, r, tried, out);
    /* The second collection finds the first one's sweeping done, and wakes what gives back: in an
     * idle program nothing else would. */
    r = gopprof_drain(p, &at, "heap?gc=1", ask->deadline_us - END_US);
    if (r == 0) {
        pause_us(AGAIN_US);
        r = gopprof_drain(p, &at, "heap?gc=1", ask->deadline_us - END_US);
    }
    if (rtproc_same(p) < 0)
        return -ESRCH;
    if (r < 0)
        return rt_fail(out, "", "pprof on port %u %s", (unsigned)at.port,
                       r == -EPROTO      ? "refused heap?gc=1"
                       : r == -EFBIG     ? "sent more than 64 MiB, and went on"
                       : r == -ETIMEDOUT ? "did not end its answer in time"
                                         : "did not answer as HTTP");
    out->outcome = RT_COLLECTED;
    (void)snprintf(out->how, sizeof(out->how), "pprof on port %u: heap?gc=1, twice",
                   (unsigned)at.port);
    out->settle_us = SETTLE_US;
    return 0;
}
