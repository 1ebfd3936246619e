#include "act/grip.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/cgtree.h"
#include "kern/limit.h"
#include "kern/meminfo.h"
#include "kern/proccgroup.h"

enum { STAT_SIZE = 16384, NUMBER_SIZE = 64 };

/* --- opening ---------------------------------------------------------------------------------- */

static int open_dir(const struct grip *g, enum cg_ctl ctl, struct str path) {
    auto_close int place = g->fs->ctl[ctl].dir < 0 ? -1 : cgfs_open_dir(g->fs, ctl, path);
    int dir;

    if (place < 0)
        return g->fs->ctl[ctl].dir < 0 ? -ENOENT : place;
    dir = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -errno : dir;
}

/* For writing too where we may; else for reading what can be read. -1: there is none. */
static int open_control(int dir, const char *name, int access) {
    int fd = dir < 0 ? -1 : openat(dir, name, access | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 && access == O_RDWR && (errno == EACCES || errno == EROFS || errno == EPERM))
        fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd;
}

static const char *name_of(const struct grip *g, const char *v1, const char *v2) {
    return g->version == CG_V1 ? v1 : v2;
}

static int read_number(int fd, uint64_t *out) {
    char buf[NUMBER_SIZE];
    struct str text;
    int r = fd < 0 ? -EBADF : file_pread(fd, buf, sizeof(buf), &text);

    return r < 0 ? r : cgroup_parse_number(text, out);
}

static void close_level(struct grip_level *l) {
    int *const fds[] = {&l->dir, &l->usage, &l->stat, &l->limit};

    for (size_t i = 0; i < ARRAY_N(fds); i++) {
        mem_close_fd(fds[i]);
        *fds[i] = -1;
    }
}

/* An ancestor without a limit is not kept. 1: kept; 0; -errno. */
static int open_level(struct grip *g, size_t path_n, bool always) {
    struct grip_level l = {.dir = -1,
                           .usage = -1,
                           .stat = -1,
                           .limit = -1,
                           .path_n = path_n,
                           .bytes = CGROUP_NO_LIMIT};

    l.dir = open_dir(g, CG_MEMORY, (struct str){g->path, path_n ? path_n : 1});
    if (l.dir < 0)
        return l.dir;
    l.limit = open_control(l.dir, name_of(g, "memory.limit_in_bytes", "memory.max"), O_RDWR);
    if (read_number(l.limit, &l.bytes) < 0)
        l.bytes = CGROUP_NO_LIMIT;
    if (!always && l.bytes == CGROUP_NO_LIMIT) {
        close_level(&l);
        return 0;
    }
    l.usage = open_control(l.dir, name_of(g, "memory.usage_in_bytes", "memory.current"), O_RDONLY);
    l.stat = open_control(l.dir, "memory.stat", O_RDONLY);
    if (l.usage < 0 || l.stat < 0) {
        int r = always ? -errno : 0;

        close_level(&l);
        return r;
    }
    g->level[g->levels++] = l;
    return 1;
}

static int open_levels(struct grip *g, struct err *err) {
    size_t n = strlen(g->path);
    int r = open_level(g, n == 1 ? 0 : n, true);

    if (r == -ENOENT)
        return err_set(err, r, "'%s' has no memory group, or was removed", g->path);
    if (r < 0)
        return err_set(err, r, "cannot open the memory group '%s':", g->path);
    while (n > 1 && g->levels < GRIP_LEVELS) {
        while (n > 0 && g->path[n - 1] != '/')
            n--;
        if (n <= 1)
            break;
        n--;
        r = open_level(g, n, false);
        if (r == -EMFILE || r == -ENFILE)
            return err_set(err, r, "cannot open the groups above '%s':", g->path);
    }
    return 0;
}

/* A group of this path in another tree is the same container's only if its processes are there. */
static bool is_same(const struct grip *g, const char *controller) {
    char buf[PROCCGROUP_SIZE];
    struct proccgroup at;
    struct pidlist pids = {0};
    struct str text;
    bool same = true;

    if (grip_pids(g, &pids) == 0 && pids.n > 0 &&
        proccgroup_read(g->host->proc, pids.pid[0], buf, sizeof(buf), &text) == 0 &&
        proccgroup_parse(text, str_of(controller), &at) == 0)
        same = str_starts(at.path, str_of(g->path)) &&
               (at.path.n == strlen(g->path) || at.path.p[strlen(g->path)] == '/');
    pidlist_done(&pids);
    return same;
}

static void open_beside(struct grip *g) {
    bool v2 = g->version == CG_V2;

    g->unified = open_dir(g, CG_UNIFIED, str_of(g->path));
    if (g->unified >= 0 && !v2 && !is_same(g, "")) {
        close(g->unified);
        g->unified = -1;
    }
    g->unified = g->unified < 0 ? -1 : g->unified;
    g->freeze = open_control(g->unified, "cgroup.freeze", O_RDWR);
    g->kill = open_control(g->unified, "cgroup.kill", O_WRONLY);
    g->pressure = open_control(g->unified, "memory.pressure", O_RDONLY);
    g->unified_events = open_control(g->unified, "cgroup.events", O_RDONLY);
    g->cpu = open_dir(g, CG_QUOTA, str_of(g->path));
    if (g->cpu >= 0 && g->fs->ctl[CG_QUOTA].version == CG_V1 && !is_same(g, "cpu")) {
        close(g->cpu);
        g->cpu = -1;
    }
    g->cpu = g->cpu < 0 ? -1 : g->cpu;
    if (g->fs->ctl[CG_QUOTA].version == CG_V1) {
        g->quota = open_control(g->cpu, "cpu.cfs_quota_us", O_RDWR);
        g->period = open_control(g->cpu, "cpu.cfs_period_us", O_RDWR);
    } else {
        g->quota = open_control(g->cpu, "cpu.max", O_RDWR);
    }
}

static void open_files(struct grip *g) {
    int dir = g->level[0].dir;
    bool v2 = g->version == CG_V2;

    g->events =
        open_control(dir, v2 ? "memory.events" : "memory.oom_control", v2 ? O_RDONLY : O_RDWR);
    g->memsw = v2 ? -1 : open_control(dir, "memory.memsw.limit_in_bytes", O_RDWR);
    g->high = v2 ? open_control(dir, "memory.high", O_RDWR) : -1;
    g->swap_max = v2 ? open_control(dir, "memory.swap.max", O_RDWR) : -1;
    g->reclaim = open_control(dir, v2 ? "memory.reclaim" : "memory.force_empty", O_WRONLY);
    g->procs = open_control(dir, "cgroup.procs", O_RDONLY);
}

/* The kernel takes a buffer for each open file at its first read, which our own group may have no
 * room for later. Also learns the order of the lines, and `outside`. */
static void read_first(struct grip *g) {
    struct facts now;
    char byte;

    (void)grip_read(g, GRIP_STAT | GRIP_EVENTS | GRIP_PSI, &now);
    (void)grip_refresh(g);
    if (g->procs >= 0)
        (void)!pread(g->procs, &byte, 1, 0);
    if (g->unified_events >= 0)
        (void)!pread(g->unified_events, &byte, 1, 0);
}

int grip_open(const struct host *h, const struct cgfs *fs, struct str path, struct grip *out,
              struct err *err) {
    struct stat st;
    int r;

    *out = (struct grip)GRIP_NONE;
    out->host = h;
    out->fs = fs;
    out->version = fs->ctl[CG_MEMORY].version;
    out->outside = CGROUP_NO_LIMIT;
    r = str_copy(path, out->path, sizeof(out->path));
    if (r < 0 || path.n == 0 || path.p[0] != '/')
        return err_set(err, r < 0 ? r : -EINVAL, "'%.*s' is no path of a group", STR_ARG(path));
    r = open_levels(out, err);
    if (r < 0) {
        grip_done(out);
        return r;
    }
    open_files(out);
    open_beside(out);
    if (fstat(out->level[0].dir, &st) == 0)
        out->inode = st.st_ino;
    read_first(out);
    return 0;
}

void grip_done(struct grip *g) {
    int *const fds[] = {&g->events, &g->memsw,  &g->high,           &g->reclaim,  &g->swap_max,
                        &g->procs,  &g->freeze, &g->kill,           &g->pressure, &g->unified,
                        &g->quota,  &g->period, &g->unified_events, &g->cpu};

    for (unsigned i = 0; i < g->levels; i++)
        close_level(&g->level[i]);
    g->levels = 0;
    for (size_t i = 0; i < ARRAY_N(fds); i++) {
        mem_close_fd(fds[i]);
        *fds[i] = -1;
    }
}

bool grip_alive(const struct grip *g) {
    uint64_t usage;

    return g->levels > 0 && read_number(g->level[0].usage, &usage) == 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

int grip_refresh(struct grip *g) {
    bool moved = false;

    if (!grip_alive(g))
        return -ENODEV;
    for (unsigned i = 0; i < g->levels; i++) {
        uint64_t now;

        if (read_number(g->level[i].limit, &now) < 0)
            continue;
        moved |= now != g->level[i].bytes;
        g->level[i].bytes = now;
    }
    return moved;
}

static void put(struct facts *f, enum fact fact, uint64_t value) {
    f->value[fact] = value;
    f->have |= 1U << fact;
}

static int read_stat(const struct grip *g, int fd, struct memstat_order *order,
                     struct memstat *out) {
    char buf[STAT_SIZE];
    struct str text;
    int r = file_pread(fd, buf, sizeof(buf), &text);

    return r < 0 ? r : memstat_parse(text, g->version, order, out);
}

unsigned grip_level_up(const struct grip *g, const struct grip_level *l) {
    unsigned up = 0;

    for (const char *p = g->path + l->path_n; l != &g->level[0] && *p; p++)
        up += *p == '/';
    return up;
}

/* What one level says of itself. */
struct level_now {
    uint64_t usage, used, limit;
    struct memstat stat;
};

static int read_level(struct grip *g, const struct grip_level *l, struct level_now *out) {
    struct cgroup_numbers numbers = {.have = 1ull << CGROUP_USAGE};
    int r = read_number(l->usage, &out->usage);

    if (r < 0)
        return r;
    r = read_stat(g, l->stat, &g->order, &out->stat);
    if (r < 0)
        return r;
    numbers.value[CGROUP_USAGE] = out->usage;
    if (!limit_used(&numbers, &out->stat, &out->used))
        out->used = out->usage;
    out->limit = l->bytes;
    return 0;
}

/* Whether a is nearer to its limit than b: a.used / a.limit > b.used / b.limit. */
static bool nearer(const struct level_now *a, const struct level_now *b) {
    if (a->limit == CGROUP_NO_LIMIT || a->limit == 0)
        return false;
    if (b->limit == CGROUP_NO_LIMIT || b->limit == 0)
        return true;
    return (unsigned __int128)a->used * b->limit > (unsigned __int128)b->used * a->limit;
}

/* v1 tells the tightest limit of all ancestors, also of those that this namespace hides. */
static void see_outside(struct grip *g, const struct memstat *own) {
    uint64_t tightest = CGROUP_NO_LIMIT;

    g->outside = CGROUP_NO_LIMIT;
    if (!memstat_has(own, MEMSTAT_HIER_LIMIT) || own->value[MEMSTAT_HIER_LIMIT] >= CGROUP_NONE_FROM)
        return;
    for (unsigned i = 0; i < g->levels; i++)
        if (g->level[i].bytes < tightest)
            tightest = g->level[i].bytes;
    if (own->value[MEMSTAT_HIER_LIMIT] < tightest)
        g->outside = own->value[MEMSTAT_HIER_LIMIT];
}

static int read_memory(struct grip *g, struct facts *out) {
    struct level_now own, now, best;
    unsigned up = 0;
    int r = read_level(g, &g->level[0], &own);

    if (r < 0)
        return r;
    see_outside(g, &own.stat);
    best = own;
    if (g->outside < best.limit)
        best.limit = g->outside;
    for (unsigned i = 1; i < g->levels; i++)
        if (read_level(g, &g->level[i], &now) == 0 && nearer(&now, &best)) {
            best = now;
            up = grip_level_up(g, &g->level[i]);
        }
    put(out, FACT_USAGE, best.usage);
    put(out, FACT_USED, best.used);
    put(out, FACT_LEVEL, up);
    put(out, FACT_OWN_USED, own.used);
    if (best.limit != CGROUP_NO_LIMIT)
        put(out, FACT_LIMIT, best.limit);
    if (memstat_has(&own.stat, MEMSTAT_FILE))
        put(out, FACT_FILE, own.stat.value[MEMSTAT_FILE]);
    if (memstat_has(&own.stat, MEMSTAT_ANON))
        put(out, FACT_ANON, own.stat.value[MEMSTAT_ANON]);
    if (memstat_has(&own.stat, MEMSTAT_REFAULT_FILE))
        put(out, FACT_REFAULTS, own.stat.value[MEMSTAT_REFAULT_FILE]);
    if (memstat_has(&own.stat, MEMSTAT_MAJOR_FAULTS))
        put(out, FACT_PGMAJFAULTS, own.stat.value[MEMSTAT_MAJOR_FAULTS]);
    return 0;
}

static int read_usage(struct grip *g, struct facts *out) {
    uint64_t usage;
    int r = read_number(g->level[0].usage, &usage);

    if (r < 0)
        return r;
    put(out, FACT_USAGE, usage);
    return 0;
}

static void read_events(const struct grip *g, unsigned what, struct facts *out) {
    static const struct {
        enum cgroup_field from;
        enum fact to;
    } map[] = {
        {CGROUP_UNDER_OOM, FACT_UNDER_OOM},
        {CGROUP_KILL_DISABLED, FACT_KILL_DISABLED},
        {CGROUP_OOM_EVENTS, FACT_OOMS},
        {CGROUP_OOM_KILLS, FACT_OOM_KILLS},
    };
    struct cgroup_numbers n = {.have = 0};
    char buf[1024];
    struct str text;

    if (g->events < 0 || file_pread(g->events, buf, sizeof(buf), &text) < 0 ||
        cgroup_parse_events(text, g->version, &n) < 0)
        return;
    for (size_t i = 0; i < ARRAY_N(map); i++)
        if (cgroup_has(&n, map[i].from))
            put(out, map[i].to, n.value[map[i].from]);
    if (what & GRIP_KILLS_BELOW && facts_has(out, FACT_OOM_KILLS))
        out->value[FACT_OOM_KILLS] += cgroup_oom_kills_below(g->fs, str_of(g->path));
}

static void read_pressure(const struct grip *g, struct facts *out) {
    char buf[512];
    struct str text;
    struct psi psi;

    if (g->pressure < 0 || file_pread(g->pressure, buf, sizeof(buf), &text) < 0 ||
        psi_parse(text, &psi) < 0)
        return;
    if (psi.have_some)
        put(out, FACT_SOME_AVG10, psi.some.avg10);
    if (psi.have_full)
        put(out, FACT_FULL_AVG10, psi.full.avg10);
}

int grip_read(struct grip *g, unsigned what, struct facts *out) {
    int r;

    *out = (struct facts){.at_us = clock_mono_us()};
    r = what & GRIP_STAT ? read_memory(g, out) : read_usage(g, out);
    if (r == -ENODEV || r == -ENOENT)
        return -ENODEV;
    if (r < 0)
        return r;
    if (what & GRIP_EVENTS)
        read_events(g, what, out);
    if (what & GRIP_PSI)
        read_pressure(g, out);
    return 0;
}

int grip_usage(const struct grip_level *l, uint64_t *out) {
    return read_number(l->usage, out);
}

int grip_used(struct grip *g, uint64_t *out) {
    struct level_now now = {.used = 0};
    int r = read_level(g, &g->level[0], &now);

    if (r < 0)
        return r == -ENOENT ? -ENODEV : r;
    *out = now.used;
    return 0;
}

int grip_used_at(const struct grip *g, int dir, uint64_t *out) {
    struct grip copy = {.version = g->version}; /* the order of lines is remembered in it */
    struct grip_level l = {.dir = -1, .limit = -1, .bytes = CGROUP_NO_LIMIT};
    struct level_now now = {.used = 0};
    int r;

    l.usage = open_control(dir, name_of(g, "memory.usage_in_bytes", "memory.current"), O_RDONLY);
    l.stat = l.usage < 0 ? -1 : open_control(dir, "memory.stat", O_RDONLY);
    r = l.stat < 0 ? -errno : read_level(&copy, &l, &now);
    close_level(&l);
    if (r == 0)
        *out = now.used;
    return r;
}

const struct grip_level *grip_tightest(const struct grip *g) {
    struct grip copy = *g; /* the order of lines is remembered in it */
    struct level_now now, best = {.limit = CGROUP_NO_LIMIT};
    const struct grip_level *found = NULL;

    for (unsigned i = 0; i < g->levels; i++)
        if (read_level(&copy, &g->level[i], &now) == 0 && nearer(&now, &best)) {
            best = now;
            found = &g->level[i];
        }
    return found;
}

/* --- processes -------------------------------------------------------------------------------- */

struct collecting {
    struct pidlist *list;
    int top; /* is read by its open file already */
    int error;
    bool first;
};

static int add_group(void *ctx, int dir) {
    struct collecting *c = ctx;
    int r;

    if (c->first) { /* the group itself */
        c->first = false;
        return 0;
    }
    r = pidlist_add_file_at(c->list, dir, "cgroup.procs");
    if (r < 0 && r != -ENODEV && r != -ENOENT && r != -EOPNOTSUPP)
        c->error = r;
    return 0;
}

/* v1 makes the list when the file is opened, and reads of an open one give the same list again
 * until it was left alone for a second (cgroup_pidlist_start): so it is opened anew, and the open
 * one is for when that fails. */
static int add_own(const struct grip *g, struct pidlist *list) {
    int r = -ENOENT;

    if (g->version == CG_V1)
        r = pidlist_add_file_at(list, g->level[0].dir, "cgroup.procs");
    if (g->procs >= 0 && (g->version == CG_V2 || r == -EMFILE || r == -ENFILE || r == -ENOMEM))
        r = pidlist_add_fd(list, g->procs);
    return r;
}

int grip_pids(const struct grip *g, struct pidlist *list) {
    struct collecting c = {.list = list, .first = true};
    int r = add_own(g, list);

    if (r < 0 && r != -EOPNOTSUPP)
        return r == -ENOENT ? -ENODEV : r;
    r = cgtree_each(g->level[0].dir, add_group, &c);
    if (c.error < 0)
        return c.error;
    return r == -ENODEV ? -ENODEV : 0;
}
