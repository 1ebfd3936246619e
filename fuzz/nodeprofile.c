/* Any text as V8's sampling heap profile. */
#include "profile/nodeprofile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct profile *p = NULL;
    struct err err;

    if (nodeprofile_read((struct str){(const char *)data, size}, "fuzz", &p, &err) == 0)
        (void)profile_total(p, 0);
    profile_free(p);
    return 0;
}
