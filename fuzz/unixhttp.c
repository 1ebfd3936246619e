/* The answer of an engine's socket. */
#include <assert.h>

#include "net/unixhttp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    struct unixhttp got;

    if (unixhttp_parse(text, &got) < 0)
        return 0;
    assert(got.status >= 100 && got.status <= 999);
    assert(got.body.p >= text.p && got.body.p + got.body.n <= text.p + text.n);
    return 0;
}
