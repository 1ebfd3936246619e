/* What is decided, carried out: the record first, then the action, then what came of it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "act/candidate.h"
#include "act/hook.h"
#include "act/sibling.h"
#include "base/clock.h"
#include "base/log.h"
#include "guard/guardsint.h"
#include "guard/locked.h"
#include "kern/cgmake.h"

enum {
    SETTLE_LOOK_US = 20000,   /* who was ended gives its memory back: between two looks at that, */
    SETTLE_MOST_US = 2000000, /* and no longer than so (a GiB takes some 0.3 s) */
    TERM_LOOK_US = 50000,     /* between two looks whether it has ended */
    PAUSE_MOST_US = 10000000, /* a pause wins time; it frees nothing */
    HOLD_AGAIN_US = 300000,   /* after an OOM that was held */
    HOLD_DUMP_US = 1700000,   /* of the time that an OOM is held */
    DECISIONS_MOST = 16,      /* of one look */
    RESCUE_TIMES = 4,         /* deadlines: it consists of several steps */
};

static struct guards *owner(const struct guarded *x) {
    return x->owner;
}

/* --- records ---------------------------------------------------------------------------------- */

/* Whether its OOM is held; of a dry run, whether it would be. */
static bool hold_oom(struct guarded *x) {
    struct err err;
    int r;

    if (!x->policy->oom_hold)
        return false;
    if (x->policy->dry_run)
        r = oomhold_may(&x->grip, &err);
    else
        r = oomhold_arm(&x->hold, &x->grip, owner(x)->warden, &err);
    x->holds = r == 0 && !x->policy->dry_run;
    if (r < 0)
        log_line(LOG_WARN, "the moment of OOM cannot be held: %s", err.text);
    return r == 0;
}

void carry_begin(struct guarded *x) {
    struct policy true_now = *x->policy;
    struct audit a;
    struct facts f;
    struct buf text;

    true_now.oom_hold = hold_oom(x);
    (void)grip_read(&x->grip, GRIP_STAT | GRIP_EVENTS, &f);
    record_new(&a, x, AUDIT_GUARD, &f);
    buf_fixed(&text, a.report.text, sizeof(a.report.text) - 1);
    policy_add_words(&text, &true_now);
    if (high_may(x))
        buf_add(&text, STR("; memory.high may be moved to be the mark"));
    record(x, &a, x->policy);
}

static void tell_undone(struct guarded *x, enum action action, const char *why) {
    struct audit a;
    struct facts f;

    (void)grip_read(&x->grip, GRIP_STAT, &f);
    record_new(&a, x, AUDIT_UNDO, &f);
    a.action = action;
    (void)snprintf(a.report.text, sizeof(a.report.text), "%s", why);
    record(x, &a, NULL);
}

static void let_go(struct guarded *x, struct brake *b, enum action action, const char *why) {
    if (b->kind == BRAKE_NONE)
        return;
    if (brake_release(owner(x)->brakes, b, &x->grip, owner(x)->warden) < 0)
        log_line(LOG_BAD, "'%s' cannot be let go at once: the warden goes on trying", x->grip.name);
    tell_undone(x, action, why);
}

void carry_release(struct guarded *x, const char *why, int64_t now_us) {
    (void)now_us;
    high_take(x);
    let_go(x, &x->pause, ACTION_PAUSE, why);
    let_go(x, &x->throttle, ACTION_THROTTLE, why);
}

/* --- the end of an action --------------------------------------------------------------------- */

/* The programs that were told beside the hook. */
static void add_told(unsigned told, struct action_report *report) {
    size_t n = strlen(report->text);

    if (told > 0)
        (void)snprintf(report->text + n, sizeof(report->text) - n, "; told %u program%s by %s",
                       told, told == 1 ? "" : "s", told == 1 ? "its socket" : "their sockets");
}

static void tell_end(struct guarded *x, struct guarded_doing *d, const struct action_report *report,
                     int64_t took_us) {
    struct audit a;
    struct facts f;
    bool known = grip_read(&x->grip, GRIP_STAT | GRIP_EVENTS, &f) == 0;
    int64_t now_us = clock_mono_us();

    record_new(&a, x, AUDIT_END, known ? &f : NULL);
    memcpy(a.id, d->id, sizeof(a.id));
    memcpy(a.by, d->by, sizeof(a.by));
    a.action = d->action;
    a.mark = d->mark;
    a.report = *report;
    if (d->action == ACTION_NOTIFY)
        add_told(d->told, &a.report);
    a.have_before = d->have_before;
    a.before = d->before;
    a.have_after = grip_used(&x->grip, &a.after) == 0;
    a.took_us = took_us;
    if (!known)
        a.facts.at_us = now_us;
    ladder_ended(&x->ladder, d->action, d->mark, report->outcome, a.facts.at_us);
    if (d->action == ACTION_RESCUE)
        x->hang = (struct hang){0}; /* whether it hangs is seen anew */
    d->any = false;
    record(x, &a, NULL);
}

static void abandon(struct guarded *x, struct guarded_doing *d) {
    struct action_report report = {.pid = 0};

    if (!d->any)
        return;
    if (d->action == ACTION_NOTIFY && !owner(x)->over)
        report_failed(
            &report, "",
            "the guard of this group ended before its hook, which goes on: how it ends is "
            "not told");
    else
        report_failed(&report, "",
                      "the guard of this group ended before it did: how it went is not known");
    tell_end(x, d, &report, clock_mono_us() - d->began_us);
}

void carry_abandon(struct guarded *x) {
    abandon(x, &x->hook);
    abandon(x, &x->slow);
}

/* Somebody is killed now: the next OOM is held once that is through. */
static void end_hold(struct guarded *x) {
    (void)oomhold_let_go(&x->hold);
    x->hold_again_us = clock_mono_us() + HOLD_AGAIN_US;
}

void carry_ended(struct guarded *x, enum action action, const struct action_report *report,
                 int64_t took_us) {
    struct guarded_doing *d = action == ACTION_NOTIFY ? &x->hook : &x->slow;

    if (!d->any)
        return;
    tell_end(x, d, report, took_us);
    if (x->holding && d == &x->slow) {
        x->holding = false;
        end_hold(x);
    }
}

static bool is_held(const struct action_report *report) {
    return report->outcome == OUTCOME_DONE || report->outcome == OUTCOME_PARTLY;
}

/* --- who was ended ---------------------------------------------------------------------------- */

static void await_effect(struct guarded_doing *d, int64_t now_us) {
    d->settle_us = now_us + SETTLE_MOST_US;
    d->until_us = now_us + SETTLE_LOOK_US;
    d->used = UINT64_MAX;
}

/* They are through, and used no longer falls: that is the effect. */
static bool has_settled(struct guarded *x, struct guarded_doing *d, const struct guarded_asked *who,
                        unsigned n, int64_t now_us) {
    uint64_t before = d->used;

    if (now_us < d->until_us)
        return false;
    if (now_us >= d->settle_us)
        return true;
    d->until_us = now_us + SETTLE_LOOK_US;
    for (unsigned i = 0; i < n; i++)
        if (!candidate_is_over(x->grip.host, who[i].pid, who[i].start_ticks))
            return false;
    return grip_used(&x->grip, &d->used) < 0 || d->used >= before;
}

static void see_kill(struct guarded *x, int64_t now_us) {
    struct guarded_doing *d = &x->ending;

    if (d->any && has_settled(x, d, &x->killed, 1, now_us))
        tell_end(x, d, &d->report, now_us - d->began_us);
}

/* The signal was just sent: nobody has been given its pid yet. */
static void await_killed(struct guarded *x, const struct guarded_doing *d) {
    struct procstat stat = {.start_ticks = 0};

    (void)procstat_read(x->grip.host->proc, d->report.pid, &stat);
    x->killed = (struct guarded_asked){d->report.pid, stat.start_ticks};
    x->ending = *d;
    await_effect(&x->ending, clock_mono_us());
}

/* --- TERM and its grace ----------------------------------------------------------------------- */

/* Who is there now: those are to heed it, not what is started in the group afterwards. */
static void note_asked(struct guarded *x) {
    const struct candidate *c;
    size_t n = 0;

    x->asked_n = 0;
    x->asked_more = false;
    if (killer_look(owner(x)->killer, &x->grip, &c, &n) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        if (c[i].ours || c[i].kernel || victim_is_protected(&c[i], x->policy))
            continue;
        if (x->asked_n == GUARDED_ASKED) {
            x->asked_more = true;
            return;
        }
        x->asked[x->asked_n++] = (struct guarded_asked){c[i].pid, c[i].start_ticks};
    }
}

static unsigned still_there(const struct guarded *x) {
    unsigned n = 0;

    for (unsigned i = 0; i < x->asked_n; i++)
        n += candidate_is_same(x->grip.host, x->asked[i].pid, x->asked[i].start_ticks);
    return n;
}

/* Those that were asked and are there yet; with more of them than we know, all that is there. */
static void end_deaf(struct guarded *x, struct action_report *report) {
    char text[REPORT_TEXT];
    unsigned killed = 0, left = still_there(x);

    memcpy(text, report->text, sizeof(text));
    if (x->asked_more) {
        (void)killer_all(owner(x)->killer, &x->grip, x->policy, false, report);
        return;
    }
    for (unsigned i = 0; i < x->asked_n; i++)
        killed += killer_send(&x->grip, x->asked[i].pid, x->asked[i].start_ticks, SIGKILL) == 0;
    if (killed == 0 && left > 0)
        report_failed(report, "", "%.300s; %u did not heed it, and could not be killed", text,
                      left);
    else
        report_done(report, "%.300s; %u did not heed it and were killed", text, killed);
}

static void see_term(struct guarded *x, int64_t now_us) {
    struct guarded_doing *d = &x->term;
    struct action_report report = d->report;

    if (!d->any)
        return;
    if (d->settle_us > 0) {
        if (has_settled(x, d, x->asked, x->asked_n, now_us))
            tell_end(x, d, &d->report, now_us - d->began_us);
        return;
    }
    if (still_there(x) == 0 && !(x->asked_more && cgmake_busy(x->grip.level[0].dir) > 0)) {
        report_done(&report, "%.300s; all of it ended by itself", d->report.text);
    } else if (now_us < d->began_us + x->policy->grace_us) {
        d->until_us = now_us + TERM_LOOK_US;
        return;
    } else {
        end_deaf(x, &report);
        report.pid = d->report.pid;
    }
    d->report = report;
    if (is_held(&report))
        await_effect(d, now_us);
    else
        tell_end(x, d, &d->report, now_us - d->began_us);
}

/* A kill has had its effect, or its time; a TERM was heeded, or its grace is over. */
static void see_endings(struct guarded *x, int64_t now_us) {
    see_kill(x, now_us);
    see_term(x, now_us);
}

/* --- its beginning ---------------------------------------------------------------------------- */

static void give(struct guarded *x, const struct audit *why, enum action action, int64_t until_us,
                 struct action_report *report) {
    struct guards *g = owner(x);
    uint64_t first = policy_mark_bytes(&x->policy->mark[0], x->last.value[FACT_LIMIT]);
    uint64_t used = why->facts.value[FACT_USAGE];
    int r;

    g->job = (struct hand_job){
        .action = action,
        .group = x->id,
        .deadline_us = until_us,
        .why = *why,
        .policy = *x->policy,
        .bytes = first > 0 && used > first ? used - first : used / 8,
    };
    r = hands_give(g->hands, &g->job);
    g->hands_us = clock_mono_us(); /* the next hand is made ready at once */
    if (r == -EBUSY)
        report_failed(report, "fewer actions that take long at the same marks",
                      "all processes that act on groups are busy");
    else if (r < 0)
        report_failed(report, "memory for ourselves: our own group or the machine is full",
                      "the process that would do it cannot be made: %s", strerror(-r));
}

/* What is stopped or hardly runs cannot collect, nor end. */
static void let_run(struct guarded *x, enum action action) {
    static const char why[] = "it must run for what follows";

    if (action != ACTION_GC && action != ACTION_RESCUE && action != ACTION_TERM)
        return;
    let_go(x, &x->pause, ACTION_PAUSE, why);
    let_go(x, &x->throttle, ACTION_THROTTLE, why);
}

static void hold(struct guarded *x, enum action action, unsigned mark, int64_t now_us,
                 struct action_report *report) {
    struct guards *g = owner(x);
    bool pause = action == ACTION_PAUSE;
    int64_t until_us = now_us + (pause ? PAUSE_MOST_US : BRAKE_HOLD_US);

    if (pause)
        (void)brake_pause(g->brakes, &x->pause, &x->grip, g->warden, until_us, report);
    else
        (void)brake_throttle(g->brakes, &x->throttle, &x->grip, g->warden, until_us, report);
    if (!is_held(report))
        return; /* the one of before goes on, if there is one */
    if (pause) {
        x->pause_until_us = until_us;
        x->pause_mark = mark;
    } else {
        x->throttle_until_us = until_us;
        x->throttle_mark = mark;
    }
}

static void dry(struct guarded *x, enum action action, struct action_report *report) {
    struct guards *g = owner(x);

    if (action == ACTION_KILL)
        (void)killer_kill(g->killer, &x->grip, x->policy, true, report);
    else if (action == ACTION_TERM)
        (void)killer_term(g->killer, &x->grip, x->policy, true, report);
    report->outcome = OUTCOME_DRY;
}

/* What another group uses below a limit above both is nothing that this one is to suffer for; and
 * what cannot be recorded is not done. */
static bool is_refused(struct guarded *x, const struct audit *why, struct action_report *report) {
    bool ends = why->action == ACTION_TERM || why->action == ACTION_KILL;
    uint64_t level = facts_has(&why->facts, FACT_LEVEL) ? why->facts.value[FACT_LEVEL] : 0;
    char who[256];

    if ((ends || why->action == ACTION_RESCUE) && !record_may_act(owner(x))) {
        report_refused(report, "room on the disk of the audit, or another --audit FILE",
                       "the audit cannot be written: nothing is ended without a record");
        return true;
    }
    if (level > 0 && (ends || why->action == ACTION_PAUSE || why->action == ACTION_THROTTLE) &&
        sibling_is_to_blame(&x->grip, (unsigned)level, who, sizeof(who)) == 0) {
        report_refused(report, "a guard for that one, or a limit of its own for each",
                       "the limit is that of a group above, and '%.200s' uses the most below it",
                       who);
        return true;
    }
    return false;
}

static int64_t time_for(const struct guarded *x, enum action action) {
    if (x->holding)
        return HOLD_DUMP_US;
    return action == ACTION_RESCUE ? RESCUE_TIMES * x->policy->deadline_us : x->policy->deadline_us;
}

/* Those who listen are told at once; the hook, if there is one, is for a hand. */
static void notify(struct guarded *x, const struct audit *why, struct guarded_doing *d) {
    struct pressuresock *s = owner(x)->pressure;

    d->told = s ? pressuresock_tell(s, str_of(x->grip.path)) : 0;
    if (!x->policy->hook[0])
        (void)hook_run(x->policy, why, 0, &d->report);
    else if (x->hook.any)
        report_partly(&d->report,
                      "told in the log and the audit; its hook is not run: that of the notify "
                      "before it has not ended");
    else
        give(x, why, ACTION_NOTIFY, d->began_us + x->policy->deadline_us, &d->report);
}

/* Quick ones are done when this returns; of the others d->report says only what went wrong. */
static void act(struct guarded *x, const struct audit *why, struct guarded_doing *d) {
    struct guards *g = owner(x);
    struct action_report *report = &d->report;
    enum action action = why->action;

    if (x->policy->dry_run) {
        dry(x, action, report);
        return;
    }
    if (is_refused(x, why, report))
        return;
    let_run(x, action);
    if (action == ACTION_THROTTLE || action == ACTION_RESCUE)
        high_take(x);
    switch (action) {
    case ACTION_THROTTLE:
    case ACTION_PAUSE:
        hold(x, action, why->mark, d->began_us, report);
        return;
    case ACTION_KILL:
        (void)killer_kill(g->killer, &x->grip, x->policy, false, report);
        return;
    case ACTION_TERM:
        note_asked(x);
        (void)killer_term(g->killer, &x->grip, x->policy, false, report);
        return;
    case ACTION_NOTIFY:
        notify(x, why, d);
        return;
    case ACTION_GC:
    case ACTION_RECLAIM:
    case ACTION_DUMP:
    case ACTION_RESCUE:
        give(x, why, action, d->began_us + time_for(x, action), report);
        return;
    case ACTION_N:
        break;
    }
}

/* In a hand, and not yet at its end. */
static bool goes_on(enum action action, const struct action_report *report) {
    return !ladder_is_quick(action) && report->outcome == OUTCOME_NONE;
}

/* One that was asked for, or that is awaited yet: each that has begun has an end. */
static void end_before(struct guarded *x, enum action action) {
    struct guarded_doing *d = action == ACTION_KILL ? &x->ending : &x->term;
    struct action_report report = d->report;

    if (!d->any || (action != ACTION_KILL && action != ACTION_TERM))
        return;
    if (d->settle_us == 0)
        report_partly(&report, "%.400s; SIGTERM was sent once more before its grace was over",
                      d->report.text);
    tell_end(x, d, &report, clock_mono_us() - d->began_us);
}

static void begin(struct guarded *x, const struct facts *f, enum action action, unsigned mark,
                  const char *why, const char *by, char id_out[AUDIT_ID]) {
    struct guarded_doing d = {.any = true, .action = action, .mark = mark};
    struct audit a;

    record_new(&a, x, AUDIT_BEGIN, f);
    a.action = action;
    a.mark = mark;
    (void)snprintf(a.report.text, sizeof(a.report.text), "%s", why);
    if (by)
        (void)snprintf(a.by, sizeof(a.by), "%s", by);
    a.have_before = d.have_before = grip_used(&x->grip, &a.before) == 0;
    d.before = a.before;
    memcpy(d.id, a.id, sizeof(d.id));
    memcpy(d.by, a.by, sizeof(d.by));
    if (id_out)
        memcpy(id_out, a.id, AUDIT_ID);
    record(x, &a, NULL);
    end_before(x, action);
    ladder_begun(&x->ladder, action, mark, f->at_us);
    d.began_us = clock_mono_us();
    act(x, &a, &d);
    /* Our own group may have no room even to open a file: what is kept for that moment is spent.
     * What holds is not begun once more: that would be refused. */
    if (ladder_is_quick(action) && !is_held(&d.report) && !a.dry_run && locked_spend()) {
        d.report = (struct action_report){.pid = 0};
        act(x, &a, &d);
    }
    if (goes_on(action, &d.report)) {
        *(action == ACTION_NOTIFY ? &x->hook : &x->slow) = d;
    } else if (action == ACTION_TERM && is_held(&d.report) && !a.dry_run) {
        d.until_us = d.began_us + TERM_LOOK_US;
        x->term = d;
    } else if (action == ACTION_KILL && d.report.outcome == OUTCOME_DONE && d.report.pid > 0) {
        await_killed(x, &d);
    } else {
        tell_end(x, &d, &d.report, clock_mono_us() - d.began_us);
    }
}

/* --- what follows from a look ----------------------------------------------------------------- */

static void tell_changes(struct guarded *x, const struct facts *f, const struct ladder_change *c,
                         const struct hang *before) {
    struct audit a;

    for (unsigned mark = c->before; mark < c->above; mark++) {
        record_new(&a, x, AUDIT_MARK, f);
        a.up = true;
        a.mark = mark + 1;
        record(x, &a, NULL);
    }
    if (c->above < c->before) {
        record_new(&a, x, AUDIT_MARK, f);
        a.mark = c->above + 1;
        record(x, &a, NULL);
    }
    if (c->eased > 0 && c->above == c->before) { /* for a replay: people are told when it is left */
        record_new(&a, x, AUDIT_MARK, f);
        a.mark = c->eased;
        (void)snprintf(a.report.text, sizeof(a.report.text), "eased");
        record_only(x, &a);
    }
    if (c->hang) {
        record_new(&a, x, AUDIT_HANG, f);
        a.up = x->ladder.hung;
        if (!a.up)
            a.hang = *before;
        record(x, &a, NULL);
    }
}

/* Before anything is begun: what is over is not in its way. */
static void see_times(struct guarded *x, int64_t now_us) {
    _Static_assert((int)PAUSE_MOST_US <= (int)LADDER_HOLD_US &&
                       (int)BRAKE_HOLD_US <= (int)LADDER_HOLD_US,
                   "the ladder knows how long they hold");

    if (now_us >= x->pause_until_us)
        let_go(x, &x->pause, ACTION_PAUSE, "it was paused for as long as that is of use");
    if (now_us >= x->throttle_until_us)
        let_go(x, &x->throttle, ACTION_THROTTLE, "it was slowed down for long enough");
}

static void see_brakes(struct guarded *x) {
    if (x->pause_mark > x->ladder.above)
        let_go(x, &x->pause, ACTION_PAUSE, "used is below the mark");
    if (x->throttle_mark > x->ladder.above)
        let_go(x, &x->throttle, ACTION_THROTTLE, "used is below the mark");
}

/* After an OOM that was held, by us or by the warden: once it is over. */
static void hold_again(struct guarded *x, int64_t now_us) {
    if (now_us < x->hold_again_us || oomhold_again(&x->hold) != -EALREADY)
        return;
    log_line(LOG_WARN, "'%s': an OOM is held no more: somebody else has disabled the killer",
             x->grip.name);
    x->holds = false;
}

/* Killing is disabled by us, for a moment: that is no hang. The dump is written in that moment, as
 * soon as nothing else goes on; the warden ends it when that takes too long. */
static void see_hold(struct guarded *x, struct facts *f) {
    bool met = facts_has(f, FACT_UNDER_OOM) && f->value[FACT_UNDER_OOM];
    bool disabled = facts_has(f, FACT_KILL_DISABLED) && f->value[FACT_KILL_DISABLED];

    if (!x->holds)
        return;
    f->have &= ~(1U << FACT_UNDER_OOM | 1U << FACT_KILL_DISABLED);
    if (!met && !x->holding && (!x->hold.armed || !disabled)) {
        hold_again(x, f->at_us);
        return;
    }
    if (!met || !disabled || x->holding || x->slow.any)
        return;
    x->holding = true;
    begin(x, f, ACTION_DUMP, 0, "the moment of OOM is held", NULL, NULL);
    if (x->slow.any)
        return; /* its end lets the killer go */
    x->holding = false;
    end_hold(x);
}

/* What we came too late for, or were not asked to prevent. */
static void see_kills(struct guarded *x, const struct facts *f) {
    uint64_t kills;

    if (!facts_has(f, FACT_OOM_KILLS))
        return;
    kills = f->value[FACT_OOM_KILLS];
    if (x->knows_kills && kills > x->kills)
        log_line(LOG_WARN, "'%s': the kernel has killed %llu here for memory", x->grip.name,
                 (unsigned long long)(kills - x->kills));
    x->kills = kills;
    x->knows_kills = true;
}

void carry_on(struct guarded *x, struct facts *f) {
    struct ladder_change change;
    struct decision decision;
    struct hang before = x->hang;

    see_hold(x, f);
    see_kills(x, f);
    (void)hang_see(&x->hang, f);
    see_endings(x, f->at_us);
    see_times(x, f->at_us);
    for (unsigned i = 0; i < DECISIONS_MOST; i++) {
        ladder_see(&x->ladder, f, &x->hang, &change, &decision);
        tell_changes(x, f, &change, &before);
        if (!decision.any)
            break;
        begin(x, f, decision.action, decision.mark, decision.why, NULL, NULL);
        if (x->hang.kind == HANG_NONE && before.kind != HANG_NONE)
            before = x->hang;
    }
    see_brakes(x);
    if (x->ladder.bounded > 0 && !x->told_bound)
        log_line(LOG_WARN, "'%s': nothing more is done within this hour: the bound is reached",
                 x->grip.name);
    x->told_bound = x->ladder.bounded > 0;
}

void carry_asked(struct guarded *x, const struct facts *f, enum action action, const char *by,
                 char id_out[AUDIT_ID]) {
    begin(x, f, action, 0, "somebody asked for it", by, id_out);
}

void carry_over(struct guarded *x, const char *why) {
    struct audit a;
    struct facts f;

    carry_release(x, why, clock_mono_us());
    if (x->term.any)
        tell_end(x, &x->term, &x->term.report, clock_mono_us() - x->term.began_us);
    carry_abandon(x);
    if (x->ending.any)
        tell_end(x, &x->ending, &x->ending.report, clock_mono_us() - x->ending.began_us);
    oomhold_done(&x->hold);
    record_new(&a, x, AUDIT_OVER, grip_read(&x->grip, GRIP_STAT, &f) == 0 ? &f : NULL);
    (void)snprintf(a.report.text, sizeof(a.report.text), "%s", why);
    record(x, &a, NULL);
}
