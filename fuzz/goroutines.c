/* Any text as /debug/pprof/goroutine?debug=1. */
#include "profile/pprof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct profile *p = NULL;
    struct err err;

    if (goroutines_read((struct str){(const char *)data, size}, &p, &err) == 0)
        (void)profile_total(p, 0);
    profile_free(p);
    return 0;
}
