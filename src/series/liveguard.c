#include "series/liveguard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series/live.h"

static void take_hang(struct live_guard *g, const struct audit *a) {
    int64_t for_us = a->facts.at_us - a->hang.since_us;

    if (!a->up) {
        g->hang = HANG_NONE;
        return;
    }
    g->hang = a->hang.kind;
    g->hang_ms = a->at_ms - (a->hang.since_us > 0 && for_us > 0 ? for_us / 1000 : 0);
}

static void take_end(struct live_guard *g, const struct audit *a) {
    enum outcome outcome = a->report.outcome;
    bool acted = outcome == OUTCOME_DONE || outcome == OUTCOME_PARTLY;

    if ((unsigned)a->action >= ACTION_N || (unsigned)outcome >= OUTCOME_N)
        return;
    g->ended[a->action][outcome]++;
    if (acted && a->have_before && a->have_after && a->before > a->after)
        g->freed += a->before - a->after;
}

static void take(struct live_guard *g, const struct audit *a, bool count) {
    switch (a->kind) {
    case AUDIT_GUARD:
    case AUDIT_OVER: /* whoever begins knows nothing of before, who ends tells nothing any more */
        g->guarded = a->kind == AUDIT_GUARD;
        g->dry_run = a->dry_run;
        memcpy(g->name, a->guard, sizeof(g->name));
        g->hang = HANG_NONE;
        g->above = 0;
        break;
    case AUDIT_MARK:
        g->above = a->up ? a->mark : a->mark - (a->mark > 0);
        g->marks += count && a->up;
        break;
    case AUDIT_HANG:
        take_hang(g, a);
        break;
    case AUDIT_END:
        if (count)
            take_end(g, a);
        break;
    case AUDIT_BEGIN:
    case AUDIT_UNDO:
    case AUDIT_N:
        break;
    }
}

int live_guard_take_lost(struct live_lost *lost, const struct audit *a, bool count) {
    if (!lost->guard)
        lost->guard = calloc(1, sizeof(*lost->guard));
    if (!lost->guard)
        return -ENOMEM;
    take(lost->guard, a, count);
    return 0;
}

bool live_guard_counted(const struct live_guard *g) {
    uint64_t sum = g ? g->marks + g->freed : 0;

    for (unsigned a = 0; g && a < ACTION_N; a++)
        for (unsigned o = 0; o < OUTCOME_N; o++)
            sum += g->ended[a][o];
    return sum > 0;
}

static void add(struct live_guard *g, const struct live_guard *more) {
    for (unsigned a = 0; a < ACTION_N; a++)
        for (unsigned o = 0; o < OUTCOME_N; o++)
            g->ended[a][o] += more->ended[a][o];
    g->marks += more->marks;
    g->freed += more->freed;
}

/* What it is now is another's when the group is another. */
static void forget_state(struct live_guard *g) {
    g->guarded = g->dry_run = false;
    g->name[0] = '\0';
    g->hang = HANG_NONE;
    g->above = 0;
}

static bool same_group(const struct live_lost *x, const struct live_row *row) {
    return x->uid == LIVE_NO_UID && x->t.instance == row->t.instance && row->t.instance != 0 &&
           str_eq(x->t.path, row->t.path);
}

void live_guard_inherit(struct live *l, struct live_row *row) {
    for (size_t i = 0; row->series > 0 && i < l->losts; i++) {
        struct live_lost *x = &l->lost[i];

        if (!x->guard || x->series != row->series)
            continue;
        if (!same_group(x, row))
            forget_state(x->guard);
        if (row->guard) {
            add(row->guard, x->guard);
            free(x->guard);
        } else {
            row->guard = x->guard;
        }
        x->guard = NULL;
    }
}

int live_guard_take(struct live *l, struct live_row *row, const struct audit *a, bool count) {
    struct live_guard before;

    if (!row->guard)
        row->guard = calloc(1, sizeof(*row->guard));
    if (!row->guard)
        return -ENOMEM;
    before = *row->guard;
    if (a->kind != AUDIT_OVER)
        row->guard->guarded = true;
    take(row->guard, a, count);
    if (before.guarded != row->guard->guarded || before.dry_run != row->guard->dry_run ||
        before.hang != row->guard->hang || before.above != row->guard->above)
        row->told_ms = l->at_ms + 1; /* a reader who knows all up to the last tick does not */
    return 0;
}

bool live_guard_hangs(const struct live_guard *g) {
    return g && g->hang != HANG_NONE && g->hang != HANG_THROTTLED;
}
