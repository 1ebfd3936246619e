/* A process's name (the first line) and its arguments: shims, and whatever claims to be one. */
#include <assert.h>

#include "discover/shim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str rest = {(const char *)data, size}, comm;
    struct shim s;

    if (!str_cut(&rest, '\n', &comm) || shim_parse(comm, rest, &s) < 0)
        return 0;
    assert(shim_safe_component(s.id));
    assert(s.kind == SHIM_CONMON || shim_safe_component(s.namespace));
    assert(s.bundle.n == 0 || s.bundle.p[0] == '/');
    assert(s.id.p >= rest.p && s.id.p + s.id.n <= rest.p + rest.n);
    return 0;
}
