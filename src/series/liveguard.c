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
