#include "act/tripwire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "act/ctlfile.h"
#include "model/highmark.h"

enum {
    AHEAD = 64, /* pages that each processor may hold charged in advance */
    /* So far off it may lie, the mark's nth part: before it is moved, and to be relied on. */
    PART = 64,
    PART_TOLD = 256,
};

bool tripwire_may(const struct grip *g) {
    return g->version == CG_V2 && g->high >= 0 && (fcntl(g->high, F_GETFL) & O_ACCMODE) == O_RDWR;
}

bool tripwire_stands(const struct tripwire *t, const struct grip *g) {
    uint64_t now;

    return t->at > 0 && ctlfile_number(g->high, &now) == 0 && now == t->at;
}

bool tripwire_tells(const struct tripwire *t, uint64_t usage, uint64_t mark) {
    return t->at > 0 && usage < t->at &&
           t->at <= mark + mark / PART_TOLD + 2 * HIGHMARK_STEP * t->page;
}

/* The machine does not change; what tells it opens files. */
static void learn(struct tripwire *t) {
    long cpus;

    if (t->page)
        return;
    cpus = sysconf(_SC_NPROCESSORS_ONLN);
    t->page = (uint64_t)sysconf(_SC_PAGESIZE);
    t->ahead = AHEAD * (cpus > 0 ? (uint64_t)cpus : 1) * t->page;
}

/* Where it is to lie; 0: nowhere, since the limit would come first. Below what is charged now, and
 * held in advance, the kernel would reclaim in the very write. */
static uint64_t place_for(const struct tripwire *t, const struct facts *f, uint64_t mark,
                          uint64_t usage) {
    uint64_t used = f->value[FACT_USED], at;

    if (!facts_has(f, FACT_USED) || mark <= used ||
        (facts_has(f, FACT_LEVEL) && f->value[FACT_LEVEL] != 0))
        return 0;
    at = f->value[FACT_USAGE] + (mark - used);
    if (at < usage + t->ahead)
        at = usage + t->ahead;
    at = highmark_from(at, t->page);
    return !facts_has(f, FACT_LIMIT) || at < f->value[FACT_LIMIT] ? at : 0;
}

/* One that lies a little too high or low is left: moving costs more than it tells. */
static bool lies_well(const struct tripwire *t, uint64_t usage, uint64_t at, uint64_t mark) {
    uint64_t slack = mark / PART + t->ahead;

    return usage < t->at && t->at <= at + slack && at <= t->at + slack;
}

/* Others have written: their word counts. */
static void lose(struct tripwire *t, struct warden *w) {
    (void)warden_drop(w, t->hold);
    t->lost = t->at;
    memcpy(t->lost_was, t->was, sizeof(t->was));
    t->at = 0;
}

static int lock(struct tripwire *t, const struct grip *g) {
    if (!t->locked && flock(g->high, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    t->locked = true;
    return 0;
}

static void unlock(struct tripwire *t, const struct grip *g) {
    if (t->locked)
        (void)flock(g->high, LOCK_UN);
    t->locked = false;
}

/* What memory.high is without any wire, into t->was. 1: a dead guard's was found; 0; -ENOENT: a
 * bound below ours; -errno. */
static int look_first(struct tripwire *t, const struct grip *g, uint64_t at) {
    uint64_t was = 0;
    int r = lock(t, g);

    if (r == 0)
        r = ctlfile_text(g->high, t->was);
    if (r == 0)
        r = cgroup_parse_number(str_of(t->was), &was);
    if (r < 0)
        return r;
    if (was == t->lost && t->lost > 0) {
        memcpy(t->was, t->lost_was, sizeof(t->was));
    } else if (highmark_is(was, t->page)) {
        ctlfile_spell(CGROUP_NO_LIMIT, t->was);
        return 1;
    }
    r = cgroup_parse_number(str_of(t->was), &was);
    return r < 0 ? r : was <= at ? -ENOENT : 0;
}

/* The warden knows of the new place before it is written, and forgets the old one after. */
static int move_to(struct tripwire *t, const struct grip *g, struct warden *w, int beat,
                   uint64_t at) {
    struct warden_hold hold = {.steps = 1, .event = beat, .step[0] = {.fd = g->high}};
    int id, r;

    memcpy(hold.step[0].value, t->was, sizeof(t->was));
    ctlfile_spell(at, hold.step[0].only_if);
    id = warden_hold(w, &hold);
    if (id < 0)
        return id;
    r = ctlfile_write(g->high, hold.step[0].only_if);
    if (r < 0) {
        (void)warden_drop(w, id);
        return r;
    }
    if (t->at > 0)
        (void)warden_drop(w, t->hold);
    t->hold = id;
    t->at = at;
    t->lost = 0;
    return 0;
}

int tripwire_take(struct tripwire *t, const struct grip *g, struct warden *w) {
    char ours[WARDEN_VALUE];
    int r = 0;

    if (t->at > 0) {
        ctlfile_spell(t->at, ours);
        r = ctlfile_restore(g->high, ours, t->was);
        (void)(r < 0 ? warden_undo(w, t->hold) : warden_drop(w, t->hold));
    } else if (t->lost > 0) {
        ctlfile_spell(t->lost, ours);
        r = ctlfile_restore(g->high, ours, t->lost_was);
    }
    t->at = t->lost = 0;
    unlock(t, g);
    return r;
}

int tripwire_lay(struct tripwire *t, const struct grip *g, struct warden *w, int beat,
                 const struct facts *f, uint64_t mark) {
    uint64_t usage = f->value[FACT_USAGE], at;
    int r, found = 0;

    if (!tripwire_may(g))
        return -ENOENT;
    learn(t);
    (void)ctlfile_number(g->level[0].usage, &usage);
    at = place_for(t, f, mark, usage);
    if (at == 0) {
        r = tripwire_take(t, g, w);
        return r < 0 ? r : -ENOENT;
    }
    if (t->at > 0 && !tripwire_stands(t, g))
        lose(t, w);
    if (t->at > 0 && lies_well(t, usage, at, mark))
        return 0;
    if (t->at == 0)
        found = look_first(t, g, at);
    r = found < 0 ? found : move_to(t, g, w, beat, at);
    if (r == 0)
        return found;
    if (t->at > 0)
        (void)tripwire_take(t, g, w);
    return r;
}
