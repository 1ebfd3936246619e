/* The file of counters of a JVM, which may be anybody's. */
#include <assert.h>

#include "runtime/hsperf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct hsperf h;

    if (hsperf_parse((struct str){(const char *)data, size}, &h) == 0) {
        assert(h.have >> HSPERF_VALUES == 0);
        assert(h.attach == 0 || h.attach == '0' || h.attach == '1');
    }
    return 0;
}
