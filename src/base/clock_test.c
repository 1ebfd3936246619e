#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/basetest.h"

static void times_are_spelled_as_rfc3339_in_utc(void **state) {
    struct buf b;

    (void)state;
    setenv("TZ", "America/St_Johns", 1);
    buf_init(&b, 4096);
    clock_add_rfc3339(&b, 0);
    basetest_holds(&b, "1970-01-01T00:00:00.000Z");
    clock_add_rfc3339(&b, 1795247296123);
    basetest_holds(&b, "2026-11-21T07:48:16.123Z");
    clock_add_rfc3339(&b, 951782400000); /* a leap day in a year that 100 divides */
    basetest_holds(&b, "2000-02-29T00:00:00.000Z");
    clock_add_rfc3339(&b, -1);
    basetest_holds(&b, "1969-12-31T23:59:59.999Z");
    clock_add_rfc3339(&b, -1000);
    basetest_holds(&b, "1969-12-31T23:59:59.000Z");
    buf_done(&b);
}

static void monotonic_time_never_goes_back(void **state) {
    int64_t last = clock_mono_us(), cpu = clock_cpu_us();

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        int64_t now = clock_mono_us();

        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_cpu_us() >= cpu);
    assert_true(clock_wall_ms() > 1700000000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_spelled_as_rfc3339_in_utc),
        cmocka_unit_test(monotonic_time_never_goes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
