/* memstat_parse: both versions, with and without the remembered order of lines. */
#include "kern/memstat.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct memstat_order order[2]; /* of whatever was parsed before */
    struct str text = {(const char *)data, size};

    for (unsigned version = CG_V1; version <= CG_V2; version++) {
        struct memstat before, plain, with;
        int r, again;

        memset(&before, 0x5a, sizeof(before));
        plain = with = before;
        r = memstat_parse(text, version, NULL, &plain);
        again = memstat_parse(text, version, &order[version], &with);
        assert(r == again && memcmp(&plain, &with, sizeof(with)) == 0);
        assert(r == 0 || memcmp(&plain, &before, sizeof(plain)) == 0);
        assert(order[version].lines <= MEMSTAT_LINES);
        assert(memstat_parse(text, version, &order[version], &with) == r);
        assert(memcmp(&plain, &with, sizeof(with)) == 0);
    }
    return 0;
}
