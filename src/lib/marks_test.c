#include "lib/marks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

static void ignore(void *ctx, const struct plim_event *event) {
    (void)ctx;
    (void)event;
}

static void percentages_do_not_overflow(void **state) {
    (void)state;
    assert_true(marks_bytes(200, 88) == 176);
    assert_true(marks_bytes(199, 50) == 99);
    assert_true(marks_bytes(UINT64_MAX, 100) == UINT64_MAX);
    assert_true(marks_bytes(UINT64_MAX, 50) == UINT64_MAX / 2);
    assert_true(marks_bytes(0, 80) == 0);
}

static void a_mark_is_told_once_up_and_once_down(void **state) {
    struct mark m = {.percent = 80, .hysteresis = 5, .fn = ignore};
    static const struct {
        uint64_t used;
        int moved;
    } steps[] = {{799, 0}, {800, 1},  {900, 0}, {790, 0}, {810, 0},
                 {750, 0}, {749, -1}, {760, 0}, {799, 0}, {1200, 1}};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(steps); i++)
        assert_int_equal(marks_step(&m, steps[i].used, 1000), steps[i].moved);
}

static void pressure_is_no_mark(void **state) {
    struct mark m = {.percent = PLIM_PRESSURE, .fn = ignore};

    (void)state;
    assert_int_equal(marks_step(&m, 1000, 1000), 0);
    assert_true(marks_distance(&m, 1, 0, 1000) == UINT64_MAX);
}

static void the_nearest_mark_ahead_counts(void **state) {
    struct mark m[] = {{.percent = 90}, {.percent = 50, .above = true}, {.percent = 80}};

    (void)state;
    assert_true(marks_distance(m, 3, 700, 1000) == 100);
    assert_true(marks_distance(m, 3, 850, 1000) == 0);
    m[2].above = true;
    assert_true(marks_distance(m, 3, 850, 1000) == 50);
    m[0].above = true;
    assert_true(marks_distance(m, 3, 950, 1000) == UINT64_MAX);
}

static void three_looks_come_before_the_mark(void **state) {
    struct slope s = {0};

    (void)state;
    slope_see(&s, 1000000, 0);
    assert_true(slope_period_us(&s, 100, 1000000) == 1000000); /* nothing is known yet */
    slope_see(&s, 2000000, 1000);
    assert_true(s.per_s == 1000);
    assert_true(slope_period_us(&s, 1000, 1000000) == 250000);
    assert_true(slope_period_us(&s, 1, 1000000) == 1000); /* not more often than that */
    assert_true(slope_period_us(&s, 1000000, 1000000) == 1000000);
    assert_true(slope_period_us(&s, UINT64_MAX, 1000000) == 1000000);
    slope_see(&s, 2000000, 9000); /* the same moment tells nothing */
    assert_true(s.per_s == 1000);
    slope_see(&s, 3000000, 10);
    assert_true(s.per_s == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentages_do_not_overflow),
        cmocka_unit_test(a_mark_is_told_once_up_and_once_down),
        cmocka_unit_test(pressure_is_no_mark),
        cmocka_unit_test(the_nearest_mark_ahead_counts),
        cmocka_unit_test(three_looks_come_before_the_mark),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
