/* memstat.h - what a group's memory consists of, read from its memory.stat.
 *
 * cgroup v1 and v2 name the same things differently; this module is where that difference ends.
 * v1 values are the hierarchical "total_" ones, so both versions include child groups.
 */
#pragma once
#include "kern/cgfs.h"

enum memstat_field {
    MEMSTAT_ANON,      /* bytes: heaps, stacks, private writable pages; v1 counts swap cache here */
    MEMSTAT_FILE,      /* bytes: page cache, tmpfs and shared memory included */
    MEMSTAT_SHMEM,     /* bytes: the part of FILE that cannot be dropped, only swapped */
    MEMSTAT_MAPPED,    /* bytes: the part of FILE mapped into some process */
    MEMSTAT_DIRTY,     /* bytes: the part of FILE that must be written before it can be dropped */
    MEMSTAT_WRITEBACK, /* bytes: being written now */
    MEMSTAT_INACTIVE_ANON, /* bytes on that LRU list; shmem is on the anon lists */
    MEMSTAT_ACTIVE_ANON,
    MEMSTAT_INACTIVE_FILE, /* bytes: reclaimed first; freed but not yet taken (MADV_FREE) too */
    MEMSTAT_ACTIVE_FILE,
    MEMSTAT_UNEVICTABLE,      /* bytes: mlocked and such, on no file list */
    MEMSTAT_SWAP,             /* bytes, v1 only (v2: memory.swap.current) */
    MEMSTAT_SWAPCACHED,       /* bytes: in memory and in swap at once */
    MEMSTAT_ANON_THP,         /* bytes: the part of ANON in transparent huge pages */
    MEMSTAT_KERNEL,           /* bytes: all kernel memory (v2, Linux 5.18) */
    MEMSTAT_SLAB_RECLAIMABLE, /* v2 only: dentries, inodes */
    MEMSTAT_SLAB_UNRECLAIMABLE,
    MEMSTAT_KERNEL_STACK,
    MEMSTAT_PAGETABLES,
    MEMSTAT_PERCPU,
    MEMSTAT_VMALLOC,
    MEMSTAT_SOCK,     /* bytes: network buffers; not in KERNEL */
    MEMSTAT_ZSWAP,    /* bytes: compressed swap held in memory */
    MEMSTAT_ZSWAPPED, /* bytes: what that was before compression */
    MEMSTAT_FAULTS,   /* events since the group was made, from here on */
    MEMSTAT_MAJOR_FAULTS,
    MEMSTAT_REFAULT_ANON,
    MEMSTAT_REFAULT_FILE, /* pages read again soon after they were reclaimed: the cache is needed */
    MEMSTAT_PGSCAN,
    MEMSTAT_PGSTEAL,
    MEMSTAT_HIER_LIMIT,       /* bytes, v1: tightest limit up to the real root, namespaces or not */
    MEMSTAT_HIER_MEMSW_LIMIT, /* bytes, v1: the same for memory + swap */
    MEMSTAT_N,
};

struct memstat {
    uint64_t value[MEMSTAT_N];
    uint64_t have; /* bit (1 << field): the kernel wrote it; "not written" is not zero */
};

static inline bool memstat_has(const struct memstat *m, enum memstat_field field) {
    return m->have >> field & 1;
}

/* Remembers the order of the lines, which a running kernel does not change: with it a parse costs a
 * comparison a line instead of a search. Zeroed before its first use; for one version only. */
enum { MEMSTAT_LINES = 96, MEMSTAT_KEY = 40 };
struct memstat_order {
    unsigned lines;
    struct {
        uint8_t length;        /* of the key and its blank */
        int8_t field;          /* -1: a key that we do not read */
        char key[MEMSTAT_KEY]; /* with the blank */
    } line[MEMSTAT_LINES];
};

/* Parses a whole memory.stat. Keys not listed above are skipped: newer kernels add some. `order`
 * may be NULL. 0; -EBADMSG or -ERANGE on a line that is not "key number\n", and then *out is
 * untouched. Never allocates. */
int memstat_parse(struct str text, enum cg_version version, struct memstat_order *order,
                  struct memstat *out);
