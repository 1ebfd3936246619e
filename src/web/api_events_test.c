/* /api/v1/events: OOM kills and the rest in one list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "web/webtest.h"

static struct webtest site;
static struct buf answer;

static int begin(void **state) {
    const struct webtest_setup setup = {.rows = 4, .history = 10};

    (void)state;
    buf_init(&answer, 16 << 20);
    webtest_begin(&site, &setup);
    webtest_tell(&site, 'e');
    webtest_tell(&site, 'o'); /* in uid 2, now */
    return 0;
}

static int end(void **state) {
    (void)state;
    webtest_end(&site);
    buf_done(&answer);
    return 0;
}

static json_t *get(const char *query) {
    char path[300];
    json_t *tree;

    snprintf(path, sizeof(path), "/api/v1/events%s", query);
    tree = webtest_json(&site, false, path, &answer);
    assert_true(json_is_array(json_object_get(tree, "events")));
    return tree;
}

static void check_kinds(const char *query, const char *want) {
    json_t *tree = get(query), *list = json_object_get(tree, "events");
    char got[200] = "";
    int64_t last = INT64_MAX;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        int64_t at_ms = json_integer_value(json_object_get(one, "at_ms"));
        size_t n = strlen(got);

        assert_true(at_ms > 0 && at_ms <= last);
        assert_true(json_integer_value(json_object_get(one, "series")) > 0);
        assert_true(json_is_string(json_object_get(one, "key")));
        assert_true(json_is_string(json_object_get(one, "name")));
        assert_true(json_is_string(json_object_get(one, "ts")));
        snprintf(got + n, sizeof(got) - n, "%s%s", i ? " " : "",
                 json_string_value(json_object_get(one, "kind")));
        last = at_ms;
    }
    if (strcmp(got, want) != 0)
        fail_msg("'%s' gives '%s', not '%s'", query, got, want);
    json_decref(tree);
}

static void they_come_newest_first_and_as_asked_for(void **state) {
    (void)state;
    check_kinds("", "oom limit restart start");
    check_kinds("?limit=2", "oom limit");
    check_kinds("?limit=0", "");
    check_kinds("?kind=oom", "oom");
    check_kinds("?kind=start&kind=oom", "oom start");
    check_kinds("?kind=start&limit=1", "start");
    check_kinds("?kind=guard", "");
    check_kinds("?kind=restart&kind=guard", "restart");
    check_kinds("?target=web", "limit restart start");
    check_kinds("?target=docker:web&kind=restart", "restart");
    check_kinds("?target=container-3", "");
    check_kinds("?to=-1h", "");
    check_kinds("?from=-1h&to=now", "oom limit restart start");
}

static void each_kind_has_its_own_words(void **state) {
    json_t *tree = get(""), *list = json_object_get(tree, "events");
    const json_t *one = json_array_get(list, 0);

    (void)state;
    /* An OOM kill has all that an incident has. */
    assert_int_equal(json_integer_value(json_object_get(one, "kills")), 3);
    assert_true(json_is_object(json_object_get(one, "victim")));
    assert_true(json_integer_value(json_object_get(one, "id")) > 0);
    one = json_array_get(list, 1);
    assert_true(json_is_null(json_object_get(one, "from")));
    assert_int_equal(json_integer_value(json_object_get(one, "to")), 1 << 20);
    assert_string_equal(json_string_value(json_object_get(one, "key")), "docker:web");
    assert_string_equal(json_string_value(json_object_get(one, "target")), "/docker/web");
    one = json_array_get(list, 2);
    assert_int_equal(json_integer_value(json_object_get(one, "restarts")), 4);
    one = json_array_get(list, 3);
    assert_null(json_object_get(one, "restarts"));
    assert_null(json_object_get(one, "from"));
    json_decref(tree);
}

/* What is left of a limit, and whether the list says from when on it is whole. */
static void what_is_left_out_is_told(void **state) {
    static const struct {
        const char *query, *kinds;
        int whole; /* the first so many of all four are in the list; -1: nothing is left out */
    } cases[] = {
        {"?limit=4", "oom limit restart start", -1},
        {"?limit=3", "oom limit restart", 3},
        {"?limit=1", "oom", 1},
        {"?limit=0", "", 0},
        {"?limit=1&kind=start&kind=restart", "restart", 3},
        {"?limit=1&kind=start", "start", -1},
    };
    json_t *whole = get(""), *all = json_object_get(whole, "events");

    (void)state;
    assert_int_equal(json_array_size(all), 4);
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        json_t *tree = get(cases[i].query), *from = json_object_get(tree, "from_ms");
        int n = cases[i].whole;

        check_kinds(cases[i].query, cases[i].kinds);
        assert_int_equal(json_is_true(json_object_get(tree, "cut")), n >= 0);
        assert_int_equal(json_is_integer(from), n >= 0);
        if (n >= 0)
            assert_int_equal(
                json_integer_value(from),
                json_integer_value(json_object_get(json_array_get(all, (size_t)n), "at_ms")) + 1);
        json_decref(tree);
    }
    json_decref(whole);
}

static void nonsense_is_refused(void **state) {
    (void)state;
    assert_int_equal(webtest_get(&site, false, "/api/v1/events?limit=1001", NULL, &answer), 400);
    assert_int_equal(webtest_get(&site, false, "/api/v1/events?from=x", NULL, &answer), 400);
    assert_int_equal(webtest_get(&site, false, "/api/v1/events?kind=zzz", NULL, &answer), 400);
    assert_true(webtest_has(&answer, "oom, start, end, restart, limit"));
    assert_int_equal(webtest_get(&site, false, "/api/v1/events?from=2&to=1", NULL, &answer), 400);
    assert_true(webtest_has(&answer, "'from' is after 'to'"));
    assert_int_equal(webtest_get(&site, false, "/api/v1/events?from=-999999999d", NULL, &answer),
                     400);
    assert_true(webtest_has(&answer, "too far back"));
    assert_int_equal(webtest_get(&site, false, "/api/v1/sparks?points=0", NULL, &answer), 400);
    assert_true(webtest_has(&answer, "ask for 1 or more"));
    assert_int_equal(webtest_get(&site, false, "/api/v1/events?target=nobody", NULL, &answer), 404);
}

static void without_history_there_are_none(void **state) {
    const struct webtest_setup setup = {.rows = 3};
    struct webtest other;

    (void)state;
    webtest_begin(&other, &setup);
    assert_int_equal(webtest_get(&other, false, "/api/v1/events", NULL, &answer), 404);
    assert_int_equal(webtest_get(&other, false, "/api/v1/sparks", NULL, &answer), 404);
    assert_int_equal(webtest_get(&other, false, "/api/v1/about", NULL, &answer), 200);
    assert_true(webtest_has(&answer, "\"history\":false,\"oldest_ms\":null"));
    webtest_end(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_newest_first_and_as_asked_for),
        cmocka_unit_test(each_kind_has_its_own_words),
        cmocka_unit_test(what_is_left_out_is_told),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(without_history_there_are_none),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
