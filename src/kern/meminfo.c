#include "kern/meminfo.h"

#include <errno.h>

#include "base/file.h"

static const char *const spelling[MEMINFO_N] = {
    [MEMINFO_TOTAL] = "MemTotal",
    [MEMINFO_FREE] = "MemFree",
    [MEMINFO_AVAILABLE] = "MemAvailable",
    [MEMINFO_BUFFERS] = "Buffers",
    [MEMINFO_CACHED] = "Cached",
    [MEMINFO_SHMEM] = "Shmem",
    [MEMINFO_SLAB_RECLAIMABLE] = "SReclaimable",
    [MEMINFO_SWAP_TOTAL] = "SwapTotal",
    [MEMINFO_SWAP_FREE] = "SwapFree",
    [MEMINFO_SWAP_CACHED] = "SwapCached",
    [MEMINFO_COMMITTED] = "Committed_AS",
    [MEMINFO_ANON] = "AnonPages",
    [MEMINFO_MAPPED] = "Mapped",
    [MEMINFO_DIRTY] = "Dirty",
    [MEMINFO_WRITEBACK] = "Writeback",
    [MEMINFO_ACTIVE_ANON] = "Active(anon)",
    [MEMINFO_INACTIVE_ANON] = "Inactive(anon)",
    [MEMINFO_ACTIVE_FILE] = "Active(file)",
    [MEMINFO_INACTIVE_FILE] = "Inactive(file)",
    [MEMINFO_UNEVICTABLE] = "Unevictable",
    [MEMINFO_SLAB_UNRECLAIMABLE] = "SUnreclaim",
    [MEMINFO_KERNEL_STACK] = "KernelStack",
    [MEMINFO_PAGETABLES] = "PageTables",
    [MEMINFO_PERCPU] = "Percpu",
    [MEMINFO_ANON_HUGE] = "AnonHugePages",
};

/* " 24684084 kB" or " 0" (huge pages are counts). */
static int value_of(struct str text, uint64_t *out) {
    struct str number;
    uint64_t value;
    int r;

    if (!str_word(&text, &number))
        return -EBADMSG;
    r = str_to_u64(number, &value);
    if (r < 0)
        return r;
    if (str_eq(str_trim(text), STR("kB")) && __builtin_mul_overflow(value, 1024, &value))
        return -ERANGE;
    *out = value;
    return 0;
}

int meminfo_parse(struct str text, struct meminfo *out) {
    struct meminfo m = {0};
    struct str line, key;

    while (str_cut(&text, '\n', &line)) {
        uint64_t value;
        int r = str_cut(&line, ':', &key) ? value_of(line, &value) : -EBADMSG;

        if (r < 0)
            return r;
        for (unsigned field = 0; field < MEMINFO_N; field++) {
            if (!str_eq(key, str_of(spelling[field])))
                continue;
            m.value[field] = value;
            m.have |= 1u << field;
            break;
        }
    }
    if (text.n > 0)
        return -EBADMSG;
    *out = m;
    return 0;
}

int meminfo_read(int proc, struct meminfo *out) {
    char buf[8192]; /* 1.5 kB on Linux 6.18 */
    struct str text;
    int r = file_read_at(proc, "meminfo", buf, sizeof(buf), &text);

    return r < 0 ? r : meminfo_parse(text, out);
}
