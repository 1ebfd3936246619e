/* kmsg_parse and kmsg_unescape: a record of the kernel's log, escapes resolved in place. */
#include "kern/kmsg.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    struct kmsg_record before, out;
    char plain[KMSG_RECORD], again[KMSG_RECORD];
    size_t n;

    memset(&before, 0x5a, sizeof(before));
    out = before;
    if (kmsg_parse(text, &out) < 0) {
        assert(memcmp(&out, &before, sizeof(out)) == 0);
        out.text = text; /* anything may be asked to be resolved */
    }
    if (out.text.n > sizeof(plain))
        return 0;
    n = kmsg_unescape(out.text, plain);
    assert(n <= out.text.n);
    memcpy(again, out.text.p, out.text.n);
    assert(kmsg_unescape((struct str){again, out.text.n}, again) == n);
    assert(memcmp(plain, again, n) == 0);
    return 0;
}
