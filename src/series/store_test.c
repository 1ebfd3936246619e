#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "series/storetest.h"

/* Rounds, fast ticks between them, targets that come and go. */
static void run(struct feed *f, unsigned ticks) {
    for (unsigned i = 0; i < ticks; i++) {
        bool fast = basetest_next(&f->random) % 8 == 0;

        feed_tick(f, fast ? 100 : 1000, !fast);
    }
}

static void every_sample_is_there_from_chunks_and_head(void **state) {
    struct feed f;

    (void)state;
    feed_start(&f, feed_folder, 20, 4);
    f.options.memory = 64 << 10; /* many chunks */
    feed_open(&f, NULL);
    for (unsigned i = 0; i < 10; i++) {
        run(&f, 300);
        feed_compare_all(&f, INT64_MAX);
    }
    feed_done(&f);
}

static void no_more_points_than_the_maximum(void **state) {
    struct store_points points = {0};
    struct feed f;
    int64_t id;
    size_t n;

    (void)state;
    feed_start(&f, feed_folder, 2, 4);
    f.options.memory = 4 << 10;
    feed_open(&f, NULL);
    run(&f, 1000);
    id = feed_series(&f, 0, f.at_ms);
    assert_int_equal(store_range(f.store, id, METRIC_USAGE, 0, INT64_MAX, 0, 10000, &points), 0);
    assert_false(points.cut);
    n = points.n;
    assert_true(n > 100);
    for (size_t max = 1; max <= n; max += max < 20 ? 1 : n / 7) { /* the room is there already */
        assert_int_equal(store_range(f.store, id, METRIC_USAGE, 0, INT64_MAX, 0, max, &points), 0);
        assert_int_equal(points.n, max);
        assert_int_equal(points.cut, max < n);
    }
    store_points_done(&points);
    feed_done(&f);
}

static void a_replay_brings_back_all_and_nothing_twice(void **state) {
    struct feed f;

    (void)state;
    feed_start(&f, feed_folder, 20, 7);
    f.options.memory = 64 << 10;
    feed_open(&f, NULL);
    for (unsigned i = 0; i < 12; i++) {
        bool alive[FEED_TARGETS];
        uint64_t seq;

        run(&f, 50 + (unsigned)(basetest_next(&f.random) % 400));
        seq = f.seq;
        for (unsigned k = 0; k < f.targets; k++)
            alive[k] = f.target[k].alive;
        store_close(f.store);
        feed_open(&f, NULL);
        assert_int_equal(f.seq, seq);
        for (unsigned k = 0; k < f.targets; k++)
            assert_int_equal(f.target[k].alive, alive[k]);
        feed_compare_all(&f, INT64_MAX);
    }
    feed_done(&f);
}

/* --- minutes and hours ------------------------------------------------------------------------ */

struct naive {
    bool any;
    uint64_t last, min, max, mean;
};

/* What a step should be, from the model alone. Its mean is that of its minutes' means, as the
 * header has it, each rounded; `minutes` 1: of the samples themselves. */
static struct naive naive_step(const struct feed_target *t, unsigned m, int64_t from_ms,
                               int64_t step_ms, int64_t part_ms) {
    struct naive out = {.min = UINT64_MAX};
    unsigned __int128 sum = 0, part = 0;
    uint64_t parts = 0, n = 0;
    int64_t part_at = -1;

    for (size_t i = 0; i <= t->n; i++) {
        const struct feed_sample *p = i < t->n ? &t->model[i] : NULL;
        bool in = p && p->at_ms >= from_ms && p->at_ms < from_ms + step_ms && p->have >> m & 1;

        if (n > 0 && (!p || p->at_ms / part_ms != part_at)) {
            sum += (part + n / 2) / n;
            parts++;
            n = 0;
            part = 0;
        }
        if (!in)
            continue;
        part_at = p->at_ms / part_ms;
        part += p->value[m];
        n++;
        out.any = true;
        out.last = p->value[m];
        out.min = p->value[m] < out.min ? p->value[m] : out.min;
        out.max = p->value[m] > out.max ? p->value[m] : out.max;
    }
    if (parts > 0)
        out.mean = (uint64_t)((sum + parts / 2) / parts);
    return out;
}

static void compare_steps(struct feed *f, unsigned target, unsigned m, int64_t from_ms,
                          int64_t to_ms, int64_t step_ms) {
    const struct feed_target *t = &f->target[target];
    struct store_points points = {0};
    size_t k = 0;

    assert_int_equal(
        store_range(f->store, t->series, feed_metric[m], from_ms, to_ms, step_ms, 100000, &points),
        0);
    for (int64_t at = from_ms; at <= to_ms; at += step_ms) {
        struct naive want = naive_step(t, m, at, step_ms, 60000);
        const struct store_point *p = k < points.n ? &points.p[k] : NULL;

        if (!want.any)
            continue;
        assert_non_null(p);
        if (p->at_ms != at || p->value != want.last || p->min != want.min || p->max != want.max)
            fail_msg("target %u metric %u step %lld at %lld: %llu in %llu .. %llu at %lld, not "
                     "%llu in %llu .. %llu",
                     target, m, (long long)step_ms, (long long)at, (unsigned long long)p->value,
                     (unsigned long long)p->min, (unsigned long long)p->max, (long long)p->at_ms,
                     (unsigned long long)want.last, (unsigned long long)want.min,
                     (unsigned long long)want.max);
        if (want.max != SAMPLE_NONE && step_ms == 60000)
            assert_int_equal(p->mean, want.mean);
        if (want.max != SAMPLE_NONE)
            assert_true(p->mean >= p->min && p->mean <= p->max);
        k++;
    }
    assert_int_equal(k, points.n);
    store_points_done(&points);
}

static const int64_t hour_ms = 3600 * 1000;

static void minutes_and_hours_say_what_samples_said(void **state) {
    int64_t begin, now;
    struct feed f;

    (void)state;
    feed_start(&f, feed_folder, 3, 30);
    f.at_ms = begin = 1700000000000 / hour_ms * hour_ms;
    f.options.raw_ms = 3 * hour_ms;
    f.options.minute_ms = 30 * hour_ms;
    feed_open(&f, NULL);
    for (unsigned i = 0; i < 48 * 360; i++)
        feed_tick(&f, 10000, true);
    now = f.at_ms / hour_ms * hour_ms;
    for (unsigned target = 0; target < f.targets; target++)
        for (unsigned m = 0; m < 3; m++) {
            /* the newest: samples; before: minutes; all: hours, from whatever is there */
            compare_steps(&f, target, m, now - 2 * hour_ms, now - 1, 60000);
            compare_steps(&f, target, m, now - 20 * hour_ms, now - 1, 60000);
            compare_steps(&f, target, m, begin, now - 1, hour_ms);
            compare_steps(&f, target, m, begin, now - 1, 2 * hour_ms);
            compare_steps(&f, target, m, now - 20 * hour_ms, now - 1, 300000);
        }
    feed_done(&f);
}

static void what_is_too_old_is_dropped_level_by_level(void **state) {
    struct store_points points = {0};
    struct sample sample;
    int64_t begin;
    struct feed f;

    (void)state;
    feed_start(&f, feed_folder, 2, 50);
    f.at_ms = begin = 1700000000000 / hour_ms * hour_ms;
    f.options.raw_ms = 3 * hour_ms;
    f.options.minute_ms = 24 * hour_ms;
    f.options.hour_ms = 60 * hour_ms;
    feed_open(&f, NULL);
    for (unsigned i = 0; i < 100 * 120; i++)
        feed_tick(&f, 30000, true);
    /* Samples are there for three hours and a bit, then minutes for a day, then hours. */
    assert_int_equal(
        store_range(f.store, f.target[0].series, METRIC_USAGE, 0, INT64_MAX, 0, 100000, &points),
        0);
    assert_true(points.n > 0);
    assert_true(points.p[0].at_ms >= f.at_ms - 72 * hour_ms);
    assert_int_equal(points.p[0].at_ms % hour_ms, 0);
    for (size_t i = 1; i < points.n; i++) {
        int64_t age = f.at_ms - points.p[i].at_ms;

        assert_true(points.p[i].at_ms > points.p[i - 1].at_ms);
        if (age > 40 * hour_ms)
            assert_int_equal(points.p[i].at_ms % hour_ms, 0);
        else if (age > 6 * hour_ms)
            assert_int_equal(points.p[i].at_ms % 60000, 0);
    }
    store_points_done(&points);
    /* A moment before all samples is that of its hour. */
    assert_int_equal(store_at(f.store, f.target[0].series, f.at_ms - 50 * hour_ms, &sample), 0);
    assert_int_equal(sample.at_ms % hour_ms, 0);
    assert_int_equal(store_at(f.store, f.target[0].series, begin, &sample), -ENODATA);
    feed_done(&f);
}

static void the_oldest_goes_when_the_cap_is_met(void **state) {
    struct store_points points = {0};
    struct store_health health;
    uint64_t most = 0;
    struct feed f;

    (void)state;
    feed_start(&f, feed_folder, 30, 1);
    f.options.memory = 128 << 10;
    f.options.max_bytes = 3 << 20;
    feed_open(&f, NULL);
    for (unsigned i = 0; i < 9000; i++) {
        feed_tick(&f, 1000, true);
        store_health(f.store, &health);
        most = health.disk_bytes > most ? health.disk_bytes : most;
    }
    print_message("%llu bytes at most\n", (unsigned long long)most);
    assert_true(most <= f.options.max_bytes);
    assert_int_equal(health.errors, 0);
    assert_true(health.oldest_ms > f.target[0].model[0].at_ms + 60000);
    /* The newest is whole. */
    assert_int_equal(store_range(f.store, f.target[0].series, METRIC_USAGE, f.at_ms - 300 * 1000,
                                 INT64_MAX, 0, 1000, &points),
                     0);
    assert_true(!f.target[0].alive || points.n >= 100);
    store_points_done(&points);
    feed_done(&f);
}

/* --- a moment, tables ------------------------------------------------------------------------- */

static void a_moment_is_what_was_known_then(void **state) {
    struct feed f;

    (void)state;
    feed_start(&f, feed_folder, 10, 3);
    f.options.memory = 32 << 10;
    feed_open(&f, NULL);
    run(&f, 3000);
    for (unsigned i = 0; i < f.targets; i++) {
        const struct feed_target *t = &f.target[i];

        for (size_t k = 0; k < t->n; k += 97) {
            struct sample sample;

            assert_int_equal(store_at(f.store, t->series, t->model[k].at_ms + 50, &sample), 0);
            assert_int_equal(sample.at_ms, t->model[k].at_ms);
            for (unsigned m = 0; m < FEED_METRICS; m++) {
                assert_int_equal(sample_has(&sample, feed_metric[m]), t->model[k].have >> m & 1);
                if (t->model[k].have >> m & 1)
                    assert_int_equal(sample.value[feed_metric[m]], t->model[k].value[m]);
            }
        }
    }
    feed_done(&f);
}

static int count_target(void *ctx, const struct store_target *t) {
    unsigned *n = ctx;

    assert_true(str_starts(t->key, STR("test/")));
    assert_true(str_starts(t->identity, STR("{\"n\":")));
    (*n)++;
    return 0;
}

static int sum_ooms(void *ctx, int64_t id, int64_t series, int64_t at_ms, uint64_t kills,
                    struct str json) {
    (void)id;
    assert_true(series > 0 && at_ms > 0);
    assert_true(str_eq(json, STR("{\"kind\":\"oom\"}")));
    *(uint64_t *)ctx += kills;
    return 0;
}

static void say_oom(struct feed *f, unsigned target, uint64_t kills) {
    struct buf b;

    buf_init(&b, 100);
    feed_number(&b, 'O');
    feed_number(&b, target);
    feed_number(&b, kills);
    feed_say(f, &b);
    buf_done(&b);
}

/* Who asks between two ticks, or at a late one, is not told that nobody is there. */
static void who_was_not_told_gone_is_still_there(void **state) {
    unsigned alive = 0, targets = 0;
    struct feed f;

    (void)state;
    feed_start(&f, feed_folder, 4, 2);
    feed_open(&f, NULL);
    run(&f, 200);
    for (unsigned i = 0; i < 4; i++)
        alive += f.target[i].alive;
    assert_in_range(alive, 1, 4);
    assert_int_equal(store_targets(f.store, f.at_ms + 5000, f.at_ms + 6000, count_target, &targets),
                     0);
    assert_int_equal(targets, alive);
    for (unsigned i = 0; i < 4; i++)
        if (f.target[i].alive)
            assert_int_equal(store_gone(f.store, f.target[i].series, f.at_ms), 0);
    targets = 0;
    assert_int_equal(store_targets(f.store, f.at_ms + 5000, f.at_ms + 6000, count_target, &targets),
                     0);
    assert_int_equal(targets, 0);
    feed_done(&f);
}

static void totals_and_names_outlive_restarts(void **state) {
    uint64_t kills, restarts;
    unsigned targets;
    struct feed f;

    (void)state;
    feed_start(&f, feed_folder, 4, 2);
    feed_open(&f, NULL);
    run(&f, 200);
    for (unsigned i = 0; i < 4; i++) {
        int64_t id = feed_series(&f, 2, f.at_ms);

        say_oom(&f, 2, 5);
        assert_int_equal(store_oom_total(f.store, id), 5 * (i + 1));
        kills = 0;
        assert_int_equal(store_ooms(f.store, id, 0, INT64_MAX, 100, sum_ooms, &kills), 0);
        assert_int_equal(kills, 5 * (i + 1)); /* with what is not written yet */
        assert_int_equal(
            store_life(f.store, id, &(struct store_life){STR("abc"), 1000 + i, 0}, true, &restarts),
            1);
        assert_int_equal(restarts, i);
        assert_int_equal(
            store_life(f.store, id, &(struct store_life){STR("abc"), 1000 + i, 0}, true, &restarts),
            0);
        assert_int_equal(restarts, i);
        run(&f, 20);
        store_close(f.store);
        feed_open(&f, NULL);
        assert_int_equal(feed_series(&f, 2, f.at_ms), id);
        assert_int_equal(store_oom_total(f.store, id), 5 * (i + 1));
        targets = 0;
        assert_int_equal(store_targets(f.store, 0, INT64_MAX, count_target, &targets), 0);
        assert_int_equal(targets, 4);
    }
    kills = 0;
    assert_int_equal(store_ooms(f.store, 0, 0, INT64_MAX, 3, sum_ooms, &kills), 0);
    assert_int_equal(kills, 15); /* three of them */
    targets = 0;
    assert_int_equal(store_targets(f.store, 0, 1000, count_target, &targets), 0);
    assert_int_equal(targets, 0);
    feed_done(&f);
}

static uint64_t lives(struct store *s, int64_t id, uint64_t group, uint64_t run, bool fresh,
                      int want) {
    const struct store_life life = {STR("abc"), group, run};
    uint64_t restarts = 99;

    assert_int_equal(store_life(s, id, &life, fresh, &restarts), want);
    return restarts;
}

static void starts_in_one_group_are_lives_and_learning_of_one_is_none(void **state) {
    struct feed f;
    int64_t id;

    (void)state;
    feed_start(&f, feed_folder, 1, 2);
    feed_open(&f, NULL);
    id = feed_series(&f, 0, f.at_ms);
    assert_int_equal(lives(f.store, id, 7, 0, true, 1), 0);
    assert_int_equal(lives(f.store, id, 7, 71, true, 0), 0); /* known late */
    assert_int_equal(lives(f.store, id, 7, 0, true, 0), 0);
    assert_int_equal(lives(f.store, id, 7, 72, true, 1), 1);
    assert_int_equal(lives(f.store, id, 7, 71, true, 0), 0); /* as it was told then */
    assert_int_equal(lives(f.store, id, 7, 0, true, 0), 1);  /* not known at a look: the newest */
    assert_int_equal(lives(f.store, id, 8, 0, true, 1), 2);
    assert_int_equal(lives(f.store, id, 8, 71, true, 0), 2);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(lives(f.store, id, 9, 100 + i, true, 1), 3 + i);
    /* Long forgotten, and told by a log that was committed with what is known. */
    assert_int_equal(lives(f.store, id, 7, 72, false, 0), 14);
    assert_int_equal(lives(f.store, id, 9, 119, true, 0), 22);
    assert_int_equal(lives(f.store, id, 9, 120, true, 1), 23);
    /* Nothing is known of it, but in the log. */
    id = feed_series(&f, 1, f.at_ms);
    assert_int_equal(lives(f.store, id, 7, 72, false, 1), 0);
    feed_done(&f);
}

static void processes_hold_while_they_stay_the_same(void **state) {
    struct buf body;
    struct feed f;
    int64_t id, at, begin;

    (void)state;
    buf_init(&body, 1000);
    feed_start(&f, feed_folder, 1, 2);
    feed_open(&f, NULL);
    run(&f, 10);
    id = feed_series(&f, 0, f.at_ms);
    begin = f.at_ms;
    /* uid, moment, then what is told: the same for half an hour, another after it */
    for (unsigned i = 0; i < 180; i++) {
        char text[] = "\x01\x01same";

        text[1] = (char)(i % 100);
        assert_int_equal(store_procs(f.store, id, f.at_ms, str_of(text)), 0);
        feed_tick(&f, 10000, true);
    }
    assert_int_equal(store_procs(f.store, id, f.at_ms, STR("\x01\x02other")), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(store_procs_at(f.store, id, begin + 900 * 1000 + 5, &at, &body), 0);
        assert_true(at <= begin + 900 * 1000 + 5 && at >= begin + 780 * 1000);
        assert_true(str_ends(buf_str(&body), STR("same")));
        assert_int_equal(store_procs_at(f.store, id, f.at_ms + 1000, &at, &body), 0);
        assert_true(str_ends(buf_str(&body), STR("other")));
        assert_int_equal(store_procs_at(f.store, id, f.at_ms + 200 * 1000, &at, &body), -ENODATA);
        assert_int_equal(store_procs_at(f.store, id, begin - 1000, &at, &body), -ENODATA);
        store_close(f.store);
        feed_open(&f, NULL);
    }
    feed_done(&f);
    buf_done(&body);
}

static void a_reader_of_the_log_sees_each_message_once(void **state) {
    struct buf out;
    struct feed f;
    uint64_t messages = 0;
    int64_t after = 0;
    unsigned keys = 0;

    (void)state;
    buf_init(&out, 1 << 24);
    feed_start(&f, feed_folder, 5, 2);
    f.options.log_ms = 24 * hour_ms;
    feed_open(&f, NULL);
    for (unsigned i = 0; i < 100; i++) {
        struct store_log_row row;
        struct str rest, message;
        int r;

        run(&f, 20);
        buf_clear(&out);
        assert_int_equal(store_log_read(f.store, after, 20000, &out), 0);
        rest = buf_str(&out);
        while ((r = store_log_next(&rest, &row)) > 0) {
            assert_true(after == 0 || row.row == after + 1);
            after = row.row;
            keys += row.key;
            while (store_log_message(&row.messages, &message) > 0)
                messages += message.p[0] != 'K' && !(row.key && keys > 1);
        }
        assert_int_equal(r, 0);
    }
    store_commit(f.store, f.at_ms, true, &f.acked);
    assert_int_equal(f.acked, f.seq);
    print_message("%llu messages read of %llu, %u KEYs\n", (unsigned long long)messages,
                  (unsigned long long)f.seq, keys);
    assert_true(messages > f.seq * 9 / 10 && messages <= f.seq);
    assert_true(keys >= 4);
    /* A place that is not in the file: from the oldest KEY on. */
    buf_clear(&out);
    assert_int_equal(store_log_read(f.store, after + 1000000, 1, &out), 0);
    assert_true(out.n > 0);
    feed_done(&f);
    buf_done(&out);
}

static void a_clock_set_back_loses_nothing(void **state) {
    struct store_points points = {0};
    struct feed f;
    size_t n;

    (void)state;
    feed_start(&f, feed_folder, 1, 1);
    feed_open(&f, NULL);
    run(&f, 300);
    f.at_ms -= 100 * 1000 - 7;
    run(&f, 300);
    f.at_ms += 3 * hour_ms;
    run(&f, 300);
    n = f.target[0].n;
    assert_int_equal(
        store_range(f.store, f.target[0].series, METRIC_USAGE, 0, INT64_MAX, 0, 10000, &points), 0);
    assert_true(points.n > n * 9 / 10 && points.n <= n);
    for (size_t i = 1; i < points.n; i++)
        assert_true(points.p[i].at_ms > points.p[i - 1].at_ms);
    store_close(f.store);
    feed_open(&f, NULL);
    n = points.n;
    assert_int_equal(
        store_range(f.store, f.target[0].series, METRIC_USAGE, 0, INT64_MAX, 0, 10000, &points), 0);
    assert_int_equal(points.n, n);
    store_points_done(&points);
    feed_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_sample_is_there_from_chunks_and_head, feed_set_up,
                                        feed_tear_down),
        cmocka_unit_test_setup_teardown(no_more_points_than_the_maximum, feed_set_up,
                                        feed_tear_down),
        cmocka_unit_test_setup_teardown(a_replay_brings_back_all_and_nothing_twice, feed_set_up,
                                        feed_tear_down),
        cmocka_unit_test_setup_teardown(minutes_and_hours_say_what_samples_said, feed_set_up,
                                        feed_tear_down),
        cmocka_unit_test_setup_teardown(what_is_too_old_is_dropped_level_by_level, feed_set_up,
                                        feed_tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_goes_when_the_cap_is_met, feed_set_up,
                                        feed_tear_down),
        cmocka_unit_test_setup_teardown(a_moment_is_what_was_known_then, feed_set_up,
                                        feed_tear_down),
        cmocka_unit_test_setup_teardown(who_was_not_told_gone_is_still_there, feed_set_up,
                                        feed_tear_down),
        cmocka_unit_test_setup_teardown(totals_and_names_outlive_restarts, feed_set_up,
                                        feed_tear_down),
        cmocka_unit_test_setup_teardown(starts_in_one_group_are_lives_and_learning_of_one_is_none,
                                        feed_set_up, feed_tear_down),
        cmocka_unit_test_setup_teardown(processes_hold_while_they_stay_the_same, feed_set_up,
                                        feed_tear_down),
        cmocka_unit_test_setup_teardown(a_reader_of_the_log_sees_each_message_once, feed_set_up,
                                        feed_tear_down),
        cmocka_unit_test_setup_teardown(a_clock_set_back_loses_nothing, feed_set_up,
                                        feed_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
