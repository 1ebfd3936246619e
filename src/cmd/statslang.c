#include "cmd/statslang.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kern/procstatm.h"
#include "runtime/recognise.h"
#include "sampler/procs.h"

enum {
    AGAIN_US = 5000000,
    PROCESSES_MAX = 4096, /* of a group that are compared */
    LOOKS_MAX = 64,       /* of the largest of them that are looked into */
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

/* --- the processes of a group ----------------------------------------------------------------- */

struct member {
    int32_t pid;
    uint64_t res;
};

static int largest_first(const void *left, const void *right) {
    const struct member *a = left, *b = right;

    if (a->res != b->res)
        return a->res > b->res ? -1 : 1;
    return (a->pid > b->pid) - (a->pid < b->pid);
}

/* Its processes into `out`, the largest first; how many. */
static size_t members_of(struct statslang *l, const struct target *t, struct member *out) {
    auto_close int dir = cgfs_open_dir(l->fs, CG_MEMORY, t->path);
    size_t n = 0;

    pidlist_clear(&l->pids);
    if (dir < 0 || procs_of_group(dir, &l->pids) < 0)
        return 0;
    for (size_t i = 0; i < l->pids.n && n < PROCESSES_MAX; i++) {
        struct procstatm m;

        if (procstatm_read(l->host->proc, l->pids.pid[i], &m) == 0)
            out[n++] = (struct member){l->pids.pid[i], m.res};
    }
    if (n > 1)
        qsort(out, n, sizeof(*out), largest_first);
    return n;
}

static bool has_word(struct str list, struct str word) {
    struct str one;

    while (str_cut(&list, ',', &one)) {
        if (str_eq(one, word))
            return true;
        (void)str_skip(&list, STR(" "));
    }
    return str_eq(list, word);
}

/* Another runtime behind those that are there; what does not fit is told by dots. */
static void add_lang(struct entry *e, struct str lang) {
    struct str have = str_of(e->text);
    size_t more = lang.n + (have.n ? 2 : 0), dots = sizeof(", ...") - 1;

    if (lang.n == 0 || has_word(have, lang) || str_ends(have, STR("...")))
        return;
    if (have.n + more + dots >= sizeof(e->text))
        lang = STR("...");
    (void)snprintf(e->text + have.n, sizeof(e->text) - have.n, "%s%.*s", have.n ? ", " : "",
                   STR_ARG(lang));
}

/* Those that collect garbage, the largest process first; without one, what the largest is. */
static void look(struct statslang *l, const struct target *t, struct entry *e) {
    auto_free struct member *member = calloc(PROCESSES_MAX, sizeof(*member));
    size_t n = member ? members_of(l, t, member) : 0;
    unsigned best = 0;
    struct buf b;

    e->text[0] = '\0';
    buf_init(&b, sizeof(e->text));
    for (size_t i = 0; i < n && i < LOOKS_MAX; i++) {
        struct rt_id id;
        unsigned rank;

        if (rt_cache_recognise(l->cache, member[i].pid, &id) < 0)
            continue;
        rank = rt_rank(id.kind);
        if (rank > best)
            e->text[0] = '\0';
        if (rank < best || (rank == best && rank < RT_RANK_COLLECTS))
            continue;
        best = rank;
        buf_clear(&b);
        rt_add_id(&b, &id);
        add_lang(e, buf_str(&b));
    }
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
