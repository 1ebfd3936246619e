/* A moment in a request or on the command line. */
#include "base/when.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const int64_t now = INT64_C(1795247296123);
    int64_t ms = -77;
    int r = when_parse((struct str){(const char *)data, size}, now, &ms);

    if (r < 0)
        assert(ms == -77);
    else
        assert(ms >= 0 && ms <= INT64_C(253402387200000));
    return 0;
}
