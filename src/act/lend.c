#include "act/lend.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "act/ctlfile.h"
#include "act/loanmark.h"
#include "act/standstill.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "kern/limit.h"
#include "kern/meminfo.h"

enum { RETRY_US = 50000, STAT_SIZE = 16384 };

/* --- files ------------------------------------------------------------------------------------ */

static int put(int fd, uint64_t value) {
    char text[WARDEN_VALUE];

    ctlfile_spell(value, text);
    return ctlfile_write(fd, text);
}

/* Only what reads `from` is changed: else somebody else has written, or it is done already. A group
 * that is gone needs nothing. */
static int change(int fd, uint64_t from, uint64_t to) {
    uint64_t now;
    int r = ctlfile_number(fd, &now);

    if (r == 0 && now == from && from != to)
        r = put(fd, to);
    return r == -ENODEV ? 0 : r;
}

static const struct grip_level *level_of(const struct lend *l) {
    return &l->grip->level[l->level];
}

static struct str path_of(const struct lend *l) {
    size_t n = level_of(l)->path_n;

    return (struct str){l->grip->path, n ? n : 1};
}

/* --- what another has lent ----------------------------------------------------------------------
 */

static uint64_t above(uint64_t value, uint64_t bytes) {
    return value == CGROUP_NO_LIMIT ? value : value + bytes;
}

/* A mark that the limits do not bear out is of another time. */
static bool read_mark(int limit_fd, uint64_t limit, struct loanmark *m) {
    return loanmark_read(limit_fd, m) == 0 && m->lent > 0 && m->limit + m->lent == limit;
}

uint64_t lend_found(const struct grip *g, unsigned level, uint64_t *limit_was) {
    struct loanmark m;

    if (level >= g->levels || ctlfile_number(g->level[level].limit, limit_was) < 0 ||
        !read_mark(g->level[level].limit, *limit_was, &m))
        return 0;
    *limit_was = m.limit;
    return m.lent;
}

/* --- how much --------------------------------------------------------------------------------- */

static uint64_t smaller(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t left(uint64_t limit, uint64_t used) {
    return limit > used ? limit - used : 0;
}

/* What reclaim cannot take from this level; usage where that is not known. */
static int used_of(const struct grip *g, const struct grip_level *level, uint64_t *out) {
    struct cgroup_numbers n = {.have = 1ull << CGROUP_USAGE};
    struct memstat stat;
    char buf[STAT_SIZE];
    struct str text;
    int r = ctlfile_number(level->usage, out);

    if (r < 0)
        return r;
    n.value[CGROUP_USAGE] = *out;
    if (file_pread(level->stat, buf, sizeof(buf), &text) == 0 &&
        memstat_parse(text, g->version, NULL, &stat) == 0)
        (void)limit_used(&n, &stat, out);
    return 0;
}

static uint64_t room_above(const struct grip *g, unsigned level) {
    uint64_t room = CGROUP_NO_LIMIT, used, limit;

    for (unsigned i = level + 1; i < g->levels; i++) {
        if (ctlfile_number(g->level[i].limit, &limit) < 0 || used_of(g, &g->level[i], &used) < 0)
            return 0;
        if (limit != CGROUP_NO_LIMIT)
            room = smaller(room, left(limit, used));
    }
    if (g->outside == CGROUP_NO_LIMIT)
        return room;
    /* Of a limit that cannot be seen only that much is known: our own use counts there too. */
    if (used_of(g, &g->level[g->levels - 1], &used) < 0)
        return 0;
    return smaller(room, left(g->outside, used));
}

uint64_t lend_room(const struct grip *g, unsigned level, uint64_t budget) {
    struct meminfo machine;
    uint64_t limit, found;

    if (level >= g->levels || ctlfile_number(g->level[level].limit, &limit) < 0 ||
        limit == CGROUP_NO_LIMIT)
        return 0;
    found = lend_found(g, level, &limit);
    if (!g->host->live || meminfo_read(g->host->proc, &machine) < 0 ||
        !meminfo_has(&machine, MEMINFO_AVAILABLE))
        return 0;
    if (budget == 0)
        budget = smaller(LEND_MOST, limit / 4);
    budget = smaller(left(budget, found), machine.value[MEMINFO_AVAILABLE] / 2);
    budget = smaller(budget, room_above(g, level) / 2);
    return budget > 0 ? found + budget : 0;
}

/* --- lending ---------------------------------------------------------------------------------- */

void lend_init(struct lend *l, struct grip *g, struct warden *w, unsigned level,
               int64_t deadline_us) {
    int dir = g->level[level].dir;

    *l = (struct lend){.grip = g,
                       .warden = w,
                       .level = level,
                       .hold = -1,
                       .deadline_us = deadline_us,
                       .memsw_fd = g->memsw,
                       .high_fd = g->high,
                       .reclaim_fd = g->reclaim};
    if (level == 0)
        return;
    l->opened = true;
    l->memsw_fd = l->high_fd = l->reclaim_fd = -1;
    if (g->version == CG_V1) {
        l->memsw_fd = openat(dir, "memory.memsw.limit_in_bytes", O_RDWR | O_CLOEXEC);
    } else {
        l->high_fd = openat(dir, "memory.high", O_RDWR | O_CLOEXEC);
        l->reclaim_fd = openat(dir, "memory.reclaim", O_WRONLY | O_CLOEXEC);
    }
}

void lend_done(struct lend *l) {
    if (!l->opened)
        return;
    mem_close_fd(&l->memsw_fd);
    mem_close_fd(&l->high_fd);
    mem_close_fd(&l->reclaim_fd);
    l->opened = false;
}

/* v2: while the loan is taken back memory.high is that much below the limit, so that usage gets
 * there and stays there. */
static uint64_t narrow_of(uint64_t limit) {
    uint64_t below = smaller(limit / 64, 4 * LEND_ROOM);

    if (below < 2 * LEND_ROOM)
        below = 2 * LEND_ROOM;
    return limit - smaller(below, limit / 2);
}

static void plan_high(struct lend *l, uint64_t bytes) {
    bool holds = l->high_fd >= 0 && l->high != CGROUP_NO_LIMIT && l->high < l->limit + bytes;

    l->high_now = holds ? l->high + bytes : l->high;
    l->narrow = l->high_fd >= 0 && l->high_now > narrow_of(l->limit) ? narrow_of(l->limit) : 0;
    if (l->narrow && l->high < l->narrow)
        l->narrow = l->high; /* that does it */
}

/* A loan of another that is not taken back yet: what the limits were before it is what ours goes
 * back to. Its warden finds other values then, and leaves them alone. */
static void take_over(struct lend *l) {
    struct lend then = *l;
    struct loanmark m;
    uint64_t now;

    if (!read_mark(level_of(l)->limit, l->limit, &m))
        return;
    then.limit = m.limit;
    then.memsw = m.memsw;
    then.high = m.high;
    then.lent = m.lent;
    plan_high(&then, m.lent);
    if (l->memsw_fd >= 0 && l->memsw != above(m.memsw, m.lent))
        return;
    if (l->high_fd >= 0) {
        if (then.narrow)
            (void)change(l->high_fd, then.narrow, then.high_now); /* as it is while it is lent */
        if (ctlfile_number(l->high_fd, &now) < 0 || now != then.high_now)
            return;
    }
    *l = then;
}

/* What the limits are before anything is lent. */
static int look(struct lend *l, struct err *err) {
    struct str path = path_of(l);
    int r = warden_outside(l->grip->host, l->grip->fs, path, err);

    if (r < 0)
        return r;
    r = ctlfile_number(level_of(l)->limit, &l->limit);
    if (r < 0)
        return err_set(err, r, "cannot read the limit of '%.*s':", STR_ARG(path));
    if (l->limit == CGROUP_NO_LIMIT)
        return err_set(err, -ENODATA, "'%.*s' has no limit: there is nothing to lend",
                       STR_ARG(path));
    l->lent = l->narrow = 0;
    l->memsw = l->high = CGROUP_NO_LIMIT; /* also where there is no such file */
    if (l->memsw_fd >= 0)
        r = ctlfile_number(l->memsw_fd, &l->memsw);
    if (r == 0 && l->high_fd >= 0)
        r = ctlfile_number(l->high_fd, &l->high);
    l->high_now = l->high;
    if (r == 0)
        take_over(l);
    return r < 0 ? err_set(err, r, "cannot read the limits of '%.*s':", STR_ARG(path)) : 0;
}

static void add_step(struct warden_hold *h, int fd, uint64_t value, uint64_t only_if) {
    struct warden_step *s = &h->step[h->steps];

    if (fd < 0 || value == only_if)
        return;
    s->fd = fd;
    s->slow = true;
    ctlfile_spell(value, s->value);
    ctlfile_spell(only_if, s->only_if);
    h->steps++;
}

/* The way back from a loan of so many bytes. */
static void way_back(const struct lend *l, uint64_t bytes, struct warden_hold *h) {
    *h = (struct warden_hold){.deadline_us = l->deadline_us, .event = -1};
    if (l->grip->version == CG_V2 && l->narrow)
        add_step(h, l->high_fd, l->narrow, l->high_now);
    add_step(h, level_of(l)->limit, l->limit, l->limit + bytes);
    if (l->grip->version == CG_V2) {
        h->step[h->steps - 1].guarded = true;
        h->step[h->steps - 1].usage = level_of(l)->usage;
        h->step[h->steps - 1].reclaims = l->reclaim_fd >= 0;
        h->step[h->steps - 1].reclaim = l->reclaim_fd;
        add_step(h, l->high_fd, l->high, l->narrow ? l->narrow : l->high_now);
    } else {
        add_step(h, l->memsw_fd, l->memsw, above(l->memsw, bytes));
    }
}

/* v1: memory may not be above memory+swap, at no time, and each of the two writes wakes who waits.
 * What cannot be raised is put back: memory.max is written last and never lowered here, since below
 * usage it would kill. *stays: what was written is there yet, as far as is known. */
static int raise_limits(const struct lend *l, const struct lend *before, uint64_t bytes,
                        bool *stays) {
    bool v1 = l->grip->version == CG_V1;
    int beside = v1 ? l->memsw_fd : l->high_fd;
    uint64_t from = v1 ? above(l->memsw, l->lent) : before->high_now;
    uint64_t to = v1 ? above(l->memsw, bytes) : l->high_now;
    struct standstill still = STANDSTILL_NONE;
    uint64_t now;
    int r;

    if (v1 && beside >= 0 && from != to)
        standstill_begin(l->grip, l->warden, &still);
    r = beside < 0 ? 0 : change(beside, from, to);
    if (r == 0)
        r = put(level_of(l)->limit, l->limit + bytes);
    standstill_end(&still);
    *stays = false;
    if (r == 0) {
        r = ctlfile_number(level_of(l)->limit, &now);
        *stays = r < 0;
    }
    if (r == 0 && now != l->limit + bytes)
        r = -ESTALE;
    if (r < 0 && beside >= 0 && change(beside, to, from) < 0 && r != -ESTALE)
        *stays = true;
    return r;
}

static void mark(const struct lend *l, uint64_t bytes) {
    const struct loanmark m = {l->limit, l->memsw, l->high, bytes};

    if (bytes > 0)
        loanmark_write(level_of(l)->limit, &m);
    else
        loanmark_remove(level_of(l)->limit);
}

static int told_by_others(const struct lend *l, struct err *err) {
    struct str path = path_of(l);

    return err_set(err, -ESTALE, "somebody else has changed the limit of '%.*s' meanwhile",
                   STR_ARG(path));
}

/* The warden has both ways back while the limits move from one loan to the next. */
static int lend_more(struct lend *l, const struct lend *before, uint64_t bytes, struct err *err) {
    struct str path = path_of(l);
    struct warden_hold hold;
    bool stays;
    int id, r;

    way_back(l, bytes, &hold);
    id = warden_hold(l->warden, &hold);
    if (id < 0)
        return err_set(err, id,
                       "nothing was lent to '%.*s', as nobody would take it back:", STR_ARG(path));
    mark(l, bytes);
    r = raise_limits(l, before, bytes, &stays);
    if (r < 0) {
        mark(before, before->lent);
        (void)(stays ? warden_undo(l->warden, id) : warden_drop(l->warden, id));
        return r == -ESTALE ? told_by_others(l, err)
                            : err_set(err, r, "cannot raise the limit of '%.*s':", STR_ARG(path));
    }
    r = before->hold < 0 ? 0 : warden_drop(l->warden, before->hold);
    l->hold = id;
    l->lent = bytes;
    if (r == -ENOENT || r == -EALREADY) {
        (void)warden_extend(l->warden, id, clock_mono_us());
        return err_set(err, -ETIME, "the time of the loan to '%.*s' is up", STR_ARG(path));
    }
    return 0;
}

int lend_adopt(struct lend *l, struct err *err) {
    struct warden_hold hold;
    int r = look(l, err);

    if (r < 0 || l->lent == 0)
        return r;
    way_back(l, l->lent, &hold);
    l->hold = warden_hold(l->warden, &hold);
    if (l->hold >= 0)
        return 0;
    r = l->hold;
    l->hold = -1;
    l->lent = 0;
    return err_set(err, r, "a loan of before cannot be held:");
}

int lend_to(struct lend *l, uint64_t bytes, struct err *err) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), now;
    struct lend before;
    int r = l->hold < 0 ? lend_adopt(l, err) : 0;

    if (r < 0)
        return r;
    if (bytes > CGROUP_NONE_FROM || l->limit > CGROUP_NONE_FROM - bytes - page)
        return err_set(err, -ERANGE, "cannot lend so much");
    bytes = (bytes + page - 1) / page * page; /* as it is read back, nothing is rounded */
    if (bytes <= l->lent)
        return bytes == l->lent ? 0 : err_set(err, -EINVAL, "more than that is lent already");
    if (l->deadline_us != 0 && l->deadline_us <= clock_mono_us())
        return err_set(err, -ETIME, "no time is left to lend");
    r = ctlfile_number(level_of(l)->limit, &now);
    if (r < 0 || now != l->limit + l->lent)
        return r < 0 ? err_set(err, r, "cannot read the limit:") : told_by_others(l, err);
    before = *l;
    plan_high(l, bytes);
    r = lend_more(l, &before, bytes, err);
    if (r < 0 && r != -ETIME)
        *l = before;
    return r;
}

/* --- taking back ------------------------------------------------------------------------------ */

/* -EINVAL of memory+swap: somebody else has raised memory, on top of what we had made of both. */
static int lower_v1(const struct lend *l) {
    uint64_t now;
    int r = change(level_of(l)->limit, l->limit + l->lent, l->limit);

    if (r < 0 || l->memsw_fd < 0)
        return r;
    r = change(l->memsw_fd, above(l->memsw, l->lent), l->memsw);
    if (r == -EINVAL && ctlfile_number(level_of(l)->limit, &now) == 0 && now != l->limit)
        return 0;
    return r;
}

static void reclaim(const struct lend *l, uint64_t used) {
    uint64_t aim = l->limit - smaller(l->limit, 2 * LEND_ROOM);

    if (l->reclaim_fd >= 0 && used > aim)
        (void)put(l->reclaim_fd, used - aim); /* EAGAIN: less could be had */
}

static void widen(const struct lend *l) {
    if (l->grip->version == CG_V2 && l->narrow && l->high_fd >= 0)
        (void)change(l->high_fd, l->narrow, l->high_now);
}

static int fits(const struct lend *l) {
    uint64_t used;
    int r = ctlfile_number(level_of(l)->usage, &used);

    return r < 0 ? r : used + LEND_ROOM > l->limit ? -EBUSY : 0;
}

/* memory.high is narrow only while the limit fits as well: below what is used it all but stops who
 * should get to use less. Where nothing can be asked to be reclaimed it is what reclaims. */
static int lower_max(const struct lend *l) {
    uint64_t used;
    int r = fits(l);

    if (r == -EBUSY && l->reclaim_fd >= 0) {
        if (ctlfile_number(level_of(l)->usage, &used) == 0)
            reclaim(l, used);
        r = fits(l);
    }
    if (r < 0 && (r != -EBUSY || l->reclaim_fd >= 0))
        return r;
    if (l->narrow)
        (void)change(l->high_fd, l->high_now, l->narrow);
    r = fits(l);
    if (r == 0)
        r = change(level_of(l)->limit, l->limit + l->lent, l->limit);
    if (r < 0)
        widen(l);
    return r;
}

/* -EBUSY while usage is above. */
static int lower_v2(const struct lend *l) {
    uint64_t now;
    int r = ctlfile_number(level_of(l)->limit, &now);

    if (r == 0 && now == l->limit + l->lent)
        r = lower_max(l);
    if (r < 0)
        return r == -ENODEV ? 0 : r;
    if (l->high_fd < 0)
        return 0;
    if (l->narrow)
        (void)change(l->high_fd, l->narrow, l->high);
    return change(l->high_fd, l->high_now, l->high);
}

static int still_lent(struct lend *l, int r, struct err *err) {
    struct str path = path_of(l);
    struct buf size;

    (void)warden_extend(l->warden, l->hold, clock_mono_us());
    if (r != -EBUSY)
        return err_set(err, r, "cannot lower the limit of '%.*s':", STR_ARG(path));
    buf_init(&size, 32);
    num_add_iec(&size, l->lent);
    r = err_set(err, r,
                "%.*s are still lent to '%.*s': it uses more than its limit was; they are taken "
                "back when it uses less",
                STR_ARG(buf_str(&size)), STR_ARG(path));
    buf_done(&size);
    return r;
}

int lend_back(struct lend *l, int64_t deadline_us, struct err *err) {
    uint64_t was;
    int r;

    if (l->hold < 0)
        return 0;
    for (;;) {
        int64_t left_us = deadline_us - clock_mono_us();

        r = l->grip->version == CG_V1 ? lower_v1(l) : lower_v2(l);
        if ((r != -EBUSY && r != -EINTR) || left_us <= 0)
            break;
        usleep((useconds_t)smaller(RETRY_US, (uint64_t)left_us));
    }
    if (r < 0)
        return still_lent(l, r, err);
    (void)warden_drop(l->warden, l->hold); /* or it has done the same, at its deadline */
    if (lend_found(l->grip, l->level, &was) == 0)
        mark(l, 0); /* else another has lent on top of it, and goes back to the same */
    l->hold = -1;
    l->lent = 0;
    return 0;
}
