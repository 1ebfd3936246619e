/* psi_parse: pressure files. What is refused leaves the output alone. */
#include "kern/psi.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct psi before, out;

    memset(&before, 0x5a, sizeof(before));
    out = before;
    if (psi_parse((struct str){(const char *)data, size}, &out) < 0)
        assert(memcmp(&out, &before, sizeof(out)) == 0);
    return 0;
}
