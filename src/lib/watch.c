/* What wakes plim_fd, and what is done then. Eventfds and timers are never read: watched by their
 * edges they tell each time, and a number that meanwhile is somebody else's is not drained. */
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "kern/cgmake.h"
#include "lib/plim.h"

enum { ROUNDS = 4, EVENTS = 8 };

/* Kernels signal usage, but not that a limit has been changed. */
static const int64_t idle_us = 5000000;

/* "EVENTFD FILE BYTES"; one eventfd for all marks of all levels. */
static int add_threshold(const struct level *l, int event, uint64_t bytes) {
    char text[64];

    snprintf(text, sizeof(text), "%d %d %llu", event, l->usage.fd, (unsigned long long)bytes);
    return cgmake_write(l->dir.fd, "cgroup.event_control", str_of(text));
}

static int add_thresholds(const struct plim *p, int event) {
    int r = 0;

    for (unsigned i = 0; r == 0 && i < p->levels; i++) {
        const struct level *l = &p->level[i];

        if (l->kind != LEVEL_GROUP || l->bytes == CGROUP_NO_LIMIT)
            continue;
        if (!holds_is_ours(&p->holds, &l->usage) || !holds_is_ours(&p->holds, &l->dir))
            return -EBADF;
        for (unsigned k = 0; r == 0 && k < p->marks; k++)
            if (p->mark[k].percent != PLIM_PRESSURE)
                r = add_threshold(l, event, marks_bytes(l->bytes, p->mark[k].percent));
        if (r == 0 && p->reserve)
            r = add_threshold(l, event, marks_bytes(l->bytes, p->critical_pct));
    }
    return r;
}

/* Thresholds go with their eventfd, so they are always made anew. Where that is refused (v2; nobody
 * but root may) a timer takes their place. */
void watch_marks_moved(struct plim *p) {
    struct held fresh = HELD_NONE;

    p->limits_moved = false;
    p->told = false;
    if (p->version == CG_V1 && p->marks + (p->reserve != NULL) > 0) {
        int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        if (holds_watch(&p->holds, event < 0 ? -errno : event, EPOLLIN | EPOLLET, &fresh) == 0)
            p->told = add_thresholds(p, fresh.fd) == 0;
        if (!p->told)
            holds_drop(&p->holds, &fresh, false);
    }
    holds_drop(&p->holds, &p->thresholds, false);
    p->thresholds = fresh;
}

static void arm(struct plim *p, int64_t us) {
    struct itimerspec when = {.it_value = {us / 1000000, us % 1000000 * 1000}};

    if (holds_is_ours(&p->holds, &p->timer))
        timerfd_settime(p->timer.fd, 0, &when, NULL);
}

/* The mark at which the reserve is given back counts like the callers' own. */
static uint64_t distance(const struct plim *p, const struct look *now) {
    struct mark critical = {.percent = p->critical_pct, .above = !p->reserve_held};
    uint64_t marks = marks_distance(p->mark, p->marks, now->used, now->limit);
    uint64_t last = p->reserve ? marks_distance(&critical, 1, now->used, now->limit) : UINT64_MAX;

    return marks < last ? marks : last;
}

static bool any_above(const struct plim *p) {
    for (unsigned i = 0; i < p->marks; i++)
        if (p->mark[i].above)
            return true;
    return p->reserve && !p->reserve_held;
}

static void arm_next(struct plim *p, const struct look *now) {
    int64_t longest = (int64_t)p->poll_ms * 1000, us;
    uint64_t left = distance(p, now);

    slope_see(&p->slope, now->at_us, now->used);
    us = slope_period_us(&p->slope, left, longest);
    /* Page cache lets usage pass a mark that used has not reached: then the kernel has told all. */
    if (p->told && !any_above(p) && now->usage - now->used < left)
        us = idle_us;
    arm(p, p->marks + (p->reserve != NULL) > 0 ? us : idle_us);
}

int watch_open(struct plim *p) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    return holds_watch(&p->holds, fd < 0 ? -errno : fd, EPOLLIN | EPOLLET, &p->timer);
}

void watch_close(struct plim *p) {
    bool child = !plim_is_ours(p);

    holds_drop(&p->holds, &p->thresholds, child);
    holds_drop(&p->holds, &p->timer, child);
    holds_drop(&p->holds, &p->stop, child);
    holds_drop(&p->holds, &p->pressure, child);
    holds_drop(&p->holds, &p->psi, child);
}

int plim_fd(struct plim *p) {
    int r = plim_check(p, false);

    if (r == 0)
        r = holds_check(&p->holds);
    return r < 0 ? r : p->holds.epoll;
}

static int forget(struct plim *p, uint32_t percent) {
    unsigned kept = 0;

    for (unsigned i = 0; i < p->marks; i++)
        if (p->mark[i].percent != percent)
            p->mark[kept++] = p->mark[i];
    p->marks = kept;
    return 0;
}

static int remember(struct plim *p, const struct mark *m) {
    int r = 0;

    if (p->marks == PLIM_MARKS)
        return -ENOSPC;
    if (m->percent == PLIM_PRESSURE)
        r = pressure_open(p);
    if (r == 0)
        p->mark[p->marks++] = *m;
    return r;
}

int plim_on(struct plim *p, uint32_t percent, uint32_t hysteresis, plim_fn *fn, void *ctx) {
    struct mark m = {.percent = percent, .hysteresis = hysteresis, .fn = fn, .ctx = ctx};
    int r = plim_check(p, false);

    if (r == 0)
        r = percent > 100 || hysteresis > percent ? -EINVAL : holds_check(&p->holds);
    if (r < 0)
        return r;
    plim_lock(p);
    r = fn ? remember(p, &m) : forget(p, percent);
    if (r == 0) {
        watch_marks_moved(p);
        arm(p, 1); /* it may be above already */
    }
    plim_unlock(p);
    return r;
}

/* --- dispatch --- */

/* What was signalled. */
struct signalled {
    bool any, pressure;
};

static struct signalled drain(struct plim *p) {
    struct signalled s = {0};
    struct epoll_event event[EVENTS];

    for (int round = 0; round < ROUNDS; round++) {
        int n = epoll_wait(p->holds.epoll, event, EVENTS, 0);

        for (int i = 0; i < n; i++) {
            s.any = true;
            s.pressure |= event[i].data.fd == p->pressure.fd;
        }
        if (n < EVENTS)
            break;
    }
    return s;
}

/* Callbacks may call us: nothing is held, and marks may be added or taken away meanwhile. */
static int call_marks(struct plim *p, const struct look *now, bool pressure) {
    int called = 0;

    for (unsigned i = 0;; i++) {
        struct mark m = {0};
        int moved = 0;

        plim_lock(p);
        if (i < p->marks) {
            moved = marks_step(&p->mark[i], now->used, now->limit);
            m = p->mark[i];
        }
        plim_unlock(p);
        if (!m.fn)
            return called;
        if (m.percent == PLIM_PRESSURE && pressure)
            moved = 1;
        if (moved != 0) {
            const struct plim_event event = {.percent = m.percent,
                                             .above = moved > 0,
                                             .limit = now->limit,
                                             .used = now->used,
                                             .usage = now->usage};

            called++;
            m.fn(m.ctx, &event);
        }
    }
}

static int dispatch(struct plim *p) {
    struct signalled s;
    struct look now;
    bool pressure;
    int r = holds_check(&p->holds), called;

    if (r < 0)
        return r;
    s = drain(p);
    plim_lock(p);
    r = look_now(p, &now);
    if (r == 0) {
        reserve_step(p, &now);
        if (p->limits_moved)
            watch_marks_moved(p);
    }
    pressure = pressure_seen(p, s.pressure, !s.any);
    plim_unlock(p);
    if (r < 0)
        return r;
    called = call_marks(p, &now, pressure);
    plim_lock(p);
    arm_next(p, &now);
    plim_unlock(p);
    return called;
}

int plim_dispatch(struct plim *p) {
    int r = plim_check(p, false);

    if (r < 0)
        return r;
    if (__atomic_exchange_n(&p->live->dispatching, 1, __ATOMIC_ACQUIRE))
        return 0; /* another thread is at it, or a callback calls us */
    r = dispatch(p);
    __atomic_store_n(&p->live->dispatching, 0, __ATOMIC_RELEASE);
    return r;
}
