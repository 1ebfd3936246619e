#include "guard/guarded.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "guard/beside.h"
#include "guard/locked.h"

enum {
    RATE_LEAST = 100 << 20, /* bytes a second: what may begin to grow any time */
    NEAR_CENTI = HANG_NEAR_CENTI,
};

int guarded_open(struct guarded *x, const struct host *h, const struct cgfs *fs, struct str path,
                 struct str name, const struct policy *p, struct err *err) {
    int r;

    *x = (struct guarded){.policy = p, .watch.fd = -1, .pressure = -1, .hold = OOMHOLD_NONE};
    r = grip_open(h, fs, path, &x->grip, err);
    if (r < 0)
        return r;
    (void)str_copy(str_head(name, sizeof(x->grip.name) - 1), x->grip.name, sizeof(x->grip.name));
    ladder_init(&x->ladder, p);
    return 0;
}

static void unwatch(struct guarded *x, struct loop *loop) {
    if (x->has_watch)
        loop_remove(loop, x->watch_id);
    x->has_watch = false;
    if (x->watch.fd != x->grip.events)
        cgwatch_close(&x->watch);
    x->watch.fd = -1;
}

void guarded_watch_pressure(struct guarded *x, struct loop *loop, loop_handler *handler) {
    int fd = x->grip.unified < 0 ? -1 : psi_watch_at(x->grip.unified, "memory.pressure");

    if (fd < 0)
        return;
    if (loop_add_fd(loop, fd, EPOLLPRI, handler, x, &x->pressure_id) < 0)
        close(fd);
    else
        x->pressure = fd;
}

void guarded_unwatch_pressure(struct guarded *x, struct loop *loop) {
    if (x->pressure < 0)
        return;
    loop_remove(loop, x->pressure_id);
    close(x->pressure);
    x->pressure = -1;
}

void guarded_close(struct guarded *x, struct loop *loop) {
    unwatch(x, loop);
    guarded_unwatch_pressure(x, loop);
    grip_done(&x->grip);
}

/* --- events ----------------------------------------------------------------------------------- */

static uint64_t limit_of(const struct guarded *x, unsigned level) {
    uint64_t own = x->grip.level[level].bytes;

    return level == 0 && x->grip.outside < own ? x->grip.outside : own;
}

static uint64_t sum_of_limits(const struct guarded *x) {
    uint64_t sum = 1;

    for (unsigned i = 0; i < x->grip.levels; i++)
        sum = sum * 31 + limit_of(x, i);
    return sum;
}

static int add_thresholds(const struct guarded *x, struct cgwatch *watch, const int *dir) {
    int r = 0;

    for (unsigned level = 0; level < x->grip.levels; level++)
        for (unsigned i = 0; i < x->policy->marks; i++) {
            uint64_t bytes = policy_mark_bytes(&x->policy->mark[i], limit_of(x, level));
            int more = bytes == 0 ? 0 : cgwatch_add_usage(watch, dir[level], bytes);

            if (more < 0)
                r = more;
        }
    return r;
}

static void add_them_there(void *ctx, const int *fd) {
    const struct guarded *x = ctx;
    struct cgwatch watch = {fd[0], x->watch.version};

    (void)add_thresholds(x, &watch, &fd[1]);
}

/* The kernel waits for a grace period of RCU at each, some 12 ms: for so long nobody would be
 * guarded. So a child does it, unless `wait`; until then looks by time tell. */
static int add_all_thresholds(struct guarded *x, bool wait) {
    int fd[1 + GRIP_LEVELS] = {x->watch.fd};

    _Static_assert(1 + GRIP_LEVELS <= BESIDE_FDS, "all levels fit");
    for (unsigned i = 0; i < x->grip.levels; i++)
        fd[1 + i] = x->grip.level[i].dir;
    if (wait || beside_run(fd, 1 + x->grip.levels, add_them_there, x) < 0)
        return add_thresholds(x, &x->watch, &fd[1]);
    locked_again();
    return 0;
}

static int watch_v1(struct guarded *x, bool wait) {
    int r = cgwatch_oom(x->grip.level[0].dir, CG_V1, &x->watch);

    return r < 0 ? r : add_all_thresholds(x, wait);
}

int guarded_watch(struct guarded *x, bool wait, struct loop *loop, loop_handler *handler) {
    uint64_t sum = sum_of_limits(x);
    int r;

    if (x->limits == sum)
        return 0;
    x->limits = sum;
    x->watched_us = clock_mono_us();
    unwatch(x, loop);
    if (x->grip.version == CG_V1)
        r = watch_v1(x, wait);
    else
        r = cgwatch_oom(x->grip.level[0].dir, CG_V2, &x->watch);
    if (x->watch.fd < 0)
        return r;
    x->has_watch = loop_add_fd(loop, x->watch.fd, cgwatch_poll_events(&x->watch), handler, x,
                               &x->watch_id) == 0;
    return x->has_watch ? r : -ENOMEM;
}

/* --- looks ------------------------------------------------------------------------------------ */

/* Whether all that counts is how far usage is from the first mark: used is never more. */
static bool is_calm(const struct guarded *x, uint64_t usage) {
    uint64_t mark = ladder_next_mark(&x->ladder, &x->last);

    return x->ladder.above == 0 && x->hang.kind == HANG_NONE && !hang_suspects(&x->hang) &&
           !x->slow.any && !x->term.any && !x->ending.any && !x->ladder.hung &&
           x->holds == x->hold.armed && x->pause.kind == BRAKE_NONE &&
           x->throttle.kind == BRAKE_NONE && x->grip.levels == 1 &&
           facts_has(&x->last, FACT_USED) && mark > 0 && usage < mark;
}

static void see_groups_below(struct guarded *x) {
    if (oomhold_check(&x->hold) != -ENOTEMPTY)
        return;
    x->holds = false;
    log_line(LOG_WARN,
             "'%s': an OOM is held no more: groups were made below, which would inherit that "
             "nobody is killed",
             x->grip.name);
}

int guarded_look(struct guarded *x, int64_t now_us, struct facts *out, bool *enough) {
    unsigned what = GRIP_STAT | GRIP_EVENTS;
    int r = grip_read(&x->grip, 0, out);

    *enough = false;
    if (r < 0)
        return r;
    see_groups_below(x);
    out->at_us = now_us;
    if (is_calm(x, out->value[FACT_USAGE])) {
        /* the rest is as it was: unused by who looks at these */
        return 0;
    }
    if (facts_has(&x->last, FACT_LIMIT) &&
        out->value[FACT_USAGE] >= x->last.value[FACT_LIMIT] / 10000 * NEAR_CENTI)
        what |= GRIP_PSI;
    r = grip_read(&x->grip, what, out);
    if (r < 0)
        return r;
    out->at_us = now_us;
    *enough = true;
    return 0;
}

/* Growth since the look before, falling off slowly. */
static void see_rate(struct guarded *x, const struct facts *f) {
    enum fact what =
        facts_has(f, FACT_USED) && facts_has(&x->last, FACT_USED) ? FACT_USED : FACT_USAGE;
    int64_t us = f->at_us - x->last.at_us;
    uint64_t rate;

    if (x->last.have == 0 || us <= 0)
        return;
    rate = f->value[what] > x->last.value[what]
               ? (uint64_t)((unsigned __int128)(f->value[what] - x->last.value[what]) * 1000000 /
                            (uint64_t)us)
               : 0;
    x->rate = rate > x->rate / 2 ? rate : x->rate / 2;
}

static int64_t by_slope(const struct guarded *x, uint64_t room) {
    uint64_t rate = x->rate > RATE_LEAST ? x->rate : RATE_LEAST;
    uint64_t us = (uint64_t)((unsigned __int128)room * 1000000 / (4 * (unsigned __int128)rate));

    return us < GUARDED_SOONEST_US  ? GUARDED_SOONEST_US
           : us > GUARDED_LATEST_US ? GUARDED_LATEST_US
                                    : (int64_t)us;
}

static void sooner(int64_t *us, int64_t than) {
    if (than < *us)
        *us = than;
}

/* What has a time of its own. */
static int64_t first_due(const struct guarded *x, int64_t now_us) {
    int64_t due = INT64_MAX;

    if (x->ladder.again_us > now_us)
        sooner(&due, x->ladder.again_us);
    if (x->term.any)
        sooner(&due, x->term.until_us);
    if (x->ending.any)
        sooner(&due, x->ending.until_us);
    if (x->pause.kind != BRAKE_NONE)
        sooner(&due, x->pause_until_us);
    if (x->throttle.kind != BRAKE_NONE)
        sooner(&due, x->throttle_until_us);
    if (x->holds)
        sooner(&due, now_us + (x->hold.armed ? GUARDED_HELD_US : GUARDED_HOLD_US));
    return due;
}

void guarded_plan(struct guarded *x, const struct facts *f, int64_t now_us) {
    uint64_t mark = ladder_next_mark(&x->ladder, f->have & 1U << FACT_LIMIT ? f : &x->last);
    uint64_t usage = f->value[FACT_USAGE];
    uint64_t used = facts_has(f, FACT_USED) ? f->value[FACT_USED] : usage;
    int64_t in_us = GUARDED_LATEST_US;
    /* passing the mark makes an event */
    bool told =
        x->has_watch && (x->grip.version == CG_V1 ? now_us - x->watched_us > GUARDED_WATCHED_US
                                                  : tripwire_tells(&x->wire, usage, mark));

    see_rate(x, f);
    if (x->ladder.above > 0)
        sooner(&in_us, GUARDED_ABOVE_US);
    if (mark > used && !(told && usage < mark && x->grip.levels == 1))
        sooner(&in_us, by_slope(x, mark - used));
    if (hang_suspects(&x->hang) || x->hang.kind != HANG_NONE)
        sooner(&in_us, HANG_LOOK_US);
    if (facts_has(f, FACT_LIMIT) && usage >= f->value[FACT_LIMIT] / 10000 * NEAR_CENTI)
        sooner(&in_us, HANG_LOOK_US);
    x->look_us = now_us + in_us;
    sooner(&x->look_us, first_due(x, now_us));
    if (x->look_us < now_us + GUARDED_SOONEST_US)
        x->look_us = now_us + GUARDED_SOONEST_US;
    if (f->have & 1U << FACT_USED)
        x->last = *f;
    else { /* usage alone: used is not known anew, and at most that */
        x->last.at_us = f->at_us;
        x->last.value[FACT_USAGE] = usage;
        if (x->last.value[FACT_USED] > usage)
            x->last.value[FACT_USED] = usage;
    }
}
