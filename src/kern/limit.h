/* limit.h - the limit that really counts for a group: the tightest of its own, its ancestors' and
 * the machine's memory; and how much room is left under each of them.
 */
#pragma once
#include "kern/cgroup.h"

/* One group of the chain from the target (first) to the top of what is mounted (last). */
struct limit_level {
    uint64_t limit; /* bytes, or CGROUP_NO_LIMIT */
    uint64_t used;  /* what reclaim cannot take, in this group and all below it */
    bool have_limit, have_used;
};

enum limit_from {
    LIMIT_LEVEL,   /* the level whose index is given: 0 is the target itself */
    LIMIT_OUTSIDE, /* an ancestor outside of what this namespace shows (v1 tells the value only) */
    LIMIT_HOST,    /* no group's limit: the machine's memory */
};

struct limit {
    uint64_t bytes;
    enum limit_from from;
    unsigned level;    /* for LIMIT_LEVEL */
    bool certain;      /* false: an ancestor that cannot be seen may be tighter (v2, namespaced) */
    uint64_t headroom; /* the smallest room over the chain, never below 0; the machine's own
                          available memory counts too when it is given */
    bool have_headroom;
};

struct limit_input {
    const struct limit_level *level;
    unsigned levels;         /* at least 1 */
    uint64_t hier_limit;     /* v1: hierarchical_memory_limit of the target; 0: not known */
    bool at_top;             /* the last level is the machine's true root */
    uint64_t host_total;     /* MemTotal; 0: not known */
    uint64_t host_available; /* MemAvailable; 0: not known, or another machine's */
};

/* false when nothing at all is known: no level has a limit and the machine's memory neither. */
bool limit_find(const struct limit_input *in, struct limit *out);

/* What stays when the kernel has reclaimed all it can, in bytes:
 * usage - inactive_file - active_file - slab_reclaimable, never below 0 (the per-CPU batches of
 * usage and the lists are not from the same moment). v1 has no slab line: there reclaimable kernel
 * memory stays in, and is told apart as CGROUP_KERNEL. False when usage or the lists are unknown.
 */
bool limit_used(const struct cgroup_numbers *n, const struct memstat *stat, uint64_t *out);

/* usage - inactive_file: what docker stats and the kubelet show. */
bool limit_working_set(const struct cgroup_numbers *n, const struct memstat *stat, uint64_t *out);
