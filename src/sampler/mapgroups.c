#include "sampler/mapgroups.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum { NAMES_MAX = 256 << 20 };

static const char *const kind_names[MAPGROUP_KIND_N] = {
    [MAPGROUP_HEAP] = "heap",       [MAPGROUP_STACK] = "stack",   [MAPGROUP_ANON] = "anon",
    [MAPGROUP_SHARED] = "shared",   [MAPGROUP_FILE] = "file",     [MAPGROUP_MEMFD] = "memfd",
    [MAPGROUP_SYSV] = "sysv",       [MAPGROUP_KERNEL] = "kernel", [MAPGROUP_OTHER] = "other",
    [MAPGROUP_HUGETLB] = "hugetlb",
};

const char *mapgroup_kind_name(enum mapgroup_kind kind) {
    return kind_names[kind];
}

struct str mapgroups_name(const struct mapgroups *g, const struct mapgroup *group) {
    return str_head(str_from(buf_str(&g->names), group->name_at), group->name_n);
}

void mapgroups_done(struct mapgroups *g) {
    free(g->group);
    free(g->slot);
    buf_done(&g->names);
    *g = (struct mapgroups){0};
}

static enum mapgroup_kind bracket_kind(struct str path) {
    static const struct {
        struct str start;
        enum mapgroup_kind kind;
    } known[] = {
        {{"[heap]", 6}, MAPGROUP_HEAP},        {{"[stack", 6}, MAPGROUP_STACK},
        {{"[anon:", 6}, MAPGROUP_ANON},        {{"[anon_shmem:", 12}, MAPGROUP_SHARED},
        {{"[vdso]", 6}, MAPGROUP_KERNEL},      {{"[vvar", 5}, MAPGROUP_KERNEL},
        {{"[vsyscall]", 10}, MAPGROUP_KERNEL}, {{"[uprobes]", 9}, MAPGROUP_KERNEL},
    };

    for (size_t i = 0; i < ARRAY_N(known); i++)
        if (str_starts(path, known[i].start))
            return known[i].kind;
    return MAPGROUP_OTHER;
}

/* Memory that has a file only inside the kernel: it is always "(deleted)", on a device without a
 * major number. */
static enum mapgroup_kind internal_kind(struct str path) {
    if (str_starts(path, STR("/memfd:")))
        return MAPGROUP_MEMFD;
    if (str_starts(path, STR("/SYSV")) && path.n == 13)
        return MAPGROUP_SYSV;
    if (str_eq(path, STR("/dev/zero")))
        return MAPGROUP_SHARED;
    if (str_eq(path, STR("/anon_hugepage")))
        return MAPGROUP_HUGETLB;
    return MAPGROUP_FILE;
}

static enum mapgroup_kind kind_of(const struct mapping *m) {
    if (m->path.n == 0)
        return m->inode == 0 ? MAPGROUP_ANON : MAPGROUP_OTHER;
    if (m->path.p[0] == '[')
        return bracket_kind(m->path);
    if (m->deleted && m->dev_major == 0)
        return internal_kind(m->path);
    return MAPGROUP_FILE;
}

/* Appends the name; what was there before stays. */
static void add_name(struct buf *b, enum mapgroup_kind kind, const struct mapping *m) {
    struct str path = m->path;

    if (kind == MAPGROUP_SYSV) {
        buf_add(b, STR("SysV shm 0x"));
        buf_add(b, str_from(path, 5));
        buf_add(b, STR(" id "));
        buf_add_u64(b, m->inode); /* shmid */
    } else if (kind == MAPGROUP_HUGETLB) {
        buf_add(b, STR("[hugetlb anon]"));
    } else if (kind == MAPGROUP_SHARED && path.p[0] == '/') {
        buf_add(b, STR("[shared anon]"));
    } else if (kind == MAPGROUP_ANON && path.n == 0) {
        buf_add(b, STR("[anon]"));
    } else {
        if (kind == MAPGROUP_MEMFD)
            str_skip(&path, STR("/"));
        buf_add(b, path);
        if (m->path_cut)
            buf_add(b, STR("..."));
    }
}

/* The place of a group in the hash table, or the free one where it would be. */
static size_t place_of(const struct mapgroups *g, enum mapgroup_kind kind, bool deleted,
                       struct str name) {
    uint64_t hash = hash_str(&g->key, name) + (uint64_t)kind * 2 + deleted;
    size_t at = hash & (g->slots - 1);

    for (; g->slot[at] != 0; at = (at + 1) & (g->slots - 1)) {
        const struct mapgroup *group = &g->group[g->slot[at] - 1];

        if (group->kind == kind && group->deleted == deleted &&
            str_eq(mapgroups_name(g, group), name))
            break;
    }
    return at;
}

static int grow(struct mapgroups *g) {
    size_t room = g->room ? g->room * 2 : 64;
    struct mapgroup *group = reallocarray(g->group, room, sizeof(*group));
    uint32_t *slot;

    if (!group)
        return -ENOMEM;
    if (!g->group)
        hash_key_init(&g->key);
    g->group = group;
    slot = calloc(room * 2, sizeof(*slot));
    if (!slot)
        return -ENOMEM;
    free(g->slot);
    g->slot = slot;
    g->slots = room * 2;
    g->room = room;
    for (size_t i = 0; !g->each && i < g->n; i++)
        slot[place_of(g, group[i].kind, group[i].deleted, mapgroups_name(g, &group[i]))] =
            (uint32_t)i + 1;
    return 0;
}

static void add_to(struct mapgroup *group, const struct mapping *m) {
    group->mappings++;
    group->size += m->end - m->start;
    smaps_add(&group->sum, &m->smaps);
}

int mapgroups_add(struct mapgroups *g, const struct mapping *m) {
    enum mapgroup_kind kind = kind_of(m);
    bool deleted = m->deleted && kind == MAPGROUP_FILE;
    size_t from = g->names.n, at = 0;
    struct mapgroup *group;

    if (g->n == g->room && grow(g) < 0)
        return -ENOMEM;
    add_name(&g->names, kind, m);
    if (buf_error(&g->names) != 0)
        return buf_error(&g->names);
    if (!g->each) {
        at = place_of(g, kind, deleted, str_from(buf_str(&g->names), from));
        if (g->slot[at] != 0) {
            g->names.n = from;
            add_to(&g->group[g->slot[at] - 1], m);
            add_to(&g->total, m);
            return 0;
        }
        g->slot[at] = (uint32_t)g->n + 1;
    }
    group = &g->group[g->n++];
    *group = (struct mapgroup){.kind = kind,
                               .deleted = deleted,
                               .name_at = (uint32_t)from,
                               .name_n = (uint32_t)(g->names.n - from),
                               .start = m->start,
                               .end = m->end,
                               .offset = m->offset,
                               .inode = m->inode};
    memcpy(group->perms, m->perms, sizeof(group->perms));
    smaps_zero(&group->sum);
    add_to(group, m);
    add_to(&g->total, m);
    return 0;
}

static int take(void *ctx, const struct mapping *m) {
    return mapgroups_add(ctx, m);
}

int mapgroups_read(struct mapgroups *g, int proc, int32_t pid, bool each) {
    *g = (struct mapgroups){.each = each};
    buf_init(&g->names, NAMES_MAX);
    smaps_zero(&g->total.sum);
    return smaps_each(proc, pid, take, g);
}

static const struct mapgroup *find(const struct mapgroups *g, const struct mapgroups *of,
                                   const struct mapgroup *group) {
    uint32_t index;

    if (g->slots == 0)
        return NULL;
    index = g->slot[place_of(g, group->kind, group->deleted, mapgroups_name(of, group))];
    return index ? &g->group[index - 1] : NULL;
}

/* Single mappings grow at either end, are joined and split: the same one is the first of the same
 * name that overlaps and has no partner yet. Both lists ascend. */
static const struct mapgroup *overlapping(const struct mapgroups *g, const struct mapgroups *of,
                                          const struct mapgroup *group, size_t *at) {
    while (*at < g->n && g->group[*at].end <= group->start)
        ++*at;
    for (size_t i = *at; i < g->n && g->group[i].start < group->end; i++) {
        const struct mapgroup *other = &g->group[i];

        if (other->kind != group->kind || other->deleted != group->deleted ||
            !str_eq(mapgroups_name(g, other), mapgroups_name(of, group)))
            continue;
        *at = i + 1;
        return other;
    }
    return NULL;
}

int mapgroups_diff(const struct mapgroups *before, const struct mapgroups *after,
                   struct mapgrowth **out, size_t *n_out) {
    auto_free struct mapgrowth *growth = calloc(before->n + after->n + 1, sizeof(*growth));
    auto_free bool *paired = calloc(before->n + 1, sizeof(*paired));
    size_t n = 0, at = 0;

    if (!growth || !paired)
        return -ENOMEM;
    for (size_t i = 0; i < after->n; i++) {
        const struct mapgroup *b = &after->group[i];
        const struct mapgroup *a =
            after->each ? overlapping(before, after, b, &at) : find(before, after, b);

        if (a)
            paired[a - before->group] = true;
        growth[n++] = (struct mapgrowth){a, b};
    }
    for (size_t i = 0; i < before->n; i++)
        if (!paired[i])
            growth[n++] = (struct mapgrowth){&before->group[i], NULL};
    *out = take_ptr(&growth);
    *n_out = n;
    return 0;
}

bool mapgrowth_of(const struct mapgrowth *g, enum smaps_field field, int64_t *out) {
    const struct mapgroup *side[2] = {g->before, g->after};
    uint64_t value[2] = {0, 0};

    for (unsigned i = 0; i < 2; i++) {
        if (!side[i])
            continue;
        if (!smaps_have(&side[i]->sum, field))
            return false;
        value[i] = side[i]->sum.value[field];
    }
    *out = (int64_t)(value[1] - value[0]);
    return true;
}

bool mapgrowth_cost(const struct mapgrowth *g, int64_t *out) {
    int64_t swap;

    if (!mapgrowth_of(g, SMAPS_RSS, out))
        return false;
    if (mapgrowth_of(g, SMAPS_SWAP, &swap))
        *out += swap;
    return true;
}
