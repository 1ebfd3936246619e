/* smaps_value.h - the values that smaps and smaps_rollup give, of a mapping or of a process. */
#pragma once
#include "base/str.h"

enum smaps_field {
    SMAPS_SIZE, /* all bytes; per mapping only, not in the rollup */
    SMAPS_RSS,
    SMAPS_PSS, /* each page divided by how many map it */
    SMAPS_PSS_DIRTY,
    SMAPS_PSS_ANON,
    SMAPS_PSS_FILE,
    SMAPS_PSS_SHMEM,
    SMAPS_SHARED_CLEAN,
    SMAPS_SHARED_DIRTY,
    SMAPS_PRIVATE_CLEAN,
    SMAPS_PRIVATE_DIRTY,
    SMAPS_REFERENCED,
    SMAPS_ANON,
    SMAPS_LAZYFREE, /* freed with MADV_FREE, still resident until the kernel needs it */
    SMAPS_ANON_HUGE,
    SMAPS_SHMEM_PMD,
    SMAPS_FILE_PMD,
    SMAPS_SHARED_HUGETLB, /* hugetlb pages are in no other value, not even in RSS */
    SMAPS_PRIVATE_HUGETLB,
    SMAPS_SWAP,
    SMAPS_SWAP_PSS,
    SMAPS_LOCKED,
    SMAPS_N,
};

struct smaps {
    uint64_t value[SMAPS_N]; /* bytes */
    uint32_t have;           /* bit (1u << field): the kernel wrote it; not written is not zero */
};

bool smaps_have(const struct smaps *s, enum smaps_field field);

/* What goes when the process goes: private clean + dirty + private hugetlb. false when the kernel
 * did not write the first two. */
bool smaps_uss(const struct smaps *s, uint64_t *out);

/* Adds b's values to a's: a has afterwards what both had (an empty `a` with all bits set in have is
 * the zero of this sum: smaps_zero). */
void smaps_add(struct smaps *a, const struct smaps *b);
void smaps_zero(struct smaps *s);

/* Takes one line ("Rss:   12 kB", no newline) into *s. 0, also for a key not known; -EBADMSG,
 * -ERANGE for a known key with a bad value, and then *s is untouched. */
int smaps_parse_line(struct str line, struct smaps *s);
