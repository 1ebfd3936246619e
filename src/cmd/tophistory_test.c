#include "cmd/tophistory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static struct sample sample_at(int64_t at_ms, uint64_t used) {
    struct sample s = {.at_ms = at_ms};

    sample_set(&s, METRIC_USED, used);
    return s;
}

static void what_was_seen_is_told(void **state) {
    struct tophistory h;
    uint64_t out[4];

    (void)state;
    tophistory_init(&h, 1000);
    for (int i = 0; i < 4; i++) {
        struct sample s = sample_at(100000 + i * 1000 + 20, (uint64_t)(i + 1) << 20);

        assert_int_equal(tophistory_add(&h, &s), 0);
    }
    assert_true(tophistory_read(&h, METRIC_USED, 100000, 104000, 4, out));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(out[i], (uint64_t)(i + 1) << 20);
    assert_true(tophistory_read(&h, METRIC_USED, 100000, 104000, 2, out));
    assert_int_equal(out[0], 3 << 19);
    assert_int_equal(out[1], 7 << 19);
    /* before and after nothing was seen, nor anything of another metric */
    assert_true(tophistory_read(&h, METRIC_USED, 98000, 106000, 4, out));
    assert_true(out[0] == UINT64_MAX && out[1] != UINT64_MAX && out[3] == UINT64_MAX);
    assert_true(tophistory_read(&h, METRIC_ANON, 100000, 104000, 1, out));
    assert_true(out[0] == UINT64_MAX);
    assert_false(tophistory_read(&h, METRIC_PIDS, 100000, 104000, 1, out));
    tophistory_done(&h);
}

static void parts_finer_than_a_step_repeat_it(void **state) {
    struct tophistory h;
    struct sample a = sample_at(10000, 4096), b = sample_at(11000, 8192);
    uint64_t out[8];

    (void)state;
    tophistory_init(&h, 1000);
    tophistory_add(&h, &a);
    tophistory_add(&h, &b);
    assert_true(tophistory_read(&h, METRIC_USED, 10000, 12000, 8, out));
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(out[i], i < 4 ? 4096 : 8192);
    tophistory_done(&h);
}

static void gaps_stay_unknown(void **state) {
    struct tophistory h;
    struct sample a = sample_at(10000, 4096), b = sample_at(15000, 8192);
    uint64_t out[6];

    (void)state;
    tophistory_init(&h, 1000);
    tophistory_add(&h, &a);
    tophistory_add(&h, &b);
    assert_true(tophistory_read(&h, METRIC_USED, 10000, 16000, 6, out));
    assert_int_equal(out[0], 4096);
    for (unsigned i = 1; i < 5; i++)
        assert_true(out[i] == UINT64_MAX);
    assert_int_equal(out[5], 8192);
    tophistory_done(&h);
}

static void memory_is_bounded_and_the_whole_span_stays(void **state) {
    struct tophistory h;
    uint64_t out[10];
    int64_t n = 100 * TOPHISTORY_POINTS;

    (void)state;
    tophistory_init(&h, 1000);
    for (int64_t i = 0; i < n; i++) { /* a ramp */
        struct sample s = sample_at(1000000 + i * 1000, (uint64_t)i << 12);

        assert_int_equal(tophistory_add(&h, &s), 0);
        assert_true(h.n <= TOPHISTORY_POINTS && h.room <= TOPHISTORY_POINTS);
    }
    assert_int_equal(h.step_ms, 128000);
    assert_true(tophistory_read(&h, METRIC_USED, 1000000, 1000000 + n * 1000, 10, out));
    for (int64_t i = 0; i < 10; i++) {
        int64_t middle = n / 10 * i + n / 20, pages = (int64_t)(out[i] >> 12);

        assert_true(out[i] != UINT64_MAX);
        assert_true(llabs(pages - middle) < 300); /* a step or two */
    }
    tophistory_done(&h);
}

static void counters_keep_their_growth(void **state) {
    struct tophistory h;
    uint64_t out[2];
    const uint64_t large = UINT64_C(1) << 60;

    (void)state;
    tophistory_init(&h, 1000);
    for (unsigned i = 0; i < 2; i++) {
        struct sample s = {.at_ms = 5000 + i * 1000};

        sample_set(&s, METRIC_REFAULT_FILE, large + i * 7);
        tophistory_add(&h, &s);
    }
    assert_true(tophistory_read(&h, METRIC_REFAULT_FILE, 5000, 7000, 2, out));
    assert_true(out[0] == large && out[1] == large + 7);
    tophistory_done(&h);
}

static void a_clock_that_is_set_begins_it_anew(void **state) {
    struct tophistory h;
    struct sample a = sample_at(INT64_C(1700000000000), 4096), b = sample_at(1000, 8192),
                  c = sample_at(INT64_C(9000000000000000), 12288);
    uint64_t out[1];

    (void)state;
    tophistory_init(&h, 1);
    assert_int_equal(tophistory_add(&h, &a), 0);
    assert_int_equal(tophistory_add(&h, &b), 0);
    assert_true(tophistory_read(&h, METRIC_USED, 1000, 1001, 1, out));
    assert_int_equal(out[0], 8192);
    assert_int_equal(tophistory_add(&h, &c), 0);
    assert_true(tophistory_read(&h, METRIC_USED, c.at_ms, c.at_ms + 1, 1, out));
    assert_int_equal(out[0], 12288);
    assert_true(h.n <= TOPHISTORY_POINTS);
    tophistory_done(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_seen_is_told),
        cmocka_unit_test(parts_finer_than_a_step_repeat_it),
        cmocka_unit_test(gaps_stay_unknown),
        cmocka_unit_test(memory_is_bounded_and_the_whole_span_stays),
        cmocka_unit_test(counters_keep_their_growth),
        cmocka_unit_test(a_clock_that_is_set_begins_it_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
