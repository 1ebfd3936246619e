#include "tui/chart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/basetest.h"

static struct canvas made(int rows, int cols, bool ascii) {
    struct canvas c;

    canvas_init(&c, ascii);
    assert_int_equal(canvas_resize(&c, rows, cols), 0);
    return c;
}

static const char *row(const struct canvas *c, int y) {
    static char text[256];
    struct buf out;

    buf_init(&out, sizeof(text) - 1);
    canvas_row(c, y, &out);
    assert_int_equal(str_copy(buf_str(&out), text, sizeof(text)), 0);
    buf_done(&out);
    return text;
}

static void a_spark_spans_its_own_range(void **state) {
    struct canvas c = made(3, 10, true);
    const uint64_t rising[] = {100, 200, UINT64_MAX, 700, 800}, flat[] = {1000, 1001, 999},
                   zero[] = {0, 0};

    (void)state;
    chart_spark(&c, 0, 0, rising, 5, 0);
    assert_string_equal(row(&c, 0), ".: #@");
    chart_spark(&c, 1, 0, flat, 3, 0);
    assert_string_equal(row(&c, 1), "===");
    chart_spark(&c, 2, 0, zero, 2, 0);
    assert_string_equal(row(&c, 2), "..");
    canvas_done(&c);
}

static void a_lane_begins_at_zero(void **state) {
    struct canvas c = made(1, 10, false);
    const uint64_t value[] = {0, 1, 50, 100, UINT64_MAX, 100};

    (void)state;
    chart_lane(&c, 0, 0, value, 6, chart_top(value, 6), 0);
    assert_string_equal(row(&c, 0), "\u00b7\u2581\u2585\u2588 \u2588");
    canvas_done(&c);
}

static void counters_become_rates(void **state) {
    uint64_t value[] = {10, 30, UINT64_MAX, 40, 45, 3, 4};

    (void)state;
    chart_rate(value, 7, 2000);
    assert_true(value[0] == UINT64_MAX && value[1] == 10 && value[2] == UINT64_MAX);
    assert_true(value[3] == UINT64_MAX && value[4] == 3 && value[5] == UINT64_MAX);
    assert_int_equal(value[6], 1);
}

static void parts_are_stacked_under_the_limit(void **state) {
    struct canvas c = made(4, 3, true);
    struct chart_column column[3] = {
        {true, {{[PART_ANON] = 10, [PART_INACTIVE] = 10}}, 39, UINT64_MAX},
        {false, {{0}}, UINT64_MAX, UINT64_MAX},
        {true, {{[PART_ANON] = 10, [PART_KERNEL] = 10, [PART_ACTIVE] = 10}}, 39, 35},
    };

    (void)state;
    chart_stack(&c, (struct chart_area){0, 0, 4, 3}, column, 40);
    assert_string_equal(row(&c, 0), "- -");
    assert_string_equal(row(&c, 1), "  :");
    assert_string_equal(row(&c, 2), ". k");
    assert_string_equal(row(&c, 3), "# #");
    canvas_done(&c);
}

static void a_limit_far_away_does_not_flatten_the_chart(void **state) {
    struct chart_column column = {true, {{[PART_ANON] = 100}}, 200, UINT64_MAX};

    (void)state;
    assert_int_equal(chart_scale(&column, 1), 210);
    column.limit = 100000;
    assert_int_equal(chart_scale(&column, 1), 105);
    column.known = false;
    column.limit = UINT64_MAX;
    assert_int_equal(chart_scale(&column, 1), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spark_spans_its_own_range),
        cmocka_unit_test(a_lane_begins_at_zero),
        cmocka_unit_test(counters_become_rates),
        cmocka_unit_test(parts_are_stacked_under_the_limit),
        cmocka_unit_test(a_limit_far_away_does_not_flatten_the_chart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
