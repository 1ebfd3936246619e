/* meminfo.h - the machine's memory, from /proc/meminfo. Inside a container it is still the
 * machine's: that is why `plimsoll free` shows both. */
#pragma once
#include "base/str.h"

enum meminfo_field {
    MEMINFO_TOTAL,
    MEMINFO_FREE,
    MEMINFO_AVAILABLE,
    MEMINFO_BUFFERS,
    MEMINFO_CACHED, /* page cache, shmem included */
    MEMINFO_SHMEM,
    MEMINFO_SLAB_RECLAIMABLE,
    MEMINFO_SWAP_TOTAL,
    MEMINFO_SWAP_FREE,
    MEMINFO_SWAP_CACHED,
    MEMINFO_COMMITTED,
    MEMINFO_ANON,
    MEMINFO_MAPPED,
    MEMINFO_DIRTY,
    MEMINFO_WRITEBACK,
    MEMINFO_ACTIVE_ANON,
    MEMINFO_INACTIVE_ANON,
    MEMINFO_ACTIVE_FILE,
    MEMINFO_INACTIVE_FILE,
    MEMINFO_UNEVICTABLE,
    MEMINFO_SLAB_UNRECLAIMABLE,
    MEMINFO_KERNEL_STACK,
    MEMINFO_PAGETABLES,
    MEMINFO_PERCPU,
    MEMINFO_ANON_HUGE,
    MEMINFO_N,
};

struct meminfo {
    uint64_t value[MEMINFO_N]; /* bytes */
    uint32_t have;             /* bit (1u << field) */
};

static inline bool meminfo_has(const struct meminfo *m, enum meminfo_field field) {
    return m->have >> field & 1;
}

/* Unknown lines are skipped. 0, -EBADMSG or -ERANGE, and then *out is untouched. */
int meminfo_parse(struct str text, struct meminfo *out);
int meminfo_read(int proc, struct meminfo *out); /* proc: descriptor of /proc */
