#include "model/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds_are_where_the_header_says),
        cmocka_unit_test(nothing_known_is_no_judgement),
        cmocka_unit_test(swap_is_judged_by_what_may_be_used),
        cmocka_unit_test(memory_high_slows_down_long_before_the_limit),
        cmocka_unit_test(the_worst_that_holds_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
