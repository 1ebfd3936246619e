/* A container's passwd file: anything can be in it. */
#include <assert.h>
#include <string.h>

#include "kern/passwd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint32_t asked[] = {0, 1, 1000, 65534, UINT32_MAX};
    struct passwd *p;
    struct str name;

    assert(passwd_parse((struct str){(const char *)data, size}, &p) == 0);
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
        if (passwd_name(p, asked[i], &name))
            assert(name.n > 0 && !memchr(name.p, ':', name.n) && !memchr(name.p, '\n', name.n));
    passwd_free(p);
    return 0;
}
