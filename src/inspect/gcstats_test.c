#include "inspect/gcstats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/basetest.h"
#include "base/text.h"
#include "inspect/gcpage.h"
#include "inspect/gcspark.h"

static struct gcstats stats;
static struct gclines lines;

static struct gctrace line(unsigned n, uint64_t live_mib, uint64_t stw_us, bool forced) {
    char text[300];
    struct gctrace g;
    int length = snprintf(text, sizeof(text),
                          "gc %u @%u.000s 3%%: %llu+1+0 us clock, 1+1/1/1+1 us cpu, "
                          "%llu->%llu->%llu MB, %llu MB goal, 2 P%s",
                          n, n, (unsigned long long)stw_us, (unsigned long long)live_mib + 3,
                          (unsigned long long)live_mib + 4, (unsigned long long)live_mib,
                          (unsigned long long)live_mib * 2, forced ? " (forced)" : "");

    gctrace_parse((struct str){text, (size_t)length}, &g);
    assert_int_equal(g.kind, GCTRACE_GC);
    return g;
}

static void add(unsigned n, uint64_t live_mib, uint64_t stw_us, bool forced) {
    struct gctrace g = line(n, live_mib, stw_us, forced);

    assert_int_equal(gcstats_add(&stats, &g, 0), (int64_t)n * 1000);
}

static void pauses_have_their_percentiles(void **state) {
    struct gcsummary sum;
    uint64_t total = 0;

    (void)state;
    gcstats_init(&stats, true);
    for (unsigned i = 1; i <= 1000; i++) {
        add(i, 10, (i * 617) % 1000 + 1, i % 100 == 0); /* each of 1..1000 us once */
        total += ((i * 617) % 1000 + 1) * 1000;
    }
    gcstats_sum(&stats, &sum);
    assert_int_equal(sum.collections, 1000);
    assert_int_equal(sum.forced, 10);
    assert_int_equal(sum.programs, 1);
    assert_int_equal(sum.max_ns, 1000000);
    assert_int_equal(sum.stopped_ns, total);
    assert_in_range(sum.p50_ns, 500000, 505000);
    assert_in_range(sum.p95_ns, 950000, 959500);
    assert_in_range(sum.p99_ns, 990000, 1000000);
    assert_int_equal(sum.share, 300);
    assert_int_equal(sum.heap_max, 14 << 20);
}

static void few_pauses_are_told_as_they_were(void **state) {
    struct gcsummary sum;

    (void)state;
    gcstats_init(&stats, true);
    add(1, 1, 50, false);
    add(2, 1, 7, false);
    add(3, 1, 123457, false);
    gcstats_sum(&stats, &sum);
    assert_int_equal(sum.p50_ns, 50000);
    assert_int_equal(sum.p95_ns, 123457000);
    assert_int_equal(sum.max_ns, 123457000);
}

static void a_long_history_keeps_peaks_lows_and_marks(void **state) {
    uint64_t n = 0, forced = 0, longest = 0, lowest = UINT64_MAX;

    (void)state;
    gcstats_init(&stats, true);
    for (unsigned i = 1; i <= 50000; i++)
        add(i, i == 23456 ? 1 : 100, i == 34567 ? 9999 : 5, i == 12345);
    assert_true(stats.points_n <= GCSTATS_POINTS && stats.points_n > GCSTATS_POINTS / 2 - 1);
    for (uint64_t i = 0; i < stats.points_n; i++) {
        const struct gcpoint *p = &stats.point[i];

        n += p->n;
        forced += p->forced;
        longest = p->stw_ns > longest ? p->stw_ns : longest;
        lowest = p->live < lowest ? p->live : lowest;
        assert_true(i == 0 || p->at_ms > stats.point[i - 1].at_ms);
    }
    assert_int_equal(n, 50000);
    assert_int_equal(forced, 1);
    assert_int_equal(longest, 9999000);
    assert_int_equal(lowest, 1 << 20);
    assert_int_equal(stats.point[stats.points_n - 1].at_ms, 50000000);
}

static enum gctrend trend_of(unsigned n, uint64_t (*live)(unsigned i), int64_t *slope_out) {
    struct gcsummary sum;

    gcstats_init(&stats, true);
    for (unsigned i = 1; i <= n; i++)
        add(i, live(i), 5, false);
    gcstats_sum(&stats, &sum);
    *slope_out = sum.have_slope ? sum.bytes_per_h : -1;
    return sum.trend;
}

static uint64_t climbs(unsigned i) {
    return 100 + i / 2 + i % 7; /* half a MiB a second, with garbage that comes and goes */
}

static uint64_t saws(unsigned i) {
    return 100 + i % 13;
}

static uint64_t starts(unsigned i) {
    return i < 20 ? i * 5 : 100;
}

static uint64_t falls(unsigned i) {
    return 1000 - i;
}

static void the_live_heaps_way_is_told_when_it_can_be(void **state) {
    int64_t slope;

    (void)state;
    assert_int_equal(trend_of(30, climbs, &slope), GCTREND_UNKNOWN);
    assert_int_equal(slope, -1);
    assert_int_equal(trend_of(600, climbs, &slope), GCTREND_GROWING);
    assert_in_range(slope, 1750LL << 20, 1850LL << 20);
    assert_int_equal(trend_of(600, saws, &slope), GCTREND_STEADY);
    assert_int_equal(trend_of(600, starts, &slope), GCTREND_STEADY);
    assert_int_equal(trend_of(600, falls, &slope), GCTREND_SHRINKING);
}

static void times_go_on_when_another_program_follows(void **state) {
    struct gctrace g;
    struct gcsummary sum;

    (void)state;
    gcstats_init(&stats, true);
    add(1, 1, 5, false);
    add(2, 1, 5, false);
    g = line(1, 1, 5, false);
    assert_int_equal(gcstats_add(&stats, &g, 0), 2000);
    g = line(2, 1, 5, false);
    assert_int_equal(gcstats_add(&stats, &g, 0), 3000);
    gcstats_sum(&stats, &sum);
    assert_int_equal(sum.programs, 2);
}

/* A collection of a program at its own time. */
static int64_t add_at(unsigned n, unsigned at_ms, int64_t now_ms) {
    struct gctrace g = line(n, 1, 5, false);

    g.value[GCTRACE_AT_US] = at_ms * 1000ull;
    return gcstats_add(&stats, &g, now_ms);
}

static void programs_at_once_are_counted_as_they_are(void **state) {
    struct gcsummary sum;

    (void)state;
    gcstats_init(&stats, true);
    for (unsigned i = 1; i <= 30; i++) { /* two at once, the second 7 ms behind */
        assert_int_equal(add_at(i, i * 65, 0), i * 65);
        assert_int_equal(add_at(i, i * 65 + 7, 0), i * 65 + 7);
    }
    gcstats_sum(&stats, &sum);
    assert_int_equal(sum.programs, 2);
    assert_int_equal(sum.last_ms - sum.first_ms, 29 * 65 + 7);
    assert_false(sum.have_slope || sum.have_share || sum.programs_lost);
    gcstats_init(&stats, false);
    for (unsigned i = 1; i <= 400; i++) /* one after another, with our clock; a line was lost */
        for (unsigned k = 1; k <= 5; k++)
            if (k != 3)
                assert_int_equal(add_at(k, k * 2, i * 10 + k), i * 10 + k);
    gcstats_sum(&stats, &sum);
    assert_int_equal(sum.programs, 400);
    assert_int_equal(sum.collections, 1600);
    assert_int_equal(sum.last_ms - sum.first_ms, 3994);
}

static void more_programs_than_are_told_apart_are_said_to_be(void **state) {
    struct gcsummary sum;

    (void)state;
    gcstats_init(&stats, false);
    for (unsigned k = 1; k <= 2; k++)
        for (unsigned i = 0; i <= GCSTATS_PROGRAMS; i++)
            add_at(k, 1000 - 3 * i + k, 5);
    gcstats_sum(&stats, &sum);
    assert_true(sum.programs_lost);
    assert_true(sum.programs > GCSTATS_PROGRAMS);
}

static void a_page_is_told_what_it_does_not_know(void **state) {
    struct gcpage page = {.stats = &stats, .lines = &lines};
    struct gcpage_told told = {.any = false};
    struct buf out;

    (void)state;
    gclines_init(&lines, NULL, NULL, NULL);
    buf_init(&out, 1 << 20);
    gcstats_init(&stats, true);
    assert_true(gcpage_has_news(&page, &told));
    for (unsigned i = 1; i <= 5000; i++) {
        add(i, 10, 5, false);
        if (i % 97)
            continue;
        buf_clear(&out);
        gcpage_add(&out, &page, &told);
        assert_true(basetest_is_json(buf_str(&out)));
        assert_int_equal(told.points, stats.points_n);
        assert_false(gcpage_has_news(&page, &told));
    }
    add(5001, 10, 5, false);
    assert_true(gcpage_has_news(&page, &told));
    buf_clear(&out);
    gcpage_add(&out, &page, &told);
    assert_true(out.n < 2500); /* the end of the history alone */
    page.ended = true;
    assert_true(gcpage_has_news(&page, &told));
    buf_done(&out);
}

static void a_narrow_terminal_gets_whole_words(void **state) {
    struct buf wide, narrow;

    (void)state;
    buf_init(&wide, 1 << 16);
    buf_init(&narrow, 1 << 16);
    gcstats_init(&stats, true);
    add(1, 10, 123, false);
    gcspark_line(&stats, true, 69, &wide);
    for (unsigned columns = 20; columns < 69; columns++) {
        struct str got;

        buf_clear(&narrow);
        gcspark_line(&stats, true, columns, &narrow);
        got = buf_str(&narrow);
        assert_true(got.n > 0 && got.n <= columns && str_starts(buf_str(&wide), got));
        assert_true(got.n == wide.n || wide.p[got.n] == ' ');
    }
    buf_done(&wide);
    buf_done(&narrow);
}

static void the_terminals_line_is_as_wide_as_it_may_be(void **state) {
    struct gcspark spark = {.utf8 = true};
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 16);
    gcstats_init(&stats, true);
    for (unsigned columns = 20; columns < 200; columns++) {
        buf_clear(&out);
        add(columns - 19, columns, 5, false);
        gcspark_line(&stats, columns % 2, columns, &out);
        assert_true(text_columns(buf_str(&out)) <= columns);
    }
    assert_true(out.n > 60);
    buf_clear(&out);
    gcspark_draw(&spark, &stats, 24, 80, &out);
    assert_int_equal(spark.rows, 24);
    buf_clear(&out);
    gcspark_draw(&spark, &stats, 3, 80, &out); /* too small: the region is given back */
    assert_int_equal(spark.rows, 0);
    assert_true(memmem(out.p, out.n, "\033[r", 3));
    buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_have_their_percentiles),
        cmocka_unit_test(few_pauses_are_told_as_they_were),
        cmocka_unit_test(a_long_history_keeps_peaks_lows_and_marks),
        cmocka_unit_test(the_live_heaps_way_is_told_when_it_can_be),
        cmocka_unit_test(times_go_on_when_another_program_follows),
        cmocka_unit_test(programs_at_once_are_counted_as_they_are),
        cmocka_unit_test(more_programs_than_are_told_apart_are_said_to_be),
        cmocka_unit_test(a_page_is_told_what_it_does_not_know),
        cmocka_unit_test(a_narrow_terminal_gets_whole_words),
        cmocka_unit_test(the_terminals_line_is_as_wide_as_it_may_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
