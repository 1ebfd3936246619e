/* mapgroups.h - the memory of one process by what backs it: its heap, its stacks, each file, each
 * memfd ... summed over all mappings of one kind and name, or mapping by mapping.
 */
#pragma once
#include "base/buf.h"
#include "base/hash.h"
#include "kern/smaps.h"

enum mapgroup_kind {
    MAPGROUP_HEAP,    /* what brk made */
    MAPGROUP_STACK,   /* of the first thread; other threads' are anonymous */
    MAPGROUP_ANON,    /* private anonymous memory, by name where the program gave one */
    MAPGROUP_SHARED,  /* shared anonymous memory, of this process and its children */
    MAPGROUP_FILE,    /* files, also of /dev/shm; `deleted` when they have no name any more */
    MAPGROUP_MEMFD,   /* memfd_create */
    MAPGROUP_SYSV,    /* shmget; the number in the name is the key, then its id */
    MAPGROUP_HUGETLB, /* anonymous memory of the hugetlb pool */
    MAPGROUP_KERNEL,  /* vdso, vvar: the kernel's own pages */
    MAPGROUP_OTHER,
    MAPGROUP_KIND_N,
};

struct mapgroup {
    enum mapgroup_kind kind;
    uint32_t name_at, name_n; /* see mapgroups_name */
    bool deleted;             /* the file was removed: its memory comes back when it is unmapped */
    uint64_t start, end, offset, inode; /* of its first mapping */
    char perms[5];
    size_t mappings;
    uint64_t size; /* bytes of address space */
    struct smaps sum;
};

struct mapgroups {
    struct mapgroup *group; /* in the order of their first address */
    size_t n, room;
    struct mapgroup total;
    struct buf names;
    uint32_t *slot; /* hash table of indices + 1 */
    size_t slots;
    struct hash_key key; /* of that table */
    bool each;           /* a group a mapping */
};

/* Reads PROC/PID/smaps. 0, also for a process without memory (n is 0 then); -EACCES or -EPERM;
 * -ENOENT, -ESRCH: no such process, or on new kernels one without memory; -EBADMSG; -ENOMEM; -EFBIG
 * above 256 MiB of names. mapgroups_done in any case. */
int mapgroups_read(struct mapgroups *g, int proc, int32_t pid, bool each);
void mapgroups_done(struct mapgroups *g); /* legal on a zeroed struct */

/* "[heap]", "[anon]", "[anon:NAME]", "/path", "memfd:NAME" ... raw bytes: escape what is printed.
 */
struct str mapgroups_name(const struct mapgroups *g, const struct mapgroup *group);
const char *mapgroup_kind_name(enum mapgroup_kind kind);

/* For tests and for trees: adds one mapping with its values. 0 or -ENOMEM. */
int mapgroups_add(struct mapgroups *g, const struct mapping *m);

/* What became of a group between two reads; one of the two is NULL when it is new or gone. */
struct mapgrowth {
    const struct mapgroup *before, *after;
};

/* Pairs the groups of two reads of the same kind (`each` or not). The caller frees *out. 0 or
 * -ENOMEM. */
int mapgroups_diff(const struct mapgroups *before, const struct mapgroups *after,
                   struct mapgrowth **out, size_t *n_out);

/* How much a value grew (it may be negative); false when it is unknown on a side that exists. */
bool mapgrowth_of(const struct mapgrowth *g, enum smaps_field field, int64_t *out);

/* RSS and swap together: what the group costs. A kernel without swap lines has RSS alone. */
bool mapgrowth_cost(const struct mapgrowth *g, int64_t *out);
