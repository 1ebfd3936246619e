/* ticknode.h - the groups that a ticker reads: its targets, and their ancestors, whose limits may
 * be the ones that count.
 *
 * Part of tick.c's own works. Nodes lie in one array that moves when it grows: keep indices, not
 * pointers, across ticknodes_hold.
 */
#pragma once
#include "base/hash.h"
#include "sampler/tick.h"

#define NO_NODE UINT32_MAX

struct ticknode {
    /* What every tick looks at comes first: there may be thousands, and the cache is cold. */
    const struct target *target; /* NULL: an ancestor of targets */
    struct sample *sample;       /* of targets only */
    char *path;                  /* NULL: a free node */
    uint64_t usage, used, reclaimable, own_limit;
    int64_t slow_us, rare_us, stat_us; /* when the next is due (spread, adaptive) */
    uint32_t parent, version;
    bool have_usage, have_used, have_own_limit, have_swap_limit, have_kills, is_alive;
    bool stirred;   /* moved since what rarely changes was read */
    bool limit_due; /* what the room under its limits is made of has changed */
    bool uncounted; /* v2: no memory controller here */
    struct cgroup cg;
    uint64_t hier_limit, own_swap_limit;
    uint64_t own_kills, kills_below;
    uint64_t cpu_before_us, cpu_now_us;
    int64_t born_us, cpu_before_at_us, cpu_now_at_us;
    struct tick_limit limit;
    uint32_t next;   /* in the same hash bucket, or in the list of free nodes */
    uint32_t refs;   /* children, and one for being a target */
    uint32_t pass;   /* in which it was read last */
    int32_t net_pid; /* the process whose network was checked to be the target's own; 0: none yet */
    bool net_own, net_shared;
};

struct ticknodes {
    struct ticknode *node;
    uint32_t n, room, free;
    uint32_t *bucket, buckets; /* a power of two */
    struct hash_key key;
    struct cgroup_fds fds;
    const struct cgfs *fs;
    unsigned deepest; /* levels of the longest chain there ever was */
};

void ticknodes_init(struct ticknodes *t, const struct cgfs *fs, int fds_reserved);
void ticknodes_done(struct ticknodes *t);

/* The node of a path with all its ancestors, made where they are missing; one reference is taken
 * for the caller. 0 or -ENOMEM. */
int ticknodes_hold(struct ticknodes *t, struct str path, uint32_t *out);
void ticknodes_drop(struct ticknodes *t, uint32_t i); /* gives the reference back */

/* Its own limit is one, and not "none". */
static inline bool ticknode_is_limited(const struct ticknode *n) {
    return n->have_own_limit && n->own_limit != CGROUP_NO_LIMIT;
}

/* What was known of its memory is not any more. */
void ticknode_forget(struct ticknode *n);
