#include "guard/ladder.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"

enum { MINUTE_US = 60 * 1000000 };

static const int64_t RARELY_US = LADDER_RARELY_S * INT64_C(1000000);

void ladder_init(struct ladder *l, const struct policy *p) {
    *l = (struct ladder){.policy = p};
}

bool ladder_is_quick(enum action a) {
    return a == ACTION_THROTTLE || a == ACTION_PAUSE || a == ACTION_TERM || a == ACTION_KILL;
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

static bool holds(enum action a) {
    return a == ACTION_THROTTLE || a == ACTION_PAUSE;
}

/* ... and what lets go of that, since the group must run for it. */
static bool lets_run(enum action a) {
    return a == ACTION_GC || a == ACTION_RESCUE || a == ACTION_TERM;
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

/* --- lists ------------------------------------------------------------------------------------ */

/* Nothing here changes with a look that is not recorded: from the records alone the same is taken.
 */

/* The mark was left, or is passed again. */
static void rearm(struct ladder *l, unsigned mark) {
    l->step[mark] = mark;
    l->eased[mark] = false;
    for (unsigned i = mark; i < policy_list_end(l->policy, mark); i++) {
        l->taken_us[i] = 0;
        l->times[i] = 0;
        l->owed &= ~(1U << i);
    }
}

/* Used is below the mark: its list begins anew when it no longer is. What holds may do so yet. */
static void ease(struct ladder *l, unsigned mark) {
    l->eased[mark] = true;
    for (unsigned i = mark; i < policy_list_end(l->policy, mark); i++) {
        l->times[i] = 0;
        if (!holds(l->policy->action[i]))
            l->taken_us[i] = 0;
    }
}

/* What cannot help what hangs is passed over; a rescue is for what hangs alone, and is decided
 * above. */
static bool is_useless(const struct ladder *l, enum action a) {
    if (a == ACTION_RESCUE)
        return true;
    return l->hung && (a == ACTION_GC || a == ACTION_THROTTLE || a == ACTION_PAUSE);
}

/* What holds the group leaves it time to free something; what only tells does so ever more rarely.
 */
static int64_t early_until(const struct ladder *l, unsigned i) {
    enum action a = l->policy->action[i];
    int64_t us = LADDER_REPEAT_US;

    if (l->taken_us[i] == 0)
        return 0;
    if (holds(a))
        us = LADDER_HOLD_US + (l->times[i] > 0 ? LADDER_REPEAT_US : l->policy->cooldown_us);
    else if (counts(a))
        return 0;
    for (unsigned n = 1; !counts(a) && n < l->times[i] && us < RARELY_US; n++)
        us *= 2;
    return l->taken_us[i] + (us < RARELY_US ? us : RARELY_US);
}

static unsigned from(const struct ladder *l, unsigned mark, unsigned i, int64_t now_us) {
    unsigned end = policy_list_end(l->policy, mark);

    while (i < end && (is_useless(l, l->policy->action[i]) || now_us < early_until(l, i)))
        i++;
    return i;
}

/* The next of a mark's list; its end: none now. */
static unsigned next_of(const struct ladder *l, unsigned mark, int64_t now_us) {
    unsigned end = policy_list_end(l->policy, mark), i;

    if (l->eased[mark] && now_us - l->stepped_us[mark] >= l->policy->cooldown_us)
        return from(l, mark, mark, now_us);
    i = from(l, mark, l->step[mark], now_us);
    if (i == end && now_us - l->stepped_us[mark] >= LADDER_REPEAT_US)
        i = from(l, mark, mark, now_us);
    return i;
}

/* Of its list, what was begun last. */
static bool goes_on(const struct ladder *l, unsigned mark) {
    return (l->busy && l->doing_mark == mark + 1) || (l->term && l->term_mark == mark + 1);
}

/* The next notify, if that is what is next or was passed by; else what comes behind it. */
static unsigned next_note(const struct ladder *l, unsigned mark, int64_t now_us) {
    unsigned end = policy_list_end(l->policy, mark), i;

    for (i = mark; i < end; i++)
        if (l->owed >> i & 1)
            return i;
    i = goes_on(l, mark) ? end : next_of(l, mark, now_us);
    return i < end && l->policy->action[i] == ACTION_NOTIFY ? i : end;
}

static unsigned next_deed(const struct ladder *l, unsigned mark, int64_t now_us) {
    unsigned end = policy_list_end(l->policy, mark), i = next_of(l, mark, now_us);

    while (i < end && l->policy->action[i] == ACTION_NOTIFY)
        i = from(l, mark, i + 1, now_us);
    return i;
}

/* Begun: the list goes on behind it. A notify that had to wait is not forgotten. */
static void step_to(struct ladder *l, enum action a, unsigned mark, int64_t now_us) {
    unsigned end = policy_list_end(l->policy, mark);
    unsigned i = a == ACTION_NOTIFY ? next_note(l, mark, now_us) : next_deed(l, mark, now_us);
    bool late;

    if (i >= end || l->policy->action[i] != a) /* a replay that has decided otherwise */
        for (i = mark; i < end && l->policy->action[i] != a;)
            i++;
    if (i >= end)
        return;
    late = l->owed >> i & 1;
    for (unsigned j = next_of(l, mark, now_us); !late && j < i; j = from(l, mark, j + 1, now_us))
        l->owed |= 1U << j;
    l->owed &= ~(1U << i);
    l->taken_us[i] = now_us;
    if (l->times[i] < UINT8_MAX)
        l->times[i]++;
    if (late)
        return;
    l->step[mark] = i + 1;
    l->stepped_us[mark] = now_us;
    l->eased[mark] = false;
}

/* --- marks ------------------------------------------------------------------------------------ */

static uint64_t used_of(const struct facts *f) {
    return facts_has(f, FACT_USED) ? f->value[FACT_USED] : f->value[FACT_USAGE];
}

static uint64_t limit_of(const struct facts *f) {
    return facts_has(f, FACT_LIMIT) ? f->value[FACT_LIMIT] : 0;
}

/* Whether that is known. */
static bool see_marks(struct ladder *l, const struct facts *f) {
    const struct policy *p = l->policy;
    uint64_t used = used_of(f), limit = limit_of(f);
    unsigned above = 0;

    if (!facts_has(f, FACT_USED) && !facts_has(f, FACT_USAGE))
        return false;
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
    return true;
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

/* Whether another goes on that it must wait for. */
static bool is_kept(const struct ladder *l, enum action a, unsigned mark) {
    bool first = ladder_is_quick(a);

    if (a == ACTION_NOTIFY)
        return false;
    if (l->killing && ends_something(a)) /* what it has freed is not known yet */
        return true;
    return (l->busy && !(first && mark > l->doing_mark)) ||
           (l->term && !(first && mark > l->term_mark));
}

/* Whether it may begin now; when it must wait, says until when. */
static bool may_begin(struct ladder *l, enum action a, unsigned mark, int64_t now_us) {
    if (is_kept(l, a, mark))
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

/* Of each mark, not of those alone that something is decided at. */
static void see_eased(struct ladder *l, struct ladder_change *change) {
    for (unsigned mark = l->above; !l->hung && mark-- > 0;) {
        if (l->used >= policy_mark_bytes(&l->policy->mark[mark], l->limit) || l->eased[mark] ||
            l->step[mark] == mark)
            continue;
        ease(l, mark); /* what was done suffices */
        change->eased = mark + 1;
    }
}

static void due_again(struct ladder *l, unsigned mark, int64_t now_us) {
    if (now_us - l->stepped_us[mark] < LADDER_REPEAT_US)
        due(l, l->stepped_us[mark] + LADDER_REPEAT_US);
    for (unsigned i = mark; i < policy_list_end(l->policy, mark); i++)
        if (now_us < early_until(l, i))
            due(l, early_until(l, i));
}

static void decide_mark(struct ladder *l, unsigned mark, bool note, int64_t now_us,
                        struct decision *out) {
    const struct policy *p = l->policy;
    unsigned i;

    if (!l->hung && l->used < policy_mark_bytes(&p->mark[mark], l->limit))
        return;
    i = note ? next_note(l, mark, now_us) : next_deed(l, mark, now_us);
    if (i < policy_list_end(p, mark) && may_begin(l, p->action[i], mark + 1, now_us))
        *out = (struct decision){.any = true, .action = p->action[i], .mark = mark + 1};
    else if (!note)
        due_again(l, mark, now_us);
}

/* Who is to be told is told first: that takes no time, and what follows may be the group's end. */
static void decide_marks(struct ladder *l, int64_t now_us, struct decision *out) {
    for (unsigned mark = l->above; mark-- > 0 && !out->any;)
        decide_mark(l, mark, true, now_us, out);
    for (unsigned mark = l->above; mark-- > 0 && !out->any;)
        decide_mark(l, mark, false, now_us, out);
}

/* While a rescue may still help, the marks do not end what it is to save. */
static bool waits_for_rescue(const struct ladder *l) {
    return l->hung && !l->hung_failed && policy_has(l->policy, ACTION_RESCUE);
}

void ladder_see(struct ladder *l, const struct facts *f, const struct hang *h,
                struct ladder_change *change, struct decision *out) {
    bool hung = l->hung, known;

    *out = (struct decision){.any = false};
    *change = (struct ladder_change){.before = l->above};
    age(l, f->at_us);
    known = see_marks(l, f);
    see_hang(l, f, h);
    if (known)
        see_eased(l, change);
    change->above = l->above;
    change->hang = hung != l->hung;
    l->again_us = 0;
    if (!decide_hang(l, f->at_us, out) && !waits_for_rescue(l) && (known || l->hung))
        decide_marks(l, f->at_us, out);
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
    if (mark > 0 && mark <= l->policy->marks)
        step_to(l, a, mark - 1, now_us);
    for (unsigned i = 0; lets_run(a) && i < l->policy->actions; i++)
        if (holds(l->policy->action[i]))
            l->taken_us[i] = 0;
    l->killing |= a == ACTION_KILL;
    if (a == ACTION_TERM) {
        l->term = true;
        l->term_mark = mark;
    } else if (!ladder_is_quick(a) && a != ACTION_NOTIFY) { /* a hook frees nothing */
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
    if (a == ACTION_KILL)
        l->killing = false;
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
