#include "series/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "series/chunk.h"

static void values_of_any_size_come_back(void **state) {
    static const uint64_t odd[] = {0,
                                   1,
                                   4095,
                                   4096,
                                   4097,
                                   1ull << 62,
                                   UINT64_MAX,
                                   UINT64_MAX - 1,
                                   1ull << 63,
                                   8192,
                                   SAMPLE_NONE / 2,
                                   12345678901234567ull};
    enum { N = sizeof(odd) / sizeof(odd[0]) };
    struct head_ticks ticks = {.first = 1};
    struct head_walk w;
    struct head h;
    uint64_t value[METRIC_N];
    unsigned i = 0;

    (void)state;
    head_init(&h);
    /* From each to each other. */
    for (i = 0; i < N * N; i++) {
        assert_int_equal(head_ticks_add(&ticks, 1000 + i, i % 2), 0);
        if (!h.open)
            assert_int_equal(head_open(&h, 1), 0);
        value[METRIC_USAGE] = odd[i % 2 ? i / N : i % N];
        assert_int_equal(head_put(&h, i + 1, 1ull << METRIC_USAGE, 0, value), 0);
    }
    head_walk_init(&w, &h, &ticks);
    for (i = 0; head_walk_next(&w); i++) {
        assert_int_equal(w.now.at_ms, 1000 + i);
        assert_int_equal(w.now.value[METRIC_USAGE], odd[i % 2 ? i / N : i % N]);
    }
    assert_int_equal(i, N * N);
    head_done(&h);
    head_ticks_done(&ticks);
}

static void a_target_that_stands_still_costs_nothing(void **state) {
    struct head_ticks ticks = {.first = 1};
    uint64_t value[METRIC_N] = {0};
    struct head_walk w;
    struct head h;
    size_t before;
    unsigned n = 0;

    (void)state;
    head_init(&h);
    head_ticks_add(&ticks, 1000, true);
    head_open(&h, 1);
    head_put(&h, 1, 3, 0, value);
    before = h.record.n;
    for (unsigned i = 0; i < 1800; i++)
        head_ticks_add(&ticks, 2000 + i * 1000, i % 4 != 0);
    assert_int_equal(h.record.n, before);
    head_walk_init(&w, &h, &ticks);
    while (head_walk_next(&w))
        n++;
    assert_int_equal(n, 1 + 1350); /* the first, and the rounds */
    head_gone(&h, head_tick_now(&ticks));
    head_ticks_add(&ticks, 5000000, true);
    head_walk_init(&w, &h, &ticks);
    for (n = 0; head_walk_next(&w); n++)
        ;
    assert_int_equal(n, 1351);
    head_done(&h);
    head_ticks_done(&ticks);
}

/* What stands still, what moves, what comes and goes, in pieces that are ascending. */
static void chunks_hold_what_the_walk_tells(void **state) {
    struct head_ticks ticks = {.first = 100};
    struct basetest_random random = {7};
    uint64_t value[METRIC_N], all = 0;
    struct sample *sample = calloc(20000, sizeof(*sample));
    size_t n = 0, skip = 0;
    struct head_walk w;
    struct head h;
    struct buf out;
    int64_t at = 5000;
    int got;

    (void)state;
    assert_non_null(sample);
    buf_init(&out, 1 << 22);
    head_init(&h);
    for (unsigned i = 0; i < 12000; i++) {
        uint64_t dice = basetest_next(&random), set = 0, lost = 0;

        at += i == 5000 ? -400000 : i == 9000 ? 7200000 : 1000;
        head_ticks_add(&ticks, at, dice % 5 != 0);
        if (i == 0)
            head_open(&h, 100);
        for (unsigned m = 0; m < METRIC_N; m++) {
            value[m] = basetest_next(&random) % 1000 * (m % 2 ? 4096 : 1);
            if (i == 0 || (m % 3 == 0 && basetest_next(&random) % 20 == 0))
                set |= 1ull << m;
            else if (m % 9 == 0 && basetest_next(&random) % 50 == 0)
                lost |= 1ull << m;
        }
        if (i == 0 || dice % 3 == 0)
            head_put(&h, head_tick_now(&ticks), set, lost, value);
        if (dice % 1000 == 7)
            head_gone(&h, head_tick_now(&ticks));
    }
    head_walk_init(&w, &h, &ticks);
    while (head_walk_next(&w))
        sample[n++] = w.now;
    assert_true(n > 9000);
    while ((got = head_chunk(&h, &ticks, skip, &out)) > 0) {
        int64_t *times = calloc((size_t)got, sizeof(*times));
        uint64_t *v = calloc((size_t)got, sizeof(*v));
        bool *known = calloc((size_t)got, sizeof(*known));
        struct chunk c;

        assert_int_equal(chunk_open(buf_str(&out), &c), 0);
        assert_int_equal(c.n, got);
        assert_int_equal(chunk_times(&c, times), 0);
        for (unsigned m = 0; m < METRIC_N; m++) {
            int r = chunk_column(&c, m, CHUNK_LAST, v, known);

            for (size_t i = 0; i < (size_t)got; i++) {
                const struct sample *want = &sample[skip + i];

                assert_int_equal(times[i], want->at_ms);
                assert_int_equal(r == 0 && known[i], sample_has(want, m));
                if (sample_has(want, m)) {
                    assert_int_equal(v[i], want->value[m]);
                    all++;
                }
            }
        }
        skip += (size_t)got;
        free(times);
        free(v);
        free(known);
    }
    assert_int_equal(got, 0);
    assert_int_equal(skip, n);
    assert_true(all > 100000);
    free(sample);
    buf_done(&out);
    head_done(&h);
    head_ticks_done(&ticks);
}

static void ticks_keep_their_numbers_when_old_ones_are_forgotten(void **state) {
    struct head_ticks ticks = {.first = 1};

    (void)state;
    for (unsigned i = 1; i <= 5000; i++)
        head_ticks_add(&ticks, i * 10, i % 3 == 0);
    head_ticks_trim(&ticks, 4000);
    assert_true(ticks.n <= 1001);
    assert_int_equal(head_tick_now(&ticks), 5000);
    for (uint64_t i = 4000; i <= 5000; i++) {
        assert_int_equal(head_tick_at(&ticks, i), i * 10);
        assert_int_equal(head_tick_round(&ticks, i), i % 3 == 0);
    }
    assert_int_equal(head_ticks_skip(&ticks, 5003, 7), 0);
    assert_int_equal(head_tick_now(&ticks), 5003);
    assert_false(head_tick_round(&ticks, 5002));
    head_ticks_done(&ticks);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_any_size_come_back),
        cmocka_unit_test(a_target_that_stands_still_costs_nothing),
        cmocka_unit_test(chunks_hold_what_the_walk_tells),
        cmocka_unit_test(ticks_keep_their_numbers_when_old_ones_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
