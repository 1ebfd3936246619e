#include "tui/moment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { NOW = 100000000, HOUR = 3600000 };

static const struct tui_host agent = {.agent = true, .oldest_ms = NOW - 10 * HOUR, .at_ms = NOW};

static void shifts_stay_between_the_oldest_and_now(void **state) {
    struct moment m = {.window_ms = 8 * HOUR};

    (void)state;
    assert_null(moment_shift(&m, &agent, NOW, m.window_ms, -1));
    assert_int_equal(m.at_ms, NOW - HOUR);
    assert_null(moment_shift(&m, &agent, NOW, m.window_ms, -8));
    assert_int_equal(m.at_ms, NOW - 9 * HOUR);
    assert_non_null(moment_shift(&m, &agent, NOW, m.window_ms, -8));
    assert_int_equal(m.at_ms, agent.oldest_ms);
    assert_null(moment_shift(&m, &agent, NOW, m.window_ms, 8));
    assert_null(moment_shift(&m, &agent, NOW, m.window_ms, 8));
    assert_int_equal(m.at_ms, 0);
    assert_non_null(moment_shift(&m, &agent, NOW, m.window_ms, 1));
}

static void without_an_agent_there_is_no_past(void **state) {
    struct moment m = {.window_ms = HOUR};
    const struct tui_host kernel = {.at_ms = NOW};

    (void)state;
    assert_non_null(moment_shift(&m, &kernel, NOW, m.window_ms, -1));
    assert_int_equal(m.at_ms, 0);
}

static void windows_have_steps(void **state) {
    struct moment m = {.window_ms = MOMENT_WINDOW_MS};

    (void)state;
    moment_zoom(&m, m.window_ms, -1);
    assert_int_equal(m.window_ms, HOUR);
    for (int i = 0; i < 30; i++)
        moment_zoom(&m, m.window_ms, -1);
    assert_int_equal(m.window_ms, MOMENT_WINDOW_MIN_MS);
    for (int i = 0; i < 30; i++)
        moment_zoom(&m, m.window_ms, 1);
    assert_int_equal(m.window_ms, 30 * 24 * (int64_t)HOUR);
}

static void a_window_is_no_longer_than_what_there_is(void **state) {
    struct moment m = {.window_ms = 2 * HOUR};

    (void)state;
    assert_int_equal(moment_window(&m, NOW, NOW - 70000), 120000);
    assert_int_equal(moment_window(&m, NOW, NOW - 5 * HOUR), 2 * HOUR);
    assert_int_equal(moment_window(&m, NOW, 0), 2 * HOUR);
}

static void zooming_in_begins_at_what_is_shown(void **state) {
    struct moment m = {.window_ms = 2 * HOUR};

    (void)state;
    moment_zoom(&m, 300000, -1); /* five minutes are known */
    assert_int_equal(m.window_ms, 120000);
    m.window_ms = 2 * HOUR;
    moment_zoom(&m, 300000, 1); /* more is wanted when there will be more */
    assert_int_equal(m.window_ms, 4 * HOUR);
}

static void time_runs_only_when_let(void **state) {
    struct moment m = {.window_ms = HOUR, .at_ms = NOW - 3000};

    (void)state;
    moment_step(&m, NOW, 1000);
    assert_int_equal(m.at_ms, NOW - 3000);
    moment_pause(&m);
    moment_step(&m, NOW, 1000);
    assert_int_equal(m.at_ms, NOW - 2000);
    moment_step(&m, NOW, 2000);
    assert_true(m.at_ms == 0 && !m.playing);
    moment_pause(&m);
    assert_true(m.stopped);
    moment_pause(&m);
    assert_false(m.stopped);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shifts_stay_between_the_oldest_and_now),
        cmocka_unit_test(without_an_agent_there_is_no_past),
        cmocka_unit_test(windows_have_steps),
        cmocka_unit_test(a_window_is_no_longer_than_what_there_is),
        cmocka_unit_test(zooming_in_begins_at_what_is_shown),
        cmocka_unit_test(time_runs_only_when_let),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
