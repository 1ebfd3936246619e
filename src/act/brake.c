#include "act/brake.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "act/brakestop.h"
#include "act/candidate.h"
#include "act/ctlfile.h"
#include "act/stopped.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/procstat.h"

enum {
    LEAST_QUOTA_US = 1000,    /* of the kernel */
    MOST_PERIOD_US = 1000000, /* of the kernel */
    USUAL_PERIOD_US = 100000,
    SHARE_LEAST = 1000, /* of a million: 1 ms in 1 s */
    SHARE_MOST = 100000,
    SHARE_BLIND = 10000, /* no limit is known */
    HIGH_SLACK = 64,     /* pages for each processor, which may hold so many charged in advance */
};

/* Bytes a microsecond: an allocator that does nothing else, on one processor. */
static const uint64_t fastest = 2500;

struct brakes {
    struct pidlist pids;
    int lists; /* memfd of BRAKE_SIGNALLED lists */
    struct stopped (*list)[STOPPED_MOST + 1];
    bool taken[BRAKE_SIGNALLED];
    int owed[BRAKE_SIGNALLED]; /* the hold of one that could not be let go by us; -1 */
    uint64_t page, ahead;      /* bytes: of a page, of HIGH_SLACK on this machine */
};

static const size_t list_bytes = sizeof(struct stopped[STOPPED_MOST + 1]);

int brakes_new(struct brakes **out) {
    struct brakes *b = calloc(1, sizeof(*b));
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (!b)
        return -ENOMEM;
    b->list = MAP_FAILED;
    b->page = (uint64_t)sysconf(_SC_PAGESIZE);
    b->ahead = HIGH_SLACK * (cpus > 0 ? (uint64_t)cpus : 1) * b->page;
    b->pids.size = STOPPED_MOST;
    b->pids.pid = calloc(b->pids.size, sizeof(b->pids.pid[0]));
    b->lists = memfd_create("plimsoll-stopped", MFD_CLOEXEC);
    if (b->lists >= 0 && posix_fallocate(b->lists, 0, (off_t)(BRAKE_SIGNALLED * list_bytes)) == 0)
        b->list = mmap(NULL, BRAKE_SIGNALLED * list_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                       b->lists, 0);
    if (!b->pids.pid || b->list == MAP_FAILED) {
        brakes_free(b);
        return -ENOMEM;
    }
    *out = b;
    return 0;
}

void brakes_free(struct brakes *b) {
    if (!b)
        return;
    if (b->list != MAP_FAILED)
        munmap(b->list, BRAKE_SIGNALLED * list_bytes);
    mem_close_fd(&b->lists);
    pidlist_done(&b->pids);
    free(b);
}

/* --- what keeps us from it -------------------------------------------------------------------- */

static int list_pids(struct brakes *room, const struct grip *g) {
    int r;

    pidlist_clear(&room->pids);
    r = grip_pids(g, &room->pids);
    if (r == 0)
        pidlist_sort(&room->pids);
    return r;
}

/* True, and *report says why. Afterwards room->pids are the processes of the group. */
static bool is_hindered(struct brakes *room, const struct brake *b, struct grip *g,
                        const struct warden *w, struct action_report *report) {
    struct facts now;
    int r = grip_read(g, GRIP_EVENTS, &now);

    *report = (struct action_report){.outcome = OUTCOME_NONE};
    if (r == 0)
        r = list_pids(room, g);
    if (b->kind != BRAKE_NONE)
        (void)report_refused(report, "", "it is %s already",
                             b->kind == BRAKE_PAUSE ? "paused" : "slowed down");
    else if (!w)
        (void)report_refused(report, "", "no warden stands that would undo it");
    else if (r < 0)
        (void)report_failed(report, "", "%s",
                            r == -ENODEV ? "the group was removed"
                                         : "its processes cannot be listed");
    else if (facts_has(&now, FACT_UNDER_OOM) && now.value[FACT_UNDER_OOM] != 0)
        (void)report_refused(report, "rescue",
                             "its tasks wait for memory: they cannot be stopped, and stopping them "
                             "would not help");
    else if (pidlist_has(&room->pids, getpid()))
        (void)report_refused(report, "a guard that runs outside of the group",
                             "we are in this group ourselves");
    else
        return false;
    return true;
}

/* --- what is written, and its way back -------------------------------------------------------- */

static void add_step(struct warden_hold *hold, int fd, const struct brake_file *f) {
    struct warden_step *s = &hold->step[hold->steps];

    if (!f->ours[0])
        return;
    s->fd = fd;
    s->kind = WARDEN_WRITE;
    (void)str_copy(str_of(f->was), s->value, sizeof(s->value));
    (void)str_copy(str_of(f->ours), s->only_if, sizeof(s->only_if));
    hold->steps++;
}

static int restore(int fd, const struct brake_file *f) {
    return f->ours[0] ? ctlfile_restore(fd, f->ours, f->was) : 0;
}

/* The warden's answer stands before anything is changed. */
static int hold_on(struct brake *b, struct warden *w, struct warden_hold *hold, int64_t until_us,
                   struct action_report *report) {
    hold->deadline_us = until_us;
    hold->event = -1;
    b->hold = warden_hold(w, hold);
    if (b->hold >= 0)
        return 0;
    (void)report_failed(report, "", "the warden that would undo it does not answer (%s)",
                        strerror(-b->hold));
    return b->hold;
}

/* --- throttle --------------------------------------------------------------------------------- */

/* Of two that slow a group down the second would keep what the first has written as what was there
 * before, and leave it so for good. The warden has the same open file: the lock outlives us until
 * it is done. */
static int throttle_lock(const struct grip *g, int how) {
    return flock(g->quota >= 0 ? g->quota : g->high, how) < 0 ? -errno : 0;
}

/* Bytes below the limit that is nearest; UINT64_MAX: there is none. */
static uint64_t room_left(const struct grip *g) {
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < g->levels; i++) {
        uint64_t limit = g->level[i].bytes, usage;

        if (i == 0 && g->outside < limit)
            limit = g->outside;
        if (limit == CGROUP_NO_LIMIT || ctlfile_number(g->level[i].usage, &usage) < 0)
            continue;
        if (limit - usage < least || usage > limit)
            least = usage < limit ? limit - usage : 0;
    }
    return least;
}

/* Of a processor's time, in millionths: so that the fastest allocator takes BRAKE_HOLD_US for what
 * is left. */
static uint64_t share_for(uint64_t left) {
    uint64_t share;

    if (left == UINT64_MAX)
        return SHARE_BLIND;
    share = left / (fastest * (BRAKE_HOLD_US / 1000000));
    return share < SHARE_LEAST ? SHARE_LEAST : share > SHARE_MOST ? SHARE_MOST : share;
}

struct quota {
    bool none; /* no quota */
    uint64_t us, period_us;
};

static int read_quota(const struct grip *g, struct brake *b, struct quota *out) {
    bool v2 = g->fs->ctl[CG_QUOTA].version == CG_V2;
    struct str rest, word;
    int r = ctlfile_text(g->quota, b->quota.was);

    *out = (struct quota){.period_us = USUAL_PERIOD_US};
    if (r == 0 && !v2)
        r = ctlfile_text(g->period, b->period.was);
    if (r < 0)
        return r;
    rest = str_of(b->quota.was);
    if (!str_word(&rest, &word))
        return -EBADMSG;
    out->none = str_eq(word, STR("max")) || str_eq(word, STR("-1"));
    if (!out->none && str_to_u64(word, &out->us) < 0)
        return -EBADMSG;
    if (!v2)
        return str_to_u64(str_of(b->period.was), &out->period_us);
    return str_word(&rest, &word) ? str_to_u64(word, &out->period_us) : 0;
}

/* A period of ours only where the least quota of theirs would be too much. */
static void choose_quota(uint64_t share, const struct quota *was, struct quota *out) {
    out->none = false;
    out->period_us = was->period_us;
    out->us = was->period_us * share / 1000000;
    if (out->us >= LEAST_QUOTA_US)
        return;
    out->us = LEAST_QUOTA_US;
    out->period_us = LEAST_QUOTA_US * 1000000 / share;
    if (out->period_us > MOST_PERIOD_US)
        out->period_us = MOST_PERIOD_US;
}

static void quota_texts(const struct grip *g, const struct quota *was, const struct quota *q,
                        struct brake *b) {
    if (g->fs->ctl[CG_QUOTA].version == CG_V2) {
        snprintf(b->quota.ours, WARDEN_VALUE, "%llu %llu", (unsigned long long)q->us,
                 (unsigned long long)q->period_us);
        return;
    }
    snprintf(b->quota.ours, WARDEN_VALUE, "%llu", (unsigned long long)q->us);
    if (q->period_us != was->period_us)
        snprintf(b->period.ours, WARDEN_VALUE, "%llu", (unsigned long long)q->period_us);
}

/* v1: a quota that is there would be compared with its parent's at each write, so the quota shrinks
 * first and the period grows then; the way back is the other way round. */
static int write_quota(const struct grip *g, const struct brake *b) {
    int r = ctlfile_write(g->quota, b->quota.ours);

    if (r == 0 && b->period.ours[0]) {
        r = ctlfile_write(g->period, b->period.ours);
        if (r < 0)
            (void)restore(g->quota, &b->quota);
    }
    return r;
}

/* What there is to write, and why there is nothing. */
struct throttling {
    struct brake *b;
    struct grip *g;
    struct quota was, quota;
    char why[REPORT_TEXT / 2], done[REPORT_TEXT / 2];
    int error; /* of the last write that failed */
};

static void plan_quota(struct throttling *t) {
    struct brake *b = t->b;
    int r = t->g->quota < 0 ? -ENOENT : read_quota(t->g, b, &t->was);

    if (r < 0) {
        snprintf(t->why, sizeof(t->why), "%s",
                 r == -ENOENT ? "it has no CPU quota" : "its CPU quota cannot be read");
        return;
    }
    choose_quota(share_for(room_left(t->g)), &t->was, &t->quota);
    if (!t->was.none && t->was.us * t->quota.period_us <= t->quota.us * t->was.period_us)
        snprintf(t->why, sizeof(t->why), "its CPU quota is %llu us of %llu us already",
                 (unsigned long long)t->was.us, (unsigned long long)t->was.period_us);
    else
        quota_texts(t->g, &t->was, &t->quota, b);
}

/* Above what is charged now, and what the processors hold in advance: below that the kernel would
 * make us reclaim, in this very write. */
static void plan_high(const struct brakes *room, struct throttling *t) {
    uint64_t usage, high = CGROUP_NO_LIMIT, ours;

    if (t->g->high < 0 || ctlfile_number(t->g->level[0].usage, &usage) < 0 ||
        ctlfile_text(t->g->high, t->b->high.was) < 0)
        return;
    (void)cgroup_parse_number(str_of(t->b->high.was), &high);
    ours = usage + room->ahead;
    ours -= ours % room->page;
    if (ours < high)
        snprintf(t->b->high.ours, WARDEN_VALUE, "%llu", (unsigned long long)ours);
}

static void write_high(struct throttling *t) {
    int r = t->b->high.ours[0] ? ctlfile_write(t->g->high, t->b->high.ours) : -ENOENT;

    if (r == 0)
        snprintf(t->done, sizeof(t->done), "memory.high %s (was %s)", t->b->high.ours,
                 t->b->high.was);
    else if (r != -ENOENT)
        t->error = r;
}

static void write_cpu(struct throttling *t) {
    const struct quota *q = &t->quota;
    int r = t->b->quota.ours[0] ? write_quota(t->g, t->b) : -ENOENT;
    size_t n = strlen(t->done);

    if (r == 0)
        snprintf(t->done + n, sizeof(t->done) - n,
                 "%sCPU held at %llu.%02llu %%: %llu us of %llu us (%s%s)", n ? ", " : "",
                 (unsigned long long)(q->us * 100 / q->period_us),
                 (unsigned long long)(q->us * 10000 / q->period_us % 100),
                 (unsigned long long)q->us, (unsigned long long)q->period_us,
                 t->was.none ? "" : "was ", t->was.none ? "no quota before" : t->b->quota.was);
    else if (r != -ENOENT)
        t->error = r;
}

static int throttle(struct brakes *room, struct brake *b, struct grip *g, struct warden *w,
                    int64_t until_us, struct action_report *report) {
    struct throttling t = {.b = b, .g = g};
    struct warden_hold hold = {.steps = 0};

    *b = (struct brake){.since_us = clock_mono_us()};
    plan_high(room, &t);
    plan_quota(&t);
    add_step(&hold, g->high, &b->high);
    add_step(&hold, g->period, &b->period);
    add_step(&hold, g->quota, &b->quota);
    if (hold.steps == 0)
        return report_refused(report, "pause; or a group in the cpu hierarchy, as engines make one",
                              "%s", t.why);
    if (hold_on(b, w, &hold, until_us, report) < 0)
        return 0;
    write_high(&t);
    write_cpu(&t);
    if (!t.done[0]) {
        (void)warden_drop(w, b->hold);
        return report_failed(
            report, "pause", "neither memory.high nor a CPU quota can be set (%s)%s",
            strerror(-t.error), t.error == -EINVAL ? ": a group below it has a larger quota" : "");
    }
    b->kind = BRAKE_THROTTLE;
    return t.error < 0 ? report_partly(report, "%s", t.done) : report_done(report, "%s", t.done);
}

int brake_throttle(struct brakes *room, struct brake *b, struct grip *g, struct warden *w,
                   int64_t until_us, struct action_report *report) {
    int r;

    if (is_hindered(room, b, g, w, report))
        return 0;
    if (throttle_lock(g, LOCK_EX | LOCK_NB) == -EWOULDBLOCK)
        return report_refused(report, "pause", "another guard slows it down already");
    r = throttle(room, b, g, w, until_us, report);
    if (b->kind == BRAKE_NONE)
        (void)throttle_lock(g, LOCK_UN);
    return r;
}

/* --- pause ------------------------------------------------------------------------------------ */

static bool event_says(const struct grip *g, struct str key, bool *out) {
    char buf[256];
    struct str text, line;

    if (g->unified_events < 0 || file_pread(g->unified_events, buf, sizeof(buf), &text) < 0)
        return false;
    while (str_cut(&text, '\n', &line))
        if (str_skip(&line, key)) {
            *out = str_eq(line, STR("1"));
            return true;
        }
    return false;
}

/* A group of the same name in the unified tree may exist and be empty: then nothing would stop. */
static bool can_freeze(const struct grip *g) {
    bool populated = false;

    return g->freeze >= 0 && event_says(g, STR("populated "), &populated) && populated;
}

static int pause_frozen(struct brake *b, struct grip *g, struct warden *w, size_t processes,
                        int64_t until_us, struct action_report *report) {
    struct warden_hold hold = {.steps = 0};
    bool frozen = false;
    int r = ctlfile_text(g->freeze, b->freeze.was);

    if (r < 0)
        return report_failed(report, "", "cgroup.freeze cannot be read (%s)", strerror(-r));
    if (strcmp(b->freeze.was, "0") != 0)
        return report_refused(report, "", "somebody else has frozen it already");
    (void)str_copy(STR("1"), b->freeze.ours, WARDEN_VALUE);
    add_step(&hold, g->freeze, &b->freeze);
    if (hold_on(b, w, &hold, until_us, report) < 0)
        return 0;
    r = ctlfile_write(g->freeze, "1");
    if (r < 0) {
        (void)warden_drop(w, b->hold);
        return report_failed(report, "", "cgroup.freeze cannot be set (%s)", strerror(-r));
    }
    b->kind = BRAKE_PAUSE;
    (void)event_says(g, STR("frozen "), &frozen);
    return report_done(report, "%zu process%s %s (cgroup.freeze)", processes,
                       processes == 1 ? "" : "es", frozen ? "frozen" : "being frozen");
}

/* --- pause by signals --- */

/* A list that was left to the warden is free again once all of it goes on, or the warden is done.
 */
static void settle(struct brakes *room, unsigned slot, struct warden *w) {
    if (stopped_continue(room->lists, slot * list_bytes) < 0 &&
        warden_extend(w, room->owed[slot], 1) != -ENOENT)
        return;
    (void)warden_drop(w, room->owed[slot]);
    room->owed[slot] = -1;
    room->taken[slot] = false;
}

static bool take_slot(struct brakes *room, struct warden *w, unsigned *out) {
    for (unsigned i = 0; i < BRAKE_SIGNALLED; i++)
        if (room->taken[i] && room->owed[i] >= 0)
            settle(room, i, w);
    for (unsigned i = 0; i < BRAKE_SIGNALLED; i++)
        if (!room->taken[i]) {
            room->taken[i] = true;
            room->owed[i] = -1;
            memset(room->list[i], 0, list_bytes);
            *out = i;
            return true;
        }
    return false;
}

static int pause_signalled(struct brakes *room, struct brake *b, struct grip *g, struct warden *w,
                           int64_t until_us, struct action_report *report) {
    struct warden_hold hold = {.steps = 1};
    struct brakestop done;

    if (candidate_check_proc(g->host) < 0)
        return report_refused(
            report, "run it in the pid namespace of that /proc",
            "/proc shows another pid namespace than ours: who is stopped could not be let go");
    if (!take_slot(room, w, &b->slot))
        return report_refused(report, "", "%u groups are stopped by signal already",
                              BRAKE_SIGNALLED);
    hold.step[0] = (struct warden_step){.fd = room->lists, .kind = WARDEN_CONTINUE};
    snprintf(hold.step[0].value, WARDEN_VALUE, "%zu", b->slot * list_bytes);
    if (hold_on(b, w, &hold, until_us, report) < 0) {
        room->taken[b->slot] = false;
        return 0;
    }
    brakestop(g, &room->pids, room->list[b->slot], &done);
    b->kind = BRAKE_PAUSE;
    b->signalled = true;
    if (done.running > 0)
        return report_partly(report,
                             "%zu stopped (SIGSTOP), of which %zu had not come to a stand in %d ms",
                             done.stopped, done.running, BRAKESTOP_US / 1000);
    if (!done.all)
        return report_partly(report, "%zu stopped (SIGSTOP), others were forked meanwhile",
                             done.stopped);
    if (done.missed > 0)
        return report_partly(report, "%zu stopped (SIGSTOP), %u could not be", done.stopped,
                             done.missed);
    return report_done(report, "%zu process%s stopped (SIGSTOP)", done.stopped,
                       done.stopped == 1 ? "" : "es");
}

int brake_pause(struct brakes *room, struct brake *b, struct grip *g, struct warden *w,
                int64_t until_us, struct action_report *report) {
    if (is_hindered(room, b, g, w, report))
        return 0;
    if (room->pids.n == 0)
        return report_refused(report, "", "no process of it can be seen");
    if (pidlist_has(&room->pids, 1))
        return report_refused(report, "throttle", "pid 1 is in it: nothing goes on without it");
    *b = (struct brake){.since_us = clock_mono_us()};
    if (can_freeze(g))
        return pause_frozen(b, g, w, room->pids.n, until_us, report);
    return pause_signalled(room, b, g, w, until_us, report);
}

/* --- letting go ------------------------------------------------------------------------------- */

static int release_signalled(struct brakes *room, const struct brake *b) {
    int r = stopped_continue(room->lists, b->slot * list_bytes);

    room->taken[b->slot] = r < 0; /* the warden still needs the list */
    room->owed[b->slot] = r < 0 ? b->hold : -1;
    return r;
}

static int first_of(int a, int b) {
    return a < 0 ? a : b;
}

int brake_release(struct brakes *room, struct brake *b, struct grip *g, struct warden *w) {
    int r = 0;

    if (b->kind == BRAKE_NONE)
        return 0;
    if (b->signalled) {
        r = release_signalled(room, b);
    } else {
        r = first_of(restore(g->freeze, &b->freeze), restore(g->high, &b->high));
        r = first_of(r, restore(g->period, &b->period));
        r = first_of(r, restore(g->quota, &b->quota));
    }
    if (r == 0)
        (void)warden_drop(w, b->hold);
    else if (b->signalled) /* its list is not free before the warden is done */
        (void)warden_extend(w, b->hold, clock_mono_us());
    else
        (void)warden_undo(w, b->hold);
    if (r == 0 && b->kind == BRAKE_THROTTLE)
        (void)throttle_lock(g, LOCK_UN);
    *b = (struct brake){.kind = BRAKE_NONE};
    return r;
}
