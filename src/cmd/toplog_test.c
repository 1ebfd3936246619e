#include "cmd/toplog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

static struct toplog *made(void) {
    struct toplog *log = calloc(1, sizeof(*log));

    assert_non_null(log);
    return log;
}

static void add(struct toplog *log, uint64_t who, int64_t at_ms, enum tui_event_kind kind,
                struct str key) {
    const struct tui_event event = {.at_ms = at_ms, .kind = kind, .name = key};

    toplog_add(log, who, &event, key);
}

static void the_newest_come_first_and_the_oldest_go(void **state) {
    struct toplog *log = made();
    const struct tui_event *e;

    (void)state;
    for (int64_t i = 0; i < TOPLOG_MAX + 5; i++)
        add(log, 1, i, TUI_EVENT_START, i % 2 ? STR("odd") : STR("even"));
    assert_int_equal(toplog_read(log, STR(""), &e), TOPLOG_MAX);
    assert_int_equal(e[0].at_ms, TOPLOG_MAX + 4);
    assert_int_equal(e[TOPLOG_MAX - 1].at_ms, 5);
    assert_int_equal(toplog_read(log, STR("odd"), &e), TOPLOG_MAX / 2);
    assert_int_equal(e[0].at_ms, TOPLOG_MAX + 3);
    assert_true(str_eq(e[0].name, STR("odd")));
    toplog_done(log);
    free(log);
}

static void kills_stay_longer_than_others(void **state) {
    struct toplog *log = made();
    const struct tui_event *e;

    (void)state;
    add(log, 1, 0, TUI_EVENT_OOM, STR("db"));
    for (int64_t i = 1; i < 3 * TOPLOG_MAX; i++)
        add(log, 2, i, i == TOPLOG_MAX ? TUI_EVENT_OOM : TUI_EVENT_RESTART, STR("storm"));
    assert_int_equal(toplog_read(log, STR(""), &e), TOPLOG_MAX);
    assert_int_equal(e[0].at_ms, 3 * TOPLOG_MAX - 1);
    assert_true(e[TOPLOG_MAX - 2].at_ms == TOPLOG_MAX && e[TOPLOG_MAX - 2].kind == TUI_EVENT_OOM);
    assert_true(e[TOPLOG_MAX - 1].at_ms == 0 && str_eq(e[TOPLOG_MAX - 1].name, STR("db")));
    for (int64_t i = 0; i < TOPLOG_MAX; i++)
        add(log, 2, 5000 + i, TUI_EVENT_OOM, STR("storm"));
    assert_int_equal(toplog_read(log, STR(""), &e), TOPLOG_MAX);
    assert_int_equal(e[TOPLOG_MAX - 1].at_ms, 5000);
    toplog_done(log);
    free(log);
}

static void a_name_that_comes_late_is_that_of_earlier_events(void **state) {
    struct toplog *log = made();
    const struct tui_event *e;

    (void)state;
    add(log, 1, 1, TUI_EVENT_START, STR("4f2a"));
    add(log, 2, 2, TUI_EVENT_START, STR("other"));
    toplog_rename(log, 1, STR("docker:web"), STR("web"), STR("restart 1"));
    assert_int_equal(toplog_read(log, STR("docker:web"), &e), 1);
    assert_true(e[0].kind == TUI_EVENT_RESTART && str_eq(e[0].name, STR("web")));
    assert_true(str_eq(e[0].detail, STR("restart 1")));
    assert_int_equal(toplog_read(log, STR("other"), &e), 1);
    assert_int_equal(e[0].kind, TUI_EVENT_START);
    toplog_done(log);
    free(log);
}

static void instances_and_their_kills_are_counted_by_key(void **state) {
    struct toplog *log = made();
    uint64_t kills = 9;

    (void)state;
    assert_int_equal(toplog_came(log, STR("a"), &kills), 0);
    assert_int_equal(kills, 0);
    assert_int_equal(toplog_killed_ms(log, STR("a")), 0);
    toplog_kills(log, STR("a"), 2, 5000);
    toplog_kills(log, STR("a"), 1, 4000); /* told late */
    toplog_kills(log, STR("nobody"), 3, 6000);
    assert_int_equal(toplog_killed_ms(log, STR("a")), 5000);
    assert_int_equal(toplog_killed_ms(log, STR("nobody")), 0);
    assert_int_equal(toplog_came(log, STR("a"), &kills), 1);
    assert_int_equal(kills, 3);
    for (unsigned i = 0; i < TOPLOG_KEYS + 100; i++) {
        char key[20];

        snprintf(key, sizeof(key), "k%u", i);
        (void)toplog_came(log, str_of(key), &kills);
        if (i == TOPLOG_KEYS / 2)
            assert_int_equal(toplog_came(log, STR("a"), &kills), 2);
    }
    assert_int_equal(log->n, TOPLOG_KEYS);
    assert_int_equal(toplog_came(log, STR("a"), &kills), 3); /* it came again and again */
    assert_int_equal(kills, 3);
    assert_int_equal(toplog_came(log, STR("k0"), &kills), 0); /* the first is forgotten */
    toplog_done(log);
    free(log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_come_first_and_the_oldest_go),
        cmocka_unit_test(kills_stay_longer_than_others),
        cmocka_unit_test(a_name_that_comes_late_is_that_of_earlier_events),
        cmocka_unit_test(instances_and_their_kills_are_counted_by_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
