#include "web/rowtrend.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "web/past.h"
#include "web/row.h"
#include "web/web.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, TARGETS = 160 };

static const uint64_t M = 1 << 20;
static const int64_t T0 = 1700000000000;

static char dir[64];
static struct store *store;
static int64_t series[TARGETS], at_ms;

/* What target i uses: it leaks, saws, stands, or began anew half an hour ago and leaks. */
static uint64_t used(unsigned i, int64_t ms) {
    uint64_t s = (uint64_t)(ms - T0) / SECOND;

    switch (i % 4) {
    case 0:
        return 100 * M + s * 50000;
    case 1:
        return 100 * M + s % 30 * M;
    case 2:
        return 100 * M;
    default:
        return s < 1800 ? 500 * M : 100 * M + (s - 1800) * 50000;
    }
}

static struct sample sample_of(unsigned i, int64_t ms) {
    struct sample s = {.at_ms = ms};

    sample_set(&s, METRIC_USED, used(i, ms));
    sample_set(&s, METRIC_USAGE, used(i, ms));
    sample_set(&s, METRIC_LIMIT, 10000 * M);
    sample_set(&s, METRIC_HEADROOM, 10000 * M - used(i, ms));
    sample_set(&s, METRIC_REFAULT_FILE, (uint64_t)(ms - T0) / SECOND * 7);
    return s;
}

static struct wire_target target(unsigned i) {
    static char name[32];

    snprintf(name, sizeof(name), "target-%u", i);
    return (struct wire_target){
        .uid = i + 1,
        .kind = TARGET_CONTAINER,
        .runtime = RUNTIME_DOCKER,
        .path = str_of(name),
        .name = str_of(name),
        .start_ms = i % 4 == 3 ? T0 + 1800 * SECOND : T0,
    };
}

/* An hour, a second at a time. */
static int set_up(void **state) {
    struct store_options options;
    struct err err;

    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/plimsoll-rowtrend-XXXXXX");
    assert_non_null(mkdtemp(dir));
    store_defaults(&options);
    options.dir = dir;
    assert_int_equal(store_open(&options, &store, NULL, &err), 0);
    for (unsigned i = 0; i < TARGETS; i++) {
        struct wire_target t = target(i);
        struct buf identity;

        buf_init(&identity, 10000);
        web_add_identity(&identity, &t);
        assert_int_equal(store_series(store, t.name, buf_str(&identity), T0, &series[i]), 0);
        buf_done(&identity);
    }
    for (at_ms = T0; at_ms <= T0 + 3600 * SECOND; at_ms += SECOND) {
        uint64_t acked;

        assert_int_equal(store_tick(store, at_ms, true), 0);
        for (unsigned i = 0; i < TARGETS; i++) {
            struct sample s = sample_of(i, at_ms);

            assert_int_equal(store_put(store, series[i], s.have, 0, s.value), 0);
        }
        store_commit(store, at_ms, false, &acked);
    }
    return 0;
}

static int tear_down(void **state) {
    auto_closedir DIR *files = opendir(dir);
    struct dirent *entry;

    (void)state;
    store_close(store);
    while (files && (entry = readdir(files)))
        (void)unlinkat(dirfd(files), entry->d_name, 0);
    return rmdir(dir);
}

/* A front that has just begun: each row was seen twice. */
static void begin(struct site *site, struct live *l) {
    live_init(l);
    *site = (struct site){.live = l, .store = store, .told_ms = at_ms};
    l->at_ms = at_ms;
    for (unsigned i = 0; i < TARGETS; i++) {
        struct wire_target t = target(i);
        struct live_row *row = live_put(l, &t);

        assert_non_null(row);
        row->series = series[i];
        for (int64_t ms = at_ms - SECOND; ms <= at_ms; ms += SECOND) {
            row->sample = sample_of(i, ms);
            trend_add(&row->trend, &row->sample);
        }
    }
}

static void rows_of_a_front_that_began_now_know_the_hour_before(void **state) {
    static const enum trend_word wanted[] = {TREND_GROWING, TREND_STEADY, TREND_STEADY,
                                             TREND_GROWING};
    struct site site;
    struct live l;

    (void)state;
    begin(&site, &l);
    for (unsigned i = 0; i < 4; i++) {
        const struct trend_view *v = rowtrend_live(&site, l.row[i]);

        assert_int_equal(v->word, wanted[i]);
        if (i % 4 == 3) /* since it began, not before */
            assert_in_range(v->window_s, 1600, 1800);
        else
            assert_in_range(v->window_s, 3300, 3700);
        if (wanted[i] == TREND_GROWING)
            assert_in_range(v->bytes_per_h, 50000 * 3600 / 100 * 97, 50000 * 3600 / 100 * 103);
        assert_int_equal(l.row[i]->moved_ms, at_ms);
        assert_true(l.row[i]->trend_begun);
    }
    live_done(&l);
}

static void a_tick_reads_the_history_of_so_many_rows(void **state) {
    unsigned known = 0;
    struct site site;
    struct live l;

    (void)state;
    begin(&site, &l);
    for (unsigned turn = 1; turn <= 3; turn++) {
        known = 0;
        for (unsigned i = 0; i < TARGETS; i++)
            known += rowtrend_live(&site, l.row[i])->word != TREND_UNKNOWN;
        assert_int_equal(known, turn * ROWTREND_FILLS < TARGETS ? turn * ROWTREND_FILLS : TARGETS);
        site.told_ms += SECOND;
    }
    live_done(&l);
}

static void without_a_store_there_is_what_the_row_saw(void **state) {
    struct site site;
    struct live l;

    (void)state;
    begin(&site, &l);
    site.store = NULL;
    assert_int_equal(rowtrend_live(&site, l.row[0])->word, TREND_UNKNOWN);
    for (int64_t ms = at_ms; ms < at_ms + 240 * SECOND; ms += SECOND) {
        l.row[0]->sample = sample_of(0, ms);
        trend_add(&l.row[0]->trend, &l.row[0]->sample);
    }
    assert_int_equal(rowtrend_live(&site, l.row[0])->word, TREND_GROWING);
    assert_in_range(rowtrend_live(&site, l.row[0])->window_s, 230, 245);
    live_done(&l);
}

static void an_instance_begins_with_its_process_or_when_it_was_seen_to_come(void **state) {
    struct live l = {.started_ms = T0};
    struct site site = {.live = &l};
    struct wire_target t = {.start_ms = T0 - MINUTE, .born_ms = (uint64_t)T0 + MINUTE};

    (void)state;
    assert_int_equal(rowtrend_start(&site, &t), T0 - MINUTE);
    t.start_ms = 0;
    assert_int_equal(rowtrend_start(&site, &t), T0 + MINUTE);
    t.run_ms = T0 + 2 * MINUTE; /* started again, its process is not known yet */
    assert_int_equal(rowtrend_start(&site, &t), T0 + 2 * MINUTE);
    t.run_ms = 0;
    t.born_ms = (uint64_t)T0 + SECOND; /* there already when the agent began */
    assert_int_equal(rowtrend_start(&site, &t), 0);
}

static struct trend_view then(unsigned i, int64_t ms) {
    struct sample before = {0}, now;
    struct wire_target t = target(i);

    assert_int_equal(store_at(store, series[i], ms, &now), 0);
    if (store_at(store, series[i], ms - 5000, &before) < 0)
        before.at_ms = 0;
    return rowtrend_then(store, series[i], t.start_ms, &before, &now);
}

static void the_past_has_the_words_that_were_told_then(void **state) {
    struct trend_view v = then(0, T0 + 10 * MINUTE);

    (void)state;
    assert_int_equal(v.word, TREND_GROWING);
    assert_in_range(v.window_s, 540, 600);
    assert_true(v.have_refaults);
    assert_int_equal(v.refaults_per_s, 7);
    v = then(0, T0 + 5 * SECOND);
    assert_int_equal(v.word, TREND_UNKNOWN);
    assert_int_equal(then(0, T0).have_refaults, false);
    assert_int_equal(then(1, T0 + 50 * MINUTE).word, TREND_STEADY);
    assert_int_equal(then(2, T0 + 50 * MINUTE).word, TREND_STEADY);
    assert_int_equal(then(3, T0 + 50 * MINUTE).word, TREND_GROWING);
    assert_int_equal(then(3, T0 + 29 * MINUTE).word, TREND_STEADY); /* what it was before */
}

static json_t *row_json(struct site *site, const struct row *r) {
    struct buf b;
    struct json j;
    json_t *tree;

    buf_init(&b, 1 << 16);
    json_start(&j, &b);
    row_add_json(&j, site, r);
    tree = json_loadb(b.p, b.n, 0, NULL);
    buf_done(&b);
    assert_true(json_is_object(tree));
    return tree;
}

static int64_t number(const json_t *row, const char *key) {
    assert_true(json_is_integer(json_object_get(row, key)));
    return json_integer_value(json_object_get(row, key));
}

static void has_word(const json_t *row, const char *key, const char *wanted) {
    assert_string_equal(json_string_value(json_object_get(row, key)), wanted);
}

static void a_row_tells_how_it_moves(void **state) {
    static const char *const keys[] = {"trend", "trend_bytes_per_h", "trend_window_s",
                                       "time_to_limit_s", "refaults_per_s"};
    struct site site;
    struct live l;
    struct row row;
    json_t *tree;

    (void)state;
    begin(&site, &l);
    row = row_of_live(&site, l.row[0]);
    tree = row_json(&site, &row);
    has_word(tree, "trend", "growing");
    has_word(tree, "state", "growing");
    assert_int_equal(number(tree, "trend_bytes_per_h"), row.moves->bytes_per_h);
    assert_int_equal(number(tree, "trend_window_s"), row.moves->window_s);
    assert_int_equal(number(tree, "time_to_limit_s"),
                     (int64_t)(l.row[0]->sample.value[METRIC_HEADROOM] * 3600 /
                               (uint64_t)row.moves->bytes_per_h));
    assert_int_equal(number(tree, "refaults_per_s"), 7);
    json_decref(tree);

    row = row_of_live(&site, l.row[1]);
    tree = row_json(&site, &row);
    has_word(tree, "trend", "steady");
    has_word(tree, "state", "steady");
    assert_true(json_is_null(json_object_get(tree, "time_to_limit_s")));
    json_decref(tree);

    row.moves = NULL;
    tree = row_json(&site, &row);
    for (unsigned i = 0; i < 5; i++)
        assert_true(json_is_null(json_object_get(tree, keys[i])));
    has_word(tree, "state", "ok");
    json_decref(tree);
    live_done(&l);
}

static bool changes(struct site *site, struct live_row *row, int64_t since_ms, json_t **out) {
    struct buf b;
    struct json j;
    bool any;

    buf_init(&b, 1 << 16);
    json_start(&j, &b);
    any = row_add_changes(&j, site, row, since_ms);
    *out = any ? json_loadb(b.p, b.n, 0, NULL) : NULL;
    buf_done(&b);
    return any;
}

/* Nothing was measured anew, but seen for longer: told once. */
static void a_stream_is_told_when_how_it_moves_has_changed(void **state) {
    struct live_row *row;
    struct site site;
    struct live l;
    json_t *tree;

    (void)state;
    begin(&site, &l);
    row = l.row[0];
    row->told_ms = at_ms - 10 * SECOND;
    assert_true(changes(&site, row, at_ms - SECOND, &tree));
    has_word(tree, "trend", "growing");
    has_word(tree, "state", "growing");
    assert_true(json_is_object(tree));
    assert_null(json_object_get(tree, "used"));
    assert_non_null(json_object_get(tree, "used_pct"));
    json_decref(tree);
    assert_false(changes(&site, row, at_ms, &tree));
    live_done(&l);
}

/* As /api/v1/targets?at= makes it. */
static void rows_of_the_past_tell_it_too(void **state) {
    unsigned grow = 0, rows = 0;
    struct past past = {0};
    struct answer a = {0};
    struct site site;
    struct live l;
    struct buf b;
    struct json j;

    (void)state;
    begin(&site, &l);
    assert_true(past_list(&past, &site, T0 + 20 * MINUTE, T0 + 20 * MINUTE, NULL, &a));
    buf_init(&b, 1 << 16);
    for (;; rows++) {
        json_t *tree;

        buf_clear(&b);
        json_start(&j, &b);
        if (!past_add_row(&past, &site, T0 + 20 * MINUTE, &j))
            break;
        tree = json_loadb(b.p, b.n, 0, NULL);
        assert_true(json_is_object(tree));
        grow += strcmp(json_string_value(json_object_get(tree, "trend")), "growing") == 0;
        json_decref(tree);
    }
    assert_int_equal(rows, TARGETS);
    assert_int_equal(grow, TARGETS / 4);
    buf_done(&b);
    past_done(&past);
    live_done(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_a_front_that_began_now_know_the_hour_before),
        cmocka_unit_test(a_tick_reads_the_history_of_so_many_rows),
        cmocka_unit_test(without_a_store_there_is_what_the_row_saw),
        cmocka_unit_test(an_instance_begins_with_its_process_or_when_it_was_seen_to_come),
        cmocka_unit_test(the_past_has_the_words_that_were_told_then),
        cmocka_unit_test(a_row_tells_how_it_moves),
        cmocka_unit_test(a_stream_is_told_when_how_it_moves_has_changed),
        cmocka_unit_test(rows_of_the_past_tell_it_too),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
