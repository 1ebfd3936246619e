/* oomcount.h - how often the kernel ran out of memory in a tree of groups, and killed for it.
 *
 * v1 counts a kill in the victim's own group alone, so the tree is walked; it has no count of OOMs
 * (cgwatch_oom stands in). v2 counts hierarchically: `kills` where the victim was, `ooms` where the
 * limit was. The counter moves before the victim dies, and dies with its group: read it before
 * the group is removed.
 */
#pragma once
#include "kern/cgfs.h"

struct oomcount {
    uint64_t kills; /* tasks killed for memory in the group and all below; oom.group may count one
                       victim twice */
    uint64_t ooms;  /* v2: times a limit in this tree could not be met; not kills */
    uint64_t local; /* v2: the part of `ooms` that was this group's own limit (Linux 5.2) */
    bool have_kills, have_ooms, have_local;
};

/* Reads the group. What the kernel does not offer is not had. 0; -ENODEV when it was removed. Walks
 * directories on v1. */
int oomcount_read(int dir, enum cg_version version, struct oomcount *out);
