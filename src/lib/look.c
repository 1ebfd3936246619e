#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "kern/meminfo.h"
#include "kern/procstatm.h"
#include "lib/plim.h"

static const int64_t limits_last_us = 1000000;

static uint64_t less(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

static uint64_t min(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static int read_number(const struct held *h, uint64_t *out) {
    char buf[64];
    struct str text;
    int r = held_read(h, buf, sizeof(buf), &text);

    return r < 0 ? r : cgroup_parse_number(text, out);
}

static int read_stat(struct plim *p, const struct level *l, struct memstat *out) {
    struct str text;
    int r = held_read(&l->stat, p->text, sizeof(p->text), &text);

    return r < 0 ? r : memstat_parse(text, p->version, &p->order, out);
}

/* usage and used of a level. While usage is at most `enough`, it is taken for used: it is never
 * less. */
static int read_group(struct plim *p, const struct level *l, uint64_t enough, struct look *out) {
    struct cgroup_numbers numbers = {.have = 1u << CGROUP_USAGE};
    struct memstat stat;
    uint64_t used;
    int r = read_number(&l->usage, &numbers.value[CGROUP_USAGE]);

    if (r < 0)
        return r;
    used = numbers.value[CGROUP_USAGE];
    if (used > enough) {
        r = read_stat(p, l, &stat);
        if (r < 0)
            return r;
        (void)limit_used(&numbers, &stat, &used); /* else all of it counts */
    }
    out->usage = numbers.value[CGROUP_USAGE];
    out->used = used;
    return 0;
}

static int read_host(struct plim *p, struct level *l, struct look *out) {
    struct meminfo m = {.have = 0};
    struct str text;
    int r = held_read(&l->usage, p->text, sizeof(p->text), &text);

    if (r == 0)
        r = meminfo_parse(text, &m);
    if (r < 0)
        return r;
    if (!meminfo_has(&m, MEMINFO_TOTAL) || !meminfo_has(&m, MEMINFO_AVAILABLE))
        return -ENODATA;
    l->bytes = m.value[MEMINFO_TOTAL];
    out->usage = less(l->bytes, m.value[MEMINFO_FREE]);
    out->used = less(l->bytes, m.value[MEMINFO_AVAILABLE]);
    return 0;
}

static int read_self(struct plim *p, struct level *l, struct look *out) {
    struct procstatm m = {0};
    struct str text;
    int r = plim_is_ours(p) ? held_read(&l->usage, p->text, sizeof(p->text), &text) : -ECHILD;

    if (r == 0)
        r = procstatm_parse(text, (uint64_t)sysconf(_SC_PAGESIZE), &m);
    if (r < 0)
        return r;
    l->bytes = l->fixed;
    out->usage = m.res;
    out->used = less(m.res, m.shr);
    return 0;
}

static int read_level(struct plim *p, struct level *l, uint64_t enough, struct look *out) {
    int r;

    switch (l->kind) {
    case LEVEL_HOST:
        r = read_host(p, l, out);
        break;
    case LEVEL_SELF:
        r = read_self(p, l, out);
        break;
    case LEVEL_GROUP:
    default:
        r = read_group(p, l, enough, out);
        break;
    }
    if (r == 0)
        out->limit = l->bytes;
    return r == -ENOENT ? -ENODEV : r;
}

/* Limits of those around us that we cannot see: v1 tells their minimum, and what is used there is
 * at least what the outermost group uses that we see. */
static uint64_t limit_outside(struct plim *p) {
    struct memstat stat;

    if (p->version != CG_V1 || p->level[0].kind != LEVEL_GROUP ||
        read_stat(p, &p->level[0], &stat) < 0 || !memstat_has(&stat, MEMSTAT_HIER_LIMIT) ||
        stat.value[MEMSTAT_HIER_LIMIT] >= CGROUP_NONE_FROM)
        return CGROUP_NO_LIMIT;
    return stat.value[MEMSTAT_HIER_LIMIT];
}

static int read_limits(struct plim *p) {
    uint64_t outside = limit_outside(p);

    for (unsigned i = 0; i < p->levels; i++) {
        struct level *l = &p->level[i];
        bool outermost = i + 1 == p->levels || p->level[i + 1].kind != LEVEL_GROUP;
        uint64_t bytes;
        int r;

        if (l->kind != LEVEL_GROUP)
            continue;
        r = read_number(&l->limit, &bytes);
        if (r < 0)
            return r == -ENOENT ? -ENODEV : r;
        bytes = min(bytes, min(l->fixed, outermost ? outside : CGROUP_NO_LIMIT));
        p->limits_moved |= bytes != l->bytes;
        l->bytes = bytes;
    }
    return 0;
}

static int limits_due(struct plim *p, int64_t now_us) {
    int r;

    if (p->limits_us != 0 && now_us - p->limits_us < limits_last_us)
        return 0;
    r = read_limits(p);
    if (r == 0)
        p->limits_us = now_us;
    return r;
}

/* Nearer to its limit; groups without one count least. */
static bool is_nearer(const struct look *a, const struct look *b) {
    double share_a = a->limit == CGROUP_NO_LIMIT ? -1 : (double)a->used / (double)(a->limit + 1);
    double share_b = b->limit == CGROUP_NO_LIMIT ? -1 : (double)b->used / (double)(b->limit + 1);

    return share_a > share_b;
}

int look_now(struct plim *p, struct look *out) {
    struct look nearest = {0};
    int64_t now = clock_mono_us();
    int r = limits_due(p, now);

    for (unsigned i = 0; r == 0 && i < p->levels; i++) {
        struct look one = {.at_us = now};

        r = read_level(p, &p->level[i], 0, &one);
        if (r == 0 && (i == 0 || is_nearer(&one, &nearest)))
            nearest = one;
    }
    if (r == 0)
        *out = nearest;
    return r;
}

int look_over(struct plim *p, uint64_t more, uint32_t pct, uint64_t *over_out) {
    uint64_t over = 0;
    int r = limits_due(p, clock_mono_us());

    for (unsigned i = 0; r == 0 && i < p->levels; i++) {
        uint64_t bound = marks_bytes(p->level[i].bytes, pct);
        struct look one = {0};

        r = read_level(p, &p->level[i], less(bound, more), &one);
        if (r < 0 || one.limit == CGROUP_NO_LIMIT)
            continue;
        bound = marks_bytes(one.limit, pct);
        if (more > bound)
            return -E2BIG;
        if (less(one.used, bound - more) > over)
            over = less(one.used, bound - more);
    }
    if (r == 0)
        *over_out = over;
    return r;
}

int look_limit(struct plim *p, uint64_t *out) {
    uint64_t least = CGROUP_NO_LIMIT;
    int r = limits_due(p, clock_mono_us());

    for (unsigned i = 0; r == 0 && i < p->levels; i++) {
        struct look one;

        if (p->level[i].kind != LEVEL_GROUP) /* the machine's is known once it was read */
            r = read_level(p, &p->level[i], 0, &one);
        least = min(least, p->level[i].bytes);
    }
    if (r == 0)
        *out = least;
    return r;
}

int look_usage(struct plim *p, uint64_t *out) {
    struct look one;
    int r = read_level(p, &p->level[0], UINT64_MAX, &one);

    if (r == 0)
        *out = one.usage;
    return r;
}
