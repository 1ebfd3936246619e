#include "model/highmark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_mark_is_the_next_one_above(void **state) {
    static const uint64_t pages[] = {4096, 16384, 65536};

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        for (uint64_t at = 0; at < 500 * HIGHMARK_STEP * pages[i]; at += pages[i] * 7 / 4) {
            uint64_t mark = highmark_from(at, pages[i]);

            assert_true(highmark_is(mark, pages[i]));
            assert_true(mark >= at && mark - at < 2 * HIGHMARK_STEP * pages[i]);
        }
    assert_int_equal(highmark_from(HIGHMARK_REST * 4096, 4096), HIGHMARK_REST * 4096);
}

static void what_people_write_is_none(void **state) {
    (void)state;
    for (uint64_t mib = 1; mib < 1 << 20; mib++)
        assert_false(highmark_is(mib << 20, 4096));
    for (uint64_t n = 1000000; n < 100000000000; n += 1000000)
        assert_false(highmark_is(n / 4096 * 4096, 4096)); /* as the kernel rounds it down */
    assert_false(highmark_is(HIGHMARK_REST * 4096 + 1, 4096));
    assert_false(highmark_is(UINT64_MAX, 4096));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_is_the_next_one_above),
        cmocka_unit_test(what_people_write_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
