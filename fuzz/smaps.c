/* /proc/PID/smaps through its buffer and into groups; the rollup; the pairing of two looks. */
#include "kern/smaps.h"

#include "procfuzz.h"
#include "sampler/mapgroups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const void *data, size_t size, bool single) {
    int tree = procfuzz_tree("smaps", data, size);
    struct mapgroups before, after;
    struct mapgrowth *growth;
    size_t n, mappings = 0;

    int r = mapgroups_read(&before, tree, 7, single);
    int again = mapgroups_read(&after, tree, 7, single);

    assert(r == again && before.n == after.n);
    for (size_t i = 0; i < before.n; i++)
        mappings += before.group[i].mappings;
    assert(mappings == before.total.mappings);
    assert(mapgroups_diff(&before, &after, &growth, &n) == 0);
    for (size_t i = 0; !single && i < n; i++) {
        int64_t grown = 0;

        /* The same text twice: every group has its partner and did not grow. */
        assert(growth[i].before && growth[i].after);
        assert(!mapgrowth_cost(&growth[i], &grown) || grown == 0);
    }
    free(growth);
    mapgroups_done(&before);
    mapgroups_done(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct smaps s;
    uint64_t uss;

    look(data, size, false);
    look(data, size, true);
    if (smaps_parse_rollup((struct str){(const char *)data, size}, &s) == 0)
        (void)smaps_uss(&s, &uss);
    return 0;
}
