#include "engine/oomunit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/cgroup.h"

enum { FIRST_BUCKETS = 256 };

/* Others in the process need descriptors too: for what every tick reads. */
static int fds_allowed(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 256;
    return limit.rlim_max < 65536 ? (int)limit.rlim_max / 4 : 16384;
}

int oomunits_init(struct oomunits *all, const struct cgfs *fs) {
    struct oomunit *top;

    *all = (struct oomunits){
        .fs = fs, .version = fs->ctl[CG_MEMORY].version, .fds_left = fds_allowed()};
    hash_key_init(&all->key);
    all->bucket = calloc(FIRST_BUCKETS, sizeof(struct oomunit *));
    if (!all->bucket)
        return -ENOMEM;
    all->buckets = FIRST_BUCKETS;
    if (oomunits_make(all, STR("/"), &top) < 0) {
        oomunits_done(all);
        return -ENOMEM;
    }
    all->top = top;
    return 0;
}

void oomunits_done(struct oomunits *all) {
    struct oomunit *next;

    for (struct oomunit *u = all->top ? oomunit_deepest(all->top) : NULL; u; u = next) {
        next = oomunit_next_up(u, all->top);
        oomunit_unwatch(all, u);
        free(u);
    }
    free(all->bucket);
    all->bucket = NULL;
    all->top = NULL;
}

/* --- the table ------------------------------------------------------------------------------- */

static struct oomunit **place_of(const struct oomunits *all, uint64_t hash) {
    return &all->bucket[hash & (all->buckets - 1)];
}

struct oomunit *oomunits_find(const struct oomunits *all, struct str path) {
    uint64_t hash = hash_str(&all->key, path);

    for (struct oomunit *u = *place_of(all, hash); u; u = u->hash_next)
        if (u->hash == hash && str_eq(oomunit_path(u), path))
            return u;
    return NULL;
}

static struct str path_around(struct str path) {
    ptrdiff_t slash = str_rfind(path, '/');

    return slash > 0 ? str_head(path, (size_t)slash) : STR("/");
}

struct oomunit *oomunits_around(const struct oomunits *all, struct str path) {
    while (path.n > 1) {
        struct oomunit *u = oomunits_find(all, path);

        if (u)
            return u;
        path = path_around(path);
    }
    return all->top;
}

static int grow(struct oomunits *all) {
    size_t buckets = all->buckets * 2;
    struct oomunit **bucket = calloc(buckets, sizeof(struct oomunit *)), **old = all->bucket;

    if (!bucket)
        return -ENOMEM;
    all->bucket = bucket;
    for (size_t i = 0; i < all->buckets; i++)
        for (struct oomunit *u = old[i], *next; u; u = next) {
            struct oomunit **place = &bucket[u->hash & (buckets - 1)];

            next = u->hash_next;
            u->hash_next = *place;
            *place = u;
        }
    all->buckets = buckets;
    free(old);
    return 0;
}

static int make_one(struct oomunits *all, struct oomunit *parent, struct str path,
                    struct oomunit **out) {
    struct oomunit *u, **place;

    if (all->n >= all->buckets && grow(all) < 0)
        return -ENOMEM;
    u = calloc(1, sizeof(*u) + path.n + 1);
    if (!u)
        return -ENOMEM;
    memcpy(u->path, path.p, path.n);
    u->path_n = path.n;
    u->hash = hash_str(&all->key, path);
    u->watch = (struct cgwatch){-1, all->version};
    u->counter = -1;
    place = place_of(all, u->hash);
    u->hash_next = *place;
    *place = u;
    all->n++;
    u->parent = parent;
    if (parent) {
        u->next = parent->first;
        if (u->next)
            u->next->prev = u;
        parent->first = u;
    }
    *out = u;
    return 0;
}

int oomunits_make(struct oomunits *all, struct str path, struct oomunit **out) {
    struct oomunit *u = oomunits_find(all, path);
    int made = 0;

    if (!u && path.n > 1)
        u = oomunits_around(all, path);
    if (!u) {
        int r = make_one(all, NULL, path, out);

        return r < 0 ? r : 1;
    }
    while (u->path_n < path.n) { /* one level after the other */
        size_t from = u->path_n == 1 ? 1 : u->path_n + 1;
        ptrdiff_t slash = str_find(str_from(path, from), '/');
        struct str level = slash < 0 ? path : str_head(path, from + (size_t)slash);
        struct oomunit *below;
        int r = make_one(all, u, level, &below);

        if (r < 0)
            return r;
        u = below;
        made = 1;
    }
    *out = u;
    return made;
}

void oomunits_unlist(struct oomunits *all, struct oomunit *u) {
    struct oomunit **place = place_of(all, u->hash);

    if (u->removed || u == all->top)
        return;
    while (*place != u)
        place = &(*place)->hash_next;
    *place = u->hash_next;
    all->n--;
    u->removed = true;
}

void oomunits_free(struct oomunits *all, struct oomunit *u) {
    oomunits_unlist(all, u);
    oomunit_unwatch(all, u);
    if (u->prev)
        u->prev->next = u->next;
    else if (u->parent)
        u->parent->first = u->next;
    if (u->next)
        u->next->prev = u->prev;
    free(u);
}

/* --- the tree -------------------------------------------------------------------------------- */

struct oomunit *oomunit_next(const struct oomunit *u, const struct oomunit *top) {
    if (u->first)
        return u->first;
    while (u != top && !u->next)
        u = u->parent;
    return u == top ? NULL : u->next;
}

struct oomunit *oomunit_deepest(struct oomunit *u) {
    while (u->first)
        u = u->first;
    return u;
}

struct oomunit *oomunit_next_up(struct oomunit *u, const struct oomunit *top) {
    if (u == top)
        return NULL;
    return u->next ? oomunit_deepest(u->next) : u->parent;
}

struct oomunit *oomunit_owner(struct oomunit *u) {
    struct oomunit *around;

    while (u && !u->target && !u->stray)
        u = u->parent;
    if (!u || !u->part || u->stray)
        return u;
    for (around = u->parent; around && (!around->target || around->part);)
        around = around->parent;
    return around && around->whole ? around : u;
}

bool oomunit_is_below(const struct oomunit *u, const struct oomunit *top) {
    while (u && u != top)
        u = u->parent;
    return u == top;
}

/* --- the kernel's files ---------------------------------------------------------------------- */

static const char *counter_name(const struct oomunits *all) {
    return all->version == CG_V1 ? "memory.oom_control" : "memory.events";
}

int oomunit_watch(struct oomunits *all, struct oomunit *u) {
    auto_close int dir = -1;
    int r;

    if (u->watch.fd >= 0)
        return 0;
    if (all->fds_left < 2)
        return -EMFILE;
    dir = cgfs_open_dir(all->fs, CG_MEMORY, oomunit_path(u));
    if (dir < 0)
        return dir;
    r = cgwatch_oom(dir, all->version, &u->watch);
    if (r < 0)
        return r;
    all->fds_left--;
    if (all->version == CG_V1) {
        u->counter = openat(dir, counter_name(all), O_RDONLY | O_CLOEXEC);
        all->fds_left -= u->counter >= 0;
    }
    return 0;
}

void oomunit_unwatch(struct oomunits *all, struct oomunit *u) {
    all->fds_left += (u->watch.fd >= 0) + (u->counter >= 0);
    cgwatch_close(&u->watch);
    mem_close_fd(&u->counter);
    u->counter = -1;
}

/* A group that has no such file is there all the same. */
static int open_counter(const struct oomunits *all, const struct oomunit *u) {
    auto_close int dir = cgfs_open_dir(all->fs, CG_MEMORY, oomunit_path(u));
    int fd;

    if (dir < 0)
        return dir == -ENOENT ? -ENODEV : dir;
    fd = openat(dir, counter_name(all), O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    if (errno == ENOENT && faccessat(dir, "cgroup.procs", F_OK, 0) == 0)
        return -ENODATA;
    return errno == ENOENT ? -ENODEV : -errno;
}

int oomunit_read(const struct oomunits *all, const struct oomunit *u, uint64_t *out) {
    int fd = u->counter >= 0 ? u->counter : u->watch.version == CG_V2 ? u->watch.fd : -1, r;
    auto_close int opened = fd < 0 ? open_counter(all, u) : -1;
    struct cgroup_numbers n = {.have = 0};
    struct str text;
    char buf[512];

    if (fd < 0 && opened < 0)
        return opened;
    r = file_pread(fd < 0 ? opened : fd, buf, sizeof(buf), &text);
    if (r == 0)
        r = cgroup_parse_events(text, all->version, &n);
    if (r < 0)
        return r;
    if (!cgroup_has(&n, CGROUP_OOM_KILLS))
        return -ENODATA;
    *out = n.value[CGROUP_OOM_KILLS];
    return 0;
}
