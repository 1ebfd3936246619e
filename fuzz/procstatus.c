/* /proc/PID/status: lines with keys. */
#include <assert.h>
#include <string.h>

#include "kern/procstatus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    struct procstatus s, untouched;

    memset(&s, 0xa5, sizeof(s));
    untouched = s;
    if (procstatus_parse(text, &s) < 0)
        assert(memcmp(&s, &untouched, sizeof(s)) == 0);
    else
        for (unsigned field = 0; field < PROCSTATUS_N; field++)
            assert(s.have & 1U << field || s.value[field] == 0);
    return 0;
}
