/* /api/v1/sparks: the same numbers as /api/v1/series, of every target at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "web/webtest.h"

enum { ROWS = 300, HISTORY = 40 };

static struct webtest site;
static struct buf answer;

static int begin(void **state) {
    const struct webtest_setup setup = {.rows = ROWS, .history = HISTORY};

    (void)state;
    buf_init(&answer, 16 << 20);
    webtest_begin(&site, &setup);
    return 0;
}

static int end(void **state) {
    (void)state;
    webtest_end(&site);
    buf_done(&answer);
    return 0;
}

static json_t *get(const char *path) {
    return webtest_json(&site, true, path, &answer);
}

static int64_t number(const json_t *tree, const char *key) {
    const json_t *value = json_object_get(tree, key);

    if (!json_is_integer(value))
        fail_msg("no number '%s'", key);
    return json_integer_value(value);
}

/* The mean of that step as /series tells it; -1: nothing then. */
static json_int_t mean_at(const json_t *points, int64_t at_ms) {
    size_t i;
    const json_t *p;

    json_array_foreach(points, i, p) {
        if (json_integer_value(json_array_get(p, 0)) == at_ms)
            return json_integer_value(json_array_get(p, 4));
    }
    return -1;
}

/* How long of that the targets were there: the last minute, if that was not long in coming. */
static int64_t lived_ms(int64_t from_ms, int64_t to_ms) {
    json_t *now = get("/api/v1/targets?target=docker:web");
    int64_t last_ms = number(now, "at_ms"), first_ms = last_ms - HISTORY * 1000;

    json_decref(now);
    return (to_ms < last_ms ? to_ms : last_ms) - (from_ms > first_ms ? from_ms : first_ms);
}

static void every_target_has_the_means_of_its_series(void **state) {
    json_t *all = get("/api/v1/sparks?metric=used&from=-1m&points=30");
    int64_t from = number(all, "from_ms"), to = number(all, "to_ms"), step = number(all, "step_ms");
    json_t *list = json_object_get(all, "series"), *values, *series;
    unsigned known = 0;
    char path[300];
    const char *key;

    (void)state;
    assert_int_equal(step, 2000);
    assert_int_equal(from % step, 0);
    assert_true(from <= to - 60000 && from > to - 62000);
    assert_string_equal(json_string_value(json_object_get(all, "metric")),
                        "plimsoll_memory_used_bytes");
    assert_int_equal(json_object_size(list), ROWS);
    snprintf(path, sizeof(path),
             "/api/v1/series?target=container-77&metric=used&step=2s&from=%lld&to=%lld",
             (long long)from, (long long)to);
    series = get(path);
    snprintf(path, sizeof(path), "%lld", (long long)number(series, "series"));
    json_object_foreach(list, key, values) {
        assert_int_equal(json_array_size(values), (size_t)((to - from) / step) + 1);
    }
    values = json_object_get(list, path);
    for (size_t i = 0; i < json_array_size(values); i++) {
        const json_t *value = json_array_get(values, i);
        json_int_t mean = mean_at(json_object_get(series, "points"), from + (int64_t)i * step);

        if (mean < 0) {
            assert_true(json_is_null(value));
            continue;
        }
        assert_int_equal(json_integer_value(value), mean);
        known++;
    }
    assert_in_range(known, lived_ms(from, to) / step - 1, lived_ms(from, to) / step + 2);
    json_decref(series);
    json_decref(all);
}

static void targets_can_be_chosen_by_key_or_name(void **state) {
    json_t *some = get("/api/v1/sparks?metric=used&target=docker:web&target=container-5");

    (void)state;
    assert_int_equal(json_object_size(json_object_get(some, "series")), 2);
    json_decref(some);
    some = get("/api/v1/sparks?metric=usage&target=host");
    assert_int_equal(json_object_size(json_object_get(some, "series")), 1);
    json_decref(some);
    assert_int_equal(webtest_get(&site, true, "/api/v1/sparks?target=docker:nobody", NULL, &answer),
                     404);
}

static void what_nobody_knows_is_left_out_or_null(void **state) {
    json_t *none = get("/api/v1/sparks?metric=psi_full_avg10"), *values;
    json_t *bound = get("/api/v1/sparks?metric=own_limit&target=docker:web");
    const char *key;
    size_t i;
    const json_t *value;

    (void)state;
    assert_int_equal(json_object_size(json_object_get(none, "series")), 0);
    json_object_foreach(json_object_get(bound, "series"), key, values) {
        json_array_foreach(values, i, value) {
            assert_true(json_is_null(value)); /* there is none: no number */
        }
    }
    json_decref(none);
    json_decref(bound);
}

static void the_step_is_whole_and_follows_the_points(void **state) {
    static const struct {
        const char *query;
        int64_t step_ms;
    } cases[] = {
        {"", 60000},
        {"?from=-2h&points=120", 60000},
        {"?from=-2h&points=100", 120000},
        {"?from=-10m", 5000},
        {"?from=-10s", 1000},
        {"?from=now&to=now", 1000},
        {"?from=-7d&points=100", 2 * 3600 * 1000},
    };

    (void)state;
    usleep(1100 * 1000); /* also when the last tick is before "now" */
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        char path[200];
        json_t *tree;

        snprintf(path, sizeof(path), "/api/v1/sparks%s%starget=docker:web", cases[i].query,
                 cases[i].query[0] ? "&" : "?");
        tree = get(path);
        assert_int_equal(number(tree, "step_ms"), cases[i].step_ms);
        assert_int_equal(number(tree, "from_ms") % cases[i].step_ms, 0);
        json_decref(tree);
    }
}

static void nonsense_is_refused(void **state) {
    static const char *const queries[] = {
        "?metric=nothing", "?points=0",        "?points=2001", "?points=-1",
        "?from=tomorrow",  "?from=now&to=-1h", "?metric=",     "?points=99999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(queries); i++) {
        char path[200];

        snprintf(path, sizeof(path), "/api/v1/sparks%s", queries[i]);
        if (webtest_get(&site, true, path, NULL, &answer) != 400)
            fail_msg("'%s' is answered", path);
    }
}

/* It is compressed piece by piece as well, and the same when it is unpacked. */
static void a_browser_gets_it_compressed(void **state) {
    size_t plain;

    (void)state;
    assert_int_equal(webtest_get(&site, true, "/api/v1/sparks?from=-1m", NULL, &answer), 200);
    plain = webtest_body(&answer).n;
    assert_int_equal(
        webtest_get(&site, true, "/api/v1/sparks?from=-1m", "Accept-Encoding: gzip\r\n", &answer),
        200);
    assert_true(webtest_has(&answer, "\r\nContent-Encoding: gzip\r\n"));
    assert_true(webtest_body(&answer).n < plain / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_target_has_the_means_of_its_series),
        cmocka_unit_test(targets_can_be_chosen_by_key_or_name),
        cmocka_unit_test(what_nobody_knows_is_left_out_or_null),
        cmocka_unit_test(the_step_is_whole_and_follows_the_points),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_browser_gets_it_compressed),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
