#include "model/trend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/basetest.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

static const uint64_t M = 1 << 20;
static const int64_t T0 = 1700000000000;

static struct sample sample_at(int64_t at_ms, uint64_t used) {
    struct sample s = {.at_ms = at_ms};

    sample_set(&s, METRIC_USED, used);
    return s;
}

static struct basetest_random dice = {88172645463325252ull};

/* 0 ... size - 1 */
static uint64_t noise(uint64_t size) {
    return size > 0 ? basetest_next(&dice) % size : 0;
}

/* What a target's memory may do: bytes at second s. */
typedef uint64_t course(int64_t s);

static void add_course(struct trend *t, int64_t from_s, int64_t to_s, int64_t step_s, course *of) {
    for (int64_t s = from_s; s < to_s; s += step_s) {
        struct sample now = sample_at(T0 + s * SECOND, of(s));

        trend_add(t, &now);
    }
}

static struct trend_view look_at(course *of, int64_t seconds, int64_t step_s) {
    struct trend t = {0};

    add_course(&t, 0, seconds, step_s, of);
    return trend_look(&t);
}

static const int64_t spans[] = {20, 45, 64, 65, 100, 300, 1000, 3600, 5000, 20000};

enum { SPANS = sizeof(spans) / sizeof(spans[0]) };

static void is_always(course *of, enum trend_word word, int64_t from_s) {
    for (unsigned i = 0; i < SPANS; i++)
        for (int64_t step_s = 1; step_s <= 10; step_s += 9) {
            struct trend_view v = look_at(of, spans[i], step_s);

            if (spans[i] < from_s || spans[i] / step_s < 12)
                continue;
            if (v.word != word)
                fail_msg("after %lld s in steps of %lld it is %s (%lld bytes an hour, window %u s)",
                         (long long)spans[i], (long long)step_s, trend_name(v.word),
                         (long long)v.bytes_per_h, v.window_s);
        }
}

static uint64_t still(int64_t s) {
    (void)s;
    return 100 * M;
}

static uint64_t trembling(int64_t s) {
    (void)s;
    return 100 * M + noise(3 * M);
}

static uint64_t short_saw(int64_t s) {
    return 100 * M + (uint64_t)(s % 7) * 10 * M;
}

/* Longer than a block until blocks are 64 s, and shorter than the window from two minutes on. */
static uint64_t long_saw(int64_t s) {
    return 100 * M + (uint64_t)(s % 31) * 2 * M + noise(M);
}

static void what_does_not_move_is_steady(void **state) {
    struct trend_view v = look_at(still, 100, 1);

    (void)state;
    assert_int_equal(v.word, TREND_STEADY);
    assert_int_equal(v.bytes_per_h, 0);
    assert_int_equal(v.window_s, 98); /* blocks of 2 s, without the last one */
    is_always(still, TREND_STEADY, 0);
    is_always(trembling, TREND_STEADY, 0);
}

static void a_saw_is_steady(void **state) {
    (void)state;
    is_always(short_saw, TREND_STEADY, 20);
    is_always(long_saw, TREND_STEADY, 100);
}

static uint64_t leak(int64_t s) {
    return 100 * M + (uint64_t)s * M / 2 + noise(M);
}

static uint64_t slow_leak(int64_t s) {
    return 100 * M + (uint64_t)s * 4096 + noise(M);
}

static uint64_t leaking_saw(int64_t s) {
    return 100 * M + (uint64_t)s * M / 4 + (uint64_t)(s % 5) * 10 * M;
}

static uint64_t shrinking(int64_t s) {
    return 20000 * M - (uint64_t)s * M - noise(M);
}

static void what_grows_is_growing_and_its_slope_is_told(void **state) {
    static const int64_t late[] = {60, 600, 3600, 9000};

    (void)state;
    is_always(leak, TREND_GROWING, 45);
    for (unsigned i = 0; i < 4; i++) {
        int64_t per_h = look_at(leak, late[i], 1).bytes_per_h, wanted = (int64_t)(M / 2) * 3600;

        assert_true(per_h > wanted / 100 * 95 && per_h < wanted / 100 * 105);
        if (late[i] < 600) /* less than 2 % of 20 GB */
            continue;
        per_h = look_at(shrinking, late[i], 1).bytes_per_h;
        wanted = -(int64_t)M * 3600;
        assert_true(per_h < wanted / 100 * 95 && per_h > wanted / 100 * 105);
    }
    is_always(leaking_saw, TREND_GROWING, 300);
}

static void what_shrinks_is_shrinking(void **state) {
    (void)state;
    is_always(shrinking, TREND_SHRINKING, 1000); /* 2 % of 20 GB take a while */
    assert_int_equal(look_at(shrinking, 300, 1).word, TREND_STEADY);
    assert_int_equal(look_at(shrinking, 300, 1).bytes_per_h, 0);
}

/* 4 KiB a second: 1 MiB and 2 % of the level are passed after nine minutes. */
static void slow_growth_is_told_when_it_matters(void **state) {
    (void)state;
    assert_int_equal(look_at(slow_leak, 100, 1).word, TREND_STEADY);
    assert_int_equal(look_at(slow_leak, 3600, 1).word, TREND_GROWING);
    assert_int_equal(look_at(slow_leak, 9000, 1).word, TREND_GROWING);
}

static uint64_t small_leak(int64_t s) {
    return 4 * M + (uint64_t)s * 4096;
}

/* A fifth of the level, but not yet 1 MiB. */
static void growth_of_less_than_a_mebibyte_is_none(void **state) {
    (void)state;
    assert_int_equal(look_at(small_leak, 200, 1).word, TREND_STEADY);
    assert_int_equal(look_at(small_leak, 300, 1).word, TREND_GROWING);
}

static int64_t step_s;

static uint64_t step(int64_t s) {
    return s < step_s ? 100 * M : 200 * M;
}

static uint64_t noisy_step(int64_t s) {
    return step(s) + noise(4 * M);
}

static uint64_t warm_up(int64_t s) {
    double part = 1, left = 1;

    for (int64_t i = 0; i < s; i++)
        left -= left / 40; /* e^-(s/40) */
    part -= left;
    return 50 * M + (uint64_t)(part * 100 * (double)M) + noise(M / 4);
}

static void one_step_is_not_growth(void **state) {
    (void)state;
    for (step_s = 0; step_s < 600; step_s += 5) {
        assert_int_equal(look_at(step, 600, 1).word, TREND_STEADY);
        if (look_at(noisy_step, 600, 1).word != TREND_STEADY)
            fail_msg("a step at %lld s", (long long)step_s);
    }
    assert_int_equal(look_at(warm_up, 40, 1).word, TREND_GROWING);
    assert_int_equal(look_at(warm_up, 300, 1).word, TREND_STEADY);
}

static void growth_that_ended_is_not_growth(void **state) {
    struct trend t = {0};

    (void)state;
    add_course(&t, 0, 300, 1, leak);
    assert_int_equal(trend_look(&t).word, TREND_GROWING);
    for (int64_t s = 300; s < 480; s++) {
        struct sample now = sample_at(T0 + s * SECOND, 250 * M);

        trend_add(&t, &now);
    }
    assert_int_equal(trend_look(&t).word, TREND_STEADY);
}

static void too_little_seen_is_no_judgement(void **state) {
    struct trend t = {0};
    struct trend_view v = trend_look(&t);

    (void)state;
    assert_int_equal(v.word, TREND_UNKNOWN);
    assert_int_equal(v.window_s, 0);
    assert_false(v.have_refaults);
    v = look_at(leak, 15, 1);
    assert_int_equal(v.word, TREND_UNKNOWN);
    assert_int_equal(v.bytes_per_h, 0);
    v = look_at(leak, 40, 6); /* seven times */
    assert_int_equal(v.word, TREND_UNKNOWN);
    assert_int_equal(look_at(leak, 17, 1).word, TREND_GROWING);
}

static void gaps_are_skipped(void **state) {
    struct trend t = {0};

    (void)state;
    for (int64_t s = 0; s < 1200; s += 100)
        add_course(&t, s, s + 40, 1, leak);
    assert_int_equal(trend_look(&t).word, TREND_GROWING);
    add_course(&t, 1140 + 32 * 62, 1141 + 32 * 62, 1, leak);
    assert_int_equal(t.first_ms, T0 - T0 % (64 * SECOND));
    assert_int_equal(trend_look(&t).word, TREND_GROWING);
    add_course(&t, 20000, 20001, 1, leak); /* longer than any window */
    assert_int_equal(t.n, 1);
    assert_int_equal(t.block_ms, SECOND);
    assert_int_equal(trend_look(&t).word, TREND_UNKNOWN);
}

static void a_look_at_which_used_is_unknown_is_a_gap(void **state) {
    struct trend t = {0};

    (void)state;
    for (int64_t s = 0; s < 200; s++) {
        struct sample now = sample_at(T0 + s * SECOND, leak(s));

        if (s % 20 < 15)
            now.have = 0;
        trend_add(&t, &now);
    }
    assert_int_equal(trend_look(&t).word, TREND_GROWING);
    assert_true(trend_look(&t).window_s > 180);
}

static void a_clock_set_back_begins_anew(void **state) {
    struct trend t = {0};

    (void)state;
    add_course(&t, 1000, 1100, 1, leak);
    add_course(&t, 1098, 1100, 1, leak); /* within the newest block: nothing to it */
    assert_int_equal(trend_look(&t).word, TREND_GROWING);
    add_course(&t, 500, 501, 1, leak);
    assert_int_equal(t.n, 1);
    add_course(&t, -1000, -999, 1, still);
    assert_int_equal(t.n, 1);
    t = (struct trend){0};
    trend_add(&t, &(struct sample){.at_ms = 0});
    trend_add(&t, &(struct sample){.at_ms = -5});
    assert_int_equal(t.n, 0);
}

static uint64_t lowest(const struct trend *t) {
    uint64_t low = TREND_MISSING;

    for (uint32_t i = 0; i < t->n; i++)
        low = t->low[(t->start + i) % TREND_BLOCKS] < low ? t->low[(t->start + i) % TREND_BLOCKS]
                                                          : low;
    return low;
}

static void doubling_keeps_the_minima(void **state) {
    struct trend t = {0};
    uint64_t wanted = TREND_MISSING;

    (void)state;
    for (int64_t s = 0; s < 64 * 64 - 60; s++) {
        uint64_t used = 1000 + noise(1000000);
        struct sample now = sample_at(T0 + s * SECOND, used);

        wanted = used < wanted ? used : wanted;
        trend_add(&t, &now);
        assert_int_equal(lowest(&t), wanted);
        assert_int_equal(t.first_ms % t.block_ms, 0);
        assert_true(t.first_ms <= T0 && t.first_ms > T0 - t.block_ms);
        assert_true(t.n <= TREND_BLOCKS && trend_newest_ms(&t) <= now.at_ms);
        assert_true(now.at_ms < trend_newest_ms(&t) + t.block_ms);
    }
    assert_int_equal(t.block_ms, TREND_BLOCK_MAX_MS);
}

static void after_an_hour_the_window_slides(void **state) {
    struct trend t = {0};

    (void)state;
    add_course(&t, 0, 3 * 3600, 1, still);
    assert_int_equal(t.n, TREND_BLOCKS);
    assert_int_equal(trend_look(&t).window_s, 63 * 64);
    assert_true(t.first_ms > T0 + HOUR);
    add_course(&t, 3 * 3600, 5 * 3600, 1, shrinking); /* what was before is forgotten */
    assert_int_equal(trend_look(&t).word, TREND_SHRINKING);
}

/* The history of the course as blocks. */
static void begin_with(struct trend *t, int64_t block_s, int64_t from_s, int64_t to_s, course *of) {
    uint64_t low[200];
    size_t n = 0;

    for (int64_t s = from_s; s < to_s; s += block_s) {
        assert_true(n < 200);
        low[n] = TREND_MISSING;
        for (int64_t i = s; i < s + block_s; i++)
            low[n] = of(i) < low[n] ? of(i) : low[n];
        n++;
    }
    trend_begin(t, block_s * SECOND, T0 + from_s * SECOND, low, n);
}

static void history_fills_the_window_backwards(void **state) {
    static const int64_t blocks[] = {1, 7, 16, 60, 64};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct trend t = {0}, empty = {0};
        int64_t now_s = blocks[i] * 60;

        add_course(&t, now_s, now_s + 5, 1, leak);
        assert_int_equal(trend_look(&t).word, TREND_UNKNOWN);
        begin_with(&t, blocks[i], 0, now_s, leak);
        assert_int_equal(trend_look(&t).word, TREND_GROWING);
        assert_true(trend_look(&t).window_s >= blocks[i] * 55);
        assert_true(t.n <= TREND_BLOCKS && t.first_ms % t.block_ms == 0);
        assert_true(t.block_ms >= blocks[i] * SECOND);
        assert_true(T0 + (now_s + 5) * SECOND <= trend_newest_ms(&t) + t.block_ms);
        begin_with(&empty, blocks[i], 0, now_s, leak);
        assert_int_equal(trend_look(&empty).word, TREND_GROWING);
    }
}

/* The store's history is the same that a program saw that ran all the time. */
static void begun_late_or_running_all_the_time_it_tells_the_same(void **state) {
    struct trend all = {0}, late = {0};

    (void)state;
    add_course(&all, 0, 8000, 1, short_saw);
    add_course(&late, 7990, 8000, 1, short_saw);
    begin_with(&late, 64, 8000 - 8000 % 64 - 63 * 64 - 63 * 64 % 64, 8000 - 8000 % 64, short_saw);
    assert_int_equal(late.block_ms, all.block_ms);
    assert_int_equal(trend_look(&late).word, trend_look(&all).word);
    assert_true(trend_look(&late).window_s >= trend_look(&all).window_s - 2 * 64);
}

static void more_history_than_there_is_room_for_is_left_out(void **state) {
    struct trend t = {0};
    uint64_t low[4] = {1, 2, 3, 4};

    (void)state;
    add_course(&t, 20000, 20010, 1, still);
    begin_with(&t, 120, 0, 20000, leak);
    assert_int_equal(t.n, TREND_BLOCKS);
    assert_int_equal(t.block_ms, TREND_BLOCK_MAX_MS);
    trend_begin(&t, SECOND, T0, low, 4);                  /* before its time */
    trend_begin(&t, SECOND, T0 + 30000 * SECOND, low, 4); /* after it */
    trend_begin(&t, SECOND, T0, low, 0);
    assert_true(lowest(&t) >= 100 * M);
}

static struct sample refaulting(int64_t s, uint64_t file) {
    struct sample now = sample_at(T0 + s * SECOND, 100 * M);

    sample_set(&now, METRIC_REFAULT_FILE, file);
    return now;
}

static void refaults_are_of_the_last_seconds(void **state) {
    struct trend t = {0};
    struct sample now;
    struct trend_view v;

    (void)state;
    for (int64_t s = 0; s < 100; s++) {
        now = refaulting(s, s < 50 ? 7 : 7 + (uint64_t)(s - 49) * 200);
        sample_set(&now, METRIC_REFAULT_ANON, s < 50 ? 0 : (uint64_t)(s - 49) * 50);
        trend_add(&t, &now);
        v = trend_look(&t);
        assert_int_equal(v.have_refaults, s > 0);
        if (s < 50)
            assert_int_equal(v.refaults_per_s, 0);
        if (s >= 60)
            assert_int_equal(v.refaults_per_s, 250);
    }
    for (int64_t s = 100; s < 112; s++) { /* they end */
        now.at_ms = T0 + s * SECOND;
        trend_add(&t, &now);
    }
    trend_refaults(&t, &v);
    assert_true(v.have_refaults && v.refaults_per_s == 0);
    now = refaulting(120, 3); /* the counter began anew */
    trend_add(&t, &now);
    trend_refaults(&t, &v);
    assert_false(v.have_refaults);
    now = sample_at(T0 + 130 * SECOND, 1);
    trend_add(&t, &now);
    now = refaulting(131, 5000);
    trend_add(&t, &now);
    trend_refaults(&t, &v);
    assert_false(v.have_refaults);
}

static void the_time_to_the_limit_is_headroom_over_slope(void **state) {
    struct trend_view v = {TREND_GROWING, 3600 * 1024, 60, false, 0};
    struct sample s = {0};
    uint64_t seconds = 1;

    (void)state;
    assert_false(trend_time_to_limit(&v, &s, &seconds));
    sample_set(&s, METRIC_HEADROOM, 10240);
    assert_true(trend_time_to_limit(&v, &s, &seconds));
    assert_int_equal(seconds, 10);
    sample_set(&s, METRIC_HEADROOM, 0);
    assert_true(trend_time_to_limit(&v, &s, &seconds));
    assert_int_equal(seconds, 0);
    sample_set(&s, METRIC_HEADROOM, 1ull << 60);
    assert_true(trend_time_to_limit(&v, &s, &seconds));
    assert_true(seconds == (1ull << 50));
    for (v.word = TREND_UNKNOWN; v.word <= TREND_SHRINKING; v.word++)
        assert_int_equal(trend_time_to_limit(&v, &s, &seconds), v.word == TREND_GROWING);
}

static uint64_t wild(int64_t s) {
    (void)s;
    return basetest_next(&dice) >> basetest_next(&dice) % 64;
}

static void no_course_is_too_wild(void **state) {
    struct trend t = {0};
    int64_t at_s = 1000;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t low[100];
        size_t n = noise(100);

        at_s += (int64_t)noise(1ull << noise(16)) - (noise(200) == 0 ? 500 : 0);
        add_course(&t, at_s, at_s + 1, 1, wild);
        for (size_t k = 0; k < n; k++)
            low[k] = noise(3) == 0 ? TREND_MISSING : wild(0);
        if (noise(20) == 0)
            trend_begin(&t, (int64_t)noise(100000), T0 + (int64_t)noise(20000000), low, n);
        assert_true(t.n > 0 && t.n <= TREND_BLOCKS);
        assert_int_equal(t.first_ms % t.block_ms, 0);
        if (i % 10 == 0)
            (void)trend_look(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_move_is_steady),
        cmocka_unit_test(a_saw_is_steady),
        cmocka_unit_test(what_grows_is_growing_and_its_slope_is_told),
        cmocka_unit_test(what_shrinks_is_shrinking),
        cmocka_unit_test(slow_growth_is_told_when_it_matters),
        cmocka_unit_test(growth_of_less_than_a_mebibyte_is_none),
        cmocka_unit_test(one_step_is_not_growth),
        cmocka_unit_test(growth_that_ended_is_not_growth),
        cmocka_unit_test(too_little_seen_is_no_judgement),
        cmocka_unit_test(gaps_are_skipped),
        cmocka_unit_test(a_look_at_which_used_is_unknown_is_a_gap),
        cmocka_unit_test(a_clock_set_back_begins_anew),
        cmocka_unit_test(doubling_keeps_the_minima),
        cmocka_unit_test(after_an_hour_the_window_slides),
        cmocka_unit_test(history_fills_the_window_backwards),
        cmocka_unit_test(begun_late_or_running_all_the_time_it_tells_the_same),
        cmocka_unit_test(more_history_than_there_is_room_for_is_left_out),
        cmocka_unit_test(refaults_are_of_the_last_seconds),
        cmocka_unit_test(the_time_to_the_limit_is_headroom_over_slope),
        cmocka_unit_test(no_course_is_too_wild),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
