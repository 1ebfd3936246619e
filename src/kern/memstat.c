#include "kern/memstat.h"

#include <errno.h>

static const struct {
    struct str v1, v2;
} spelling[MEMSTAT_N] = {
#define BOTH(v1_name, v2_name)                                                                     \
    {                                                                                              \
        {v1_name, sizeof(v1_name) - 1}, {                                                          \
            v2_name, sizeof(v2_name) - 1                                                           \
        }                                                                                          \
    }
    [MEMSTAT_ANON] = BOTH("total_rss", "anon"),
    [MEMSTAT_FILE] = BOTH("total_cache", "file"),
    [MEMSTAT_SHMEM] = BOTH("total_shmem", "shmem"),
    [MEMSTAT_MAPPED] = BOTH("total_mapped_file", "file_mapped"),
    [MEMSTAT_DIRTY] = BOTH("total_dirty", "file_dirty"),
    [MEMSTAT_WRITEBACK] = BOTH("total_writeback", "file_writeback"),
    [MEMSTAT_INACTIVE_ANON] = BOTH("total_inactive_anon", "inactive_anon"),
    [MEMSTAT_ACTIVE_ANON] = BOTH("total_active_anon", "active_anon"),
    [MEMSTAT_INACTIVE_FILE] = BOTH("total_inactive_file", "inactive_file"),
    [MEMSTAT_ACTIVE_FILE] = BOTH("total_active_file", "active_file"),
    [MEMSTAT_UNEVICTABLE] = BOTH("total_unevictable", "unevictable"),
    [MEMSTAT_SWAP] = BOTH("total_swap", ""),
    [MEMSTAT_SWAPCACHED] = BOTH("total_swapcached", "swapcached"),
    [MEMSTAT_ANON_THP] = BOTH("total_rss_huge", "anon_thp"),
    [MEMSTAT_KERNEL] = BOTH("", "kernel"),
    [MEMSTAT_SLAB_RECLAIMABLE] = BOTH("", "slab_reclaimable"),
    [MEMSTAT_SLAB_UNRECLAIMABLE] = BOTH("", "slab_unreclaimable"),
    [MEMSTAT_KERNEL_STACK] = BOTH("", "kernel_stack"),
    [MEMSTAT_PAGETABLES] = BOTH("", "pagetables"),
    [MEMSTAT_PERCPU] = BOTH("", "percpu"),
    [MEMSTAT_VMALLOC] = BOTH("", "vmalloc"),
    [MEMSTAT_SOCK] = BOTH("", "sock"),
    [MEMSTAT_ZSWAP] = BOTH("", "zswap"),
    [MEMSTAT_ZSWAPPED] = BOTH("", "zswapped"),
    [MEMSTAT_FAULTS] = BOTH("total_pgfault", "pgfault"),
    [MEMSTAT_MAJOR_FAULTS] = BOTH("total_pgmajfault", "pgmajfault"),
    [MEMSTAT_REFAULT_ANON] = BOTH("total_workingset_refault_anon", "workingset_refault_anon"),
    [MEMSTAT_REFAULT_FILE] = BOTH("total_workingset_refault_file", "workingset_refault_file"),
    [MEMSTAT_PGSCAN] = BOTH("", "pgscan"),
    [MEMSTAT_PGSTEAL] = BOTH("", "pgsteal"),
    [MEMSTAT_HIER_LIMIT] = BOTH("hierarchical_memory_limit", ""),
    [MEMSTAT_HIER_MEMSW_LIMIT] = BOTH("hierarchical_memsw_limit", ""),
#undef BOTH
};

static int field_of(struct str key, enum cg_version version) {
    for (int field = 0; field < MEMSTAT_N; field++)
        if (str_eq(key, version == CG_V1 ? spelling[field].v1 : spelling[field].v2))
            return key.n > 0 ? field : -1;
    return -1;
}

/* The field of the next line, cut up to and with the blank behind its key. The remembered order is
 * tried first; a line that differs is looked up and remembered anew. */
static int cut_key(struct str *rest, unsigned line, enum cg_version version,
                   struct memstat_order *order, int *field_out) {
    struct str key;

    if (order && line < order->lines && rest->n > order->line[line].length &&
        memcmp(rest->p, order->line[line].key, order->line[line].length) == 0) {
        *field_out = order->line[line].field;
        *rest = str_from(*rest, order->line[line].length);
        return 0;
    }
    if (!str_cut(rest, ' ', &key) || key.n == 0 || str_find(key, '\n') >= 0)
        return -EBADMSG;
    *field_out = field_of(key, version);
    if (order && line < MEMSTAT_LINES && key.n + 1 <= MEMSTAT_KEY && line <= order->lines) {
        order->line[line].length = (uint8_t)(key.n + 1);
        order->line[line].field = (int8_t)*field_out;
        memcpy(order->line[line].key, key.p, key.n + 1);
        if (line == order->lines)
            order->lines++;
    }
    return 0;
}

/* The digits up to the newline, which is cut too. */
static inline int cut_number(struct str *rest, uint64_t *out) {
    const char *p = rest->p, *end = rest->p + rest->n;
    uint64_t value = 0;

    for (; p < end && *p != '\n'; p++) {
        unsigned digit = (unsigned char)*p - (unsigned)'0';

        if (digit > 9)
            return -EBADMSG;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return -ERANGE;
    }
    if (p == end || p == rest->p)
        return -EBADMSG; /* cut off, or no number */
    *rest = (struct str){p + 1, (size_t)(end - p - 1)};
    *out = value;
    return 0;
}

int memstat_parse(struct str text, enum cg_version version, struct memstat_order *order,
                  struct memstat *out) {
    struct memstat m;

    m.have = 0;
    for (unsigned line = 0; text.n > 0; line++) {
        uint64_t number;
        int field, r = cut_key(&text, line, version, order, &field);

        if (r < 0)
            return r;
        r = cut_number(&text, &number);
        if (r < 0)
            return r;
        if (field >= 0) {
            m.value[field] = number;
            m.have |= 1ull << field;
        }
    }
    for (unsigned field = 0; field < MEMSTAT_N; field++)
        out->value[field] = m.have >> field & 1 ? m.value[field] : 0;
    out->have = m.have;
    return 0;
}
