#include "runtime/arenas.h"

#include <string.h>

enum {
    GUARD_MAX = 1 << 20,
    BLOCKS_MAX = 4096, /* looked at in one mapping */
    PAGE = 4096,
    IS_MMAPPED = 2,
    FLAGS = 7,
};

static void count(struct arenas *a, enum arena_part part, uint64_t things, uint64_t size,
                  const struct smaps *s) {
    a->part[part].count += things;
    a->part[part].size += size;
    a->part[part].resident += s->value[SMAPS_RSS];
    a->part[part].swapped += s->value[SMAPS_SWAP];
}

/* How many blocks of malloc fill this mapping from one end to the other; 0: it is something else.
 */
static uint64_t blocks_in(const struct mapping *m, arenas_read_fn *read, void *ctx) {
    uint64_t at = m->start, n = 0;

    while (read && at < m->end && n < BLOCKS_MAX) {
        uint64_t head[2], size; /* how far it begins behind the mapping's start, and its size */

        if (read(ctx, at, head, sizeof(head)) < 0)
            return 0;
        size = (head[1] & ~(uint64_t)FLAGS) + head[0];
        if ((head[1] & FLAGS) != IS_MMAPPED || head[0] >= PAGE || size % PAGE != 0 || size == 0 ||
            size > m->end - at)
            return 0;
        at += size;
        n++;
    }
    return at == m->end ? n : 0;
}

/* The part of an arena that is in use was seen, and what follows is not its rest. */
static void drop_arena(struct arenas *a) {
    if (a->arena_start == 0)
        return;
    if (a->arena_end - a->arena_start == ARENA_SPAN)
        count(a, ARENA_OTHER, 1, ARENA_SPAN, &a->arena);
    else
        count(a, ARENA_ANON, 1, a->arena_end - a->arena_start, &a->arena);
    a->arena_start = 0;
}

static bool is_rest(const struct arenas *a, const struct mapping *m) {
    return a->arena_start != 0 && m->start == a->arena_end && m->perms[0] == '-' && m->inode == 0 &&
           m->end >= a->arena_start + ARENA_SPAN;
}

static enum arena_part part_of(const struct arenas *a, const struct mapping *m) {
    if (str_eq(m->path, STR("[heap]")))
        return ARENA_MAIN;
    if (str_eq(m->path, STR("[stack]")) || str_starts(m->path, STR("[stack:")))
        return ARENA_STACKS;
    if (m->perms[3] == 's' || str_starts(m->path, STR("/dev/shm/")) ||
        str_starts(m->path, STR("/memfd:")) || str_starts(m->path, STR("/SYSV")))
        return ARENA_SHARED;
    if (m->inode != 0)
        return ARENA_FILES;
    if (a->guard_end == m->start && a->guard_size > 0 && a->guard_size <= GUARD_MAX &&
        m->perms[1] == 'w')
        return ARENA_STACKS;
    return ARENA_ANON;
}

void arenas_add(struct arenas *a, const struct mapping *m, arenas_read_fn *read, void *ctx) {
    uint64_t size = m->end - m->start, n;
    enum arena_part part;

    if (is_rest(a, m)) {
        a->arena_end = a->arena_start + ARENA_SPAN;
        drop_arena(a);
        a->guard_end = 0;
        return;
    }
    drop_arena(a);
    part = part_of(a, m);
    a->guard_end = m->perms[0] == '-' && m->inode == 0 ? m->end : 0;
    a->guard_size = size;
    if (a->guard_end != 0)
        return; /* address space without memory */
    if (part == ARENA_ANON && m->perms[1] == 'w' && m->path.n == 0) {
        if (m->start % ARENA_SPAN == 0 && size <= ARENA_SPAN) {
            a->arena_start = m->start;
            a->arena_end = m->end;
            a->arena = m->smaps;
            return;
        }
        n = blocks_in(m, read, ctx);
        if (n > 0) {
            count(a, ARENA_BLOCKS, n, size, &m->smaps);
            return;
        }
    }
    count(a, part, 1, size, &m->smaps);
}

void arenas_end(struct arenas *a) {
    drop_arena(a);
}
