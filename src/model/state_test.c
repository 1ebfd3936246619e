#include "model/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/mem.h"
#include "model/highmark.h"

static struct sample using(uint64_t used, uint64_t limit) {
    struct sample s = {0};

    sample_set(&s, METRIC_USED, used);
    sample_set(&s, METRIC_LIMIT, limit);
    return s;
}

enum { NO_SWAP, SWAP = 1000 };

static void thresholds_are_where_the_header_says(void **state) {
    struct sample s = using(699, 1000);

    (void)state;
    assert_int_equal(state_of(&s, NO_SWAP), STATE_OK);
    s = using(700, 1000);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_HIGH);
    s = using(899, 1000);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_HIGH);
    s = using(900, 1000);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_FULL);
    s = using(0, 0); /* a limit of nothing at all */
    assert_int_equal(state_of(&s, NO_SWAP), STATE_OK);
}

static void nothing_known_is_no_judgement(void **state) {
    struct sample s = {0};

    (void)state;
    assert_int_equal(state_of(&s, NO_SWAP), STATE_UNKNOWN);
    assert_string_equal(state_name(STATE_UNKNOWN), "-");
}

static void swap_is_judged_by_what_may_be_used(void **state) {
    struct sample s = using(1, 1000);

    (void)state;
    sample_set(&s, METRIC_SWAP, 299);
    assert_int_equal(state_of(&s, SWAP), STATE_OK);
    sample_set(&s, METRIC_SWAP, 300);
    assert_int_equal(state_of(&s, SWAP), STATE_SWAPPING);
    sample_set(&s, METRIC_SWAP, 40);
    sample_set(&s, METRIC_SWAP_LIMIT, 100);
    assert_int_equal(state_of(&s, SWAP), STATE_SWAPPING);
    sample_set(&s, METRIC_SWAP_LIMIT, SAMPLE_NONE);
    assert_int_equal(state_of(&s, SWAP), STATE_OK);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_OK);
}

static void memory_high_slows_down_long_before_the_limit(void **state) {
    struct sample s = using(90, 1000);

    (void)state;
    sample_set(&s, METRIC_HIGH, 101);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_OK);
    sample_set(&s, METRIC_HIGH, 100);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_THROTTLED);
    sample_set(&s, METRIC_HIGH, SAMPLE_NONE);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_OK);
}

static void a_guards_mark_slows_nobody_down(void **state) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), mark = highmark_from(64 << 20, page);
    struct sample s = using(mark, 4 * mark);

    (void)state;
    sample_set(&s, METRIC_HIGH, mark);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_OK);
    sample_set(&s, METRIC_USAGE, mark);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_OK);
    sample_set(&s, METRIC_USAGE, mark + page); /* nobody moves it */
    assert_int_equal(state_of(&s, NO_SWAP), STATE_THROTTLED);
    s = using(mark, 4 * mark);
    sample_set(&s, METRIC_HIGH, mark + page);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_THROTTLED);
}

static void the_worst_that_holds_is_told(void **state) {
    struct sample s = using(950, 1000);

    (void)state;
    sample_set(&s, METRIC_PSI_FULL, 5000);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_FULL);
    sample_set(&s, METRIC_UNDER_OOM, 1);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_HUNG);
    s = using(1, 1000);
    sample_set(&s, METRIC_PSI_FULL, 999);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_OK);
    sample_set(&s, METRIC_PSI_FULL, 1000);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_STALLED);
}

static void cache_that_fills_the_limit_is_no_alarm(void **state) {
    struct sample s = using(699, 1000);

    (void)state;
    sample_set(&s, METRIC_USAGE, 899);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_OK);
    sample_set(&s, METRIC_USAGE, 900);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_CACHE);
    sample_set(&s, METRIC_USED, 700);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_HIGH);
    s = (struct sample){0};
    sample_set(&s, METRIC_USAGE, 900);
    assert_int_equal(state_of(&s, NO_SWAP), STATE_UNKNOWN);
}

static void what_is_bad_is_told_before_how_it_moves(void **state) {
    static const struct {
        enum trend_word word;
        enum state calm;
    } moves[] = {
        {TREND_UNKNOWN, STATE_OK},
        {TREND_STEADY, STATE_STEADY},
        {TREND_GROWING, STATE_GROWING},
        {TREND_SHRINKING, STATE_SHRINKING},
    };
    const struct sample nothing = {0};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct trend_view v = {.word = moves[i].word};
        struct sample s = using(10, 1000);

        assert_int_equal(state_moving(&s, NO_SWAP, &v, 0), moves[i].calm);
        s = using(700, 1000);
        assert_int_equal(state_moving(&s, NO_SWAP, &v, 0), STATE_HIGH);
        s = using(10, 1000);
        sample_set(&s, METRIC_USAGE, 950);
        assert_int_equal(state_moving(&s, NO_SWAP, &v, 0), STATE_CACHE);
        assert_int_equal(state_moving(&nothing, NO_SWAP, &v, 0), STATE_UNKNOWN);
    }
}

static void reading_back_is_thrashing_only_when_somebody_waits(void **state) {
    struct trend_view v = {.word = TREND_GROWING, .have_refaults = true, .refaults_per_s = 100};
    struct sample s = using(10, 1000);

    (void)state;
    sample_set(&s, METRIC_USAGE, 899);
    assert_int_equal(state_moving(&s, NO_SWAP, &v, 0), STATE_GROWING);
    sample_set(&s, METRIC_USAGE, 900); /* nobody tells who waits */
    assert_int_equal(state_moving(&s, NO_SWAP, &v, 0), STATE_THRASHING);
    sample_set(&s, METRIC_PSI_SOME, 499);
    assert_int_equal(state_moving(&s, NO_SWAP, &v, 0), STATE_CACHE);
    sample_set(&s, METRIC_PSI_SOME, 500);
    assert_int_equal(state_moving(&s, NO_SWAP, &v, 0), STATE_THRASHING);
    sample_set(&s, METRIC_PSI_FULL, 5000);
    assert_int_equal(state_moving(&s, NO_SWAP, &v, 0), STATE_THRASHING);
    v.refaults_per_s = 99;
    assert_int_equal(state_moving(&s, NO_SWAP, &v, 0), STATE_STALLED);
    v.refaults_per_s = 100;
    v.have_refaults = false;
    assert_int_equal(state_moving(&s, NO_SWAP, &v, 0), STATE_STALLED);
    v.have_refaults = true;
    sample_set(&s, METRIC_USED, 950);
    assert_int_equal(state_moving(&s, NO_SWAP, &v, 0), STATE_FULL);
}

static void a_kill_is_told_for_ten_minutes(void **state) {
    static const struct {
        int64_t killed_ms, at_ms;
        uint64_t used;
        enum state want;
    } cases[] = {
        {0, 5000, 100, STATE_GROWING},
        {5000, 5000, 100, STATE_KILLED},
        {5000, 5000 + STATE_KILLED_MS - 1, 100, STATE_KILLED},
        {5000, 5000 + STATE_KILLED_MS, 100, STATE_GROWING},
        {6000, 5000, 100, STATE_KILLED}, /* told before the sample of that second */
        {5000, 6000, 899, STATE_KILLED},
        {5000, 6000, 900, STATE_FULL},
        {5001 + STATE_KILLED_MS, 5000, 100, STATE_GROWING}, /* the clock was set back */
    };
    const struct trend_view v = {.word = TREND_GROWING};
    struct sample hung = using(950, 1000);

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct sample s = using(cases[i].used, 1000);

        s.at_ms = cases[i].at_ms;
        assert_int_equal(state_moving(&s, NO_SWAP, &v, cases[i].killed_ms), cases[i].want);
    }
    sample_set(&hung, METRIC_UNDER_OOM, 1);
    assert_int_equal(state_moving(&hung, NO_SWAP, &v, 1), STATE_HUNG);
}

static void each_state_has_a_word_of_its_own(void **state) {
    (void)state;
    for (enum state i = 0; i < STATE_N; i++) {
        assert_non_null(state_name(i));
        for (enum state k = 0; k < i; k++)
            assert_string_not_equal(state_name(i), state_name(k));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds_are_where_the_header_says),
        cmocka_unit_test(nothing_known_is_no_judgement),
        cmocka_unit_test(swap_is_judged_by_what_may_be_used),
        cmocka_unit_test(memory_high_slows_down_long_before_the_limit),
        cmocka_unit_test(a_guards_mark_slows_nobody_down),
        cmocka_unit_test(the_worst_that_holds_is_told),
        cmocka_unit_test(cache_that_fills_the_limit_is_no_alarm),
        cmocka_unit_test(what_is_bad_is_told_before_how_it_moves),
        cmocka_unit_test(reading_back_is_thrashing_only_when_somebody_waits),
        cmocka_unit_test(a_kill_is_told_for_ten_minutes),
        cmocka_unit_test(each_state_has_a_word_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
