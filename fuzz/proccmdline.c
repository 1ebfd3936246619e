/* A command line as the process itself wrote it, joined for display and made visible. */
#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "kern/proccmdline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str cmdline = {(const char *)data, size < PROCCMDLINE_MAX ? size : PROCCMDLINE_MAX};
    struct str rest = cmdline, arg;
    struct buf joined, shown;
    size_t bytes = 0, n = 0;

    while (proccmdline_arg(&rest, &arg)) {
        bytes += arg.n;
        n++;
    }
    assert(bytes + (n ? n - 1 : 0) <= cmdline.n);
    buf_init(&joined, 1 << 20);
    buf_init(&shown, 1 << 20);
    proccmdline_add_joined(&joined, cmdline, STR("comm"));
    assert(n == 0 ? joined.n == 6 : joined.n == bytes + n - 1);
    text_add_visible(&shown, buf_str(&joined), false);
    for (size_t i = 0; i < shown.n; i++)
        assert((unsigned char)shown.p[i] >= 0x20 && shown.p[i] != 0x7f);
    buf_done(&joined);
    buf_done(&shown);
    return 0;
}
