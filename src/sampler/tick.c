#include "sampler/tick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kern/meminfo.h"
#include "kern/netdev.h"
#include "kern/procns.h"
#include "sampler/ticknode.h"
#include "sampler/ticksample.h"

enum {
    FEW_TARGETS = 64,            /* up to so many, everything is read at every tick; with more: */
    SLOW_US = 5 * 1000000,       /* what changes rarely, this often; */
    LIMITS_V1_US = 30 * 1000000, /* limits on v1 so seldom: memory.stat tells when they move */
    YOUNG_US = 6 * 1000000,      /* for so long, files that were not there are tried again */
    YOUNG_STEP_US = 2 * 1000000,
    UNLIMITED_US = 3 * 1000000, /* so long the limit is read each time: an engine sets it later */
    SPREAD_US = 9 * 1000000,    /* a target's slow turn; with the tick it falls into, 10 s */
    ADAPTIVE_US = 9 * 500000,   /* the same of memory.stat, 5 s */
    MOVED_AT_ONCE = 64,         /* of targets that have moved, so many a tick are read whole */
    HOST_STEPS = 64,            /* the machine's room counts anew when it has moved by 1/64 */
    FDS_RESERVED = 128,
};

/* What moves only together with usage or memory.stat, and the rest that is not read each tick. */
enum {
    MEMORY_FILES = CGROUP_READ_KERNEL | CGROUP_READ_PEAK | CGROUP_READ_FAILCNT,
    OTHER_FILES =
        CGROUP_READ_CPU | CGROUP_READ_PIDS | CGROUP_READ_IO | CGROUP_READ_PSI | CGROUP_READ_SWAP,
};

/* One pass over all groups, or over some. */
struct pass {
    int64_t now_us, wall_ms;
    uint32_t number;
    unsigned left;     /* of MOVED_AT_ONCE */
    bool spread;       /* each group has its turns; else they are everybody's: */
    bool slow, limits; /* (limits: with spread, too) */
    bool some;         /* only the quick files */
};

/* What is read of one group in a pass, and what came of it. */
struct reading {
    unsigned what;     /* files that were read; memory.stat only if it was parsed */
    bool slow, limits; /* it is its turn */
    bool moved;        /* usage is not what it was */
    bool looked;       /* memory.stat was read, if only to see that it reads as it did */
    bool whole;        /* all files were read that there are for it */
    struct memstat stat;
    struct cgroup_numbers numbers;
};

struct ticker {
    const struct host *host;
    const struct cgfs *fs;
    struct tick_options options;
    struct ticknodes all;
    struct memstat_order order;
    enum cg_version version; /* of the memory controller */
    unsigned extra_files;    /* of options.want */
    uint32_t targets, passes, start;
    uint32_t version_last;
    uint32_t *slot, slots;     /* slot -> node */
    struct limit_level *chain; /* room for the longest chain */
    unsigned chain_room;
    struct tick_host machine;
    uint64_t host_room; /* MemAvailable that the room of all targets was found with */
    uint64_t own_netns;
    int64_t slow_at_us, limits_at_us;
    unsigned denied, uncounted;
    bool events_told;
    bool limits_moved; /* v1: some hierarchical limit changed since it was read */
    bool chain_moved;  /* a group with a limit and groups below it: these have another room */
    bool kills_moved;  /* all_groups: the sums along the tree are not right any more */
};

static unsigned files_of(unsigned want) {
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
    unsigned files = 0;

    for (size_t i = 0; i < ARRAY_N(map); i++)
        if (want & map[i].tick)
            files |= map[i].read;
    return files;
}

int ticker_new(const struct host *h, const struct cgfs *fs, const struct tick_options *options,
               struct ticker **out, struct err *err) {
    struct ticker *t = calloc(1, sizeof(*t));

    if (!t)
        return err_set(err, -ENOMEM, "cannot start sampling:");
    t->host = h;
    t->fs = fs;
    t->options = *options;
    t->version = fs->ctl[CG_MEMORY].version;
    t->extra_files = files_of(options->want);
    ticknodes_init(&t->all, fs, FDS_RESERVED);
    if (procns_read(h->proc, (int32_t)getpid(), PROCNS_NET, &t->own_netns) < 0)
        t->own_netns = 0;
    *out = t;
    return 0;
}

void ticker_free(struct ticker *t) {
    if (!t)
        return;
    ticknodes_done(&t->all);
    free(t->slot);
    free(t->chain);
    free(t);
}

static int reserve_chain(struct ticker *t) {
    unsigned levels = t->all.deepest;
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
    struct ticknode *n;
    uint32_t i;
    int r = sample ? reserve_slot(t, target->slot) : -ENOMEM;

    if (r < 0)
        return r;
    r = ticknodes_hold(&t->all, target->path, &i);
    if (r < 0)
        return r;
    r = reserve_chain(t);
    if (r < 0) {
        ticknodes_drop(&t->all, i);
        return r;
    }
    t->slot[target->slot] = i;
    n = &t->all.node[i];
    n->target = target;
    n->sample = take_ptr(&sample);
    n->is_alive = true;
    ticknode_forget(n); /* an ancestor so far: what it has is not in the sample */
    t->targets++;
    t->kills_moved = true;
    return 0;
}

static struct ticknode *node_at(const struct ticker *t, uint32_t slot) {
    return slot < t->slots && t->slot[slot] != NO_NODE ? &t->all.node[t->slot[slot]] : NULL;
}

void ticker_remove(struct ticker *t, const struct target *target) {
    struct ticknode *n = node_at(t, target->slot);
    uint32_t i;

    if (!n)
        return;
    i = t->slot[target->slot];
    t->slot[target->slot] = NO_NODE;
    free(n->sample);
    n->sample = NULL;
    n->target = NULL;
    t->targets--;
    t->kills_moved = true;
    ticknodes_drop(&t->all, i);
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

/* A container that shares the network of the machine has no traffic of its own to show. */
static bool has_own_network(struct ticker *t, struct ticknode *n, bool slow) {
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

static bool take_net(struct ticker *t, struct ticknode *n, bool slow) {
    struct netdev net;
    bool have = t->options.want & TICK_NET && has_own_network(t, n, slow) &&
                netdev_read(t->host->proc, n->target->init_pid, &net) == 0;
    bool changed = ticksample_put(n->sample, METRIC_NET_RX, have, have ? net.rx : 0);

    return ticksample_put(n->sample, METRIC_NET_TX, have, have ? net.tx : 0) || changed;
}

static void note_cpu(struct ticknode *n, int64_t now_us) {
    n->cpu_before_us = n->cpu_now_us;
    n->cpu_before_at_us = n->cpu_now_at_us;
    n->cpu_now_at_us = sample_has(n->sample, METRIC_CPU_US) ? now_us : 0;
    n->cpu_now_us = n->sample->value[METRIC_CPU_US];
}

/* ---- what is read ---- */

static unsigned limit_files(const struct ticker *t) {
    return CGROUP_READ_LIMIT |
           (t->options.want & TICK_BOUNDS ? CGROUP_READ_SWAP_LIMIT | CGROUP_READ_BOUNDS : 0);
}

/* On v1 the kernel tells of a kill by an eventfd. That tasks do not hang any more it does not. */
static bool reads_events(const struct ticker *t, const struct ticknode *n, const struct pass *pass,
                         const struct reading *in) {
    if (t->version == CG_V2 || !pass->spread || !t->events_told || in->slow)
        return true;
    return pass->some ||
           (sample_has(n->sample, METRIC_UNDER_OOM) && n->sample->value[METRIC_UNDER_OOM] != 0);
}

/* Of what is not read each time. */
static unsigned extra_files(const struct ticker *t, const struct ticknode *n,
                            const struct pass *pass, const struct reading *in) {
    if (pass->some)
        return 0;
    if (!pass->spread)
        return t->extra_files;
    return (in->slow ? t->extra_files & OTHER_FILES : 0) |
           (in->slow && (n->stirred || !n->have_usage) ? t->extra_files & MEMORY_FILES : 0);
}

static void begin_reading(const struct ticker *t, const struct ticknode *n, const struct pass *pass,
                          struct reading *in) {
    bool known = n->have_own_limit && !pass->limits; /* else it is new, or cannot be read */

    in->slow = pass->spread ? !pass->some && pass->now_us >= n->slow_us : pass->slow;
    in->limits = !known || (n->target && pass->now_us - n->born_us < UNLIMITED_US) ||
                 (pass->spread && !pass->some && pass->now_us >= n->rare_us);
    in->moved = in->looked = false;
    in->whole = !pass->some && (!pass->spread || in->slow);
    in->stat.have = in->numbers.have = 0;
    in->what = in->limits ? limit_files(t) : 0;
    if (!n->target) {
        in->what &= CGROUP_READ_LIMIT | CGROUP_READ_SWAP_LIMIT;
        in->what |= ticknode_is_limited(n) ? CGROUP_READ_USAGE : 0;
        return;
    }
    in->what |= CGROUP_READ_USAGE | extra_files(t, n, pass, in) |
                (reads_events(t, n, pass, in) ? CGROUP_READ_EVENTS : 0);
}

/* A group's turns lie at a time of their own within each period, so that all are spread evenly. */
static int64_t turn_after(int64_t now_us, uint32_t i, int64_t period_us) {
    int64_t own = (int64_t)((uint64_t)(i * 0x9e3779b1u) * (uint64_t)period_us >> 32);

    return now_us + period_us - (now_us + own) % period_us;
}

static void next_turns(const struct ticker *t, struct ticknode *n, uint32_t i,
                       const struct pass *pass, const struct reading *in) {
    int64_t now = pass->now_us;

    if (in->slow) {
        n->slow_us = turn_after(now, i, SPREAD_US);
        if (now - n->born_us < YOUNG_US && n->slow_us > now + YOUNG_STEP_US)
            n->slow_us = now + YOUNG_STEP_US;
    }
    if (in->limits)
        n->rare_us = turn_after(now, i, t->version == CG_V1 ? LIMITS_V1_US : SPREAD_US);
    if (in->looked)
        n->stat_us = turn_after(now, i, ADAPTIVE_US);
    if (!(t->extra_files & ~in->what))
        n->stirred = false;
}

static bool wants_stat(const struct ticker *t, const struct ticknode *n, const struct pass *pass,
                       const struct reading *in) {
    if (!n->target && !ticknode_is_limited(n))
        return false; /* an ancestor is read for the room under its limit alone */
    return !t->options.adaptive || !pass->spread || in->moved || !n->have_usage || pass->some ||
           pass->now_us >= n->stat_us;
}

/* 0, or CGROUP_SAME when it need not be looked at, or -errno. */
static int read_stat(struct ticker *t, struct ticknode *n, struct reading *in) {
    unsigned what = CGROUP_READ_STAT | (in->moved || in->slow ? 0 : CGROUP_STAT_IF_NEW);
    uint64_t before = n->cg.stat_sum;
    struct cgroup_numbers more;
    int r = cgroup_read(&n->cg, what, &t->order, &in->stat, &more);

    if (r == CGROUP_SAME || r == -ENODEV)
        return r;
    in->what |= CGROUP_READ_STAT;
    n->stirred |= n->cg.stat_sum != before;
    if (cgroup_has(&more, CGROUP_SWAP)) {
        in->numbers.value[CGROUP_SWAP] = more.value[CGROUP_SWAP];
        in->numbers.have |= 1ull << CGROUP_SWAP;
    }
    return r;
}

/* All files of it. 0 or -errno. */
static int read_files(struct ticker *t, struct ticknode *n, struct pass *pass, struct reading *in) {
    int r = cgroup_read(&n->cg, in->what, NULL, NULL, &in->numbers), stat_r = 0;
    bool have = cgroup_has(&in->numbers, CGROUP_USAGE);
    unsigned rest;

    if (r == -ENODEV)
        return r;
    in->moved = in->what & CGROUP_READ_USAGE &&
                (have != n->have_usage || (have && in->numbers.value[CGROUP_USAGE] != n->usage));
    n->stirred |= in->moved;
    in->looked = wants_stat(t, n, pass, in);
    if (in->looked)
        stat_r = read_stat(t, n, in);
    if (stat_r == -ENODEV)
        return stat_r;
    rest = t->extra_files & ~in->what;
    if (pass->spread && n->target && n->stirred && pass->left > 0 && rest) {
        struct cgroup_numbers more;

        pass->left--;
        if (cgroup_read(&n->cg, rest, NULL, NULL, &more) == -ENODEV)
            return -ENODEV;
        in->what |= rest;
        in->whole = true;
        in->numbers.have |= more.have;
        for (unsigned field = 0; field < CGROUP_N; field++)
            if (cgroup_has(&more, field))
                in->numbers.value[field] = more.value[field];
    }
    return r < 0 ? r : stat_r < 0 ? stat_r : 0;
}

/* ---- what is made of it ---- */

static bool has_below(const struct ticknode *n) {
    return n->refs > (n->target ? 1 : 0);
}

/* What limits the group itself, kept until it is read again. */
static void take_limits(struct ticker *t, struct ticknode *n, const struct reading *in) {
    const struct cgroup_numbers *numbers = &in->numbers;
    uint64_t before = n->own_limit, swap_before = n->own_swap_limit;

    n->uncounted = false;
    if (cgroup_has(numbers, CGROUP_LIMIT)) {
        n->have_own_limit = true;
        n->own_limit = numbers->value[CGROUP_LIMIT];
    } else if (in->stat.have == 0 && t->version == CG_V2 && !cgroup_has(numbers, CGROUP_USAGE) &&
               n->parent != NO_NODE && (in->what & CGROUP_READ_USAGE || !n->target)) {
        n->have_own_limit = true; /* no memory controller: nothing can be limited here */
        n->own_limit = CGROUP_NO_LIMIT;
        n->uncounted = n->target != NULL;
    }
    if (cgroup_has(numbers, CGROUP_SWAP_LIMIT)) {
        n->have_swap_limit = true;
        n->own_swap_limit = numbers->value[CGROUP_SWAP_LIMIT];
    }
    n->limit_due |= in->limits;
    t->chain_moved |= has_below(n) && (before != n->own_limit || swap_before != n->own_swap_limit);
}

/* The use of the group, whenever usage has moved or memory.stat reads differently. */
static void take_use(struct ticker *t, struct ticknode *n, const struct reading *in) {
    const struct memstat *stat = &in->stat;
    uint64_t before = n->have_used ? n->used : UINT64_MAX;

    n->have_usage = cgroup_has(&in->numbers, CGROUP_USAGE);
    n->usage = in->numbers.value[CGROUP_USAGE];
    n->have_used = limit_used(&in->numbers, stat, &n->used);
    n->limit_due |= before != (n->have_used ? n->used : UINT64_MAX);
    t->chain_moved |= n->limit_due && ticknode_is_limited(n) && has_below(n);
    if (!memstat_has(stat, MEMSTAT_HIER_LIMIT))
        return;
    if (n->hier_limit != stat->value[MEMSTAT_HIER_LIMIT]) {
        t->limits_moved |= !in->limits;
        n->hier_limit = stat->value[MEMSTAT_HIER_LIMIT];
        n->limit_due = true;
    }
}

static bool take_kills(struct ticker *t, struct ticknode *n, const struct reading *in) {
    bool have = cgroup_has(&in->numbers, CGROUP_OOM_KILLS);
    uint64_t kills = have ? in->numbers.value[CGROUP_OOM_KILLS] : 0;

    if (in->what & CGROUP_READ_EVENTS) {
        t->kills_moved |= have != n->have_kills || kills != n->own_kills;
        n->have_kills = have;
        n->own_kills = kills;
    }
    if (in->slow && !t->options.all_groups)
        n->kills_below = cgroup_oom_kills_below(t->fs, n->cg.path);
    return ticksample_put(n->sample, METRIC_OOM_KILLS, n->have_kills,
                          n->own_kills + n->kills_below);
}

/* What memory.stat and usage tell together. */
static bool take_memory(struct ticknode *n, const struct reading *in) {
    struct sample *s = n->sample;
    uint64_t value = 0;
    bool changed = ticksample_stat(s, &in->stat), have;

    changed |= ticksample_put(s, METRIC_USED, n->have_used, n->used);
    have = limit_working_set(&in->numbers, &in->stat, &value);
    return ticksample_put(s, METRIC_WORKING_SET, have, value) || changed;
}

static void take_target(struct ticker *t, struct ticknode *n, const struct pass *pass,
                        const struct reading *in) {
    struct sample *s = n->sample;
    unsigned kernel = t->version == CG_V1 ? CGROUP_READ_KERNEL : CGROUP_READ_STAT;
    bool changed = ticksample_numbers(s, in->what, t->version, &in->numbers);

    if (in->what & CGROUP_READ_STAT)
        changed |= take_memory(n, in);
    if (in->what & kernel)
        changed |= ticksample_kernel(s, &in->numbers, &in->stat);
    if (in->moved && !(in->what & CGROUP_READ_PEAK) && sample_has(s, METRIC_PEAK) &&
        s->value[METRIC_PEAK] < n->usage) /* it cannot be less */
        changed |= ticksample_put(s, METRIC_PEAK, true, n->usage);
    if (in->whole)
        changed |= take_net(t, n, in->slow);
    if (in->what & CGROUP_READ_CPU)
        note_cpu(n, pass->now_us);
    if (in->slow || in->what & CGROUP_READ_EVENTS)
        changed |= take_kills(t, n, in);
    if (changed)
        n->version = ++t->version_last;
}

/* It is gone, or not made yet. */
static void lose(struct ticker *t, struct ticknode *n) {
    t->kills_moved |= n->is_alive;
    n->is_alive = false;
    ticknode_forget(n);
}

/* 0 or -errno: -ENODEV, -EACCES. */
static int read_node(struct ticker *t, uint32_t i, struct pass *pass) {
    struct ticknode *n = &t->all.node[i];
    struct reading in;
    int r;

    n->pass = pass->number;
    begin_reading(t, n, pass, &in);
    if (in.what == 0)
        return 0;
    if (in.slow && pass->now_us - n->born_us < YOUNG_US)
        cgroup_retry(&n->cg);
    r = read_files(t, n, pass, &in);
    if (r == -ENODEV) {
        lose(t, n);
        return r;
    }
    t->kills_moved |= !n->is_alive;
    n->is_alive = true;
    next_turns(t, n, i, pass, &in);
    if (in.what & CGROUP_READ_STAT)
        take_use(t, n, &in);
    if (r == 0)
        take_limits(t, n, &in);
    if (!n->sample)
        return r;
    n->sample->at_ms = pass->wall_ms;
    if (in.what != CGROUP_READ_USAGE || in.moved || in.slow)
        take_target(t, n, pass, &in);
    return r;
}

/* An ancestor whose limit has just been seen: its use is needed in this pass already. */
static int read_group(struct ticker *t, uint32_t i, struct pass *pass) {
    struct ticknode *n = &t->all.node[i];
    int r = read_node(t, i, pass);

    if (!n->target && ticknode_is_limited(n) && !n->have_used)
        r = read_node(t, i, pass);
    return r;
}

/* ---- what the chain allows ---- */

/* The tightest swap limit of the chain. */
static bool find_swap_limit(struct ticker *t, struct ticknode *n) {
    uint64_t least = n->have_swap_limit ? n->own_swap_limit : SAMPLE_NONE;

    for (uint32_t i = n->parent; i != NO_NODE; i = t->all.node[i].parent)
        if (t->all.node[i].have_swap_limit && t->all.node[i].own_swap_limit < least)
            least = t->all.node[i].own_swap_limit;
    return ticksample_put(n->sample, METRIC_SWAP_LIMIT, n->have_swap_limit || least != SAMPLE_NONE,
                          least);
}

static bool find_limit(struct ticker *t, struct ticknode *n) {
    struct limit_input in = {.level = t->chain, .at_top = t->fs->at_top};
    struct limit limit;
    const struct ticknode *from = n;
    bool changed;

    for (const struct ticknode *a = n;; a = &t->all.node[a->parent]) {
        t->chain[in.levels++] = (struct limit_level){.limit = a->own_limit,
                                                     .used = a->used,
                                                     .have_limit = a->have_own_limit,
                                                     .have_used = a->have_used};
        if (a->parent == NO_NODE)
            break;
    }
    in.hier_limit = n->hier_limit;
    in.host_total = t->machine.mem_total;
    in.host_available = t->host->live ? t->machine.mem_available : 0;
    if (!limit_find(&in, &limit)) {
        n->limit = (struct tick_limit){.from = LIMIT_HOST};
        changed = ticksample_put(n->sample, METRIC_LIMIT, false, 0);
        return ticksample_put(n->sample, METRIC_HEADROOM, false, 0) || changed;
    }
    changed = ticksample_put(n->sample, METRIC_LIMIT, true, limit.bytes);
    changed |= ticksample_put(n->sample, METRIC_HEADROOM, limit.have_headroom, limit.headroom);
    for (unsigned level = 0; limit.from == LIMIT_LEVEL && level < limit.level; level++)
        from = &t->all.node[from->parent];
    changed |= n->limit.from != limit.from || n->limit.path.p != from->cg.path.p ||
               n->limit.certain != limit.certain;
    n->limit = (struct tick_limit){limit.from, from->cg.path, limit.certain};
    return changed;
}

static void find_room(struct ticker *t, struct ticknode *n) {
    bool changed = find_limit(t, n);

    if (find_swap_limit(t, n) || changed)
        n->version = ++t->version_last;
    n->limit_due = false;
}

/* The room of many targets is that of the machine, which moves all the time: with spread it is
 * taken over at a target's own turns, and by all when it has moved a good deal. */
static bool host_moved(struct ticker *t) {
    uint64_t now = t->machine.mem_available, before = t->host_room;
    uint64_t moved = now > before ? now - before : before - now;

    if (moved <= before / HOST_STEPS)
        return false;
    t->host_room = now;
    return true;
}

static void find_rooms(struct ticker *t, const struct pass *pass) {
    bool everybody = host_moved(t) || t->chain_moved || !pass->spread;

    t->chain_moved = false;
    for (uint32_t i = 0; i < t->all.n; i++) {
        struct ticknode *n = &t->all.node[i];

        if (n->sample && n->is_alive && (everybody || n->limit_due))
            find_room(t, n);
    }
}

/* With every group a target, v1's local counts add up along the tree: each group's own count is
 * added to all above it. What a group that is gone had is not counted. */
static void add_kills(struct ticker *t) {
    struct ticknode *node = t->all.node;

    t->kills_moved = false;
    for (uint32_t i = 0; i < t->all.n; i++)
        node[i].kills_below = 0;
    for (uint32_t i = 0; i < t->all.n; i++) {
        if (!node[i].is_alive || !node[i].sample || node[i].own_kills == 0)
            continue;
        for (uint32_t a = node[i].parent; a != NO_NODE; a = node[a].parent)
            node[a].kills_below += node[i].own_kills;
    }
    for (uint32_t i = 0; i < t->all.n; i++)
        if (node[i].is_alive && node[i].sample &&
            ticksample_put(node[i].sample, METRIC_OOM_KILLS, node[i].have_kills,
                           node[i].own_kills + node[i].kills_below))
            node[i].version = ++t->version_last;
}

/* ---- passes ---- */

static void count(struct ticker *t, const struct ticknode *n, int r) {
    t->denied += r == -EACCES && n->target;
    t->uncounted += n->uncounted && n->is_alive;
}

/* Begins where the last pass had to leave some that had moved. */
static void read_all(struct ticker *t, struct pass *pass) {
    uint32_t start = t->start < t->all.n ? t->start : 0;

    t->denied = t->uncounted = 0;
    for (uint32_t k = 0; k < t->all.n; k++) {
        uint32_t i = start + k < t->all.n ? start + k : start + k - t->all.n;
        unsigned left = pass->left;

        if (!t->all.node[i].path)
            continue;
        count(t, &t->all.node[i], read_group(t, i, pass));
        if (left > 0 && pass->left == 0)
            t->start = i + 1;
    }
}

static struct pass pass_at(struct ticker *t, int64_t now_us) {
    bool many = t->targets > FEW_TARGETS, v1 = t->version == CG_V1;
    struct pass pass = {
        .now_us = now_us,
        .wall_ms = clock_wall_ms(),
        .number = ++t->passes,
        .left = MOVED_AT_ONCE,
        .spread = many && (t->options.spread || t->options.adaptive),
        .limits = t->limits_moved,
    };

    t->limits_moved = false;
    if (pass.spread)
        return pass;
    pass.slow = !many || pass.now_us - t->slow_at_us >= SLOW_US;
    pass.limits |= !many || (v1 ? pass.now_us - t->limits_at_us >= LIMITS_V1_US : pass.slow);
    if (pass.slow)
        t->slow_at_us = pass.now_us;
    if (pass.limits)
        t->limits_at_us = pass.now_us;
    return pass;
}

int ticker_run_at(struct ticker *t, int64_t now_us) {
    struct pass pass = pass_at(t, now_us);

    read_machine(t);
    read_all(t, &pass);
    if (t->kills_moved && t->options.all_groups && t->version == CG_V1)
        add_kills(t);
    find_rooms(t, &pass);
    return 0;
}

int ticker_run(struct ticker *t) {
    return ticker_run_at(t, clock_mono_us());
}

int ticker_run_some(struct ticker *t, const uint32_t *slot, size_t n) {
    struct pass pass = {
        .now_us = clock_mono_us(),
        .wall_ms = clock_wall_ms(),
        .number = ++t->passes,
        .spread = t->targets > FEW_TARGETS,
        .some = true,
    };

    read_machine(t);
    for (size_t k = 0; k < n; k++) {
        uint32_t i = slot[k] < t->slots ? t->slot[slot[k]] : NO_NODE;

        for (uint32_t a = i; a != NO_NODE; a = t->all.node[a].parent)
            if (t->all.node[a].pass != pass.number &&
                (a == i || ticknode_is_limited(&t->all.node[a])))
                (void)read_group(t, a, &pass);
    }
    for (size_t k = 0; k < n; k++) {
        struct ticknode *node = node_at(t, slot[k]);

        if (node && node->is_alive)
            find_room(t, node);
    }
    return 0;
}

void ticker_events_told(struct ticker *t, bool told) {
    t->events_told = told;
}

void ticker_hurry(struct ticker *t, uint32_t slot) {
    struct ticknode *n = node_at(t, slot);

    if (n) {
        n->slow_us = 0;
        n->stirred = true;
    }
}

const struct sample *ticker_sample(const struct ticker *t, uint32_t slot) {
    const struct ticknode *n = node_at(t, slot);

    return n && n->is_alive && n->sample && n->sample->at_ms > 0 ? n->sample : NULL;
}

uint32_t ticker_version(const struct ticker *t, uint32_t slot) {
    return ticker_sample(t, slot) ? node_at(t, slot)->version : 0;
}

void ticker_limit(const struct ticker *t, uint32_t slot, struct tick_limit *out) {
    const struct ticknode *n = node_at(t, slot);

    *out = n ? n->limit : (struct tick_limit){.from = LIMIT_HOST};
}

const struct tick_host *ticker_host(const struct ticker *t) {
    return &t->machine;
}

bool ticker_cpu(const struct ticker *t, uint32_t slot, uint64_t *centi_out) {
    const struct ticknode *n = node_at(t, slot);

    if (!n || n->cpu_before_at_us == 0 || n->cpu_now_at_us <= n->cpu_before_at_us ||
        n->cpu_now_us < n->cpu_before_us)
        return false;
    *centi_out = (n->cpu_now_us - n->cpu_before_us) * 10000 /
                 (uint64_t)(n->cpu_now_at_us - n->cpu_before_at_us);
    return true;
}

bool ticker_shares_network(const struct ticker *t, uint32_t slot) {
    const struct ticknode *n = node_at(t, slot);

    return n && n->net_shared;
}

bool ticker_short_of_fds(const struct ticker *t) {
    return t->all.fds.exhausted;
}

unsigned ticker_uncounted(const struct ticker *t) {
    return t->uncounted;
}

unsigned ticker_denied(const struct ticker *t) {
    return t->denied;
}
