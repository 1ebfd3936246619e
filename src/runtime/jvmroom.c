#include "runtime/jvmroom.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"
#include "kern/cgroup.h"
#include "kern/limit.h"
#include "kern/meminfo.h"
#include "kern/proccgroup.h"
#include "runtime/jvmprobe.h"

enum {
    OWN_SHARE = 32,      /* mark bits and stacks: so much of what is in use ... */
    OWN_LEAST = 4 << 20, /* ... and this */
    PAGE = 4096,
    SPARE_PAGES = 16 << 20, /* looked at: 64 GiB */
};

/* --- room ------------------------------------------------------------------------------------- */

static void take_level(const struct cgfs *fs, struct str path, bool above, struct jvmroom *room) {
    const unsigned what = CGROUP_READ_USAGE | CGROUP_READ_LIMIT | CGROUP_READ_STAT;
    struct cgroup_fds none = {0};
    struct cgroup_numbers n = {0};
    struct memstat stat = {0};
    struct cgroup cg;
    uint64_t used, limit, left;

    cgroup_init(&cg, fs, &none, path);
    if (cgroup_read(&cg, what, NULL, &stat, &n) == 0 && cgroup_has(&n, CGROUP_LIMIT) &&
        n.value[CGROUP_LIMIT] != CGROUP_NO_LIMIT && limit_used(&n, &stat, &used)) {
        limit = n.value[CGROUP_LIMIT];
        left = limit > used ? limit - used : 0;
        if (left < room->bytes) {
            *room = (struct jvmroom){.bytes = left, .limit = limit, .above = above};
            (void)str_copy(str_head(path, sizeof(room->group) - 1), room->group,
                           sizeof(room->group));
        }
    }
    cgroup_done(&cg);
}

void jvmroom_of_groups(const struct cgfs *fs, struct str path, struct jvmroom *out) {
    bool above = false;

    *out = (struct jvmroom){.bytes = UINT64_MAX};
    if (!str_eq(str_of(fs->memory_root), STR("/")) && !str_skip(&path, str_of(fs->memory_root)))
        return; /* outside of what we see */
    if (path.n == 0)
        path = STR("/"); /* the top of what is mounted here: a container's own group */
    for (;;) {
        ptrdiff_t slash = str_rfind(path, '/');

        take_level(fs, path, above, out);
        if (slash < 0 || path.n <= 1)
            return;
        path = slash == 0 ? STR("/") : str_head(path, (size_t)slash);
        above = true;
    }
}

static void look_at_groups(const struct rtproc *p, struct jvmroom *out) {
    auto_free char *buf = malloc(PROCCGROUP_SIZE);
    auto_free struct cgfs *fs = malloc(sizeof(*fs));
    struct proccgroup group;
    struct str text;

    *out = (struct jvmroom){.bytes = UINT64_MAX};
    if (!buf || !fs || cgfs_open(p->host, fs, NULL) < 0)
        return;
    if (proccgroup_read(p->host->proc, p->pid, buf, PROCCGROUP_SIZE, &text) == 0 &&
        proccgroup_parse(text, fs->ctl[CG_MEMORY].version == CG_V1 ? STR("memory") : STR(""),
                         &group) == 0)
        jvmroom_of_groups(fs, group.path, out);
    cgfs_done(fs);
}

static void look_at_machine(const struct rtproc *p, struct jvmroom *out) {
    struct meminfo m = {0};

    if (meminfo_read(p->host->proc, &m) == 0 && meminfo_has(&m, MEMINFO_AVAILABLE) &&
        m.value[MEMINFO_AVAILABLE] < out->bytes)
        *out = (struct jvmroom){.bytes = m.value[MEMINFO_AVAILABLE]};
}

/* --- need ------------------------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t sum(uint64_t a, uint64_t b) {
    uint64_t s;

    return __builtin_add_overflow(a, b, &s) ? UINT64_MAX : s;
}

static uint64_t less(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

/* What lives of the young generation may be copied into the old one: with Parallel and CMS a part
 * of it by way of the empty survivor space, with Serial into what is committed, which grows from
 * round to round. */
static uint64_t copies(enum jvm_gc gc, const struct jvm_sizes *s, uint64_t spare) {
    uint64_t young = s->value[JVM_YOUNG_USED], start = s->value[JVM_OLD_START];
    uint64_t size = s->value[JVM_OLD_END] - start, committed, old = young;

    if (!jvm_sizes_has(s, JVM_YOUNG_USED))
        return s->value[JVM_HEAP_USED];
    if (jvm_sizes_has(s, JVM_OLD_START)) {
        committed = s->value[JVM_OLD_COMMITTED_END] - start;
        if (gc == JVM_GC_SERIAL)
            size = least(size, committed + committed / 3 * 2);
        old = least(young, less(size, s->value[JVM_OLD_USED]));
    }
    old = less(old, spare);
    return gc == JVM_GC_SERIAL ? old : sum(old, least(young, s->value[JVM_SURVIVOR]));
}

uint64_t jvmroom_need(enum jvm_gc gc, const struct jvm_sizes *before, uint64_t spare) {
    uint64_t used = before->value[JVM_HEAP_USED];
    uint64_t own = used / OWN_SHARE + OWN_LEAST, committed;

    switch (gc) {
    case JVM_GC_EPSILON:
        return 0;
    case JVM_GC_G1: /* slides, and into free regions a little; mark bits of all it has */
        committed = before->value[JVM_HEAP_COMMITTED];
        return committed / 32 + least(less(committed, used), used / 6) + OWN_LEAST;
    case JVM_GC_Z: /* page by page, at its worst with all that lives and tables for it */
    case JVM_GC_SHENANDOAH:
        return sum(own, used / 2);
    case JVM_GC_UNKNOWN:
    case JVM_GC_SERIAL:
    case JVM_GC_PARALLEL:
    case JVM_GC_CMS:
    case JVM_GCS:
        break;
    }
    return sum(own, copies(gc, before, spare));
}

/* Pages of the old generation that hold nothing but are there: copies go into them first. */
static uint64_t resident_spare(const struct rtproc *p, const struct jvm_sizes *s) {
    enum { AT_ONCE = 1024 };
    auto_close int fd = openat(p->dir, "pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t entry[AT_ONCE], found = 0;
    uint64_t at = (s->value[JVM_OLD_START] + s->value[JVM_OLD_USED]) / PAGE + 1;
    uint64_t end = s->value[JVM_OLD_COMMITTED_END] / PAGE;

    if (fd < 0 || !jvm_sizes_has(s, JVM_OLD_START) || at >= end || end - at > SPARE_PAGES)
        return 0;
    while (at < end) {
        size_t want = least(end - at, AT_ONCE);
        ssize_t n = pread(fd, entry, want * sizeof(*entry), (off_t)(at * sizeof(*entry)));

        if (n <= 0)
            break;
        n /= (ssize_t)sizeof(*entry);
        for (ssize_t i = 0; i < n; i++)
            found += entry[i] >> 63;
        at += want;
    }
    return found * PAGE;
}

/* --- both ------------------------------------------------------------------------------------- */

/* JDK 8 has no GC.heap_info. */
static struct jvm_sizes at_least_used(const struct rtproc *p, const struct jvm_sizes *said) {
    struct jvm_sizes s = *said;
    struct hsperf h = {0};
    uint64_t rss, anon;

    if (jvm_sizes_has(&s, JVM_HEAP_USED))
        return s;
    s = (struct jvm_sizes){.have = 1u << JVM_HEAP_USED};
    if (jvmprobe_counters(p, &h) == 0 && h.have & 1u << HSPERF_USED)
        s.value[JVM_HEAP_USED] = h.value[HSPERF_USED];
    else if (rtproc_rss(p, &rss, &anon) == 0)
        s.value[JVM_HEAP_USED] = anon;
    return s;
}

static void say(const struct jvmroom *room, enum jvm_gc gc, uint64_t need, struct rt_result *out) {
    const char *name = jvm_gc_name(gc);
    struct buf why, next;

    buf_init(&why, 1024);
    buf_init(&next, 1024);
    buf_add_format(&why, "it could be killed for memory while it collects: the %s%scollector may ",
                   name, *name ? " " : "");
    buf_add(&why, STR("need up to "));
    num_add_iec(&why, need);
    buf_add(&why, STR(" more for a moment, and "));
    num_add_iec(&why, room->bytes);
    if (room->limit == 0) {
        buf_add(&why, STR(" are available on this machine"));
        buf_add(&next, STR("free "));
        num_add_iec(&next, need - room->bytes);
        buf_add(&next, STR(" on this machine first"));
    } else {
        buf_add(&why, STR(" are left below the limit of "));
        buf_add(&why, room->above ? STR("a group above its own") : STR("its group"));
        buf_add(&next, STR("raise that limit by "));
        num_add_iec(&next, need - room->bytes);
        buf_add_format(&next,
                       " for a moment: %luM for %s (docker update --memory %luM "
                       "--memory-swap -1 CONTAINER)",
                       ((room->limit + need - room->bytes) >> 20) + 1, room->group,
                       ((room->limit + need - room->bytes) >> 20) + 1);
    }
    buf_add_char(&why, '\0');
    buf_add_char(&next, '\0');
    if (buf_error(&why) < 0 || buf_error(&next) < 0)
        (void)rt_refuse(out, "", "it could be killed for memory while it collects");
    else
        (void)rt_refuse(out, next.p, "%s", why.p);
    buf_done(&why);
    buf_done(&next);
}

bool jvmroom_lacks(const struct rtproc *p, enum jvm_gc gc, const struct jvm_sizes *before,
                   struct rt_result *out) {
    struct jvm_sizes s = at_least_used(p, before);
    struct jvmroom room;
    uint64_t need;

    look_at_groups(p, &room);
    look_at_machine(p, &room);
    need = jvmroom_need(gc, &s, 0);
    if (need <= room.bytes)
        return false;
    need = jvmroom_need(gc, &s, resident_spare(p, &s));
    if (need <= room.bytes)
        return false;
    say(&room, gc, need, out);
    return true;
}
