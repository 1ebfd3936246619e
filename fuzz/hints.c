/* hints_parse_release: a JVM's release file. What is refused leaves the output alone, and what a
 * JVM is told is made of flags and numbers, whatever the file says. */
#include "act/hints.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct java_release before, out;
    char room[160];
    struct buf text = {.p = room, .size = sizeof(room), .max = sizeof(room)};
    uint64_t cap = 1;

    memset(&before, 0, sizeof(before));
    before.version.feature = 77;
    out = before;
    if (hints_parse_release((struct str){(const char *)data, size}, &out) < 0) {
        assert(memcmp(&out, &before, sizeof(out)) == 0);
        return 0;
    }
    assert(out.version.feature > 0 && out.version.feature < 10000);
    memcpy(&cap, data, size < sizeof(cap) ? size : sizeof(cap));
    hints_add_java(&out, cap / 2 + 1, &text);
    assert(buf_error(&text) == 0 && str_starts(buf_str(&text), STR("-X")));
    return 0;
}
