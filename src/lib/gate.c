#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "lib/plim.h"

/* Who was let through is counted until he asks again, but not for ever. */
static const int64_t grant_us = 200000;
static const int64_t trim_first_us = 20000, trim_last_us = 100000;
enum { TRIM_SHARE = 10 }; /* at most such a part of the time is spent trimming */
enum { STEP_LEAST_MS = 1, STEP_MOST_MS = 8 };

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static uint64_t me(void) {
    return (uint64_t)(uintptr_t)pthread_self();
}

/* The bytes of others, and a free place for ours: NULL when there are too many threads. */
static struct grant *place(struct live *live, int64_t now_us, uint64_t *others_out) {
    struct grant *free_one = NULL;
    uint64_t others = 0, self = me();

    for (unsigned i = 0; i < PLIM_GRANTS; i++) {
        struct grant *g = &live->grant[i];

        if (g->thread == self || g->until_us <= now_us)
            *g = (struct grant){0};
        if (g->thread == 0)
            free_one = g;
        else if (__builtin_add_overflow(others, g->bytes, &others))
            others = UINT64_MAX;
    }
    *others_out = others;
    return free_one;
}

int gate_ask(struct plim *p, uint64_t bytes, uint64_t *over_out) {
    int64_t now_us = clock_mono_us();
    uint64_t others, over = 0;
    struct grant *mine = place(p->live, now_us, &others);
    int r;

    if (!mine)
        return -EAGAIN;
    r = look_over(p, bytes, p->gate_pct, &over);
    if (r == 0 && others > 0) {
        uint64_t all;

        if (__builtin_add_overflow(bytes, others, &all))
            all = UINT64_MAX;
        r = look_over(p, all, p->gate_pct, &over);
        if (r == -E2BIG) { /* only as long as the others have not used theirs */
            over = others;
            r = 0;
        }
    }
    if (r < 0)
        return r;
    *over_out = over;
    if (over > 0)
        return -EAGAIN;
    *mine = (struct grant){me(), bytes, now_us + grant_us};
    return 0;
}

/* Trims that give little back are made less and less often. */
bool gate_trim_due(struct plim *p, int64_t now_us) {
    if (now_us < p->trim_from_us)
        return false;
    p->trim_pause_us = p->trim_pause_us ? p->trim_pause_us * 2 : trim_first_us;
    if (p->trim_pause_us > trim_last_us)
        p->trim_pause_us = trim_last_us;
    p->trim_from_us = now_us + p->trim_pause_us;
    return true;
}

void gate_trim(struct plim *p) {
    int64_t begin = clock_mono_us(), took;
    uint64_t freed = 0, limit = 0;
    bool useful;

    if (plim_trim(p, &freed) < 0 || plim_limit(p, &limit) < 0)
        return;
    useful = freed >= limit / 128;
    took = clock_mono_us() - begin;
    plim_lock(p);
    if (useful)
        p->trim_pause_us = trim_first_us;
    p->trim_from_us = begin + took + larger(p->trim_pause_us, took * TRIM_SHARE);
    plim_unlock(p);
}

/* Above the gate, the reserve may have to go. */
static int ask(struct plim *p, uint64_t bytes, bool *trim_out) {
    uint64_t over = 0;
    struct look now;
    int r;

    plim_lock(p);
    r = gate_ask(p, bytes, &over);
    *trim_out = r == -EAGAIN && gate_trim_due(p, clock_mono_us());
    if (r == -EAGAIN && p->reserve_held && plim_is_ours(p) && look_now(p, &now) == 0)
        reserve_step(p, &now);
    plim_unlock(p);
    return r;
}

int plim_gate(struct plim *p, uint64_t bytes, int timeout_ms) {
    int r = plim_check(p, true), step = STEP_LEAST_MS;
    int64_t end;

    if (r < 0)
        return r;
    end = clock_mono_us() + (int64_t)timeout_ms * 1000;
    for (;;) {
        struct timespec moment = {.tv_nsec = step * 1000000L};
        bool due;

        r = ask(p, bytes, &due);
        if (r != -EAGAIN)
            return r;
        if (due) {
            gate_trim(p);
            continue;
        }
        if (timeout_ms >= 0 && clock_mono_us() >= end)
            return r;
        nanosleep(&moment, NULL);
        step = step * 2 > STEP_MOST_MS ? STEP_MOST_MS : step * 2;
    }
}
