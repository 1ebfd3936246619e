/* cgroup.procs, whole and in two pieces: both give the same list. The first byte says where it is
 * cut. */
#include <assert.h>
#include <string.h>

#include "kern/pidlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct pidlist whole = {0}, pieces = {0};
    struct str text;
    size_t cut, used = 0, rest;
    int r, s;

    if (size == 0)
        return 0;
    text = (struct str){(const char *)data + 1, size - 1};
    cut = text.n * data[0] / 256;
    r = pidlist_add_text(&whole, text, true, &used);
    assert(r < 0 || used == text.n);
    s = pidlist_add_text(&pieces, str_head(text, cut), false, &used);
    if (s == 0)
        s = pidlist_add_text(&pieces, str_from(text, used), true, &rest);
    assert((r == 0) == (s == 0));
    if (r == 0) {
        assert(whole.n == pieces.n);
        assert(whole.n == 0 || memcmp(whole.pid, pieces.pid, whole.n * sizeof(int32_t)) == 0);
        pidlist_sort(&whole);
        for (size_t i = 0; i < whole.n; i++)
            assert(whole.pid[i] > 0 && pidlist_has(&whole, whole.pid[i]));
    }
    pidlist_done(&whole);
    pidlist_done(&pieces);
    return 0;
}
