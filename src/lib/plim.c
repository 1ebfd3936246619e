#include "lib/plim.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { GATE_PCT = 88, CRITICAL_PCT = 95, POLL_MS = 1000, SPINS = 32 };

bool plim_is_ours(const struct plim *p) {
    return p->wiped ? __atomic_load_n(&p->live->ours, __ATOMIC_ACQUIRE) != 0 : p->pid == getpid();
}

/* Where the page cannot be wiped, a lock may have been held by a thread that the child lacks. */
int plim_check(struct plim *p, bool child) {
    if (!p)
        return -EINVAL;
    return plim_is_ours(p) || (child && p->wiped) ? 0 : -ECHILD;
}

void plim_lock(struct plim *p) {
    const struct timespec moment = {.tv_nsec = 50000};

    for (unsigned tries = 0; __atomic_exchange_n(&p->live->lock, 1, __ATOMIC_ACQUIRE); tries++) {
        if (tries < SPINS)
            sched_yield();
        else
            nanosleep(&moment, NULL);
    }
}

void plim_unlock(struct plim *p) {
    __atomic_store_n(&p->live->lock, 0, __ATOMIC_RELEASE);
}

/* Members that a newer caller has and we do not know must be zero. */
static int take_options(const struct plim_options *given, struct plim_options *out) {
    struct plim_options o = {0};

    if (given) {
        const char *bytes = (const char *)given;

        if (given->size < sizeof(given->size) || given->size > 4096)
            return -EINVAL;
        for (size_t i = sizeof(o); i < given->size; i++)
            if (bytes[i] != 0)
                return -E2BIG;
        memcpy(&o, given, given->size < sizeof(o) ? given->size : sizeof(o));
    }
    o.gate = o.gate ? o.gate : GATE_PCT;
    o.critical = o.critical ? o.critical : CRITICAL_PCT;
    o.poll_ms = o.poll_ms ? o.poll_ms : POLL_MS;
    if (o.gate > 100 || o.critical > 100 || o.poll_ms > 3600000 || (o.flags & ~PLIM_SELF) ||
        ((o.flags & PLIM_SELF) && o.limit == 0))
        return -EINVAL;
    *out = o;
    return 0;
}

static int make_live(struct plim *p) {
    void *page =
        mmap(NULL, sizeof(struct live), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return -errno;
    p->live = page;
    p->wiped = madvise(page, sizeof(struct live), MADV_WIPEONFORK) == 0;
    p->live->ours = 1;
    p->pid = getpid();
    return 0;
}

static void release(struct plim *p) {
    bool child = !plim_is_ours(p);

    reserve_close(p);
    watch_close(p);
    levels_close(p);
    holds_close(&p->holds, child);
    munmap(p->live, sizeof(struct live));
    free(p);
}

static int fill(struct plim *p, const struct plim_options *o) {
    struct look look;
    int r;

    p->gate_pct = o->gate;
    p->critical_pct = o->critical;
    p->poll_ms = o->poll_ms;
    r = levels_open(p, o->limit, o->flags & PLIM_SELF);
    if (r == 0)
        r = look_now(p, &look); /* remembers the order of memory.stat, too */
    if (r == 0)
        r = watch_open(p);
    return r;
}

int plim_open(const struct plim_options *options, struct plim **out) {
    struct plim_options o;
    struct plim *p;
    int r;

    if (!out)
        return -EINVAL;
    r = take_options(options, &o);
    if (r < 0)
        return r;
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    trim_find();
    p->thresholds = p->timer = p->stop = p->psi_dir = p->pressure = p->psi = HELD_NONE;
    r = make_live(p);
    if (r == 0)
        r = holds_open(&p->holds);
    if (r < 0) {
        if (p->live)
            munmap(p->live, sizeof(struct live));
        free(p);
        return r;
    }
    r = fill(p, &o);
    if (r < 0) {
        release(p);
        return r;
    }
    *out = p;
    return 0;
}

int plim_close(struct plim *p) {
    if (!p)
        return 0;
    if (plim_is_ours(p)) {
        if (p->live->has_thread && pthread_equal(p->thread, pthread_self()))
            return -EBUSY;
        thread_end(p);
        if (__atomic_exchange_n(&p->live->dispatching, 1, __ATOMIC_ACQUIRE))
            return -EBUSY;
    }
    release(p);
    return 0;
}

int plim_limit(struct plim *p, uint64_t *bytes_out) {
    int r = plim_check(p, true);

    if (r < 0)
        return r;
    if (!bytes_out)
        return -EINVAL;
    plim_lock(p);
    r = look_limit(p, bytes_out);
    plim_unlock(p);
    return r;
}

int plim_usage(struct plim *p, struct plim_usage *out) {
    struct plim_usage u;
    struct look look;
    int r = plim_check(p, true);

    if (r < 0)
        return r;
    if (!out || out->size < sizeof(out->size))
        return -EINVAL;
    plim_lock(p);
    r = look_now(p, &look);
    plim_unlock(p);
    if (r < 0)
        return r;
    u = (struct plim_usage){.size = out->size,
                            .limit = look.limit,
                            .used = look.used,
                            .usage = look.usage,
                            .room = look.limit > look.used ? look.limit - look.used : 0};
    memcpy(out, &u, u.size < sizeof(u) ? u.size : sizeof(u));
    return 0;
}
