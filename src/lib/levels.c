#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "kern/host.h"
#include "kern/proccgroup.h"
#include "lib/plim.h"

static int keep_at(struct plim *p, int dir, const char *name, struct held *out) {
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    return holds_keep(&p->holds, fd < 0 ? -errno : fd, out);
}

static void close_level(struct plim *p, struct level *l, bool child) {
    holds_drop(&p->holds, &l->usage, child);
    holds_drop(&p->holds, &l->stat, child);
    holds_drop(&p->holds, &l->limit, child);
    holds_drop(&p->holds, &l->dir, child);
}

/* With nothing open yet. */
static struct level level_of(enum level_kind kind, uint64_t fixed) {
    return (struct level){.kind = kind,
                          .fixed = fixed,
                          .bytes = CGROUP_NO_LIMIT,
                          .usage = HELD_NONE,
                          .stat = HELD_NONE,
                          .limit = HELD_NONE,
                          .dir = HELD_NONE};
}

/* Takes the directory. */
static int open_group(struct plim *p, int dir_taken, struct level *out) {
    bool v1 = p->version == CG_V1;
    struct level l = level_of(LEVEL_GROUP, CGROUP_NO_LIMIT);
    int r = holds_keep(&p->holds, dir_taken, &l.dir);

    if (r == 0)
        r = keep_at(p, l.dir.fd, v1 ? "memory.usage_in_bytes" : "memory.current", &l.usage);
    if (r == 0)
        r = keep_at(p, l.dir.fd, "memory.stat", &l.stat);
    if (r == 0)
        r = keep_at(p, l.dir.fd, v1 ? "memory.limit_in_bytes" : "memory.max", &l.limit);
    if (r < 0)
        close_level(p, &l, false);
    else
        *out = l;
    return r;
}

static bool has_limit(const struct level *l) {
    struct str text;
    char buf[64];
    uint64_t bytes;

    return held_read(&l->limit, buf, sizeof(buf), &text) == 0 &&
           cgroup_parse_number(text, &bytes) == 0 && bytes != CGROUP_NO_LIMIT;
}

/* Our own group first, then those around it that have a limit. */
static int open_groups(struct plim *p, const struct cgfs *fs, struct str path) {
    bool own = true;

    for (;;) {
        bool root = path.n == 0 || str_eq(path, STR("/"));
        struct level l;
        int r;

        if ((root && fs->at_top) || p->levels + 2 >= PLIM_LEVELS)
            return 0;
        r = open_group(p, cgfs_open_dir(fs, CG_MEMORY, root ? STR("/") : path), &l);
        if (r < 0 && own) /* v2: a group may lack the controller, those around it have it */
            r = r == -ENOENT && p->version == CG_V2 && !root ? 0 : r;
        else if (r == 0 && !own && !has_limit(&l))
            close_level(p, &l, false);
        else if (r == 0)
            p->level[p->levels++] = l;
        if (r < 0 || root)
            return r == -ENOENT ? 0 : r;
        own = own && p->levels == 0;
        path = str_head(path, (size_t)(str_rfind(path, '/') > 0 ? str_rfind(path, '/') : 0));
    }
}

static void add_plain(struct plim *p, int proc, const char *name, enum level_kind kind,
                      uint64_t limit) {
    struct level l = level_of(kind, limit);

    if (p->levels < PLIM_LEVELS && keep_at(p, proc, name, &l.usage) == 0)
        p->level[p->levels++] = l;
}

/* The directory with our memory.pressure, if there is one. */
static void find_psi(struct plim *p, const struct host *h, const struct cgfs *fs, struct str path) {
    auto_free char *buf = malloc(PROCCGROUP_SIZE);
    struct proccgroup own;
    struct str text;
    int dir;

    if (p->version == CG_V1) {
        if (!buf || fs->ctl[CG_UNIFIED].dir < 0 || str_eq(str_of(fs->unified_root), STR("")) ||
            proccgroup_read(h->proc, (int32_t)getpid(), buf, PROCCGROUP_SIZE, &text) < 0 ||
            proccgroup_parse(text, STR(""), &own) < 0)
            return;
        path = own.path;
        if (!str_eq(str_of(fs->unified_root), STR("/")) &&
            !str_skip(&path, str_of(fs->unified_root)))
            return;
    }
    dir = cgfs_open_dir(fs, CG_UNIFIED, path.n ? path : STR("/"));
    if (dir >= 0)
        (void)holds_keep(&p->holds, dir, &p->psi_dir);
}

/* v1 knows limits of groups that we cannot see, too. */
static bool any_limit(struct plim *p) {
    uint64_t limit;

    return p->levels > 0 && look_limit(p, &limit) == 0 && limit != CGROUP_NO_LIMIT;
}

struct finding {
    struct host host;
    struct cgfs fs;
    char path[4096];
};

static int find_levels(struct plim *p, struct finding *f, uint64_t limit, bool self) {
    int r = cgfs_open(&f->host, &f->fs, NULL);

    if (r == 0) {
        p->version = f->fs.ctl[CG_MEMORY].version;
        r = cgfs_own_path(&f->host, &f->fs, f->path, sizeof(f->path));
        if (r == 0)
            r = open_groups(p, &f->fs, str_of(f->path));
        if (r == 0)
            find_psi(p, &f->host, &f->fs, str_of(f->path));
        cgfs_done(&f->fs);
    }
    if (r < 0 && r != -ENOENT && r != -ENODATA)
        return r;
    if (p->levels > 0 && !self && limit > 0)
        p->level[0].fixed = limit;
    else if (limit > 0)
        add_plain(p, f->host.proc, "self/statm", LEVEL_SELF, limit);
    if (limit == 0 && !any_limit(p)) /* else the machine does not count */
        add_plain(p, f->host.proc, "meminfo", LEVEL_HOST, CGROUP_NO_LIMIT);
    return p->levels > 0 ? 0 : -ENOENT;
}

int levels_open(struct plim *p, uint64_t limit, bool self) {
    auto_free struct finding *f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return -ENOMEM;
    r = host_open(NULL, &f->host, NULL);
    if (r < 0)
        return r;
    r = find_levels(p, f, limit, self);
    host_done(&f->host);
    return r;
}

void levels_close(struct plim *p) {
    bool child = !plim_is_ours(p);

    for (unsigned i = 0; i < p->levels; i++)
        close_level(p, &p->level[i], child);
    p->levels = 0;
    holds_drop(&p->holds, &p->psi_dir, child);
}
