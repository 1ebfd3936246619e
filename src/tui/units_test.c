#include "tui/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/basetest.h"

static struct buf out;

static void durations_take_six_columns(void **state) {
    static const struct {
        uint64_t s;
        const char *text;
    } row[] = {{0, "0s"},        {119, "119s"},       {120, "2m"},       {7199, "119m"},
               {7200, "2h"},     {8000, "2h13m"},     {86399, "23h59m"}, {86400, "1d"},
               {273600, "3d4h"}, {8600000, "99d12h"}, {8640000, "100d"}, {UINT64_MAX, ">1y"}};

    (void)state;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        units_add_duration(&out, row[i].s);
        assert_true(out.n <= 6);
        basetest_holds(&out, row[i].text);
    }
}

static void numbers_have_signs_and_units(void **state) {
    struct sample s = {.have = 0};

    (void)state;
    units_add_signed(&out, 43201331);
    basetest_holds(&out, "+41.2M");
    units_add_signed(&out, -1536);
    basetest_holds(&out, "-1.50K");
    units_add_signed(&out, 0);
    basetest_holds(&out, "0B");
    units_add_count(&out, 9999);
    basetest_holds(&out, "9999");
    units_add_count(&out, 12345678);
    basetest_holds(&out, "12M");
    units_add_metric(&out, NULL, METRIC_USED);
    basetest_holds(&out, "-");
    sample_set(&s, METRIC_HIGH, SAMPLE_NONE);
    units_add_metric(&out, &s, METRIC_HIGH);
    basetest_holds(&out, "none");
    sample_set(&s, METRIC_PSI_SOME, 1234);
    units_add_metric(&out, &s, METRIC_PSI_SOME);
    basetest_holds(&out, "12.3");
}

static void clocks_are_utc(void **state) {
    (void)state;
    units_add_clock(&out, INT64_C(1763733600000), true);
    basetest_holds(&out, "2025-11-21 14:00:00");
    units_add_clock(&out, INT64_C(1763733661999), false);
    basetest_holds(&out, "14:01:01");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_take_six_columns),
        cmocka_unit_test(numbers_have_signs_and_units),
        cmocka_unit_test(clocks_are_utc),
    };
    int r;

    buf_init(&out, 4096);
    r = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&out);
    return r;
}
