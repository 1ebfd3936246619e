/* /api/v1/about and the front's part of /healthz. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "model/state.h"
#include "web/webtest.h"

static struct webtest site;
static struct buf answer;

static int begin(void **state) {
    const struct webtest_setup setup = {.rows = 3, .history = 5};

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

static json_t *get(bool local, const char *path) {
    return webtest_json(&site, local, path, &answer);
}

static const char *text(const json_t *tree, const char *key) {
    const char *value = json_string_value(json_object_get(tree, key));

    return value ? value : "";
}

static void the_agent_tells_how_it_is_set_up(void **state) {
    json_t *tree = get(false, "/api/v1/about");
    char host[256] = "";

    (void)state;
    gethostname(host, sizeof(host) - 1);
    assert_string_equal(text(tree, "version"), "1.2.3");
    assert_string_equal(text(tree, "host"), host);
    assert_in_range(json_integer_value(json_object_get(tree, "now_ms")), clock_wall_ms() - 10000,
                    clock_wall_ms());
    assert_int_equal(json_integer_value(json_object_get(tree, "interval_ms")), 1000);
    assert_true(json_is_null(json_object_get(tree, "started_ms")));
    assert_true(json_is_true(json_object_get(tree, "history")));
    assert_in_range(json_integer_value(json_object_get(tree, "oldest_ms")), clock_wall_ms() - 60000,
                    clock_wall_ms());
    assert_true(json_is_false(json_object_get(tree, "commands")));
    json_decref(tree);

    tree = get(true, "/api/v1/about");
    assert_true(json_is_true(json_object_get(tree, "commands")));
    json_decref(tree);
}

static void words_and_marks_are_those_of_the_code(void **state) {
    json_t *tree = get(false, "/api/v1/about"), *marks = json_object_get(tree, "marks");
    json_t *states = json_object_get(tree, "states"), *parts = json_object_get(tree, "parts");
    size_t n = json_array_size(states);

    (void)state;
    assert_int_equal(json_integer_value(json_object_get(marks, "high_pct")), 70);
    assert_int_equal(json_integer_value(json_object_get(marks, "alert_pct")), 90);
    assert_true(n >= 7);
    assert_string_equal(json_string_value(json_array_get(states, 0)), state_name(STATE_HUNG));
    assert_string_equal(json_string_value(json_array_get(states, n - 1)), "ok");
    assert_int_equal(json_array_size(parts), 7);
    assert_string_equal(json_string_value(json_array_get(parts, 0)), "anon");
    json_decref(tree);
}

static void every_metric_has_its_definition(void **state) {
    json_t *tree = get(false, "/api/v1/about"), *metrics = json_object_get(tree, "metrics"), *one;

    (void)state;
    assert_int_equal(json_object_size(metrics), METRIC_N);
    one = json_object_get(metrics, "anon");
    assert_string_equal(text(one, "name"), "plimsoll_memory_anon_bytes");
    assert_string_equal(text(one, "unit"), "bytes");
    assert_string_equal(text(one, "kind"), "gauge");
    assert_string_equal(text(one, "source"), "memory.stat: anon; v1: memory.stat: total_rss");
    one = json_object_get(metrics, "cpu_us");
    assert_string_equal(text(one, "name"), "plimsoll_cpu_seconds_total");
    assert_string_equal(text(one, "unit"), "seconds");
    assert_string_equal(text(one, "kind"), "counter");
    assert_string_equal(text(json_object_get(metrics, "psi_some_avg10"), "unit"), "ratio");
    assert_string_equal(text(json_object_get(metrics, "own_limit"), "kind"), "bound");
    assert_string_equal(text(json_object_get(metrics, "under_oom"), "unit"), "flag");
    json_decref(tree);
}

static void the_front_counts_what_it_answers(void **state) {
    json_t *tree = get(true, "/healthz"), *front = json_object_get(tree, "front");
    json_int_t before = json_integer_value(json_object_get(front, "requests"));
    json_int_t refused = json_integer_value(json_object_get(front, "refused"));

    (void)state;
    assert_true(json_is_integer(json_object_get(front, "cpu_us")));
    assert_true(json_is_integer(json_object_get(front, "rss")));
    assert_int_equal(json_integer_value(json_object_get(front, "streams")), 0);
    json_decref(tree);
    assert_int_equal(webtest_get(&site, false, "/api", "Origin: http://evil.example\r\n", &answer),
                     403);
    tree = get(true, "/healthz");
    front = json_object_get(tree, "front");
    assert_int_equal(json_integer_value(json_object_get(front, "requests")), before + 1);
    assert_int_equal(json_integer_value(json_object_get(front, "refused")), refused + 1);
    json_decref(tree);
}

static void a_key_is_a_target(void **state) {
    json_t *tree = get(true, "/api/v1/processes?target=docker:web");

    (void)state;
    assert_string_equal(text(tree, "target"), "web");
    json_decref(tree);
    tree = get(true, "/api/v1/series?metric=used&target=docker:web");
    assert_string_equal(text(tree, "key"), "docker:web");
    json_decref(tree);
    assert_int_equal(webtest_get(&site, true, "/api/v1/processes?target=podman:web", NULL, &answer),
                     404);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_agent_tells_how_it_is_set_up),
        cmocka_unit_test(words_and_marks_are_those_of_the_code),
        cmocka_unit_test(every_metric_has_its_definition),
        cmocka_unit_test(the_front_counts_what_it_answers),
        cmocka_unit_test(a_key_is_a_target),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
