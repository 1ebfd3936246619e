/* The small files of a group: events, I/O, CPU time, single numbers, in both versions. */
#include "kern/cgroup.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int parse_fn(struct str text, enum cg_version version, struct cgroup_numbers *out);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static parse_fn *const parsers[] = {cgroup_parse_events, cgroup_parse_io, cgroup_parse_cpu};
    struct str text = {(const char *)data, size};
    uint64_t number = 77;

    for (size_t i = 0; i < sizeof(parsers) / sizeof(parsers[0]); i++)
        for (unsigned version = CG_V1; version <= CG_V2; version++) {
            struct cgroup_numbers before, n;

            memset(&before, 0x5a, sizeof(before));
            n = before;
            if (parsers[i](text, version, &n) < 0)
                assert(memcmp(&n, &before, sizeof(n)) == 0);
        }
    if (cgroup_parse_number(text, &number) < 0)
        assert(number == 77);
    else
        assert(number < CGROUP_NONE_FROM || number == CGROUP_NO_LIMIT);
    return 0;
}
