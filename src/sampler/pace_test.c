#include "sampler/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define LIMIT (1000 * MIB)

enum { SECOND = 1000000, SLOWEST = SECOND, FASTEST = SECOND / 10 };

/* A target under a limit of its own. */
static struct sample own(uint64_t used) {
    struct sample s = {0};

    sample_set(&s, METRIC_LIMIT, LIMIT);
    sample_set(&s, METRIC_USED, used);
    sample_set(&s, METRIC_HEADROOM, used < LIMIT ? LIMIT - used : 0);
    return s;
}

static int64_t look(struct pace *p, int64_t now_us, struct sample s) {
    return pace_next(p, &s, now_us, SLOWEST, FASTEST);
}

static void what_does_not_grow_has_the_slowest_pace(void **state) {
    struct pace p = {0};

    (void)state;
    for (int64_t now = 5 * SECOND; now < 100 * SECOND; now += SECOND)
        assert_int_equal(look(&p, now, own(500 * MIB)), SLOWEST);
    for (int64_t now = 100 * SECOND; now < 200 * SECOND; now += SECOND) /* shrinks */
        assert_int_equal(look(&p, now, own(500 * MIB - (uint64_t)now)), SLOWEST);
}

/* From any room and at any growth: what it says is kept to until the limit is reached. */
static void ten_looks_are_had_before_the_limit(void **state) {
    (void)state;
    for (uint64_t a_second = 1; a_second <= 400; a_second += 3) {
        uint64_t used = 100 * MIB;
        struct pace p = {0};
        int64_t now = SECOND, last = 0;
        unsigned looks = 0;

        last = look(&p, now, own(used));
        assert_int_equal(last, SLOWEST);
        do {
            int64_t left;

            now += last;
            used += a_second * MIB * (uint64_t)last / SECOND;
            if (used >= LIMIT)
                break;
            left = (int64_t)((LIMIT - used) * SECOND / (a_second * MIB));
            last = look(&p, now, own(used));
            assert_true(last >= FASTEST && last <= SLOWEST);
            assert_true(last <= left / 10 || last == FASTEST);
            looks++;
        } while (used < LIMIT);
        assert_true(looks >= 10);
    }
}

static void periods_are_steps(void **state) {
    (void)state;
    for (uint64_t used = 0; used <= LIMIT; used += 7 * MIB)
        for (uint64_t grown = 0; grown < 300 * MIB; grown += 11 * MIB) {
            struct pace p = {0};
            int64_t period;

            (void)look(&p, SECOND, own(used));
            period = look(&p, 2 * SECOND, own(used + grown));
            assert_true(period == SECOND || period == SECOND / 2 || period == SECOND / 5 ||
                        period == SECOND / 10);
        }
}

static void what_is_nearly_full_is_looked_at_sooner_though_it_does_not_grow(void **state) {
    static const struct {
        uint64_t used;
        int64_t period;
    } expected[] = {{899, SECOND},     {901, SECOND / 2},  {949, SECOND / 2},  {951, SECOND / 5},
                    {979, SECOND / 5}, {981, SECOND / 10}, {1000, SECOND / 10}};

    (void)state;
    for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        struct pace p = {0};

        for (int64_t now = SECOND; now < 20 * SECOND; now += SECOND)
            assert_int_equal(look(&p, now, own(expected[i].used * MIB)), expected[i].period);
    }
}

/* 1000 targets without limits on a machine that is nearly full. */
static void a_full_machine_hurries_only_those_who_grow(void **state) {
    struct pace idle = {0}, eater = {0};
    struct sample s = {0};

    (void)state;
    sample_set(&s, METRIC_LIMIT, 8000 * MIB);
    for (int64_t i = 0; i < 10; i++) {
        sample_set(&s, METRIC_HEADROOM, (100 - 5 * (uint64_t)i) * MIB);
        sample_set(&s, METRIC_USED, 10 * MIB);
        assert_int_equal(look(&idle, (i + 1) * SECOND, s), SLOWEST);
        sample_set(&s, METRIC_USED, (10 + (uint64_t)i) * MIB); /* others take four times as much */
        if (i == 9)                                            /* 55 MiB at 5 a second: 11 s */
            assert_int_equal(look(&eater, (i + 1) * SECOND, s), SLOWEST);
        else
            (void)look(&eater, (i + 1) * SECOND, s);
    }
    sample_set(&s, METRIC_HEADROOM, 45 * MIB);
    sample_set(&s, METRIC_USED, 20 * MIB); /* 45 MiB at 10 a second */
    assert_int_equal(look(&eater, 11 * SECOND, s), SECOND / 5);
}

static void a_saw_does_not_make_it_flicker(void **state) {
    struct pace p = {0};
    int64_t now = SECOND;

    (void)state;
    (void)look(&p, now, own(700 * MIB));
    for (unsigned i = 0; i < 30; i++) {
        now += SECOND;
        assert_int_equal(look(&p, now, own(800 * MIB)), SECOND / 5); /* 200 at 100 a second */
        now += SECOND;
        assert_int_equal(look(&p, now, own(700 * MIB)), SECOND / 5);
    }
    now += 2 * SECOND;
    assert_int_equal(look(&p, now, own(700 * MIB)), SECOND); /* over for three seconds */
}

static void what_is_unknown_is_not_hurried(void **state) {
    const enum metric needed[] = {METRIC_LIMIT, METRIC_USED, METRIC_HEADROOM};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct sample s = own(999 * MIB);
        struct pace p = {0};

        s.have &= ~(1ull << needed[i]);
        assert_int_equal(look(&p, SECOND, s), SLOWEST);
        assert_int_equal(look(&p, 2 * SECOND, s), SLOWEST);
        /* and what comes after it is not taken for growth from nothing */
        assert_int_equal(look(&p, 3 * SECOND, own(500 * MIB)), SLOWEST);
    }
}

static void bounds_hold_whatever_they_are(void **state) {
    static const int64_t bounds[][2] = {
        {SECOND, SECOND},
        {SECOND / 10, SECOND / 10},
        {60 * SECOND, SECOND / 10},
        {SECOND, SECOND / 3},
        {SECOND / 10, SECOND}}; /* the last: nothing faster is wanted */

    (void)state;
    for (unsigned i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
        for (uint64_t used = 0; used <= LIMIT; used += 50 * MIB) {
            int64_t slowest = bounds[i][0], fastest = bounds[i][1], period;
            struct sample s = own(used), grown = own(LIMIT);
            struct pace p = {0};

            period = pace_next(&p, &s, SECOND, slowest, fastest);
            assert_true(period <= slowest && (period >= fastest || period == slowest));
            period = pace_next(&p, &grown, SECOND, slowest, fastest); /* no time has passed */
            assert_true(period <= slowest && (period >= fastest || period == slowest));
            period = pace_next(&p, &s, 0, slowest, fastest); /* nor does a clock go back */
            assert_true(period <= slowest && (period >= fastest || period == slowest));
        }
}

static void huge_numbers_do_no_harm(void **state) {
    struct sample s = {0};
    struct pace p = {0};

    (void)state;
    sample_set(&s, METRIC_LIMIT, UINT64_MAX - 1);
    sample_set(&s, METRIC_HEADROOM, UINT64_MAX - 1);
    sample_set(&s, METRIC_USED, 0);
    assert_int_equal(look(&p, 1, s), SLOWEST);
    sample_set(&s, METRIC_USED, 1);
    assert_int_equal(look(&p, INT64_MAX / 2, s), SLOWEST);
    sample_set(&s, METRIC_USED, UINT64_MAX - 1);
    sample_set(&s, METRIC_HEADROOM, 0);
    assert_int_equal(look(&p, INT64_MAX / 2 + SECOND, s), FASTEST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_grow_has_the_slowest_pace),
        cmocka_unit_test(ten_looks_are_had_before_the_limit),
        cmocka_unit_test(periods_are_steps),
        cmocka_unit_test(what_is_nearly_full_is_looked_at_sooner_though_it_does_not_grow),
        cmocka_unit_test(a_full_machine_hurries_only_those_who_grow),
        cmocka_unit_test(a_saw_does_not_make_it_flicker),
        cmocka_unit_test(what_is_unknown_is_not_hurried),
        cmocka_unit_test(bounds_hold_whatever_they_are),
        cmocka_unit_test(huge_numbers_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
