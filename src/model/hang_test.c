#include "model/hang.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MS = 1000, SECOND = 1000000, MIB = 1 << 20 };

static void put(struct facts *f, enum fact fact, uint64_t value) {
    f->have |= 1U << fact;
    f->value[fact] = value;
}

/* --- v1, killing disabled --- */

static struct facts v1_at(int64_t at_us, bool under, bool disabled, uint64_t kills) {
    struct facts f = {.at_us = at_us};

    put(&f, FACT_USAGE, 256 * MIB);
    put(&f, FACT_LIMIT, 256 * MIB);
    put(&f, FACT_USED, 255 * MIB);
    put(&f, FACT_FILE, 8192);
    put(&f, FACT_REFAULTS, 2000);
    put(&f, FACT_PGMAJFAULTS, 90);
    put(&f, FACT_UNDER_OOM, under);
    put(&f, FACT_KILL_DISABLED, disabled);
    put(&f, FACT_OOM_KILLS, kills);
    return f;
}

static bool see_v1(struct hang *h, int64_t at_us, bool under, bool disabled, uint64_t kills) {
    struct facts f = v1_at(at_us, under, disabled, kills);

    return hang_see(h, &f);
}

static void tasks_that_wait_with_killing_disabled_hang_after_a_quarter_of_a_second(void **state) {
    struct hang h = {.kind = HANG_NONE};

    (void)state;
    assert_false(see_v1(&h, SECOND, false, true, 0));
    assert_false(hang_suspects(&h));
    assert_false(see_v1(&h, 2 * SECOND, true, true, 0));
    assert_true(hang_suspects(&h));
    assert_false(see_v1(&h, 2 * SECOND + 100 * MS, true, true, 0));
    assert_true(see_v1(&h, 2 * SECOND + 250 * MS, true, true, 0));
    assert_int_equal(h.kind, HANG_OOM_WAIT);
    assert_int_equal(h.since_us, 2 * SECOND);
    assert_false(see_v1(&h, 4 * SECOND, true, true, 0));
}

static void one_look_after_it_began_long_ago_suffices_not(void **state) {
    struct hang h = {.kind = HANG_NONE};

    (void)state;
    assert_false(see_v1(&h, SECOND, true, true, 0));
    assert_int_equal(h.kind, HANG_NONE);
    assert_true(see_v1(&h, 2 * SECOND, true, true, 0));
}

static void a_kill_is_no_hang_though_under_oom_flickers(void **state) {
    struct hang h = {.kind = HANG_NONE};

    (void)state;
    for (int i = 0; i < 200; i++) {
        bool under = i % 3 != 2; /* two looks of three fall into it */

        see_v1(&h, i * 100 * (int64_t)MS, under, false, (uint64_t)i / 3);
        assert_int_equal(h.kind, HANG_NONE);
    }
}

static void kills_without_a_pause_are_no_hang(void **state) {
    struct hang h = {.kind = HANG_NONE};

    (void)state;
    for (int i = 0; i < 100; i++) {
        see_v1(&h, i * 250 * (int64_t)MS, true, false, (uint64_t)i);
        assert_int_equal(h.kind, HANG_NONE);
    }
}

static void what_waits_at_a_limit_above_hangs_though_its_own_flag_is_not_set(void **state) {
    struct hang h = {.kind = HANG_NONE};

    (void)state;
    for (int64_t t = 0; t < SECOND; t += 250 * MS) {
        see_v1(&h, SECOND + t, true, false, 3);
        assert_int_equal(h.kind, HANG_NONE);
    }
    assert_true(see_v1(&h, 2 * SECOND, true, false, 3));
    assert_int_equal(h.kind, HANG_OOM_WAIT);
}

static void it_is_over_when_nothing_was_seen_for_a_second(void **state) {
    struct hang h = {.kind = HANG_NONE};

    (void)state;
    see_v1(&h, 1 * SECOND, true, true, 0);
    see_v1(&h, 2 * SECOND, true, true, 0);
    assert_false(see_v1(&h, 2 * SECOND + 500 * MS, false, true, 0));
    assert_int_equal(h.kind, HANG_OOM_WAIT);
    assert_false(see_v1(&h, 2 * SECOND + 700 * MS, true, true, 0));
    assert_false(see_v1(&h, 3 * SECOND, false, true, 0));
    assert_true(see_v1(&h, 3 * SECOND + 800 * MS, false, true, 0));
    assert_int_equal(h.kind, HANG_NONE);
    assert_false(hang_suspects(&h));
}

/* --- refaults: what real groups showed, half a second apart: limit and file cache in KiB, usage in
 * hundredths of a percent, refaults and major faults a second, PSI --- */

struct shown {
    unsigned limit_k, file_k, usage_centi, refaults, faults, some_centi;
};

static struct facts shown_at(const struct shown *s, int64_t at_us) {
    struct facts f = {.at_us = at_us};
    uint64_t limit = (uint64_t)s->limit_k << 10, file = (uint64_t)s->file_k << 10;
    uint64_t usage = limit / 10000 * s->usage_centi;

    put(&f, FACT_USAGE, usage);
    put(&f, FACT_LIMIT, limit);
    put(&f, FACT_USED, usage - file);
    put(&f, FACT_FILE, file);
    put(&f, FACT_REFAULTS, 1000 + s->refaults * (uint64_t)at_us / SECOND);
    put(&f, FACT_PGMAJFAULTS, 10 + s->faults * (uint64_t)at_us / SECOND);
    put(&f, FACT_UNDER_OOM, 0);
    put(&f, FACT_KILL_DISABLED, 1);
    put(&f, FACT_OOM_KILLS, 0);
    put(&f, FACT_SOME_AVG10, s->some_centi);
    return f;
}

/* When it is called a hang; 0: not within 30 s. */
static int64_t hang_after(const struct shown *s, int64_t step_us) {
    struct hang h = {.kind = HANG_NONE};

    for (int64_t t = SECOND; t < 31 * SECOND; t += step_us) {
        struct facts f = shown_at(s, t);

        hang_see(&h, &f);
        if (h.kind != HANG_NONE) {
            assert_int_equal(h.kind, HANG_REFAULT);
            return t - SECOND;
        }
    }
    return 0;
}

static void a_livelock_is_seen_within_two_seconds(void **state) {
    static const struct shown hangs[] = {
        {262144, 2048, 9960, 128000, 360, 7700},  /* Go, its own text */
        {131072, 16532, 9990, 175231, 490, 1696}, /* Go, 16 MiB of mapped text, four threads */
        {131072, 16340, 9990, 72690, 339, 2331},
        {131072, 6400, 9995, 60000, 45, 900}, /* the same on a busy machine */
        {131072, 2048, 9995, 1600, 30, 8000}, /* on a slow disk, after some seconds */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(hangs) / sizeof(hangs[0]); i++) {
        int64_t after = hang_after(&hangs[i], HANG_LOOK_US);

        assert_true(after > 0 && after < 2 * SECOND);
        after = hang_after(&hangs[i], 500 * MS);
        assert_true(after > 0 && after <= 2 * SECOND);
    }
}

static void a_busy_page_cache_is_no_hang(void **state) {
    static const struct shown healthy[] = {
        {65536, 63488, 9810, 257658, 0, 18},   /* a file read in a loop */
        {65536, 33792, 9920, 322519, 0, 144},  /* the same beside 30 of 64 MiB anonymous */
        {65536, 7264, 10000, 312918, 0, 253},  /* beside 56 */
        {65536, 2128, 10000, 204002, 0, 489},  /* beside 61 */
        {65536, 64272, 9970, 239251, 23, 326}, /* mapped, in a loop */
        {65536, 33748, 9960, 251603, 41, 344},
        {65536, 64500, 9990, 209878, 109, 181}, /* mapped, at random */
        {65536, 33548, 9970, 186793, 95, 163},
        {262144, 250000, 10000, 0, 0, 0},        /* full of cache that nobody reads */
        {262144, 52000, 10000, 20000, 20000, 9}, /* a database that maps its files: 1.5 turns */
        {262144, 0, 9990, 0, 0, 0},              /* full, and content */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(healthy) / sizeof(healthy[0]); i++) {
        assert_int_equal(hang_after(&healthy[i], HANG_LOOK_US), 0);
        assert_int_equal(hang_after(&healthy[i], SECOND), 0);
    }
}

static void where_refaults_are_not_counted_pressure_tells(void **state) {
    const struct shown s = {262144, 2048, 9960, 0, 0, 7700};
    struct hang h = {.kind = HANG_NONE};

    (void)state;
    for (int64_t t = SECOND; t < 4 * SECOND; t += HANG_LOOK_US) {
        struct facts f = shown_at(&s, t);

        f.have &= ~(1U << FACT_REFAULTS);
        hang_see(&h, &f);
    }
    assert_int_equal(h.kind, HANG_REFAULT);
}

static void looks_too_close_for_a_rate_change_nothing(void **state) {
    const struct shown s = {262144, 2048, 9960, 128000, 360, 7700};
    struct hang h = {.kind = HANG_NONE};

    (void)state;
    for (int64_t t = SECOND; t < 3 * SECOND; t += 10 * MS) {
        struct facts f = shown_at(&s, t);

        hang_see(&h, &f);
    }
    assert_int_equal(h.kind, HANG_REFAULT);
}

static void a_livelock_that_ends_in_waiting_is_told_as_waiting(void **state) {
    const struct shown s = {262144, 2048, 9960, 128000, 360, 7700};
    struct hang h = {.kind = HANG_NONE};
    struct facts f;

    (void)state;
    for (int64_t t = SECOND; t < 3 * SECOND; t += HANG_LOOK_US) {
        f = shown_at(&s, t);
        hang_see(&h, &f);
    }
    assert_int_equal(h.kind, HANG_REFAULT);
    f = shown_at(&s, 3 * SECOND);
    put(&f, FACT_UNDER_OOM, 1);
    hang_see(&h, &f);
    f.at_us += HANG_LOOK_US;
    assert_true(hang_see(&h, &f));
    assert_int_equal(h.kind, HANG_OOM_WAIT);
    assert_int_equal(h.since_us, 3 * SECOND);
}

/* --- v2 --- */

static struct facts v2_at(int64_t at_us, uint64_t ooms, uint64_t kills) {
    struct facts f = {.at_us = at_us};

    put(&f, FACT_USAGE, 64 * MIB);
    put(&f, FACT_LIMIT, 64 * MIB);
    put(&f, FACT_USED, 63 * MIB);
    put(&f, FACT_FILE, 4096);
    put(&f, FACT_REFAULTS, 10);
    put(&f, FACT_PGMAJFAULTS, 1);
    put(&f, FACT_OOMS, ooms);
    put(&f, FACT_OOM_KILLS, kills);
    return f;
}

static void who_cannot_be_killed_hangs(void **state) {
    struct hang h = {.kind = HANG_NONE};
    int64_t t;

    (void)state;
    for (t = SECOND; t < 3 * SECOND && h.kind == HANG_NONE; t += HANG_LOOK_US) {
        struct facts f = v2_at(t, 426 + (uint64_t)t / 3000, 0);

        hang_see(&h, &f);
    }
    assert_int_equal(h.kind, HANG_UNKILLABLE);
    assert_true(t <= 2 * SECOND);
}

static void a_limit_lowered_below_usage_counts_many_ooms_and_one_kill(void **state) {
    struct hang h = {.kind = HANG_NONE};

    (void)state;
    for (int i = 0; i < 40; i++) {
        uint64_t ooms = i < 4 ? 0 : i < 10 ? (uint64_t)(i - 3) * 1000 : 6413;
        struct facts f = v2_at(SECOND + i * 100 * (int64_t)MS, ooms, i >= 5);

        hang_see(&h, &f);
        assert_int_equal(h.kind, HANG_NONE);
    }
}

static void memory_high_is_told_apart(void **state) {
    struct hang h = {.kind = HANG_NONE};
    struct buf text;

    (void)state;
    for (int64_t t = SECOND; t < 5 * SECOND; t += HANG_LOOK_US) {
        struct facts f = v2_at(t, 0, 0);

        put(&f, FACT_USAGE, 41 * MIB);
        put(&f, FACT_FULL_AVG10, 3800);
        hang_see(&h, &f);
    }
    assert_int_equal(h.kind, HANG_THROTTLED);
    buf_init(&text, 1024);
    hang_add_text(&text, &h, 9 * SECOND);
    assert_non_null(memmem(text.p, text.n, "memory.high", 11));
    buf_done(&text);
}

static void words_say_for_how_long_and_what_to_do(void **state) {
    struct hang h = {.kind = HANG_OOM_WAIT, .since_us = 1 * SECOND};
    struct buf text;

    (void)state;
    for (unsigned k = HANG_OOM_WAIT; k < HANG_N; k++) {
        h.kind = (enum hang_kind)k;
        buf_init(&text, 1024);
        hang_add_text(&text, &h, 13 * SECOND);
        assert_int_equal(buf_error(&text), 0);
        assert_non_null(memmem(text.p, text.n, "(for 12 s)", 10));
        buf_done(&text);
    }
    assert_string_equal(hang_name(HANG_REFAULT), "refault-livelock");
    assert_string_equal(hang_name(HANG_NONE), "none");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_that_wait_with_killing_disabled_hang_after_a_quarter_of_a_second),
        cmocka_unit_test(one_look_after_it_began_long_ago_suffices_not),
        cmocka_unit_test(a_kill_is_no_hang_though_under_oom_flickers),
        cmocka_unit_test(kills_without_a_pause_are_no_hang),
        cmocka_unit_test(what_waits_at_a_limit_above_hangs_though_its_own_flag_is_not_set),
        cmocka_unit_test(it_is_over_when_nothing_was_seen_for_a_second),
        cmocka_unit_test(a_livelock_is_seen_within_two_seconds),
        cmocka_unit_test(a_busy_page_cache_is_no_hang),
        cmocka_unit_test(where_refaults_are_not_counted_pressure_tells),
        cmocka_unit_test(looks_too_close_for_a_rate_change_nothing),
        cmocka_unit_test(a_livelock_that_ends_in_waiting_is_told_as_waiting),
        cmocka_unit_test(who_cannot_be_killed_hangs),
        cmocka_unit_test(a_limit_lowered_below_usage_counts_many_ooms_and_one_kill),
        cmocka_unit_test(memory_high_is_told_apart),
        cmocka_unit_test(words_say_for_how_long_and_what_to_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
