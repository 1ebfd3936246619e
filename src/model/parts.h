/* parts.h - a target's usage as parts that do not overlap and add up to it.
 *
 * The kernel's counters overlap (shmem is part of file, reclaimable slab of kernel, pages given
 * back lazily are in anon and in inactive_file) and are not read at one moment. So what no counter
 * tells is a part of its own, OTHER; and where the counters add up to more than usage, what can be
 * reclaimed is believed first (inactive_file, active_file, slab), then kernel, shmem and anon, each
 * up to what is left. Thus the parts that stay always add up to `used`.
 * Pure. The page computes the same in web/src/parts.ts; both are tested with
 * tests/fixtures/parts.json.
 */
#pragma once
#include "model/sample.h"

/* In the order they are stacked: what stays first, what can be reclaimed last. */
enum part {
    PART_ANON,     /* anon: heaps, stacks */
    PART_SHMEM,    /* shmem: tmpfs and shared memory */
    PART_KERNEL,   /* kernel less reclaimable slab, and sock */
    PART_OTHER,    /* usage less all others: charged but not told apart, per-CPU batches */
    PART_SLAB,     /* slab_reclaimable */
    PART_ACTIVE,   /* active_file */
    PART_INACTIVE, /* inactive_file */
    PART_N,
};

struct parts {
    uint64_t bytes[PART_N]; /* their sum is usage */
};

/* False when usage is not known. A part whose counter is unknown is 0 and ends up in OTHER. */
bool parts_of(const struct sample *s, struct parts *out);

static inline bool part_is_reclaimable(enum part p) {
    return p >= PART_SLAB;
}

/* "anon", "shmem", "kernel", "other", "slab", "active_file", "inactive_file" */
const char *part_name(enum part p);
