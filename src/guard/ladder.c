#include "guard/ladder.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

enum { MINUTE_US = 60 * 1000000 };

void ladder_init(struct ladder *l, const struct policy *p) {
    *l = (struct ladder){.policy = p};
}

bool ladder_is_quick(enum action a) {
    return a == ACTION_THROTTLE || a == ACTION_PAUSE || a == ACTION_TERM || a == ACTION_KILL;
}

/* --- lists ------------------------------------------------------------------------------------ */

static void rearm(struct ladder *l, unsigned mark) {
    l->step[mark] = mark;
    l->over_us[mark] = 0;
    l->eased[mark] = false;
}

/* --- bounds ----------------------------------------------------------------------------------- */

static void age(struct ladder *l, int64_t now_us) {
    int64_t minute = now_us / MINUTE_US, steps = minute - l->minute_at;

    if (steps <= 0)
        return;
    if (steps > LADDER_MINUTES)
        steps = LADDER_MINUTES;
    for (int i = LADDER_MINUTES - 1; i >= 0; i--) {
        l->minute[i] = i >= steps ? l->minute[i - steps] : 0;
        l->kills[i] = i >= steps ? l->kills[i - steps] : 0;
    }
    l->minute_at = minute;
}

static bool counts(enum action a) {
    return a != ACTION_NOTIFY && a != ACTION_DUMP;
}

static bool ends_something(enum action a) {
    return a == ACTION_TERM || a == ACTION_KILL;
}

static bool within_bounds(const struct ladder *l, enum action a) {
    unsigned all = 0, kills = 0;

    for (unsigned i = 0; i < LADDER_MINUTES; i++) {
        all += l->minute[i];
        kills += l->kills[i];
    }
    if (counts(a) && l->policy->per_hour > 0 && all >= l->policy->per_hour)
        return false;
    return !ends_something(a) || l->policy->kills_per_hour == 0 ||
           kills < l->policy->kills_per_hour;
}

static bool is_cool(const struct ladder *l, enum action a, int64_t now_us) {
    return l->started_us[a] == 0 || now_us - l->started_us[a] >= l->policy->cooldown_us;
}

static void due(struct ladder *l, int64_t at_us) {
    if (l->again_us == 0 || at_us < l->again_us)
        l->again_us = at_us;
}

/* --- marks ------------------------------------------------------------------------------------ */

static uint64_t used_of(const struct facts *f) {
    return facts_has(f, FACT_USED) ? f->value[FACT_USED] : f->value[FACT_USAGE];
}

static uint64_t limit_of(const struct facts *f) {
    return facts_has(f, FACT_LIMIT) ? f->value[FACT_LIMIT] : 0;
}

static void see_marks(struct ladder *l, const struct facts *f) {
    const struct policy *p = l->policy;
    uint64_t used = used_of(f), limit = limit_of(f);
    unsigned above = 0;

    if (!facts_has(f, FACT_USED) && !facts_has(f, FACT_USAGE))
        return;
    l->used = used;
    l->limit = limit;
    for (unsigned i = 0; i < p->marks; i++) {
        uint64_t at = policy_mark_bytes(&p->mark[i], limit);
        uint64_t back =
            (uint64_t)((unsigned __int128)(limit ? limit : at) * LADDER_BACK_CENTI / 10000);

        if (at == 0)
            break;
        if (i < l->above ? used + back < at : used < at)
            break;
        above = i + 1;
    }
    for (unsigned i = above; i < l->above; i++)
        rearm(l, i);
    for (unsigned i = l->above; i < above; i++)
        rearm(l, i);
    l->above = above;
}

uint64_t ladder_next_mark(const struct ladder *l, const struct facts *f) {
    if (l->above >= l->policy->marks)
        return 0;
    return policy_mark_bytes(&l->policy->mark[l->above], limit_of(f));
}

/* --- hangs ------------------------------------------------------------------------------------ */

static void see_hang(struct ladder *l, const struct facts *f, const struct hang *h) {
    bool hung = h->kind != HANG_NONE && h->kind != HANG_THROTTLED;

    if (hung && !l->hung) {
        bool soon = l->rescued_us > 0 && f->at_us - l->rescued_us < LADDER_RELAPSE_US;

        l->relapses = soon ? l->relapses + 1 : 0;
        l->hung_failed = l->relapses >= LADDER_RELAPSES;
        l->failed_us = f->at_us;
    }
    if (!hung)
        l->hung_failed = false;
    l->hung = hung;
}

/* --- decisions -------------------------------------------------------------------------------- */

static void explain(struct decision *d, const struct facts *f, const struct hang *h) {
    char text[sizeof(d->why)];
    struct buf out;

    buf_fixed(&out, text, sizeof(text) - 1);
    if (d->mark == 0 && h->kind != HANG_NONE)
        buf_add_format(&out, "it hangs (%s): ", hang_name(h->kind));
    buf_add(&out, STR("used "));
    num_add_iec(&out, used_of(f));
    if (limit_of(f) > 0) {
        buf_add(&out, STR(" of "));
        num_add_iec(&out, limit_of(f));
        buf_add(&out, STR(" ("));
        num_add_centi(&out, num_centi_pct(used_of(f), limit_of(f)), 1);
        buf_add(&out, STR(" %)"));
    }
    memcpy(d->why, text, out.n);
    d->why[out.n] = '\0';
}

/* Whether it may begin now; when it must wait, says until when. */
static bool may_begin(struct ladder *l, enum action a, unsigned mark, int64_t now_us) {
    if (l->busy && !(ladder_is_quick(a) && mark > l->doing_mark))
        return false;
    if (l->term && !(ladder_is_quick(a) && mark > l->term_mark))
        return false;
    if (!is_cool(l, a, now_us)) {
        due(l, l->started_us[a] + l->policy->cooldown_us);
        return false;
    }
    if (!within_bounds(l, a)) {
        l->bounded++;
        due(l, now_us + MINUTE_US);
        return false;
    }
    return true;
}

bool ladder_allows(struct ladder *l, enum action a, int64_t now_us) {
    age(l, now_us);
    return is_cool(l, a, now_us) && within_bounds(l, a);
}

/* The machine had no memory to lend, or nobody was free to do it: that passes. */
static void see_failed(struct ladder *l, int64_t now_us) {
    if (!l->hung || !l->hung_failed || !policy_has(l->policy, ACTION_RESCUE))
        return;
    if (now_us - l->failed_us < LADDER_RESCUE_US)
        due(l, l->failed_us + LADDER_RESCUE_US);
    else if (may_begin(l, ACTION_RESCUE, 0, now_us))
        l->hung_failed = false;
}

static bool decide_hang(struct ladder *l, int64_t now_us, struct decision *out) {
    see_failed(l, now_us);
    if (!l->hung || l->hung_failed || !policy_has(l->policy, ACTION_RESCUE))
        return false;
    if (!may_begin(l, ACTION_RESCUE, 0, now_us))
        return false;
    *out = (struct decision){.any = true, .action = ACTION_RESCUE};
    return true;
}

/* What cannot help what hangs is passed over; a rescue is for what hangs alone, and is decided
 * above. */
static bool is_useless(const struct ladder *l, enum action a) {
    if (a == ACTION_RESCUE)
        return true;
    return l->hung && (a == ACTION_GC || a == ACTION_THROTTLE || a == ACTION_PAUSE);
}

static bool decide_mark(struct ladder *l, unsigned mark, int64_t now_us,
                        struct ladder_change *change, struct decision *out) {
    const struct policy *p = l->policy;
    unsigned end = policy_list_end(p, mark);

    if (!l->hung && l->used < policy_mark_bytes(&p->mark[mark], l->limit)) {
        if (!l->eased[mark] && l->step[mark] > mark) {
            l->eased[mark] = true; /* what was done suffices */
            change->eased = mark + 1;
        }
        return false;
    }
    if (l->eased[mark] && now_us - l->stepped_us[mark] >= p->cooldown_us)
        rearm(l, mark);
    if (l->over_us[mark] > 0 && now_us - l->over_us[mark] >= LADDER_REPEAT_US)
        rearm(l, mark);
    while (l->step[mark] < end && is_useless(l, p->action[l->step[mark]]))
        l->step[mark]++;
    if (l->step[mark] >= end) {
        if (l->over_us[mark] == 0)
            l->over_us[mark] = l->stepped_us[mark];
        due(l, l->over_us[mark] + LADDER_REPEAT_US);
        return false;
    }
    if (!may_begin(l, p->action[l->step[mark]], mark + 1, now_us))
        return false;
    *out = (struct decision){.any = true, .action = p->action[l->step[mark]], .mark = mark + 1};
    return true;
}

/* While a rescue may still help, the marks do not end what it is to save. */
static bool waits_for_rescue(const struct ladder *l) {
    return l->hung && !l->hung_failed && policy_has(l->policy, ACTION_RESCUE);
}

void ladder_see(struct ladder *l, const struct facts *f, const struct hang *h,
                struct ladder_change *change, struct decision *out) {
    bool hung = l->hung;

    *out = (struct decision){.any = false};
    *change = (struct ladder_change){.before = l->above};
    age(l, f->at_us);
    see_marks(l, f);
    see_hang(l, f, h);
    change->above = l->above;
    change->hang = hung != l->hung;
    l->again_us = 0;
    if (!decide_hang(l, f->at_us, out) && !waits_for_rescue(l))
        for (unsigned mark = l->above; mark-- > 0 && !out->any;)
            (void)decide_mark(l, mark, f->at_us, change, out);
    if (out->any)
        explain(out, f, h);
}

void ladder_begun(struct ladder *l, enum action a, unsigned mark, int64_t now_us) {
    l->started_us[a] = now_us;
    l->bounded = 0;
    age(l, now_us);
    if (counts(a) && l->minute[0] < UINT16_MAX)
        l->minute[0]++;
    if (ends_something(a) && l->kills[0] < UINT16_MAX)
        l->kills[0]++;
    if (mark > 0 && mark <= l->policy->marks) {
        if (l->step[mark - 1] < policy_list_end(l->policy, mark - 1))
            l->step[mark - 1]++;
        l->stepped_us[mark - 1] = now_us;
        l->eased[mark - 1] = false;
    }
    if (a == ACTION_TERM) {
        l->term = true;
        l->term_mark = mark;
    } else if (!ladder_is_quick(a)) {
        l->busy = true;
        l->doing = a;
        l->doing_mark = mark;
    }
}

void ladder_ended(struct ladder *l, enum action a, unsigned mark, enum outcome outcome,
                  int64_t now_us) {
    (void)mark;
    if (l->busy && l->doing == a)
        l->busy = false;
    if (a == ACTION_TERM)
        l->term = false;
    if (a != ACTION_RESCUE)
        return;
    if (outcome == OUTCOME_DONE || outcome == OUTCOME_PARTLY)
        l->rescued_us = now_us;
    else if (outcome == OUTCOME_DRY) /* it goes on hanging: said now and then */
        l->started_us[a] = now_us + LADDER_REPEAT_US - l->policy->cooldown_us;
    else {
        l->hung_failed = true;
        l->failed_us = now_us;
    }
    /* Whether it hangs again is seen anew. */
    if (outcome == OUTCOME_DONE)
        l->hung = false;
}
