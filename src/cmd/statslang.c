#include "cmd/statslang.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kern/procstatm.h"
#include "runtime/recognise.h"
#include "sampler/procs.h"

enum {
    AGAIN_US = 5000000,
    PROCESSES_MAX = 4096, /* of a group that are compared */
};

struct entry {
    char *path; /* of the group it was, owned; NULL: none yet */
    int64_t at_us;
    char text[96];
};

struct statslang {
    const struct host *host;
    const struct cgfs *fs;
    struct rt_cache *cache;
    struct entry *entry; /* by slot */
    size_t size;
    struct pidlist pids;
};

int statslang_new(const struct host *h, const struct cgfs *fs, struct statslang **out) {
    struct statslang *l = calloc(1, sizeof(*l));

    if (!l)
        return -ENOMEM;
    l->host = h;
    l->fs = fs;
    if (rt_cache_new(h, &l->cache) < 0) {
        free(l);
        return -ENOMEM;
    }
    *out = l;
    return 0;
}

void statslang_free(struct statslang *l) {
    if (!l)
        return;
    for (size_t i = 0; i < l->size; i++)
        free(l->entry[i].path);
    free(l->entry);
    rt_cache_free(l->cache);
    pidlist_done(&l->pids);
    free(l);
}

static struct entry *entry_of(struct statslang *l, uint32_t slot) {
    if (slot >= l->size) {
        size_t size = slot + 64u;
        struct entry *grown = reallocarray(l->entry, size, sizeof(*grown));

        if (!grown)
            return NULL;
        memset(grown + l->size, 0, (size - l->size) * sizeof(*grown));
        l->entry = grown;
        l->size = size;
    }
    return &l->entry[slot];
}

static int32_t largest(struct statslang *l, const struct target *t) {
    auto_close int dir = cgfs_open_dir(l->fs, CG_MEMORY, t->path);
    uint64_t most = 0;
    int32_t pid = 0;

    pidlist_clear(&l->pids);
    if (dir < 0 || procs_of_group(dir, &l->pids) < 0)
        return 0;
    for (size_t i = 0; i < l->pids.n && i < PROCESSES_MAX; i++) {
        struct procstatm m;

        if (procstatm_read(l->host->proc, l->pids.pid[i], &m) < 0 || (pid && m.res <= most))
            continue;
        most = m.res;
        pid = l->pids.pid[i];
    }
    return pid;
}

static void look(struct statslang *l, const struct target *t, struct entry *e) {
    int32_t pid = largest(l, t);
    struct rt_id id;
    struct buf b;

    e->text[0] = '\0';
    if (pid == 0 || rt_cache_recognise(l->cache, pid, &id) < 0)
        return;
    buf_init(&b, sizeof(e->text));
    rt_add_id(&b, &id);
    (void)str_copy(buf_str(&b), e->text, sizeof(e->text));
    buf_done(&b);
}

struct str statslang_of(struct statslang *l, const struct target *t, int64_t now_us) {
    struct entry *e = t->slot == TARGET_NO_SLOT ? NULL : entry_of(l, t->slot);

    if (!e)
        return STR("");
    if (!e->path || now_us - e->at_us >= AGAIN_US || !str_eq(str_of(e->path), t->path)) {
        free(e->path);
        e->path = strndup(t->path.p, t->path.n);
        e->at_us = now_us;
        look(l, t, e);
    }
    return str_of(e->text);
}
