/* arenas.h - which mappings of a process are malloc's, the stacks of its threads and the rest, by
 * their shape: for programs of glibc.
 *
 * The main arena is [heap]. Every other begins at a multiple of 64 MiB and takes that much address
 * space: first what it may use, then what it may not yet. A block of its own mapping has a header
 * that says so. A thread's stack has a guard below it.
 */
#pragma once
#include "kern/maps.h"

enum arena_part {
    ARENA_MAIN,   /* [heap] */
    ARENA_OTHER,  /* arenas of threads */
    ARENA_BLOCKS, /* blocks with mappings of their own */
    ARENA_STACKS, /* of all threads, the first one too */
    ARENA_ANON,   /* other anonymous memory */
    ARENA_FILES,  /* mapped files */
    ARENA_SHARED, /* shared memory */
    ARENA_PARTS,
};

struct arenas {
    struct {
        uint64_t count;                   /* mappings; arenas; blocks */
        uint64_t size, resident, swapped; /* bytes */
    } part[ARENA_PARTS];
    /* What came before, to tell by. */
    uint64_t guard_end; /* of a mapping that may not be touched; 0: none */
    uint64_t guard_size;
    uint64_t arena_start, arena_end; /* of one whose rest is still to come */
    struct smaps arena;
};

enum { ARENA_SPAN = 64 << 20 };

/* Reads memory: 0 or negative. May be NULL: blocks are then among ARENA_ANON. */
typedef int arenas_read_fn(void *ctx, uint64_t address, void *out, size_t n);

/* One mapping after the other, in address order, with smaps; and the end. Pure but for read. */
void arenas_add(struct arenas *a, const struct mapping *m, arenas_read_fn *read, void *ctx);
void arenas_end(struct arenas *a);
