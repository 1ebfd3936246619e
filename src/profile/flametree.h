/* flametree.h - stacks that share their beginnings, as a tree: what a flame graph draws.
 */
#pragma once
#include "profile/profile.h"

enum { FLAMETREE_NODES = 1000000, FLAMETREE_NONE = UINT32_MAX };

/* Node 0 is the root, "all". */
struct flamenode {
    uint32_t name;                /* a text of the profile; FLAMETREE_NONE: the root */
    uint32_t parent, child, next; /* FLAMETREE_NONE: none; children from the widest on */
    uint64_t width;               /* of all below: absolute values added */
    int64_t change;               /* the same with their signs */
};

struct flametree {
    struct flamenode *node;
    uint32_t n;
    bool cut; /* stacks were shortened since there are too many nodes */
};

/* 0; -ENOMEM. flametree_done also takes a zeroed one. */
int flametree_make(const struct profile *p, unsigned type, struct flametree *out);
void flametree_done(struct flametree *t);

/* Which nodes are among so many of the widest, of equal ones those nearer to the root: with each
 * its parent is. 0 and *out, one for each node, for the caller to free; -ENOMEM. */
int flametree_widest(const struct flametree *t, size_t nodes, bool **out);
