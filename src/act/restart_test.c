#include "act/restart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"

static const int64_t second = 1000000;

static void each_policy_wants_what_its_name_says(void **state) {
    static const struct {
        struct exit_cause cause;
        bool again[RESTART_N]; /* oom, failure, always, never */
    } rows[] = {
        {{.kind = EXIT_CAUSE_EXITED, .exit_code = 0}, {false, false, true, false}},
        {{.kind = EXIT_CAUSE_EXITED, .exit_code = 1}, {false, true, true, false}},
        {{.kind = EXIT_CAUSE_EXITED, .exit_code = 137}, {false, true, true, false}},
        {{.kind = EXIT_CAUSE_OOM, .exit_code = 137}, {true, true, true, false}},
        {{.kind = EXIT_CAUSE_OOM_CHILD, .exit_code = 137}, {true, true, true, false}},
        {{.kind = EXIT_CAUSE_STOPPED, .exit_code = 143}, {false, false, false, false}},
        {{.kind = EXIT_CAUSE_STOPPED, .exit_code = 0}, {false, false, false, false}},
        {{.kind = EXIT_CAUSE_KILLED, .exit_code = 137}, {false, true, true, false}},
        {{.kind = EXIT_CAUSE_SIGNAL, .exit_code = 143}, {false, true, true, false}},
        {{.kind = EXIT_CAUSE_CRASHED, .exit_code = 139}, {false, true, true, false}},
        {{.kind = EXIT_CAUSE_NO_START, .exit_code = 137}, {false, false, false, false}},
    };
    unsigned kinds = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        kinds |= 1u << rows[i].cause.kind;
        for (unsigned p = 0; p < RESTART_N; p++) {
            struct restart r = {.policy = (enum restart_policy)p, .max = RESTART_UNLIMITED};
            int64_t delay = -1;
            enum restart_answer answer = restart_decide(&r, &rows[i].cause, 0, second, &delay);

            assert_int_equal(answer, rows[i].again[p] ? RESTART_AGAIN : RESTART_END);
            assert_int_equal(delay, rows[i].again[p] ? second : -1);
            assert_int_equal(r.done, rows[i].again[p] ? 1 : 0);
        }
    }
    assert_int_equal(kinds, (1u << EXIT_CAUSE_N) - 1); /* no cause was forgotten */
}

static const struct exit_cause oom = {.kind = EXIT_CAUSE_OOM, .exit_code = 137};

static void the_delay_doubles_up_to_a_minute(void **state) {
    static const int64_t wanted[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct restart r = {.policy = RESTART_OOM, .max = RESTART_UNLIMITED};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(wanted); i++) {
        int64_t delay = 0;

        assert_int_equal(restart_decide(&r, &oom, (int64_t)i, second, &delay), RESTART_AGAIN);
        assert_int_equal(delay, wanted[i] * second);
    }
}

static void a_first_delay_of_ones_own_doubles_too(void **state) {
    static const int64_t wanted[] = {250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    struct restart r = {.policy = RESTART_OOM, .max = RESTART_UNLIMITED, .first_us = second / 4};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(wanted); i++) {
        int64_t delay = 0;

        restart_decide(&r, &oom, (int64_t)i, 0, &delay);
        assert_int_equal(delay, wanted[i] * 1000);
    }
}

static void a_first_delay_above_a_minute_stays(void **state) {
    int64_t long_ones[] = {61 * second, INT64_MAX};

    (void)state;
    for (size_t k = 0; k < ARRAY_N(long_ones); k++) {
        struct restart r = {
            .policy = RESTART_OOM, .max = RESTART_UNLIMITED, .first_us = long_ones[k]};

        for (unsigned i = 0; i < 3; i++) {
            int64_t delay = 0;

            restart_decide(&r, &oom, i, 0, &delay);
            assert_true(delay == long_ones[k]);
        }
    }
}

static void the_longest_delay_can_be_another(void **state) {
    static const int64_t wanted[] = {1000, 2000, 3000, 3000};
    struct restart r = {.policy = RESTART_OOM, .max = RESTART_UNLIMITED, .most_us = 3 * second};
    struct restart above = {
        .policy = RESTART_OOM, .max = RESTART_UNLIMITED, .first_us = 2 * second, .most_us = second};
    int64_t delay = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(wanted); i++) {
        restart_decide(&r, &oom, (int64_t)i, 59 * second, &delay);
        assert_int_equal(delay, wanted[i] * 1000);
        restart_decide(&above, &oom, (int64_t)i, 0, &delay);
        assert_int_equal(delay, 2 * second);
    }
}

static void a_minute_of_health_resets_the_delay(void **state) {
    struct restart r = {.policy = RESTART_OOM, .max = RESTART_UNLIMITED};
    int64_t delay = 0;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        restart_decide(&r, &oom, i, second, &delay);
    assert_int_equal(delay, 8 * second);
    restart_decide(&r, &oom, 4, 60 * second - 1, &delay);
    assert_int_equal(delay, 16 * second);
    restart_decide(&r, &oom, 5, 60 * second, &delay);
    assert_int_equal(delay, second);
    restart_decide(&r, &oom, 6, second, &delay);
    assert_int_equal(delay, 2 * second);
}

static void a_maximum_of_zero_gives_up_at_once(void **state) {
    (void)state;
    for (unsigned windowed = 0; windowed < 2; windowed++) {
        struct restart r = {.policy = RESTART_OOM, .window_us = windowed * 60 * second};
        struct exit_cause exited = {.kind = EXIT_CAUSE_EXITED, .exit_code = 1};
        int64_t delay = -1;

        assert_int_equal(restart_decide(&r, &oom, 0, second, &delay), RESTART_GIVE_UP);
        assert_int_equal(restart_decide(&r, &exited, 0, second, &delay), RESTART_END);
        assert_int_equal(delay, -1);
        assert_int_equal(r.done, 0);
    }
}

static void without_a_window_the_whole_life_counts(void **state) {
    struct restart r = {.policy = RESTART_OOM, .max = 3};
    int64_t delay = 0;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(restart_decide(&r, &oom, i * 86400 * second, 3600 * second, &delay),
                         RESTART_AGAIN);
    assert_int_equal(restart_decide(&r, &oom, 900 * 86400 * second, 3600 * second, &delay),
                     RESTART_GIVE_UP);
}

static void a_restart_leaves_the_window_when_it_is_that_old(void **state) {
    struct restart r = {.policy = RESTART_OOM, .max = 3, .window_us = 10 * second};
    int64_t delay = 0;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(restart_decide(&r, &oom, i * second, 0, &delay), RESTART_AGAIN);
    assert_int_equal(restart_decide(&r, &oom, 10 * second - 1, 0, &delay), RESTART_GIVE_UP);
    assert_int_equal(restart_decide(&r, &oom, 10 * second, 0, &delay), RESTART_AGAIN);
    assert_int_equal(restart_decide(&r, &oom, 11 * second - 1, 0, &delay), RESTART_GIVE_UP);
    assert_int_equal(restart_decide(&r, &oom, 11 * second, 0, &delay), RESTART_AGAIN);
}

/* Against a list of all restarts: as many in the window as allowed, never one more, and never one
 * less. */
static void the_ring_agrees_with_a_full_list(void **state) {
    static const uint32_t maxima[] = {1, 2, 7, RESTART_WINDOW_MAX};
    static int64_t when[5000];

    (void)state;
    for (size_t k = 0; k < ARRAY_N(maxima); k++) {
        static struct restart r;
        uint64_t dice = 88172645463325252u;
        size_t n = 0;
        int64_t now = 0;

        r = (struct restart){.policy = RESTART_OOM, .max = maxima[k], .window_us = 2000};
        for (size_t i = 0; i < ARRAY_N(when); i++) {
            int64_t delay;
            uint32_t inside = 0;

            dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
            now += (int64_t)(dice % 4);
            for (size_t m = n; m > 0 && now - when[m - 1] < 2000; m--)
                inside++;
            if (inside >= maxima[k]) {
                assert_int_equal(restart_decide(&r, &oom, now, 0, &delay), RESTART_GIVE_UP);
                continue;
            }
            assert_int_equal(restart_decide(&r, &oom, now, 0, &delay), RESTART_AGAIN);
            when[n++] = now;
        }
        assert_int_equal(r.done, n);
    }
}

static void names_and_policies_are_pairs(void **state) {
    static const char *const bad[] = {"", "OOM", "oo", "oomx", "on-failure", "no"};
    enum restart_policy back = RESTART_N;

    (void)state;
    for (unsigned i = 0; i < RESTART_N; i++) {
        assert_int_equal(
            restart_parse_policy(str_of(restart_policy_name((enum restart_policy)i)), &back), 0);
        assert_int_equal(back, i);
    }
    for (size_t i = 0; i < ARRAY_N(bad); i++)
        assert_int_equal(restart_parse_policy(str_of(bad[i]), &back), -EBADMSG);
    assert_int_equal(back, RESTART_N - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_policy_wants_what_its_name_says),
        cmocka_unit_test(the_delay_doubles_up_to_a_minute),
        cmocka_unit_test(a_first_delay_of_ones_own_doubles_too),
        cmocka_unit_test(a_first_delay_above_a_minute_stays),
        cmocka_unit_test(the_longest_delay_can_be_another),
        cmocka_unit_test(a_minute_of_health_resets_the_delay),
        cmocka_unit_test(a_maximum_of_zero_gives_up_at_once),
        cmocka_unit_test(without_a_window_the_whole_life_counts),
        cmocka_unit_test(a_restart_leaves_the_window_when_it_is_that_old),
        cmocka_unit_test(the_ring_agrees_with_a_full_list),
        cmocka_unit_test(names_and_policies_are_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
