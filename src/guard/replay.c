#include "guard/replay.h"

#include <string.h>

void replay_init(struct replay *r) {
    *r = (struct replay){.any = false};
}

static void look(struct replay *r, const struct audit *a, struct decision *out) {
    struct ladder_change change;
    struct hang hang = a->hang;

    if (a->kind == AUDIT_HANG && !a->up)
        hang.kind = HANG_NONE;
    ladder_see(&r->ladder, &a->facts, &hang, &change, out);
}

static enum replay_said take_begin(struct replay *r, const struct audit *a, struct decision *out) {
    bool same;

    if (strcmp(a->by, "api") == 0 || (a->mark == 0 && a->action != ACTION_RESCUE)) {
        ladder_begun(&r->ladder, a->action, 0, a->facts.at_us);
        return REPLAY_ASKED;
    }
    look(r, a, out);
    same = out->any && out->action == a->action && out->mark == a->mark;
    ladder_begun(&r->ladder, a->action, a->mark, a->facts.at_us);
    if (same)
        r->same++;
    else
        r->other++;
    return same ? REPLAY_SAME : REPLAY_OTHER;
}

enum replay_said replay_take(struct replay *r, const struct audit *a, const struct policy *policy,
                             struct decision *out) {
    *out = (struct decision){.any = false};
    if (a->kind == AUDIT_GUARD) {
        if (policy) {
            replay_init(r);
            r->policy = *policy;
            ladder_init(&r->ladder, &r->policy);
            r->any = true;
        }
        return REPLAY_QUIET;
    }
    if (!r->any)
        return REPLAY_QUIET;
    switch (a->kind) {
    case AUDIT_BEGIN:
        return take_begin(r, a, out);
    case AUDIT_END:
        ladder_ended(&r->ladder, a->action, a->mark, a->report.outcome, a->facts.at_us);
        return REPLAY_QUIET;
    case AUDIT_MARK:
    case AUDIT_HANG:
        look(r, a, out);
        return REPLAY_QUIET;
    case AUDIT_GUARD:
    case AUDIT_UNDO:
    case AUDIT_OVER:
    case AUDIT_N:
        break;
    }
    return REPLAY_QUIET;
}
