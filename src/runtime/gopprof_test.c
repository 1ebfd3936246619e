#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/gopprof.h"

static void the_index_page_is_known_by_its_profiles(void **state) {
    (void)state;
    assert_true(gopprof_is_index(
        STR("<html><head><title>/debug/pprof/</title></head><a href='goroutine?debug=1'>goroutine"
            "</a><a href='heap?debug=1'>heap</a><a href='threadcreate'>threadcreate</a>")));
    assert_false(gopprof_is_index(STR("")));
    assert_false(gopprof_is_index(STR("404 page not found")));
    assert_false(gopprof_is_index(STR("you asked for /debug/pprof/ but the heap is elsewhere")));
}

static void figures_stand_in_lines_of_their_own(void **state) {
    const struct str text =
        STR("heap profile: 1: 2 [3: 4] @ heap/1048576\n1: 2 [3: 4] @ 0x1 0x2\n#\t0x1\tmain.f\n\n"
            "# runtime.MemStats\n# Alloc = 7\n# HeapAlloc = 166374568\n# HeapIdle = 12 \n"
            "# PauseNs = [1 2 3]\n# NumGC = 9\n# Huge = 99999999999999999999\n# Empty = \n"
            "# DebugGC = false");
    uint64_t v = 0;

    (void)state;
    assert_int_equal(gopprof_memstat(text, "HeapAlloc", &v), 0);
    assert_int_equal(v, 166374568);
    assert_int_equal(gopprof_memstat(text, "HeapIdle", &v), 0);
    assert_int_equal(v, 12);
    assert_int_equal(gopprof_memstat(text, "NumGC", &v), 0);
    assert_int_equal(v, 9);
    assert_int_equal(gopprof_memstat(text, "Heap", &v), -ENOENT);
    assert_int_equal(gopprof_memstat(text, "PauseNs", &v), -EBADMSG);
    assert_int_equal(gopprof_memstat(text, "DebugGC", &v), -EBADMSG);
    assert_int_equal(gopprof_memstat(text, "Empty", &v), -EBADMSG);
    assert_int_equal(gopprof_memstat(text, "Huge", &v), -ERANGE);
    assert_int_equal(gopprof_memstat(STR(""), "HeapAlloc", &v), -ENOENT);
    assert_int_equal(v, 9); /* written on success only */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_page_is_known_by_its_profiles),
        cmocka_unit_test(figures_stand_in_lines_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
