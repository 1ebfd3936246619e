#include "act/rescue.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "act/gc.h"
#include "act/rescuego.h"
#include "act/rescueint.h"
#include "act/stuckexec.h"
#include "base/clock.h"
#include "base/num.h"

enum {
    GO_CENTI = 9000,       /* of the cap: where Go's limit is put when the policy names none */
    GC_US = 4 * 1000000,   /* for all runtimes of the group */
    DUMP_US = 5 * 1000000, /* a third of the time at most */
    BACK_US = 8 * 1000000, /* for taking back what a program that runs still uses */
    BACK_SLICE_US = 300000,
};

/* --- the steps before ------------------------------------------------------------------------- */

static void dump(struct rescue_run *r) {
    struct dump_terms terms = {
        .dir = r->terms->dump_dir,
        .why = r->terms->why,
        .socket = r->terms->agent_socket,
        .hung = true,
    };
    struct action_report report = {.pid = 0};
    int64_t now = clock_mono_us(), third = (r->terms->deadline_us - now) / 3;

    if (!terms.dir)
        return;
    terms.deadline_us = now + (third < DUMP_US ? third : DUMP_US);
    if (!rescue_begins(r, ACTION_DUMP, 0, "before anything is done to it"))
        return;
    (void)dump_write(r->g, &terms, &report);
    rescue_ended(r, ACTION_DUMP, &report);
    (void)str_copy(str_of(report.file), r->file, sizeof(r->file));
    rescue_tell(r, "dump", "%s%s%s", report.text, report.file[0] ? ": " : "", report.file);
}

static void end_one(struct rescue_run *r, const struct stuckexec *e) {
    struct action_report report = {.pid = e->pid};
    int s;

    if (!rescue_begins(r, ACTION_KILL, e->pid,
                       "an engine's exec is stuck in it; the engine waits for it"))
        return;
    s = stuckexec_end(r->g, e);
    if (s == 0)
        (void)report_done(&report, "%s (%d) ended", e->comm, e->pid);
    else
        (void)report_failed(&report, "", "%s (%d) could not be ended: %s", e->comm, e->pid,
                            strerror(-s));
    r->out->stuck_execs += s == 0;
    rescue_ended(r, ACTION_KILL, &report);
    rescue_tell(r, "exec", "%s%s", report.text,
                s == 0 ? ": what was started in it by its engine waited for memory, and the engine "
                         "with it"
                       : "");
}

static void end_stuck_execs(struct rescue_run *r) {
    struct stuckexec stuck[STUCKEXEC_MOST];
    int n = stuckexec_find(r->g, r->terms->policy, stuck);

    for (int i = 0; i < n; i++)
        end_one(r, &stuck[i]);
}

/* --- Go's words ------------------------------------------------------------------------------- */

static void forget_words(struct rescue_run *r) {
    char room[1024];
    struct buf text;
    uint64_t in_use;

    buf_fixed(&text, room, sizeof(room));
    rescuego_end(r->go, false, &text, &in_use);
    r->go = NULL;
}

static void write_words(struct rescue_run *r) {
    uint64_t centi = r->terms->policy->rt_limit ? r->terms->policy->rt_limit : GO_CENTI;
    struct action_report report = {.pid = 0};
    char refused[200];
    unsigned n, written;

    if (!r->terms->policy->inject ||
        rescuego_new(r->g, r->out->limit / 10000 * centi, r->terms->deadline_us, &r->go, refused,
                     sizeof(refused)) < 0)
        return;
    if (refused[0])
        rescue_tell(r, "go", "%s", refused);
    n = rescuego_count(r->go);
    if (n == 0)
        return;
    report.pid = rescuego_pid(r->go);
    if (!rescue_begins(r, ACTION_GC, report.pid,
                       "a limit and a collection, before it is let go on")) {
        forget_words(r);
        return;
    }
    written = rescuego_write(r->go);
    if (written == n)
        (void)report_done(&report,
                          "soft limit and a forced collection written into %u Go "
                          "program%s",
                          n, n == 1 ? "" : "s");
    else
        (void)report_partly(&report,
                            "soft limit and a forced collection written into %u of %u Go "
                            "programs; the others when there is memory",
                            written, n);
    rescue_ended(r, ACTION_GC, &report);
    rescue_tell(r, "go", "%s", report.text);
}

/* What is not written yet (a page of its data had to be copied, and there was no memory for that)
 * is tried again with the loan. */
static void end_words(struct rescue_run *r) {
    char room[1024];
    struct buf text;
    uint64_t in_use;

    if (!r->go)
        return;
    r->out->collected += rescuego_poll(r->go);
    buf_fixed(&text, room, sizeof(room));
    rescuego_end(r->go, r->terms->policy->rt_limit > 0, &text, &in_use);
    r->go = NULL;
    if (in_use > 0)
        r->out->needs = in_use / GO_CENTI * 10000;
    rescue_tell(r, "go", "%.*s", (int)text.n, text.p);
}

/* --- the loan --------------------------------------------------------------------------------- */

static int lend(struct rescue_run *r, uint64_t bytes) {
    struct action_report report = {.pid = 0};
    char size[16], limit[16], why[120];
    struct err err = {0};
    int s;

    rescue_size(bytes, size, sizeof(size));
    rescue_size(r->out->limit, limit, sizeof(limit));
    (void)snprintf(why, sizeof(why), "%s on top of %s, until it runs", size, limit);
    if (!rescue_begins(r, ACTION_RESCUE, 0, why))
        return -EROFS;
    s = lend_to(&r->loan, bytes, &err);
    if (s == 0)
        (void)report_done(&report, "%s lent", size);
    else
        (void)report_failed(&report, "", "%s", err.text);
    r->out->lent_now = r->loan.lent;
    rescue_ended(r, ACTION_RESCUE, &report);
    rescue_tell(r, "lend", s == 0 ? "%s on top of its %s" : "%s on top of its %s: %s", size, limit,
                err.text);
    if (s == 0 && bytes > r->out->lent_peak)
        r->out->lent_peak = bytes;
    return s;
}

static void runs_again(struct rescue_run *r) {
    int64_t us = clock_mono_us() - r->began_us;

    if (r->out->running_us == 0)
        r->out->running_us = us;
    if (r->out->hang.kind == HANG_NONE)
        rescue_tell(r, "runs", "it runs, as before");
    else
        rescue_tell(r, "runs", "it runs again, %" PRId64 " ms after the first look", us / 1000);
}

/* More and more, until it runs. 0; -ENOMEM: not with all that may be lent; -ENODEV: it is gone;
 * -errno. */
static int lend_until_runs(struct rescue_run *r) {
    for (;;) {
        int s;

        if (r->size > r->budget)
            r->size = r->budget;
        s = lend(r, r->size);
        if (s < 0)
            return s;
        if (rescue_await(r)) {
            runs_again(r);
            return 0;
        }
        if (r->out->gone)
            return -ENODEV;
        if (r->size >= r->budget || clock_mono_us() >= r->terms->deadline_us)
            return -ENOMEM;
        r->size *= 2;
    }
}

/* The other runtimes, now that they can answer. */
static void collect(struct rescue_run *r) {
    int64_t until = clock_mono_us() + GC_US;
    struct action_report report = {.pid = 0};

    if (!rescue_has_others(r))
        return;
    if (until > r->terms->deadline_us)
        until = r->terms->deadline_us;
    if (!rescue_begins(r, ACTION_GC, 0, "it runs on a loan"))
        return;
    (void)gc_run(r->g, r->terms->policy, until, &report);
    rescue_ended(r, ACTION_GC, &report);
    r->refused = report.outcome == OUTCOME_REFUSED;
    r->out->collected += report.outcome == OUTCOME_DONE || report.outcome == OUTCOME_PARTLY;
    rescue_tell(r, "gc", "%s%s%s", report.text, report.next[0] ? "; would work: " : "",
                report.next);
}

/* lend_back hands what it cannot take back over to the warden for good: so it is asked when what is
 * used fits, or at the end. 0: fits; -EAGAIN: hangs again; -EBUSY: it does not fit in time. */
static int await_fit(struct rescue_run *r, int64_t until_us) {
    do {
        (void)rescuego_poll(r->go);
        if (rescue_fits(r))
            return 0;
        if (rescue_hangs_now(r))
            return -EAGAIN;
        rescuego_squeeze(r->go);
    } while (clock_mono_us() < until_us);
    return -EBUSY;
}

/* What puts the limit back by hand, appended; nothing where it cannot be told whole. The warden
 * tries for so long (warden.h). */
static void add_by_hand(const struct rescue_run *r, char *out, size_t size) {
    const struct grip_level *l = &r->g->level[r->level];
    bool v1 = r->g->version == CG_V1;
    size_t before = strlen(out);
    struct buf b;

    if (str_find(str_of(r->g->path), '\'') >= 0)
        return;
    buf_fixed(&b, out + before, size - before - 1);
    buf_add_format(&b, "; then by hand, once it uses less: cd '%s%.*s' && echo %" PRIu64 " > %s",
                   r->g->fs->memory_point, (int)l->path_n, r->g->path, r->out->limit,
                   v1 ? "memory.limit_in_bytes" : "memory.max");
    if (v1 && r->loan.memsw != CGROUP_NO_LIMIT)
        buf_add_format(&b, " && echo %" PRIu64 " > memory.memsw.limit_in_bytes", r->loan.memsw);
    out[before + (buf_error(&b) < 0 ? 0 : b.n)] = '\0';
}

static void add_still_lent(const struct rescue_run *r, char *out, size_t size) {
    size_t n = strlen(out);
    char lent[16];

    rescue_size(r->loan.lent, lent, sizeof(lent));
    (void)snprintf(out + n, size - n,
                   "%s are still lent, and plimsoll-warden tries to take them back for 30 s, then "
                   "every 5 s for an hour",
                   lent);
    add_by_hand(r, out, size);
}

static void tell_still_lent(const struct rescue_run *r, struct action_report *report) {
    char limit[16];

    rescue_size(r->out->limit, limit, sizeof(limit));
    (void)report_failed(report, "", "it uses more than its limit of %s: ", limit);
    add_still_lent(r, report->text, sizeof(report->text));
}

/* 0: the limit is what it was; -EAGAIN: it hangs again; -EBUSY: it runs, and needs the loan.
 * last: whatever cannot be taken back now is left to the warden. */
static int take_back(struct rescue_run *r, int64_t most_us, bool last) {
    int64_t until = clock_mono_us() + most_us;
    struct action_report report = {.pid = 0};
    char limit[16];
    struct err err = {0};
    int s;

    if (until > r->terms->deadline_us && !last)
        until = r->terms->deadline_us;
    rescue_size(r->out->limit, limit, sizeof(limit));
    (void)rescue_begins(r, ACTION_RESCUE, 0, "the loan is taken back"); /* in any case */
    s = await_fit(r, until);
    if (s == 0 || last || s == -EBUSY) {
        int t = lend_back(&r->loan, clock_mono_us() + BACK_SLICE_US, &err);

        if (t == -EBUSY && !last && rescue_hangs_now(r) &&
            warden_extend(r->terms->warden, r->loan.hold, r->terms->deadline_us) == 0)
            t = -EAGAIN;
        s = t;
    }
    r->out->lent_now = r->loan.lent;
    r->out->restored = s == 0;
    if (s == 0)
        (void)report_done(&report, "the limit is %s again", limit);
    else if (s == -EBUSY)
        tell_still_lent(r, &report);
    else
        (void)report_failed(&report, "", "%s",
                            s == -EAGAIN ? "it hangs again, with the loan" : err.text);
    rescue_ended(r, ACTION_RESCUE, &report);
    rescue_tell(r, "back", "%s", report.text);
    return s;
}

/* One loan from beginning to end. 0: it runs below its limit; -EAGAIN: a larger one may do; -EBUSY:
 * it runs on the loan alone; -errno: given up. */
static int try_once(struct rescue_run *r) {
    int s = lend_until_runs(r);

    if (s < 0)
        return s;
    collect(r);
    /* Refused for want of room, perhaps: with more it can be asked again. */
    while (r->refused && r->size < r->budget && clock_mono_us() < r->terms->deadline_us) {
        r->size *= 2;
        s = lend_until_runs(r);
        if (s < 0)
            return s;
        collect(r);
    }
    s = take_back(r, BACK_US, false);
    if (s == 0 && !rescue_stays(r))
        s = -EAGAIN;
    return r->out->gone ? -ENODEV : s;
}

static int try_all(struct rescue_run *r) {
    int s = -EAGAIN;

    lend_init(&r->loan, r->g, r->terms->warden, r->level, r->terms->deadline_us);
    for (r->size = LEND_FIRST; r->size <= r->out->lent_now;)
        r->size *= 2; /* on top of what another has lent */
    for (int i = 0; i < RESCUE_TRIES && s == -EAGAIN; i++) {
        s = try_once(r);
        if (s != -EAGAIN || r->size >= r->budget || clock_mono_us() >= r->terms->deadline_us)
            break;
        r->size *= 2;
        end_stuck_execs(r);
        rescue_tell(r, "again", "it hangs again; a larger loan is tried");
    }
    r->out->running = s == 0 || s == -EBUSY;
    end_words(r);
    if (s < 0 && s != -EBUSY) {
        rescue_kill(r, s == -ENOMEM || s == -EAGAIN);
        if (r->loan.lent > 0)
            (void)take_back(r, r->over && r->out->running ? BACK_US : 0, true);
    }
    r->out->lent_now = r->loan.lent;
    r->out->restored = r->loan.lent == 0;
    lend_done(&r->loan);
    return s;
}

/* What another has lent before, and not taken back. */
static void settle(struct rescue_run *r) {
    struct err err;

    lend_init(&r->loan, r->g, r->terms->warden, r->level, r->terms->deadline_us);
    if (lend_adopt(&r->loan, &err) < 0) {
        rescue_tell(r, "back", "%s", err.text);
    } else if (r->loan.lent > 0) {
        (void)take_back(r, r->over && r->out->running ? BACK_US : 0, true);
    } else { /* its warden has done it meanwhile */
        r->out->lent_now = 0;
        r->out->restored = true;
    }
    lend_done(&r->loan);
}

/* Nothing can be lent: what is left is to end somebody, where that was asked for. */
static int try_without(struct rescue_run *r) {
    end_words(r);
    rescue_kill(r, r->out->hang.kind != HANG_NONE && r->out->stuck_execs == 0);
    if (r->out->lent_now > 0)
        settle(r);
    return -ENOMEM;
}

/* It does not hang. */
static int leave(struct rescue_run *r, struct action_report *report) {
    const struct grip_level *l = grip_tightest(r->g);
    char lent[16];

    r->out->running = true;
    r->level = l ? (unsigned)(l - r->g->level) : r->g->levels;
    r->out->lent_now = lend_found(r->g, r->level, &r->out->limit);
    if (r->out->lent_now == 0 || r->terms->policy->dry_run || !r->terms->warden)
        return report_done(report, "does not hang: nothing was done");
    rescue_size(r->out->lent_now, lent, sizeof(lent));
    settle(r);
    if (r->out->restored)
        return report_done(report, "does not hang; %s that were lent to it before are taken back",
                           lent);
    (void)report_partly(report, "does not hang; ");
    add_still_lent(r, report->text, sizeof(report->text));
    return 0;
}

/* --- the words at the end --------------------------------------------------------------------- */

static void add_next(struct rescue_run *r, char *out, size_t size) {
    uint64_t most = r->out->limit + r->out->lent_peak, needs = r->out->needs;
    char at_least[16], more[16];
    bool larger = !r->out->running && r->budget > 0;

    if (needs < most)
        needs = r->out->running ? most : most + most / 4;
    r->out->needs = needs;
    rescue_size(needs, at_least, sizeof(at_least));
    rescue_size(r->budget * 2, more, sizeof(more));
    (void)snprintf(out, size,
                   "a limit of %s or more for good (of Docker: docker update --memory %s "
                   "--memory-swap %s)%s%s%s",
                   at_least, at_least, at_least, larger ? ", --lend " : "", larger ? more : "",
                   r->out->running  ? ", or a kill"
                   : r->terms->kill ? ""
                                    : ", or --kill");
}

static int conclude_unrecorded(const struct rescue_run *r, struct action_report *report) {
    const char *next = "--audit FILE where there is room";

    if (r->out->lent_peak == 0)
        return report_refused(report, next,
                              "nothing is done that cannot be recorded, and the audit cannot be "
                              "written");
    (void)report_failed(report, next, "given up, as the audit cannot be written any more; %s",
                        r->out->restored ? "the limit is what it was" : "");
    if (!r->out->restored)
        add_still_lent(r, report->text, sizeof(report->text));
    return 0;
}

/* Who was killed may still be leaving while its memory is taken back. */
static int conclude_killed(struct rescue_run *r, struct action_report *report) {
    const char *back = r->out->restored ? "; the limit is what it was" : "; ";

    if (!r->over)
        (void)report_failed(report, "again, or plimsoll enter to look into it",
                            "still hangs after %s%s", r->killed, back);
    else
        (void)report_done(report, "%s: %s%s",
                          r->out->running ? "what is left of it runs again"
                                          : "nothing runs in it any more",
                          r->killed, back);
    if (!r->out->restored)
        add_still_lent(r, report->text, sizeof(report->text));
    return 0;
}

static int conclude(struct rescue_run *r, int s, struct action_report *report) {
    char lent[16], limit[16], next[REPORT_NEXT];
    double seconds = (double)r->out->running_us / 1e6;

    rescue_size(r->out->lent_peak, lent, sizeof(lent));
    rescue_size(r->out->limit, limit, sizeof(limit));
    if (r->out->killed > 0)
        return conclude_killed(r, report);
    if (r->out->gone)
        return report_failed(report, "",
                             "the group was removed meanwhile: there is nothing left to rescue");
    if (s == 0 && r->out->hang.kind == HANG_NONE)
        return report_done(report, "did not hang: %s were lent on top of its %s and taken back",
                           lent, limit);
    if (s == 0)
        return report_done(report,
                           "runs again after %.1f s, below its limit of %s: %s were lent "
                           "and taken back",
                           seconds, limit, lent);
    add_next(r, next, sizeof(next));
    if (s == -EBUSY) {
        (void)report_partly(
            report, "runs again after %.1f s, but does not fit below its limit of %s: ", seconds,
            limit);
        add_still_lent(r, report->text, sizeof(report->text));
        return str_copy(str_of(next), report->next, sizeof(report->next));
    }
    if (r->unrecorded)
        return conclude_unrecorded(r, report);
    if (s == -ENOMEM || s == -EAGAIN) {
        (void)report_failed(report, next, "%s, with %s lent on top of its %s; %s",
                            r->out->running_us ? "hangs again" : "still hangs", lent, limit,
                            r->out->restored ? "the limit is what it was" : "");
        if (!r->out->restored)
            add_still_lent(r, report->text, sizeof(report->text));
        return 0;
    }
    return report_failed(report, "", "the limit could not be raised: %s", strerror(-s));
}

static int refuse_more(const struct rescue_run *r, struct action_report *report) {
    char lent[16], limit[16], next[16];

    rescue_size(r->out->lent_now, lent, sizeof(lent));
    rescue_size(r->out->limit, limit, sizeof(limit));
    rescue_size(r->out->lent_now * 2, next, sizeof(next));
    (void)report_refused(report, "", "%s are lent already on top of its %s, and no more may be",
                         lent, limit);
    (void)snprintf(report->next, sizeof(report->next), "--lend %s, or --kill", next);
    return 0;
}

static int refuse_level(struct rescue_run *r, struct action_report *report) {
    const struct grip_level *l = grip_tightest(r->g);

    if (r->g->outside != CGROUP_NO_LIMIT && (!l || r->g->outside < l->bytes))
        return report_refused(report, "rescue, from where all groups can be seen",
                              "its limit is set by a group outside of what can be seen here");
    if (!l || l->bytes == CGROUP_NO_LIMIT)
        return report_refused(report, "",
                              "neither it nor a group above has a limit that could be "
                              "raised");
    r->level = (unsigned)(l - r->g->level);
    r->out->lent_now = lend_found(r->g, r->level, &r->out->limit);
    r->out->restored = r->out->lent_now == 0;
    r->budget = lend_room(r->g, r->level, r->terms->policy->lend);
    if (r->budget == 0 && r->out->lent_now > 0)
        return refuse_more(r, report);
    if (r->budget == 0)
        return report_refused(report, "end something else first, raise the groups above, or --kill",
                              "nothing can be lent: the machine, or a group above, has no memory "
                              "to spare");
    return 1;
}

static int dry(struct rescue_run *r, struct action_report *report) {
    struct stuckexec stuck[STUCKEXEC_MOST];
    int n = stuckexec_find(r->g, r->terms->policy, stuck);
    char budget[16], limit[16], execs[40] = "", last[200] = "";

    rescue_size(r->budget, budget, sizeof(budget));
    rescue_size(r->out->limit, limit, sizeof(limit));
    rescue_would_kill(r, last, sizeof(last));
    if (n > 0)
        (void)snprintf(execs, sizeof(execs), "end %d stuck exec%s, ", n, n == 1 ? "" : "s");
    (void)report_done(report,
                      "would %s%s%slend up to %s on top of %s, collect garbage, and take the loan "
                      "back%s",
                      r->terms->dump_dir ? "write a dump, " : "", execs,
                      r->terms->policy->inject ? "write a limit into Go's memory, " : "", budget,
                      limit, last);
    report->outcome = OUTCOME_DRY;
    return 0;
}

int rescue_run(struct grip *g, const struct rescue_terms *terms, struct rescue_result *result,
               struct action_report *report) {
    struct rescue_run r = {
        .g = g,
        .terms = terms,
        .out = result,
        .began_us = clock_mono_us(),
    };
    int s;

    *result = (struct rescue_result){.restored = true};
    *report = (struct action_report){.pid = 0};
    r.loan.hold = -1;
    s = rescue_observe(&r);
    if (s == -ENODEV)
        return report_failed(report, "", "the group is gone");
    if (s < 0)
        return report_failed(report, "", "it cannot be looked at: %s", strerror(-s));
    if (s == 0 && !terms->force) {
        if (result->hang.kind == HANG_NONE)
            return leave(&r, report);
        return report_refused(report, "raise memory.high",
                              "it does not hang at its limit: memory.high slows it down, or the "
                              "machine is short of memory");
    }
    s = refuse_level(&r, report);
    if (s <= 0 && !(terms->kill && r.out->limit > 0)) /* that needs no loan */
        return s;
    if (terms->policy->dry_run)
        return dry(&r, report);
    if (!terms->warden)
        return report_refused(report, "", "there is no warden that would take the loan back");
    dump(&r);
    end_stuck_execs(&r);
    write_words(&r);
    s = s > 0 ? try_all(&r) : try_without(&r);
    end_stuck_execs(&r);
    (void)conclude(&r, s, report);
    return str_copy(str_of(r.file), report->file, sizeof(report->file));
}
