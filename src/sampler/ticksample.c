#include "sampler/ticksample.h"

#include "base/mem.h"

bool ticksample_put(struct sample *s, enum metric m, bool have, uint64_t value) {
    if (have == sample_has(s, m) && (!have || s->value[m] == value))
        return false;
    sample_take(s, m, have, value);
    return true;
}

bool ticksample_kernel(struct sample *s, const struct cgroup_numbers *n,
                       const struct memstat *stat) {
    static const enum memstat_field parts[] = {MEMSTAT_SLAB_RECLAIMABLE, MEMSTAT_SLAB_UNRECLAIMABLE,
                                               MEMSTAT_KERNEL_STACK,     MEMSTAT_PAGETABLES,
                                               MEMSTAT_PERCPU,           MEMSTAT_VMALLOC};
    uint64_t sum = 0;

    if (cgroup_has(n, CGROUP_KERNEL))
        return ticksample_put(s, METRIC_KERNEL, true, n->value[CGROUP_KERNEL]);
    if (memstat_has(stat, MEMSTAT_KERNEL))
        return ticksample_put(s, METRIC_KERNEL, true, stat->value[MEMSTAT_KERNEL]);
    if (!memstat_has(stat, MEMSTAT_SLAB_UNRECLAIMABLE))
        return ticksample_put(s, METRIC_KERNEL, false, 0);
    for (size_t i = 0; i < ARRAY_N(parts); i++)
        sum += stat->value[parts[i]];
    return ticksample_put(s, METRIC_KERNEL, true, sum);
}

bool ticksample_stat(struct sample *s, const struct memstat *stat) {
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
    bool changed = false;

    for (size_t i = 0; i < ARRAY_N(map); i++)
        changed |= ticksample_put(s, map[i].metric, memstat_has(stat, map[i].field),
                                  stat->value[map[i].field]);
    return changed;
}

/* OOM_KILLS is not here: v1's needs those of the groups below added. */
bool ticksample_numbers(struct sample *s, unsigned what, enum cg_version version,
                        const struct cgroup_numbers *n) {
    static const struct {
        enum metric metric;
        enum cgroup_field field;
        unsigned file[2]; /* of v1, v2 */
    } map[] = {
        {METRIC_USAGE, CGROUP_USAGE, {CGROUP_READ_USAGE, CGROUP_READ_USAGE}},
        {METRIC_SWAP, CGROUP_SWAP, {CGROUP_READ_STAT, CGROUP_READ_SWAP}},
        {METRIC_OWN_LIMIT, CGROUP_LIMIT, {CGROUP_READ_LIMIT, CGROUP_READ_LIMIT}},
        {METRIC_HIGH, CGROUP_HIGH, {CGROUP_READ_BOUNDS, CGROUP_READ_BOUNDS}},
        {METRIC_LOW, CGROUP_LOW, {CGROUP_READ_BOUNDS, CGROUP_READ_BOUNDS}},
        {METRIC_MIN, CGROUP_MIN, {CGROUP_READ_BOUNDS, CGROUP_READ_BOUNDS}},
        {METRIC_SOFT_LIMIT, CGROUP_SOFT_LIMIT, {CGROUP_READ_BOUNDS, CGROUP_READ_BOUNDS}},
        {METRIC_PEAK, CGROUP_PEAK, {CGROUP_READ_PEAK, CGROUP_READ_PEAK}},
        {METRIC_FAILCNT, CGROUP_FAILCNT, {CGROUP_READ_FAILCNT, CGROUP_READ_EVENTS}},
        {METRIC_HIGH_EVENTS, CGROUP_HIGH_EVENTS, {CGROUP_READ_EVENTS, CGROUP_READ_EVENTS}},
        {METRIC_UNDER_OOM, CGROUP_UNDER_OOM, {CGROUP_READ_EVENTS, CGROUP_READ_EVENTS}},
        {METRIC_OOM_KILL_DISABLED, CGROUP_KILL_DISABLED, {CGROUP_READ_EVENTS, CGROUP_READ_EVENTS}},
        {METRIC_PSI_SOME, CGROUP_SOME_AVG10, {CGROUP_READ_PSI, CGROUP_READ_PSI}},
        {METRIC_PSI_FULL, CGROUP_FULL_AVG10, {CGROUP_READ_PSI, CGROUP_READ_PSI}},
        {METRIC_PSI_SOME_US, CGROUP_SOME_US, {CGROUP_READ_PSI, CGROUP_READ_PSI}},
        {METRIC_PSI_FULL_US, CGROUP_FULL_US, {CGROUP_READ_PSI, CGROUP_READ_PSI}},
        {METRIC_PIDS, CGROUP_PIDS, {CGROUP_READ_PIDS, CGROUP_READ_PIDS}},
        {METRIC_PIDS_LIMIT, CGROUP_PIDS_LIMIT, {CGROUP_READ_BOUNDS, CGROUP_READ_BOUNDS}},
        {METRIC_CPU_US, CGROUP_CPU_US, {CGROUP_READ_CPU, CGROUP_READ_CPU}},
        {METRIC_BLK_READ, CGROUP_READ, {CGROUP_READ_IO, CGROUP_READ_IO}},
        {METRIC_BLK_WRITE, CGROUP_WRITTEN, {CGROUP_READ_IO, CGROUP_READ_IO}},
    };
    bool changed = false;

    for (size_t i = 0; i < ARRAY_N(map); i++)
        if (what & map[i].file[version])
            changed |= ticksample_put(s, map[i].metric, cgroup_has(n, map[i].field),
                                      n->value[map[i].field]);
    return changed;
}
