#include "engine/oomtally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/oomunit.h"
#include "engine/oomvictim.h"

#define LOOK_FIRST_US 500   /* v1: the count moves after the event */
#define LOOK_OFTEN_US 20000 /* so long it is looked at every LOOK_FIRST_US, then less and less, */
#define LOOK_LAST_US 300000 /* and then the event was another's */
#define TELL_US 140000      /* a kill that was counted waits so long for the log to name it */
#define MISS_US 100000      /* a group's count that nobody below explains */
#define SETTLE_US 150000    /* a group that is gone */
#define LEAVE_US 180000     /* a target that was removed: all else is settled before */
#define RECORD_US 140000    /* the log names a group that has not counted it */
#define LATE_US 2500000     /* a slow console holds up the log, not the end of the victim */
#define UNNAMED_US 2500000  /* a kill that is in the log without its group */
#define ORPHAN_US 2000000   /* a kill in a group that nobody has told of yet */
#define BLANK_US 2500000    /* a kill that was told without a victim; its line may still come */
#define YOUNG_US 5000000
#define HOLD_US 100000 /* a group that has come may be told as a target in a moment */

enum { EVENTS = 64, LOG_A_TURN = 1024, FEW = 64, LATE_MOST = 4096 };

struct oomtally {
    struct loop *loop;
    oomtally_fn *fn;
    void *ctx;
    struct oomunits all;
    struct oomvictims log;
    struct oomunit *busy;
    struct oomunit *late, *late_last; /* the oldest first */
    unsigned late_n;
    int64_t line_us; /* when the log told of a kill last */
    int epoll, timer;
    uint32_t epoll_id, timer_id;
    bool polled;
    int64_t due_us;   /* the timer is set for; INT64_MAX: it is not */
    unsigned waiting; /* units that wait for a count after an event */
    uint64_t owed;    /* kills told without a victim, whose lines may still come */
    int64_t owed_us;
    uint64_t unwatched;
};

/* --- what is due ------------------------------------------------------------------------------ */

static void due_at(struct oomtally *t, int64_t at_us) {
    int64_t left = at_us - clock_mono_us();
    struct itimerspec when = {.it_value = {0, 1}};

    if (at_us >= t->due_us)
        return;
    if (left > 0)
        when.it_value = (struct timespec){left / 1000000, left % 1000000 * 1000};
    t->due_us = at_us;
    (void)timerfd_settime(t->timer, 0, &when, NULL);
}

static void make_busy(struct oomtally *t, struct oomunit *u, int64_t at_us) {
    if (u->late)
        return; /* what it has is told by whoever finds it there */
    if (!u->busy) {
        u->busy = true;
        u->busy_next = t->busy;
        t->busy = u;
    }
    due_at(t, at_us);
}

/* --- telling ---------------------------------------------------------------------------------- */

static bool is_outside(const struct oomtally *t, const struct oomvictim *x,
                       const struct oomunit *owner) {
    struct str limit = {x->limit, x->limit_n}, path = oomunit_path(owner);

    if (x->constraint != OOM_MEMCG)
        return x->constraint != OOM_UNKNOWN;
    if (limit.n == 0 || !t->log.paths || path.n == 1)
        return false;
    return !str_starts(limit, path) || (limit.n > path.n && limit.p[path.n] != '/');
}

/* x: NULL without a victim. owner: NULL for the machine. */
static void tell(struct oomtally *t, struct oomunit *owner, uint64_t kills, bool sure,
                 int64_t at_us, const struct oomvictim *x) {
    struct oomunit *known = owner && owner->stray ? oomunit_owner(owner->parent) : owner;
    struct oomtally_kill k = {
        .uid = known ? known->uid : 0,
        .group = owner && owner->stray ? oomunit_path(owner) : (struct str){"", 0},
        .at_ms = clock_wall_ms() - (clock_mono_us() - at_us) / 1000,
        .kills = kills,
        .sure = sure,
        .gone = owner && (owner->leaving || owner->removed || owner->dead),
    };

    if (x) {
        k.outside = owner && is_outside(t, x, owner);
        k.victim_pid = x->pid;
        k.anon = x->anon;
        k.file = x->file;
        k.shmem = x->shmem;
        k.comm = (struct str){x->comm, x->comm_n};
        k.limit_path = (struct str){x->limit, x->limit_n};
    }
    t->fn(t->ctx, &k);
}

static bool may_be_target(const struct oomunit *u, const struct oomunit *owner, int64_t now_us) {
    return !u->target && !u->stray && !owner->whole && u->born_us > 0 &&
           now_us - u->born_us < HOLD_US;
}

/* Kills that were kept are to be told. */
static void adopt(struct oomtally *t, struct oomunit *u, struct oomunit *owner, int64_t now_us) {
    uint64_t n = u->orphans;

    u->orphans = 0;
    u->held_us = 0;
    if (n == 0)
        return;
    if (owner->untold == 0) {
        owner->untold_us = now_us;
        owner->doubt = false;
    }
    owner->untold += n;
    make_busy(t, owner, now_us);
}

/* Kills in a unit: accounted for in all groups around it, and to be told for its owner. */
static void attribute(struct oomtally *t, struct oomunit *u, uint64_t n, bool sure,
                      int64_t now_us) {
    struct oomunit *owner = oomunit_owner(u);

    for (struct oomunit *a = u; a; a = a->parent)
        a->counted += n;
    u->kill_us = now_us;
    if (owner)
        owner->kill_us = now_us;
    if (!owner || may_be_target(u, owner, now_us)) {
        u->orphans += n;
        if (owner) {
            u->held_us = u->born_us + HOLD_US;
            make_busy(t, u, u->held_us);
        }
        return;
    }
    if (owner->untold == 0) {
        owner->untold_us = now_us;
        owner->doubt = false;
    }
    owner->untold += n;
    owner->doubt = owner->doubt || !sure;
    make_busy(t, owner, now_us); /* its victim may be known already */
}

/* --- counts ----------------------------------------------------------------------------------- */

static void note_dead(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    if (u->dead)
        return;
    u->dead = true;
    u->dead_us = now_us;
    if (!u->target && u->born_us > 0 && now_us - u->born_us < YOUNG_US) {
        struct oomunit *owner = oomunit_owner(u);

        u->stray = !owner || !owner->whole;
        if (u->stray)
            adopt(t, u, u, now_us);
    }
    make_busy(t, u, now_us + SETTLE_US);
}

/* A count that went back is another group's of the same name. */
static void take_count(struct oomunit *u, uint64_t count) {
    if (!u->have || count < u->count) {
        u->base = u->born_us > 0 ? 0 : count;
        u->counted = 0;
    }
    u->have = true;
    u->count = count;
}

static bool refresh(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    uint64_t count;
    int r = u->dead || u->removed ? -ENODEV : oomunit_read(&t->all, u, &count);

    if (r == -ENODEV)
        note_dead(t, u, now_us);
    if (r == 0)
        take_count(u, count);
    return r == 0;
}

static uint64_t missing(const struct oomunit *u) {
    uint64_t since = u->count - u->base;

    return u->have && since > u->counted ? since - u->counted : 0;
}

static void look_v1(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    uint64_t was = u->count, n;
    bool had = u->have;

    if (!refresh(t, u, now_us))
        return;
    n = u->count - (had && u->count >= was ? was : u->base);
    if (n == 0)
        return;
    u->fires = u->fires > n ? u->fires - n : 0;
    attribute(t, u, n, true, now_us);
}

/* How likely it is that a kill nobody knows of was in a group that is gone: it had an event that
 * could not be read any more; nothing is known of it; its own kill is known. */
enum suspicion { SUSPECT_EVENT, SUSPECT_GONE, SUSPECT_KNOWN, SUSPECTS };

static enum suspicion suspicion_of(const struct oomunit *u) {
    if (u->dead_us == 0)
        return SUSPECTS;
    if (u->kill_us > 0)
        return SUSPECT_KNOWN;
    return u->fires > 0 ? SUSPECT_EVENT : SUSPECT_GONE;
}

/* What `u` counted and no living group below it: each in one of those that are gone; or in u
 * itself, when there is none. */
static void blame(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    struct oomunit *first = NULL;
    unsigned n[SUSPECTS + 1] = {0};

    for (struct oomunit *x = oomunit_next(u, u); x; x = oomunit_next(x, u))
        n[suspicion_of(x)]++;
    for (unsigned s = 0; s < SUSPECTS; s++)
        for (struct oomunit *x = oomunit_next(u, u); x && missing(u) > 0; x = oomunit_next(x, u)) {
            if (suspicion_of(x) != s)
                continue;
            first = first ? first : x;
            attribute(t, x, 1, s != SUSPECT_KNOWN && n[s] == 1, now_us);
        }
    if (missing(u) > 0 && first)
        attribute(t, first, missing(u), false, now_us);
    else if (missing(u) > 0 && (oomunit_owner(u) || now_us - u->missed_us >= ORPHAN_US))
        attribute(t, u, missing(u), true, now_us);
}

/* Counts of `top` and all below it, read from the top: the kernel counts from below, so what a
 * group has counted those below it have, too. settle: what is missing is not waited for. */
static void look_v2(struct oomtally *t, struct oomunit *top, int64_t now_us, bool settle) {
    if (!refresh(t, top, now_us) || missing(top) == 0)
        return;
    for (struct oomunit *u = oomunit_next(top, top); u; u = oomunit_next(u, top))
        (void)refresh(t, u, now_us);
    for (struct oomunit *u = oomunit_deepest(top); u; u = oomunit_next_up(u, top)) {
        if (u->dead || missing(u) == 0) {
            u->missed_us = 0;
            continue;
        }
        if (u->missed_us == 0)
            u->missed_us = now_us;
        if (!u->first || settle)
            blame(t, u, now_us);
        u->miss_due_us = now_us + MISS_US;
        if (missing(u) > 0)
            make_busy(t, u, u->miss_due_us);
        else
            u->missed_us = 0;
    }
}

static void look(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    if (t->all.version == CG_V2)
        look_v2(t, u, now_us, false);
    else
        look_v1(t, u, now_us);
}

/* --- events ----------------------------------------------------------------------------------- */

static void on_unit(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    uint64_t n = cgwatch_take(&u->watch);

    if (u->watch.version == CG_V1) {
        if (n == 0)
            return;
        u->fires += n;
        u->fired_us = now_us;
        u->look_us = now_us + LOOK_FIRST_US;
        make_busy(t, u, u->look_us);
        look(t, u, now_us);
        return;
    }
    look(t, u, now_us);
    if (u->dead) { /* it polls readable from now on */
        u->fires++;
        oomunit_unwatch(&t->all, u);
    }
}

/* Looks again, often in the beginning. */
static void look_again(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    int64_t age = now_us - u->fired_us;

    if (u->dead || age > LOOK_LAST_US) {
        u->fired_us = 0;
        if (!u->dead)
            u->fires = 0;
        return;
    }
    if (now_us >= u->look_us) {
        look(t, u, now_us);
        u->look_us =
            now_us + (age < LOOK_OFTEN_US && t->waiting < FEW ? LOOK_FIRST_US : 2000 + age);
    }
    make_busy(t, u, u->look_us);
}

/* --- the log ---------------------------------------------------------------------------------- */

static bool is_or_has(const struct oomunit *u, struct str path) {
    return str_starts(path, oomunit_path(u)) && (path.n == u->path_n || path.p[u->path_n] == '/');
}

/* A target of that path, or around it, that is gone and whose kill was told without a name. A group
 * of the same name may be there again: lines come in the order of the kills. */
static struct oomunit *gone_owing(struct oomtally *t, struct str path) {
    for (struct oomunit *u = t->late; u; u = u->busy_next)
        if (u->target && u->blank > 0 && is_or_has(u, path))
            return u;
    for (struct oomunit *u = t->busy; u; u = u->busy_next)
        if (u->removed && u->target && u->blank > 0 && is_or_has(u, path))
            return u;
    return NULL;
}

static bool has_untold(struct oomunit *u) {
    struct oomunit *owner = oomunit_owner(u);

    return owner && owner->untold > 0;
}

/* One of that name that is gone and whose kill waits for its line: the first to go. */
static struct oomunit *gone_waiting(struct oomtally *t, struct str path) {
    struct oomunit *first = NULL;

    for (struct oomunit *u = t->busy; u; u = u->busy_next)
        if (u->removed && str_eq(oomunit_path(u), path) && has_untold(u) &&
            (!first || u->dead_us < first->dead_us))
            first = u;
    return first;
}

/* One of that name that is gone and of which no kill is known; any, when it is not there again. */
static struct oomunit *gone_unknown(struct oomtally *t, struct str path,
                                    const struct oomunit *living, int64_t at_us) {
    bool again = living->path_n == path.n;

    for (struct oomunit *u = t->busy; u; u = u->busy_next)
        if (u->removed && str_eq(oomunit_path(u), path) &&
            (!again || (u->kill_us == 0 && u->dead_us > 0 &&
                        (living->born_us > at_us || living->fires == 0))))
            return u;
    for (struct oomunit *u = again ? NULL : t->late; u; u = u->busy_next)
        if (str_eq(oomunit_path(u), path))
            return u;
    return NULL;
}

/* The group that a line is about, or the nearest around it. There may be several of one name, one
 * after the other: lines come in the order of the kills. */
static struct oomunit *unit_of(struct oomtally *t, const struct oomvictim *x) {
    struct str path = oomvictim_task(x);
    struct oomunit *living = oomunits_around(&t->all, path), *u = gone_owing(t, path);

    if (!u)
        u = gone_waiting(t, path);
    if (!u && (living->path_n < path.n || !has_untold(living)))
        u = gone_unknown(t, path, living, x->at_us);
    return u ? u : living;
}

/* Tells what the owner has counted by name. */
static void name_untold(struct oomtally *t, struct oomunit *owner) {
    struct oomvictim *x = NULL;

    while (owner->untold > 0 && (x = oomvictims_next(&t->log, x))) {
        if (x->task_n == 0 || oomunit_owner(unit_of(t, x)) != owner)
            continue;
        owner->untold--;
        x->used = false;
        if (!x->again) /* counted twice, and killed once */
            tell(t, owner, 1, true, x->at_us, x);
    }
}

/* A line without a group: whose kill has no line else. */
static struct oomvictim *first_unnamed(struct oomtally *t) {
    struct oomvictim *x = NULL;

    while ((x = oomvictims_next(&t->log, x)))
        if (x->task_n == 0)
            return x;
    return NULL;
}

static void tell_untold(struct oomtally *t, struct oomunit *owner, int64_t now_us) {
    struct oomvictim *x = NULL;

    for (uint64_t i = 0; i < owner->untold; i++) {
        x = first_unnamed(t);
        if (x) {
            x->used = false;
        } else {
            t->owed++;
            t->owed_us = now_us;
            owner->blank++;
        }
    }
    owner->blank_us = now_us;
    tell(t, owner, owner->untold, !owner->doubt, owner->untold_us, NULL);
    owner->untold = 0;
}

/* Reads the count of the group that a line names, once. */
static void look_for(struct oomtally *t, struct oomvictim *x, int64_t now_us) {
    struct oomunit *u = oomunits_around(&t->all, oomvictim_task(x)), *owner = oomunit_owner(u);

    if (x->looked)
        return;
    x->looked = true;
    look(t, u, now_us);
    if (owner && owner != u)
        look(t, owner, now_us);
}

/* v2: whether a group around one that is gone has a count that nobody explains. Else always. */
static bool is_missed(struct oomtally *t, const struct oomunit *u, int64_t now_us) {
    struct oomunit *around = u->parent;

    while (around && (around->dead || around->removed))
        around = around->parent;
    if (t->all.version == CG_V1 || !around || !refresh(t, around, now_us))
        return true;
    return missing(around) > 0;
}

/* A line that names a group which is gone. */
static void settle_dead(struct oomtally *t, struct oomunit *u, struct oomvictim *x,
                        int64_t now_us) {
    struct oomunit *owner = oomunit_owner(u);

    if (u->late && !is_missed(t, u, now_us)) {
        x->used = false; /* its kill was told by the count around it */
        return;
    }
    u->fires = 0;
    attribute(t, u, 1, true, now_us);
    name_untold(t, owner);
}

/* Nobody has counted what the line tells. u: its group or one around it. */
static void settle_uncounted(struct oomtally *t, struct oomvictim *x, struct oomunit *u,
                             int64_t now_us) {
    struct oomunit *owner = oomunit_owner(u);
    bool late = now_us - x->at_us >= RECORD_US, exact = u->path_n == x->task_n;
    bool readable = exact && u->have && !u->dead;

    if (owner && owner->blank > 0 && now_us - owner->blank_us < BLANK_US) {
        owner->blank--; /* told without its name, which came too late */
        t->owed -= t->owed > 0;
        x->used = false;
    } else if (owner && u->dead && exact) {
        settle_dead(t, u, x, now_us);
    } else if (late && owner && !readable) {
        attribute(t, owner, 1, true, now_us);
        name_untold(t, owner);
    } else if (!owner && x->constraint == OOM_HOST && late) {
        x->used = false;
        tell(t, NULL, 1, true, x->at_us, x);
    } else if (late && (owner || now_us - x->at_us >= ORPHAN_US)) {
        x->used = false; /* its group says otherwise, or is nobody's */
    }
}

/* A line that names a group. Counts by itself where no count can be had any more. */
static void settle_named(struct oomtally *t, struct oomvictim *x, int64_t now_us) {
    struct oomunit *u, *owner;

    look_for(t, x, now_us);
    u = unit_of(t, x);
    owner = oomunit_owner(u);
    if (owner && owner->untold > 0)
        name_untold(t, owner);
    if (x->used)
        settle_uncounted(t, x, u, now_us);
}

/* A kill that was told without a victim has had its line, which named no group: the oldest, for
 * which is not known. */
static void pay_blank(struct oomtally *t) {
    struct oomunit *lists[] = {t->late, t->busy};

    for (unsigned i = 0; i < ARRAY_N(lists); i++)
        for (struct oomunit *u = lists[i]; u; u = u->busy_next)
            if (u->blank > 0) {
                u->blank--;
                return;
            }
}

static void settle_lines(struct oomtally *t, int64_t now_us) {
    struct oomvictim *x = NULL;

    if (t->owed > 0 && now_us - t->owed_us > BLANK_US)
        t->owed = 0;
    while ((x = oomvictims_next(&t->log, x))) {
        if (x->task_n > 0) {
            settle_named(t, x, now_us);
        } else if (t->owed > 0) {
            t->owed--;
            pay_blank(t);
            x->used = false;
        } else if (now_us - x->at_us >= UNNAMED_US) {
            x->used = false;
        }
        if (x->used)
            due_at(t, now_us + MISS_US / 2);
    }
}

/* --- what is gone ----------------------------------------------------------------------------- */

/* v1: whether other groups were told of an OOM at the same time that killed nobody in them: then it
 * was at the limit of one around them. */
static bool was_anothers(const struct oomtally *t, const struct oomunit *u) {
    for (const struct oomunit *x = t->busy; x; x = x->busy_next)
        if (x != u && !oomunit_is_below(x, u) && x->fires > 0 && !x->dead)
            return true;
    return false;
}

/* Lines without a group, but those of kills that are known and wait for a name. */
static uint64_t unclaimed(struct oomtally *t) {
    struct oomvictim *x = NULL;
    uint64_t lines = 0, wait = 0;

    while ((x = oomvictims_next(&t->log, x)))
        lines += x->task_n == 0;
    for (const struct oomunit *u = t->busy; u; u = u->busy_next)
        wait += u->untold;
    return lines > wait ? lines - wait : 0;
}

/* v1: kills in groups that are nobody's have lines, too. */
static void look_at_others(struct oomtally *t, int64_t now_us) {
    for (struct oomunit *u = t->all.top; u; u = oomunit_next(u, t->all.top)) {
        uint64_t before = u->orphans;
        struct oomvictim *x = NULL;

        if (u->dead || oomunit_owner(u))
            continue;
        look_v1(t, u, now_us);
        while (u->orphans > before && (x = oomvictims_next(&t->log, x)))
            before += x->task_n > 0 && unit_of(t, x) == u;
        for (; u->orphans > before && (x = first_unnamed(t)); before++)
            x->used = false;
    }
}

/* v1: it came and went while nobody looked. A kill at that time that no other group has had, and of
 * which the log does not tell the group, was here. */
static bool conclude_stray(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    struct oomvictim *x = first_unnamed(t);

    if (u->kill_us > 0)
        return true;
    if (!x)
        return false;
    look_at_others(t, now_us);
    x = first_unnamed(t);
    if (!x || unclaimed(t) == 0 || x->constraint != OOM_MEMCG || x->at_us > u->dead_us + LATE_US)
        return false;
    x->used = false;
    u->kill_us = now_us;
    tell(t, u, 1, false, x->at_us, NULL);
    return true;
}

/* v1: it had an event, and was gone before the count could be read. Its removal is an event too;
 * and while one is being killed, others may be told of the same OOM again. */
static void conclude_v1(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    bool wait = t->log.fd >= 0 && now_us - t->line_us < LATE_US && now_us - u->dead_us < LATE_US;
    struct oomunit *owner = oomunit_owner(u);
    struct oomvictim *x;
    uint64_t n, lines;

    if (u->stray && u->watch.fd < 0) {
        if (!conclude_stray(t, u, now_us) && wait)
            u->conclude_us = now_us + SETTLE_US;
        return;
    }
    u->fires += cgwatch_take(&u->watch);
    n = u->fires > 0 ? u->fires - 1 : 0;
    if (!owner || (owner->kill_us > 0 && now_us - owner->kill_us < BLANK_US))
        return;
    if (n == 0) { /* the event of the removal may come later than the removal */
        if (wait && unclaimed(t) > 0)
            u->conclude_us = now_us + SETTLE_US;
        return;
    }
    if (t->log.fd < 0) {
        if (!was_anothers(t, u))
            attribute(t, u, 1, false, now_us);
        return;
    }
    for (lines = unclaimed(t); n > 0 && lines > 0 && (x = first_unnamed(t)); n--, lines--) {
        x->used = false;
        u->fires--;
        tell(t, owner, 1, false, x->at_us, NULL);
    }
    if (n > 0 && wait)
        u->conclude_us = now_us + SETTLE_US;
}

static void conclude(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    struct oomunit *around = u->parent;

    u->conclude_us = 0;
    if (t->all.version == CG_V1) {
        conclude_v1(t, u, now_us);
    } else {
        while (around && (around->dead || around->removed))
            around = around->parent;
        if (around)
            look_v2(t, around, now_us, true);
    }
    if (u->conclude_us > 0)
        return; /* its line may still come */
    u->fires = 0;
    u->dead_us = 0;
}

static bool is_over(const struct oomunit *u) {
    return !u->first && u->dead_us == 0 && !u->leaving && u->untold == 0 && u->fired_us == 0 &&
           u->missed_us == 0;
}

/* One that nobody wants any more, and those that were there only as the way to it. */
static void free_upwards(struct oomtally *t, struct oomunit *u) {
    while (u && u != t->all.top && !u->busy && !u->late && is_over(u) &&
           (u->removed || (!u->listed && !u->target))) {
        struct oomunit *parent = u->parent;

        oomunits_free(&t->all, u);
        u = parent;
    }
}

static void leave(struct oomtally *t, struct oomunit *u) {
    u->leaving = false;
    if (u->removed)
        return;
    u->target = false;
    for (struct oomunit *x = u; x; x = oomunit_next(x, u))
        if (!oomunit_owner(x)) {
            oomunit_unwatch(&t->all, x);
            x->have = x->have && t->all.version == CG_V2; /* it is not followed any more */
        }
}

/* --- turns ------------------------------------------------------------------------------------ */

/* Everything that is due of a unit. */
static void step(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    if (u->fired_us > 0)
        look_again(t, u, now_us);
    if (u->held_us > 0 && now_us >= u->held_us) {
        struct oomunit *owner = oomunit_owner(u);

        u->held_us = 0;
        if (owner)
            adopt(t, u, owner, now_us);
    }
    if (u->missed_us > 0) {
        if (now_us >= u->miss_due_us)
            look_v2(t, u, now_us, true);
        if (u->dead)
            u->missed_us = 0;
    }
    if (u->dead_us > 0 && now_us >= u->conclude_us && now_us - u->dead_us >= SETTLE_US)
        conclude(t, u, now_us);
    if (u->untold > 0)
        name_untold(t, u);
    if (u->untold > 0 &&
        (now_us - u->untold_us >= TELL_US || t->log.fd < 0 || (u->leaving && u->dead_us == 0)))
        tell_untold(t, u, now_us);
    if (u->leaving && u->dead_us == 0 && u->untold == 0 && now_us >= u->left_us + LEAVE_US)
        leave(t, u);
}

/* When it is looked at next; INT64_MAX: not. */
static int64_t next_of(const struct oomunit *u) {
    int64_t next = INT64_MAX;

    if (u->fired_us > 0)
        next = u->look_us;
    if (u->missed_us > 0 && u->miss_due_us < next)
        next = u->miss_due_us;
    if (u->dead_us > 0 && u->conclude_us == 0 && u->dead_us + SETTLE_US < next)
        next = u->dead_us + SETTLE_US;
    if (u->dead_us > 0 && u->conclude_us > 0 && u->conclude_us < next)
        next = u->conclude_us;
    if (u->untold > 0 && u->untold_us + TELL_US < next)
        next = u->untold_us + TELL_US;
    if (u->held_us > 0 && u->held_us < next)
        next = u->held_us;
    if (u->leaving && u->left_us + LEAVE_US < next)
        next = u->left_us + LEAVE_US;
    return next;
}

static void keep_late(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    oomunit_unwatch(&t->all, u);
    u->late = true;
    u->late_us = now_us + LATE_US;
    u->busy_next = NULL;
    if (t->late)
        t->late_last->busy_next = u;
    else
        t->late = u;
    t->late_last = u;
    t->late_n++;
}

static void end_late(struct oomtally *t, int64_t now_us) {
    while (t->late && (t->late->late_us <= now_us || t->late_n > LATE_MOST)) {
        struct oomunit *u = t->late;

        t->late = u->busy_next;
        t->late_n--;
        u->late = false;
        free_upwards(t, u);
    }
    if (t->late)
        due_at(t, t->late->late_us);
}

static void turn(struct oomtally *t, int64_t now_us) {
    struct oomunit *list, *next;
    int64_t due = INT64_MAX;

    if (oomvictims_read(&t->log, now_us, LOG_A_TURN) > 0)
        t->line_us = now_us;
    end_late(t, now_us);
    settle_lines(t, now_us);
    list = t->busy;
    t->waiting = 0;
    for (struct oomunit *u = list; u; u = u->busy_next)
        t->waiting += u->fired_us > 0;
    for (struct oomunit *u = list; u; u = u->busy_next)
        step(t, u, now_us);
    list = t->busy; /* with those that came meanwhile */
    t->busy = NULL;
    for (struct oomunit *u = list; u; u = next) {
        int64_t at = next_of(u);

        next = u->busy_next;
        u->busy = at < INT64_MAX;
        if (!u->busy) {
            if (u->removed && (u->target || u->stray) && u->late_us == 0)
                keep_late(t, u, now_us);
            else
                free_upwards(t, u); /* never one that is in the list still: those are busy */
            continue;
        }
        u->busy_next = t->busy;
        t->busy = u;
        due = at < due ? at : due;
    }
    if (due < INT64_MAX)
        due_at(t, due > now_us ? due : now_us + LOOK_FIRST_US);
}

static int on_events(struct loop *loop, uint32_t what, void *ctx) {
    struct oomtally *t = ctx;
    struct epoll_event event[EVENTS];
    int64_t now_us = clock_mono_us();
    int n = epoll_wait(t->epoll, event, EVENTS, 0);
    bool log = false;

    (void)loop, (void)what;
    for (int i = 0; i < n; i++) {
        if (event[i].data.ptr)
            on_unit(t, event[i].data.ptr, now_us);
        log = log || !event[i].data.ptr;
    }
    if (log || t->busy)
        turn(t, now_us);
    return 0;
}

static int on_timer(struct loop *loop, uint32_t what, void *ctx) {
    struct oomtally *t = ctx;
    uint64_t times;

    (void)loop, (void)what;
    if (read(t->timer, &times, sizeof(times)) != sizeof(times))
        return 0;
    t->due_us = INT64_MAX;
    turn(t, clock_mono_us());
    return 0;
}

/* --- groups ----------------------------------------------------------------------------------- */

static void watch(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    struct epoll_event event = {.data.ptr = u};

    if (u->dead || u->watch.fd >= 0 || (t->all.version == CG_V2 && !u->target))
        return;
    if (oomunit_watch(&t->all, u) < 0)
        return;
    event.events = cgwatch_poll_events(&u->watch);
    if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, u->watch.fd, &event) < 0)
        oomunit_unwatch(&t->all, u);
    if (t->all.version == CG_V2)
        (void)refresh(t, u, now_us); /* what moved before the descriptor was there */
}

/* v2: groups around it that nobody has told of: their counts begin now. */
static void begin_around(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    if (t->all.version == CG_V1)
        return;
    for (;;) {
        struct oomunit *highest = NULL;

        for (struct oomunit *a = u->parent; a; a = a->parent)
            if (!a->have && !a->fresh)
                highest = a;
        if (!highest)
            return;
        highest->fresh = true;
        (void)refresh(t, highest, now_us);
    }
}

/* Kills of u are in what those counted when they began. */
static void end_fresh(struct oomunit *u) {
    for (struct oomunit *a = u->parent; a; a = a->parent) {
        if (a->fresh)
            a->counted = 0;
        a->fresh = false;
    }
}

/* The unit of a group that is there now. */
static int come(struct oomtally *t, struct str path, bool born_now, int64_t now_us,
                struct oomunit **out) {
    struct oomunit *old = oomunits_find(&t->all, path);
    int r;

    if (old && old->dead && old != t->all.top) {
        old->listed = false;
        oomunits_unlist(&t->all, old);
    }
    r = oomunits_make(&t->all, path, out);
    if (r < 0)
        return r;
    if (r > 0) {
        (*out)->born_us = born_now ? now_us : 0;
        begin_around(t, *out, now_us);
    }
    return r;
}

/* Its counts begin, if they have not; and what is new of them is taken in. */
static void begin(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    if (oomunit_owner(u))
        watch(t, u, now_us);
    look(t, u, now_us);
    end_fresh(u);
}

int oomtally_group_add(struct oomtally *t, struct str path, bool born_now) {
    int64_t now_us = clock_mono_us();
    struct oomunit *u;
    int r = come(t, path, born_now, now_us, &u);

    if (r < 0)
        return r;
    u->listed = true;
    begin(t, u, now_us);
    return 0;
}

static void go(struct oomtally *t, struct oomunit *u) {
    int64_t now_us = clock_mono_us();

    look(t, u, now_us);
    note_dead(t, u, now_us);
    oomunits_unlist(&t->all, u);
    make_busy(t, u, now_us + SETTLE_US);
}

void oomtally_group_remove(struct oomtally *t, struct str path) {
    struct oomunit *u = oomunits_find(&t->all, path);

    if (!u || u == t->all.top)
        return;
    u->listed = false;
    if (!u->target || u->leaving)
        go(t, u);
}

static void settle_before(struct oomtally *t, struct oomunit *u, int64_t now_us) {
    if (t->all.version == CG_V2) {
        look_v2(t, u, now_us, true);
        if (missing(u) > 0)
            attribute(t, u, missing(u), true, now_us);
        return;
    }
    for (struct oomunit *x = u; x; x = oomunit_next(x, u))
        look_v1(t, x, now_us);
}

enum oomtally_kind oomtally_kind_of(const struct target *t) {
    if (t->kind == TARGET_SLICE || t->kind == TARGET_POD)
        return OOMTALLY_AROUND;
    return t->kind == TARGET_GROUP && t->runtime != RUNTIME_PLIMSOLL ? OOMTALLY_PART
                                                                     : OOMTALLY_WHOLE;
}

int oomtally_add(struct oomtally *t, uint32_t uid, struct str path, enum oomtally_kind kind,
                 bool born_now) {
    int64_t now_us = clock_mono_us();
    struct oomunit *u;
    int r = come(t, path, born_now, now_us, &u);

    if (r < 0)
        return r;
    if (r == 0 && !u->target && !born_now) /* what was until now is nobody's, or of one around it */
        settle_before(t, u, now_us);
    u->target = true;
    u->part = kind == OOMTALLY_PART;
    u->whole = kind == OOMTALLY_WHOLE;
    u->leaving = false;
    u->uid = uid;
    born_now = born_now && now_us - u->born_us < YOUNG_US;
    for (struct oomunit *x = u; x; x = oomunit_next(x, u)) {
        x->born_us = born_now ? x->born_us : 0;
        begin(t, x, now_us);
        if (x != u && oomunit_owner(x) != u)
            continue;
        if (!born_now)
            x->orphans = 0;
        adopt(t, x, u, now_us); /* it was killed before it was known what it is */
    }
    t->unwatched += !u->dead && u->watch.fd < 0;
    u->unwatched = !u->dead && u->watch.fd < 0;
    return 0;
}

static struct oomunit *target_of(const struct oomtally *t, uint32_t uid) {
    for (struct oomunit *u = t->all.top; u; u = oomunit_next(u, t->all.top))
        if (u->target && !u->leaving && !u->removed && u->uid == uid)
            return u;
    return NULL;
}

void oomtally_remove(struct oomtally *t, uint32_t uid) {
    int64_t now_us = clock_mono_us();
    struct oomunit *u = target_of(t, uid);

    if (!u)
        return;
    t->unwatched -= u->unwatched;
    u->unwatched = false;
    u->leaving = true;
    u->left_us = now_us;
    look(t, u, now_us);
    if (!u->listed && u != t->all.top)
        go(t, u);
    make_busy(t, u, now_us + LEAVE_US);
}

void oomtally_seen(struct oomtally *t, uint32_t uid, uint64_t kills) {
    int64_t now_us = clock_mono_us();
    struct oomunit *u = target_of(t, uid);

    (void)kills;
    if (!u)
        return;
    if (t->all.version == CG_V2) {
        look(t, u, now_us);
        return;
    }
    for (struct oomunit *x = u; x; x = oomunit_next(x, u))
        look(t, x, now_us);
}

bool oomtally_busy(const struct oomtally *t) {
    return t->busy != NULL;
}

uint64_t oomtally_unwatched(const struct oomtally *t) {
    return t->unwatched;
}

/* --- its own life ----------------------------------------------------------------------------- */

static int poll_log(struct oomtally *t) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    if (t->log.fd >= 0 && epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->log.fd, &event) < 0)
        return -errno;
    return 0;
}

int oomtally_use_log(struct oomtally *t, int fd) {
    if (t->log.fd >= 0)
        close(t->log.fd);
    t->log.fd = fd;
    t->log.paths = true;
    t->log.pids = false;
    return poll_log(t);
}

static int prepare(struct oomtally *t, const struct host *h, const struct cgfs *fs) {
    int r = oomvictims_open(&t->log, h, fs);

    if (r == 0)
        r = oomunits_init(&t->all, fs);
    if (r < 0)
        return r;
    t->epoll = epoll_create1(EPOLL_CLOEXEC);
    t->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (t->epoll < 0 || t->timer < 0)
        return -errno;
    if (poll_log(t) < 0) { /* a file that is no log */
        close(t->log.fd);
        t->log.fd = -1;
    }
    r = loop_add_fd(t->loop, t->epoll, EPOLLIN, on_events, t, &t->epoll_id);
    if (r < 0)
        return r;
    r = loop_add_fd(t->loop, t->timer, EPOLLIN, on_timer, t, &t->timer_id);
    if (r < 0)
        loop_remove(t->loop, t->epoll_id);
    t->polled = r == 0;
    return r;
}

int oomtally_new(struct loop *loop, const struct host *h, const struct cgfs *fs, oomtally_fn *fn,
                 void *ctx, struct oomtally **out, struct err *err) {
    struct oomtally *t = calloc(1, sizeof(*t));
    int r;

    if (!t)
        return err_set(err, -ENOMEM, "cannot watch for OOM kills:");
    t->loop = loop;
    t->fn = fn;
    t->ctx = ctx;
    t->epoll = t->timer = t->log.fd = -1;
    t->due_us = INT64_MAX;
    r = prepare(t, h, fs);
    if (r < 0) {
        oomtally_free(t);
        return err_set(err, r, "cannot watch for OOM kills:");
    }
    *out = t;
    return 0;
}

void oomtally_free(struct oomtally *t) {
    if (!t)
        return;
    if (t->polled) {
        loop_remove(t->loop, t->epoll_id);
        loop_remove(t->loop, t->timer_id);
    }
    oomvictims_close(&t->log);
    oomunits_done(&t->all);
    mem_close_fd(&t->epoll);
    mem_close_fd(&t->timer);
    free(t);
}
