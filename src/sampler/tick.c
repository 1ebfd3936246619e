#include "sampler/tick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "kern/meminfo.h"
#include "kern/netdev.h"
#include "kern/procns.h"

enum {
    FEW_TARGETS = 64,            /* up to so many, everything is read at every tick; with more: */
    SLOW_US = 5 * 1000000,       /* what changes rarely, this often; */
    LIMITS_V1_US = 30 * 1000000, /* limits on v1 so seldom: memory.stat tells when they move */
    YOUNG_US = 6 * 1000000,      /* for so long, files that were not there are tried again */
    FDS_RESERVED = 128,
};

/* What is due in a tick beyond what always is. */
struct pace {
    int64_t now_us;
    bool slow, limits;
};

#define NO_NODE UINT32_MAX

/* A group: a target, or an ancestor of one, whose limit may be the one that counts. */
struct node {
    struct cgroup cg;
    char *path;
    uint32_t parent, next; /* next in the same hash bucket, or in the list of free nodes */
    uint32_t refs;         /* children, and one for being a target */
    const struct target *target;
    struct sample *sample; /* of targets only */
    uint64_t own_limit, own_swap_limit, hier_limit, used;
    uint64_t kills_below;
    uint64_t cpu_before_us, cpu_now_us;
    int64_t born_us, cpu_before_at_us, cpu_now_at_us;
    struct tick_limit limit;
    int32_t net_pid; /* the process whose network was checked to be the target's own; 0: none yet */
    bool net_own, net_shared, have_own_limit, have_swap_limit, have_used, is_alive;
};

struct ticker {
    const struct host *host;
    const struct cgfs *fs;
    struct tick_options options;
    struct cgroup_fds fds;
    struct memstat_order order;
    struct node *node; /* moves when it grows: keep indices, not pointers, across ticker_add */
    uint32_t nodes, room, free, targets;
    uint32_t *bucket, buckets; /* a power of two */
    struct hash_key key;       /* of the buckets */
    uint32_t *slot, slots;     /* slot -> node */
    struct limit_level *chain; /* room for the longest chain */
    unsigned chain_room;
    struct tick_host machine;
    uint64_t own_netns;
    int64_t slow_at_us, limits_at_us;
    unsigned denied, uncounted;
    bool limits_moved; /* v1: some hierarchical limit changed since it was read */
};

int ticker_new(const struct host *h, const struct cgfs *fs, const struct tick_options *options,
               struct ticker **out, struct err *err) {
    struct ticker *t = calloc(1, sizeof(*t));

    if (!t)
        return err_set(err, -ENOMEM, "cannot start sampling:");
    t->host = h;
    t->fs = fs;
    t->options = *options;
    t->free = NO_NODE;
    hash_key_init(&t->key);
    cgroup_fds_init(&t->fds, FDS_RESERVED);
    if (procns_read(h->proc, (int32_t)getpid(), PROCNS_NET, &t->own_netns) < 0)
        t->own_netns = 0;
    *out = t;
    return 0;
}

static void node_done(struct node *n) {
    cgroup_done(&n->cg);
    free(n->path);
    free(n->sample);
}

void ticker_free(struct ticker *t) {
    if (!t)
        return;
    for (uint32_t i = 0; i < t->nodes; i++)
        if (t->node[i].path)
            node_done(&t->node[i]);
    free(t->node);
    free(t->bucket);
    free(t->slot);
    free(t->chain);
    free(t);
}

static uint32_t *bucket_of(struct ticker *t, struct str path) {
    return &t->bucket[hash_str(&t->key, path) & (t->buckets - 1)];
}

static uint32_t find(struct ticker *t, struct str path) {
    uint32_t i = t->buckets ? *bucket_of(t, path) : NO_NODE;

    while (i != NO_NODE && !str_eq(t->node[i].cg.path, path))
        i = t->node[i].next;
    return i;
}

static int grow(struct ticker *t) {
    uint32_t room = t->room ? 2 * t->room : 64;
    struct node *node = realloc(t->node, room * sizeof(*node));
    uint32_t *bucket;

    if (!node)
        return -ENOMEM;
    t->node = node;
    bucket = realloc(t->bucket, room * sizeof(*bucket));
    if (!bucket)
        return -ENOMEM;
    t->bucket = bucket;
    t->buckets = t->room = room;
    for (uint32_t b = 0; b < room; b++)
        bucket[b] = NO_NODE;
    for (uint32_t i = 0; i < t->nodes; i++) {
        if (!node[i].path)
            continue;
        node[i].next = *bucket_of(t, node[i].cg.path);
        *bucket_of(t, node[i].cg.path) = i;
    }
    /* the free list ran through the same field: it is empty, or we would not grow */
    return 0;
}

static int take_node(struct ticker *t, uint32_t *out) {
    if (t->free != NO_NODE) {
        *out = t->free;
        t->free = t->node[*out].next;
        return 0;
    }
    if (t->nodes == t->room) {
        int r = grow(t);

        if (r < 0)
            return r;
    }
    *out = t->nodes++;
    t->node[*out].path = NULL;
    return 0;
}

static void free_node(struct ticker *t, uint32_t i) {
    uint32_t *link = bucket_of(t, t->node[i].cg.path);

    while (*link != i)
        link = &t->node[*link].next;
    *link = t->node[i].next;
    node_done(&t->node[i]);
    t->node[i] = (struct node){.next = t->free};
    t->free = i;
}

static int make_node(struct ticker *t, struct str path, uint32_t *out) {
    auto_free char *copy = malloc(path.n + 1);
    struct node *n;
    uint32_t *bucket;
    int r = copy ? take_node(t, out) : -ENOMEM;

    if (r < 0)
        return r;
    memcpy(copy, path.p, path.n);
    copy[path.n] = '\0';
    n = &t->node[*out];
    *n = (struct node){.path = copy, .parent = NO_NODE, .is_alive = true};
    cgroup_init(&n->cg, t->fs, &t->fds, (struct str){take_ptr(&copy), path.n});
    n->born_us = clock_mono_us();
    bucket = bucket_of(t, n->cg.path);
    n->next = *bucket;
    *bucket = *out;
    return 0;
}

/* "/a/b" to "/a" to "/"; false at the top. */
static bool parent_of(struct str *path) {
    ptrdiff_t slash = str_rfind(*path, '/');

    if (path->n <= 1 || slash < 0)
        return false;
    path->n = slash == 0 ? 1 : (size_t)slash;
    return true;
}

static void drop(struct ticker *t, uint32_t i) {
    while (i != NO_NODE && --t->node[i].refs == 0) {
        uint32_t parent = t->node[i].parent;

        free_node(t, i);
        i = parent;
    }
}

static int reserve_chain(struct ticker *t, unsigned levels) {
    struct limit_level *chain;

    if (levels <= t->chain_room)
        return 0;
    chain = realloc(t->chain, 2 * levels * sizeof(*chain));
    if (!chain)
        return -ENOMEM;
    t->chain = chain;
    t->chain_room = 2 * levels;
    return 0;
}

/* The node of a path with all its ancestors, one reference taken for the caller. */
static int hold(struct ticker *t, struct str path, uint32_t *out) {
    uint32_t child = NO_NODE, first = NO_NODE;
    unsigned levels = 1;

    do {
        uint32_t i = find(t, path);
        bool known = i != NO_NODE;
        int r = known ? 0 : make_node(t, path, &i);

        if (r < 0) {
            if (first != NO_NODE)
                drop(t, first);
            return r;
        }
        t->node[i].refs++;
        if (child == NO_NODE)
            first = i;
        else
            t->node[child].parent = i;
        child = i;
        levels++;
        if (known)
            break;
    } while (parent_of(&path));
    for (uint32_t i = t->node[child].parent; i != NO_NODE; i = t->node[i].parent)
        levels++;
    *out = first;
    return reserve_chain(t, levels);
}

static int reserve_slot(struct ticker *t, uint32_t slot) {
    uint32_t slots = t->slots ? t->slots : 64;
    uint32_t *place;

    if (slot < t->slots)
        return 0;
    while (slots <= slot)
        slots *= 2;
    place = realloc(t->slot, slots * sizeof(*place));
    if (!place)
        return -ENOMEM;
    for (uint32_t i = t->slots; i < slots; i++)
        place[i] = NO_NODE;
    t->slot = place;
    t->slots = slots;
    return 0;
}

int ticker_add(struct ticker *t, const struct target *target) {
    auto_free struct sample *sample = calloc(1, sizeof(*sample));
    uint32_t i;
    int r = sample ? reserve_slot(t, target->slot) : -ENOMEM;

    if (r < 0)
        return r;
    r = hold(t, target->path, &i);
    if (r < 0)
        return r;
    t->slot[target->slot] = i;
    t->node[i].target = target;
    t->node[i].sample = take_ptr(&sample);
    t->node[i].is_alive = true;
    t->targets++;
    return 0;
}

static struct node *node_at(const struct ticker *t, uint32_t slot) {
    return slot < t->slots && t->slot[slot] != NO_NODE ? &t->node[t->slot[slot]] : NULL;
}

void ticker_remove(struct ticker *t, const struct target *target) {
    struct node *n = node_at(t, target->slot);
    uint32_t i;

    if (!n)
        return;
    i = t->slot[target->slot];
    t->slot[target->slot] = NO_NODE;
    free(n->sample);
    n->sample = NULL;
    n->target = NULL;
    t->targets--;
    drop(t, i);
}

static void read_machine(struct ticker *t) {
    struct meminfo m;

    t->machine = (struct tick_host){0};
    if (meminfo_read(t->host->proc, &m) < 0)
        return;
    t->machine.mem_total = m.value[MEMINFO_TOTAL];
    t->machine.mem_available = m.value[MEMINFO_AVAILABLE];
    t->machine.swap_total = m.value[MEMINFO_SWAP_TOTAL];
    t->machine.swap_free = m.value[MEMINFO_SWAP_FREE];
    t->machine.have_mem = meminfo_has(&m, MEMINFO_TOTAL);
    t->machine.have_swap = meminfo_has(&m, MEMINFO_SWAP_TOTAL);
}

/* Kernel memory on v2 before "kernel" was written (Linux 5.18): the sum of its parts. */
static bool kernel_of(const struct cgroup_numbers *n, const struct memstat *stat, uint64_t *out) {
    static const enum memstat_field parts[] = {MEMSTAT_SLAB_RECLAIMABLE, MEMSTAT_SLAB_UNRECLAIMABLE,
                                               MEMSTAT_KERNEL_STACK,     MEMSTAT_PAGETABLES,
                                               MEMSTAT_PERCPU,           MEMSTAT_VMALLOC};

    if (cgroup_has(n, CGROUP_KERNEL)) {
        *out = n->value[CGROUP_KERNEL];
        return true;
    }
    if (memstat_has(stat, MEMSTAT_KERNEL)) {
        *out = stat->value[MEMSTAT_KERNEL];
        return true;
    }
    if (!memstat_has(stat, MEMSTAT_SLAB_UNRECLAIMABLE))
        return false;
    *out = 0;
    for (size_t i = 0; i < ARRAY_N(parts); i++)
        *out += stat->value[parts[i]];
    return true;
}

static void take_stat(struct sample *s, const struct memstat *stat) {
    static const struct {
        enum metric metric;
        enum memstat_field field;
    } map[] = {
        {METRIC_ANON, MEMSTAT_ANON},
        {METRIC_FILE, MEMSTAT_FILE},
        {METRIC_ACTIVE_FILE, MEMSTAT_ACTIVE_FILE},
        {METRIC_INACTIVE_FILE, MEMSTAT_INACTIVE_FILE},
        {METRIC_SHMEM, MEMSTAT_SHMEM},
        {METRIC_MAPPED, MEMSTAT_MAPPED},
        {METRIC_DIRTY, MEMSTAT_DIRTY},
        {METRIC_WRITEBACK, MEMSTAT_WRITEBACK},
        {METRIC_INACTIVE_ANON, MEMSTAT_INACTIVE_ANON},
        {METRIC_ACTIVE_ANON, MEMSTAT_ACTIVE_ANON},
        {METRIC_UNEVICTABLE, MEMSTAT_UNEVICTABLE},
        {METRIC_ANON_THP, MEMSTAT_ANON_THP},
        {METRIC_SLAB_RECLAIMABLE, MEMSTAT_SLAB_RECLAIMABLE},
        {METRIC_SLAB_UNRECLAIMABLE, MEMSTAT_SLAB_UNRECLAIMABLE},
        {METRIC_KERNEL_STACK, MEMSTAT_KERNEL_STACK},
        {METRIC_PAGETABLES, MEMSTAT_PAGETABLES},
        {METRIC_PERCPU, MEMSTAT_PERCPU},
        {METRIC_VMALLOC, MEMSTAT_VMALLOC},
        {METRIC_SOCK, MEMSTAT_SOCK},
        {METRIC_ZSWAP, MEMSTAT_ZSWAP},
        {METRIC_SWAPCACHED, MEMSTAT_SWAPCACHED},
        {METRIC_FAULTS, MEMSTAT_FAULTS},
        {METRIC_MAJOR_FAULTS, MEMSTAT_MAJOR_FAULTS},
        {METRIC_REFAULT_FILE, MEMSTAT_REFAULT_FILE},
        {METRIC_REFAULT_ANON, MEMSTAT_REFAULT_ANON},
    };

    for (size_t i = 0; i < ARRAY_N(map); i++)
        sample_take(s, map[i].metric, memstat_has(stat, map[i].field), stat->value[map[i].field]);
}

/* Fields that were not asked for in this tick keep what they had. */
static void take_numbers(struct sample *s, const struct cgroup_numbers *n) {
    static const struct {
        enum metric metric;
        enum cgroup_field field;
    } map[] = {
        {METRIC_USAGE, CGROUP_USAGE},
        {METRIC_SWAP, CGROUP_SWAP},
        {METRIC_OWN_LIMIT, CGROUP_LIMIT},
        {METRIC_HIGH, CGROUP_HIGH},
        {METRIC_LOW, CGROUP_LOW},
        {METRIC_MIN, CGROUP_MIN},
        {METRIC_SOFT_LIMIT, CGROUP_SOFT_LIMIT},
        {METRIC_PEAK, CGROUP_PEAK},
        {METRIC_FAILCNT, CGROUP_FAILCNT},
        {METRIC_HIGH_EVENTS, CGROUP_HIGH_EVENTS},
        {METRIC_OOM_KILLS, CGROUP_OOM_KILLS},
        {METRIC_UNDER_OOM, CGROUP_UNDER_OOM},
        {METRIC_OOM_KILL_DISABLED, CGROUP_KILL_DISABLED},
        {METRIC_PSI_SOME, CGROUP_SOME_AVG10},
        {METRIC_PSI_FULL, CGROUP_FULL_AVG10},
        {METRIC_PSI_SOME_US, CGROUP_SOME_US},
        {METRIC_PSI_FULL_US, CGROUP_FULL_US},
        {METRIC_PIDS, CGROUP_PIDS},
        {METRIC_PIDS_LIMIT, CGROUP_PIDS_LIMIT},
        {METRIC_CPU_US, CGROUP_CPU_US},
        {METRIC_BLK_READ, CGROUP_READ},
        {METRIC_BLK_WRITE, CGROUP_WRITTEN},
    };
    static const uint64_t slow =
        1ull << METRIC_OWN_LIMIT | 1ull << METRIC_HIGH | 1ull << METRIC_LOW | 1ull << METRIC_MIN |
        1ull << METRIC_SOFT_LIMIT | 1ull << METRIC_SWAP_LIMIT | 1ull << METRIC_PIDS_LIMIT;

    for (size_t i = 0; i < ARRAY_N(map); i++)
        if (cgroup_has(n, map[i].field))
            sample_set(s, map[i].metric, n->value[map[i].field]);
        else if (!(slow >> map[i].metric & 1))
            s->have &= ~(1ull << map[i].metric);
}

/* A container that shares the network of the machine has no traffic of its own to show. */
static bool has_own_network(struct ticker *t, struct node *n, bool slow) {
    int32_t pid = n->target->init_pid;
    uint64_t inode;
    int r;

    if (pid <= 0 || !target_is_container(n->target))
        return false;
    if (pid == n->net_pid && !slow)
        return n->net_own;
    r = procns_read(t->host->proc, pid, PROCNS_NET, &inode);
    n->net_pid = pid;
    n->net_shared = r == 0 && t->fs->at_top && inode == t->own_netns;
    n->net_own = (r == 0 && !n->net_shared) || (r < 0 && !t->host->live);
    return n->net_own;
}

static void take_net(struct ticker *t, struct node *n, bool slow) {
    struct netdev net;
    bool have = t->options.want & TICK_NET && has_own_network(t, n, slow) &&
                netdev_read(t->host->proc, n->target->init_pid, &net) == 0;

    sample_take(n->sample, METRIC_NET_RX, have, have ? net.rx : 0);
    sample_take(n->sample, METRIC_NET_TX, have, have ? net.tx : 0);
}

static void note_cpu(struct node *n, int64_t now_us) {
    n->cpu_before_us = n->cpu_now_us;
    n->cpu_before_at_us = n->cpu_now_at_us;
    n->cpu_now_at_us = sample_has(n->sample, METRIC_CPU_US) ? now_us : 0;
    n->cpu_now_us = n->sample->value[METRIC_CPU_US];
}

static unsigned limit_files(const struct ticker *t) {
    return CGROUP_READ_LIMIT | (t->options.want & TICK_BOUNDS ? CGROUP_READ_SWAP_LIMIT : 0);
}

static unsigned files_wanted(const struct ticker *t, const struct node *n,
                             const struct pace *pace) {
    static const struct {
        unsigned tick, read;
    } map[] = {
        {TICK_CPU, CGROUP_READ_CPU},
        {TICK_PIDS, CGROUP_READ_PIDS},
        {TICK_IO, CGROUP_READ_IO},
        {TICK_PSI, CGROUP_READ_PSI},
        {TICK_SWAP, CGROUP_READ_SWAP},
        {TICK_KERNEL, CGROUP_READ_KERNEL},
        {TICK_PEAK, CGROUP_READ_PEAK | CGROUP_READ_FAILCNT},
    };
    unsigned what = CGROUP_READ_USAGE | CGROUP_READ_STAT;
    bool limits = pace->limits || !n->have_own_limit; /* a group that is new, or cannot be read */

    if (!n->target) /* an ancestor: read only for the room under its limit */
        return (limits ? limit_files(t) : 0) |
               (n->have_own_limit && n->own_limit != CGROUP_NO_LIMIT ? what : 0);
    what |= CGROUP_READ_EVENTS | (limits ? limit_files(t) : 0);
    for (size_t i = 0; i < ARRAY_N(map); i++)
        if (t->options.want & map[i].tick)
            what |= map[i].read;
    if (limits && t->options.want & TICK_BOUNDS)
        what |= CGROUP_READ_BOUNDS;
    return what;
}

static void take_target(struct ticker *t, struct node *n, const struct cgroup_numbers *numbers,
                        const struct memstat *stat, const struct pace *pace) {
    struct sample *s = n->sample;
    uint64_t value = 0;
    bool have;

    take_stat(s, stat);
    take_numbers(s, numbers);
    sample_take(s, METRIC_USED, n->have_used, n->used);
    have = limit_working_set(numbers, stat, &value);
    sample_take(s, METRIC_WORKING_SET, have, value);
    have = kernel_of(numbers, stat, &value);
    sample_take(s, METRIC_KERNEL, have, value);
    take_net(t, n, pace->slow);
    note_cpu(n, pace->now_us);
    if (pace->slow && !t->options.all_groups)
        n->kills_below = cgroup_oom_kills_below(t->fs, n->cg.path);
    if (sample_has(s, METRIC_OOM_KILLS))
        s->value[METRIC_OOM_KILLS] += t->options.all_groups ? 0 : n->kills_below;
}

/* What limits the group itself, kept until it is read again. */
static void take_limits(struct ticker *t, struct node *n, const struct cgroup_numbers *numbers,
                        const struct memstat *stat) {
    if (cgroup_has(numbers, CGROUP_LIMIT)) {
        n->have_own_limit = true;
        n->own_limit = numbers->value[CGROUP_LIMIT];
    } else if (stat->have == 0 && t->fs->ctl[CG_MEMORY].version == CG_V2 &&
               !cgroup_has(numbers, CGROUP_USAGE) && n->parent != NO_NODE) {
        n->have_own_limit = true; /* no memory controller: nothing can be limited here */
        n->own_limit = CGROUP_NO_LIMIT;
        t->uncounted += n->target != NULL;
    }
    if (cgroup_has(numbers, CGROUP_SWAP_LIMIT)) {
        n->have_swap_limit = true;
        n->own_swap_limit = numbers->value[CGROUP_SWAP_LIMIT];
    }
}

static void read_node(struct ticker *t, struct node *n, const struct pace *pace) {
    unsigned what = files_wanted(t, n, pace);
    struct cgroup_numbers numbers;
    struct memstat stat;
    int r;

    if (what == 0)
        return;
    if (pace->slow && pace->now_us - n->born_us < YOUNG_US)
        cgroup_retry(&n->cg);
    stat.have = 0;
    r = cgroup_read(&n->cg, what, &t->order, &stat, &numbers);
    n->is_alive = r != -ENODEV;
    if (!n->is_alive) {
        cgroup_done(&n->cg); /* perhaps it is made again: then the descriptors would be stale */
        return;
    }
    if (r == -EACCES && n->target)
        t->denied++;
    if (r == 0)
        take_limits(t, n, &numbers, &stat);
    n->have_used = limit_used(&numbers, &stat, &n->used);
    if (memstat_has(&stat, MEMSTAT_HIER_LIMIT)) {
        t->limits_moved |=
            !(what & CGROUP_READ_LIMIT) && n->hier_limit != stat.value[MEMSTAT_HIER_LIMIT];
        n->hier_limit = stat.value[MEMSTAT_HIER_LIMIT];
    }
    if (n->target)
        take_target(t, n, &numbers, &stat, pace);
}

/* The tightest swap limit of the chain. */
static void find_swap_limit(struct ticker *t, struct node *n) {
    uint64_t least = n->have_swap_limit ? n->own_swap_limit : SAMPLE_NONE;

    for (uint32_t i = n->parent; i != NO_NODE; i = t->node[i].parent)
        if (t->node[i].have_swap_limit && t->node[i].own_swap_limit < least)
            least = t->node[i].own_swap_limit;
    sample_take(n->sample, METRIC_SWAP_LIMIT, n->have_swap_limit || least != SAMPLE_NONE, least);
}

static void find_limit(struct ticker *t, struct node *n) {
    struct limit_input in = {.level = t->chain, .at_top = t->fs->at_top};
    struct limit limit;
    const struct node *from = n;

    for (const struct node *a = n; a; a = a->parent == NO_NODE ? NULL : &t->node[a->parent])
        t->chain[in.levels++] = (struct limit_level){.limit = a->own_limit,
                                                     .used = a->used,
                                                     .have_limit = a->have_own_limit,
                                                     .have_used = a->have_used};
    in.hier_limit = n->hier_limit;
    in.host_total = t->machine.mem_total;
    in.host_available = t->host->live ? t->machine.mem_available : 0;
    if (!limit_find(&in, &limit)) {
        n->sample->have &= ~(1ull << METRIC_LIMIT | 1ull << METRIC_HEADROOM);
        n->limit = (struct tick_limit){.from = LIMIT_HOST};
        return;
    }
    sample_set(n->sample, METRIC_LIMIT, limit.bytes);
    sample_take(n->sample, METRIC_HEADROOM, limit.have_headroom, limit.headroom);
    for (unsigned level = 0; limit.from == LIMIT_LEVEL && level < limit.level; level++)
        from = &t->node[from->parent];
    n->limit = (struct tick_limit){limit.from, from->cg.path, limit.certain};
}

/* What a group that is gone has in its sample is from before, sums included. */
static bool counts_kills(const struct node *n) {
    return n->is_alive && n->sample && sample_has(n->sample, METRIC_OOM_KILLS);
}

/* With every group a target, v1's local counts add up along the tree: each group's own count is
 * added to all above it, in whatever order the nodes stand, before any sum is written over one. */
static void add_kills(struct ticker *t) {
    for (uint32_t i = 0; i < t->nodes; i++)
        t->node[i].kills_below = 0;
    for (uint32_t i = 0; i < t->nodes; i++) {
        const struct node *n = &t->node[i];

        if (!counts_kills(n) || n->sample->value[METRIC_OOM_KILLS] == 0)
            continue;
        for (uint32_t a = n->parent; a != NO_NODE; a = t->node[a].parent)
            t->node[a].kills_below += n->sample->value[METRIC_OOM_KILLS];
    }
    for (uint32_t i = 0; i < t->nodes; i++)
        if (counts_kills(&t->node[i]))
            t->node[i].sample->value[METRIC_OOM_KILLS] += t->node[i].kills_below;
}

static void read_all(struct ticker *t, const struct pace *pace) {
    int64_t wall_ms = clock_wall_ms();

    t->denied = t->uncounted = 0;
    for (uint32_t i = 0; i < t->nodes; i++) {
        struct node *n = &t->node[i];

        if (!n->path)
            continue;
        read_node(t, n, pace);
        /* an ancestor whose limit has just been seen: its use is needed in this tick already */
        if (!n->target && n->have_own_limit && n->own_limit != CGROUP_NO_LIMIT && !n->have_used)
            read_node(t, n, pace);
        if (n->sample)
            n->sample->at_ms = wall_ms;
    }
}

static struct pace pace_now(struct ticker *t) {
    bool v1 = t->fs->ctl[CG_MEMORY].version == CG_V1, few = t->targets <= FEW_TARGETS;
    struct pace pace = {.now_us = clock_mono_us()};

    pace.slow = few || pace.now_us - t->slow_at_us >= SLOW_US;
    pace.limits =
        few || t->limits_moved || (v1 ? pace.now_us - t->limits_at_us >= LIMITS_V1_US : pace.slow);
    if (pace.slow)
        t->slow_at_us = pace.now_us;
    if (pace.limits)
        t->limits_at_us = pace.now_us;
    t->limits_moved = false;
    return pace;
}

int ticker_run(struct ticker *t) {
    struct pace pace = pace_now(t);

    read_machine(t);
    read_all(t, &pace);
    if (t->options.all_groups && t->fs->ctl[CG_MEMORY].version == CG_V1)
        add_kills(t);
    for (uint32_t i = 0; i < t->nodes; i++)
        if (t->node[i].sample && t->node[i].is_alive) {
            find_limit(t, &t->node[i]);
            find_swap_limit(t, &t->node[i]);
        }
    return 0;
}

const struct sample *ticker_sample(const struct ticker *t, uint32_t slot) {
    const struct node *n = node_at(t, slot);

    return n && n->is_alive && n->sample && n->sample->at_ms > 0 ? n->sample : NULL;
}

void ticker_limit(const struct ticker *t, uint32_t slot, struct tick_limit *out) {
    const struct node *n = node_at(t, slot);

    *out = n ? n->limit : (struct tick_limit){.from = LIMIT_HOST};
}

const struct tick_host *ticker_host(const struct ticker *t) {
    return &t->machine;
}

bool ticker_cpu(const struct ticker *t, uint32_t slot, uint64_t *centi_out) {
    const struct node *n = node_at(t, slot);

    if (!n || n->cpu_before_at_us == 0 || n->cpu_now_at_us <= n->cpu_before_at_us ||
        n->cpu_now_us < n->cpu_before_us)
        return false;
    *centi_out = (n->cpu_now_us - n->cpu_before_us) * 10000 /
                 (uint64_t)(n->cpu_now_at_us - n->cpu_before_at_us);
    return true;
}

bool ticker_shares_network(const struct ticker *t, uint32_t slot) {
    const struct node *n = node_at(t, slot);

    return n && n->net_shared;
}

bool ticker_short_of_fds(const struct ticker *t) {
    return t->fds.exhausted;
}

unsigned ticker_uncounted(const struct ticker *t) {
    return t->uncounted;
}

unsigned ticker_denied(const struct ticker *t) {
    return t->denied;
}
