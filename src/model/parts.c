#include "model/parts.h"

#include <assert.h>

static uint64_t known(const struct sample *s, enum metric m) {
    return sample_has(s, m) ? s->value[m] : 0;
}

static uint64_t kernel_that_stays(const struct sample *s) {
    uint64_t kernel = known(s, METRIC_KERNEL), slab = known(s, METRIC_SLAB_RECLAIMABLE), sum;

    kernel = kernel > slab ? kernel - slab : 0;
    return __builtin_add_overflow(kernel, known(s, METRIC_SOCK), &sum) ? UINT64_MAX : sum;
}

bool parts_of(const struct sample *s, struct parts *out) {
    static const enum part believed[] = {PART_INACTIVE, PART_ACTIVE, PART_SLAB,
                                         PART_KERNEL,   PART_SHMEM,  PART_ANON};
    const uint64_t told[PART_N] = {
        [PART_ANON] = known(s, METRIC_ANON),
        [PART_SHMEM] = known(s, METRIC_SHMEM),
        [PART_KERNEL] = kernel_that_stays(s),
        [PART_SLAB] = known(s, METRIC_SLAB_RECLAIMABLE),
        [PART_ACTIVE] = known(s, METRIC_ACTIVE_FILE),
        [PART_INACTIVE] = known(s, METRIC_INACTIVE_FILE),
    };
    uint64_t left;

    if (!sample_has(s, METRIC_USAGE))
        return false;
    left = s->value[METRIC_USAGE];
    for (unsigned i = 0; i < sizeof(believed) / sizeof(believed[0]); i++) {
        enum part p = believed[i];

        out->bytes[p] = told[p] < left ? told[p] : left;
        left -= out->bytes[p];
    }
    out->bytes[PART_OTHER] = left;
    return true;
}

const char *part_name(enum part p) {
    static const char *const names[PART_N] = {
        [PART_ANON] = "anon",
        [PART_SHMEM] = "shmem",
        [PART_KERNEL] = "kernel",
        [PART_OTHER] = "other",
        [PART_SLAB] = "slab",
        [PART_ACTIVE] = "active_file",
        [PART_INACTIVE] = "inactive_file",
    };

    assert(p < PART_N);
    return names[p];
}
