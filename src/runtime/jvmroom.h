/* jvmroom.h - whether a collection fits: collectors that copy need room for the copies, and a group
 * near its limit has none. The kernel would kill for it.
 */
#pragma once
#include "kern/cgfs.h"
#include "runtime/jvmtext.h"
#include "runtime/rt.h"
#include "runtime/rtproc.h"

struct jvmroom {
    uint64_t bytes;  /* UINT64_MAX: no limit is known. What the kernel can reclaim counts as free,
                        swap does not */
    uint64_t limit;  /* of the group that has so little; 0: it is the machine */
    bool above;      /* that group is not its own but one above */
    char group[160]; /* its path, cut */
};

/* The least room under the limits of its group and of those above; `path` as /proc/PID/cgroup has
 * it. */
void jvmroom_of_groups(const struct cgfs *fs, struct str path, struct jvmroom *out);

/* The most that a full collection may make resident beyond what is. `spare`: bytes of the old
 * generation that are resident and free. Pure. */
uint64_t jvmroom_need(enum jvm_gc gc, const struct jvm_sizes *before, uint64_t spare);

/* True, and *out is a refusal with both numbers: it could be killed for memory. `before`: what
 * GC.heap_info says; without it the JVM's counters, else its resident memory, are the measure. */
bool jvmroom_lacks(const struct rtproc *p, enum jvm_gc gc, const struct jvm_sizes *before,
                   struct rt_result *out);
