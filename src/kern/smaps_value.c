#include "kern/smaps_value.h"

#include <errno.h>
#include <string.h>

#define KEYS (sizeof(keys) / sizeof(keys[0]))

static const struct {
    struct str text;
    enum smaps_field field;
} keys[] = {
    /* In the kernel's order. */
    {{"Size", 4}, SMAPS_SIZE},
    {{"Rss", 3}, SMAPS_RSS},
    {{"Pss", 3}, SMAPS_PSS},
    {{"Pss_Dirty", 9}, SMAPS_PSS_DIRTY},
    {{"Pss_Anon", 8}, SMAPS_PSS_ANON},
    {{"Pss_File", 8}, SMAPS_PSS_FILE},
    {{"Pss_Shmem", 9}, SMAPS_PSS_SHMEM},
    {{"Shared_Clean", 12}, SMAPS_SHARED_CLEAN},
    {{"Shared_Dirty", 12}, SMAPS_SHARED_DIRTY},
    {{"Private_Clean", 13}, SMAPS_PRIVATE_CLEAN},
    {{"Private_Dirty", 13}, SMAPS_PRIVATE_DIRTY},
    {{"Referenced", 10}, SMAPS_REFERENCED},
    {{"Anonymous", 9}, SMAPS_ANON},
    {{"LazyFree", 8}, SMAPS_LAZYFREE},
    {{"AnonHugePages", 13}, SMAPS_ANON_HUGE},
    {{"ShmemPmdMapped", 14}, SMAPS_SHMEM_PMD},
    {{"FilePmdMapped", 13}, SMAPS_FILE_PMD},
    {{"Shared_Hugetlb", 14}, SMAPS_SHARED_HUGETLB},
    {{"Private_Hugetlb", 15}, SMAPS_PRIVATE_HUGETLB},
    {{"Swap", 4}, SMAPS_SWAP},
    {{"SwapPss", 7}, SMAPS_SWAP_PSS},
    {{"Locked", 6}, SMAPS_LOCKED},
};

bool smaps_have(const struct smaps *s, enum smaps_field field) {
    return s->have & 1U << field;
}

bool smaps_uss(const struct smaps *s, uint64_t *out) {
    uint64_t sum = s->value[SMAPS_PRIVATE_CLEAN] + s->value[SMAPS_PRIVATE_DIRTY];

    if (!smaps_have(s, SMAPS_PRIVATE_CLEAN) || !smaps_have(s, SMAPS_PRIVATE_DIRTY))
        return false;
    if (smaps_have(s, SMAPS_PRIVATE_HUGETLB)) /* since 4.4 */
        sum += s->value[SMAPS_PRIVATE_HUGETLB];
    *out = sum;
    return true;
}

void smaps_zero(struct smaps *s) {
    *s = (struct smaps){.have = (1U << SMAPS_N) - 1};
}

void smaps_add(struct smaps *a, const struct smaps *b) {
    a->have &= b->have;
    for (unsigned field = 0; field < SMAPS_N; field++)
        if (__builtin_add_overflow(a->value[field], b->value[field], &a->value[field]))
            a->value[field] = UINT64_MAX;
}

/* "   1712 kB" */
static int parse_size(struct str text, uint64_t *out) {
    struct str number;
    uint64_t kib;
    int r;

    if (!str_word(&text, &number) || !str_eq(text, STR(" kB")))
        return -EBADMSG;
    r = str_to_u64(number, &kib);
    if (r < 0)
        return r;
    return __builtin_mul_overflow(kib, 1024, out) ? -ERANGE : 0;
}

int smaps_parse_line(struct str line, struct smaps *s) {
    struct str key;
    size_t start = s->have ? 32 - (size_t)__builtin_clz(s->have) : 0;

    if (!str_cut(&line, ':', &key))
        return -EBADMSG;
    /* The fields are numbered in the kernel's order: the next is most likely the one after the
     * last. */
    for (size_t i = 0; i < KEYS; i++) {
        size_t at = (start + i) % KEYS;
        uint64_t value;
        int r;

        if (!str_eq(key, keys[at].text))
            continue;
        r = parse_size(line, &value);
        if (r < 0)
            return r;
        s->value[keys[at].field] = value;
        s->have |= 1U << keys[at].field;
        return 0;
    }
    return 0;
}
