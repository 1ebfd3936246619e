/* rtcache.c - executables that were recognised before, for lists of processes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/procfile.h"
#include "runtime/recognise.h"

enum {
    SLOTS = 2 * RT_CACHE_MAX,
    ENVIRON_MAX = 32768,
    YOUNG_S = 2, /* a process that has just begun has not mapped its libraries yet */
};

struct known {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
    bool used;
    struct rt_id id;
};

struct rt_cache {
    const struct host *host;
    size_t n;
    struct known slot[SLOTS];
    char environ[ENVIRON_MAX];
};

int rt_cache_new(const struct host *h, struct rt_cache **out) {
    struct rt_cache *c = calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    c->host = h;
    *out = c;
    return 0;
}

void rt_cache_free(struct rt_cache *c) {
    free(c);
}

/* The entry of this file, or a free one. */
static struct known *slot_of(struct rt_cache *c, const struct stat *st) {
    size_t at = ((size_t)st->st_ino * 0x9e3779b1u ^ (size_t)st->st_dev) % SLOTS;

    while (c->slot[at].used) {
        struct known *k = &c->slot[at];

        if (k->ino == st->st_ino && k->dev == st->st_dev && k->size == st->st_size &&
            k->mtime.tv_sec == st->st_mtim.tv_sec && k->mtime.tv_nsec == st->st_mtim.tv_nsec)
            return k;
        at = (at + 1) % SLOTS;
    }
    return &c->slot[at];
}

static void remember(struct rt_cache *c, const struct stat *st, const struct rt_id *id) {
    struct known *k;

    if (c->n >= RT_CACHE_MAX) {
        memset(c->slot, 0, sizeof(c->slot));
        c->n = 0;
    }
    k = slot_of(c, st);
    if (!k->used)
        c->n++;
    *k = (struct known){st->st_dev, st->st_ino, st->st_size, st->st_mtim, true, *id};
}

/* A library is loaded into this process of the program alone. Unknown counts as yes. */
static bool is_preloaded(struct rt_cache *c, int32_t pid) {
    static const char name[] = "\0LD_PRELOAD=";
    char path[PROCFILE_PATH];
    struct str text;
    const char *at;

    if (file_head_at(c->host->proc, procfile_path(path, pid, "environ"), c->environ + 1,
                     sizeof(c->environ) - 1, &text) < 0)
        return true;
    c->environ[0] = '\0';
    at = memmem(c->environ, text.n + 1, name, sizeof(name) - 1);
    if (!at)
        return false;
    at += sizeof(name) - 1;
    return at < c->environ + text.n + 1 && *at != '\0';
}

static bool is_young(const struct rtproc *p) {
    struct timespec now;
    long ticks = sysconf(_SC_CLK_TCK);

    if (ticks <= 0 || clock_gettime(CLOCK_BOOTTIME, &now) < 0)
        return true;
    return p->start_ticks / (uint64_t)ticks + YOUNG_S > (uint64_t)now.tv_sec;
}

/* Go, and what has no libraries, are what they are from the start and in every process. */
static bool is_certain(const struct rt_id *id) {
    return id->kind == RT_GO || id->kind == RT_STATIC;
}

static int look_anew(struct rt_cache *c, int32_t pid, const struct stat *st, bool keep,
                     struct rt_id *out) {
    struct rtproc p;
    int r = rtproc_open(c->host, pid, &p, NULL);

    if (r < 0)
        return r;
    r = rt_recognise(&p, out);
    if (r == 0 && keep && (out->kind == RT_GO || !is_young(&p)))
        remember(c, st, out);
    rtproc_done(&p);
    return r;
}

int rt_cache_recognise(struct rt_cache *c, int32_t pid, struct rt_id *out) {
    char path[PROCFILE_PATH];
    const struct known *k;
    struct rt_id id = {.kind = RT_UNKNOWN};
    struct stat st;
    bool preloaded;
    int r;

    *out = id;
    if (!c->host->live) {
        r = look_anew(c, pid, NULL, false, &id);
    } else {
        if (fstatat(c->host->proc, procfile_path(path, pid, "exe"), &st, 0) < 0)
            return -errno;
        k = slot_of(c, &st);
        if (k->used && is_certain(&k->id)) {
            *out = k->id;
            return 0;
        }
        preloaded = is_preloaded(c, pid);
        if (k->used && !preloaded) {
            *out = k->id;
            return 0;
        }
        r = look_anew(c, pid, &st, !preloaded, &id);
    }
    if (r == 0)
        *out = id;
    return r;
}
