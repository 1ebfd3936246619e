#include "cmd/topevents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

static int load(struct topevents *t, const char *text) {
    json_t *tree = json_loads(text, 0, NULL);
    int r;

    assert_non_null(tree);
    r = topevents_load(t, tree);
    json_decref(tree);
    return r;
}

static void events_are_told_and_unknown_kinds_passed_over(void **state) {
    struct topevents t = {.n = 0};

    (void)state;
    assert_int_equal(
        load(&t, "{\"events\":[{\"kind\":\"oom\",\"at_ms\":9,\"name\":\"web\",\"kills\":2,"
                 "\"outside\":true,\"victim\":{\"comm\":\"java\"},\"limit_path\":\"/docker\"},"
                 "{\"kind\":\"gc\",\"at_ms\":8},{\"kind\":\"limit\",\"at_ms\":8},"
                 "{\"kind\":\"restart\",\"at_ms\":7,\"key\":\"docker:db\",\"name\":null},"
                 "{\"kind\":\"oom\",\"at_ms\":6,\"name\":\"x\",\"victim\":null,\"outside\":false,"
                 "\"limit_path\":\"/docker\"}]}"),
        0);
    assert_int_equal(t.n, 3);
    assert_true(t.event[0].kind == TUI_EVENT_OOM && t.event[0].at_ms == 9);
    assert_true(t.event[0].kills == 2 && str_eq(t.event[0].name, STR("web")));
    assert_true(str_eq(t.event[0].detail, STR("java, limit of /docker")));
    assert_true(t.event[1].kind == TUI_EVENT_RESTART && t.event[1].detail.n == 0);
    assert_true(str_eq(t.event[1].name, STR("docker:db")));
    assert_true(t.event[2].detail.n == 0);
    topevents_done(&t);
}

static void nonsense_is_refused_or_passed_over(void **state) {
    struct topevents t = {.n = 0};

    (void)state;
    assert_int_equal(load(&t, "{\"events\":[{\"kind\":\"end\",\"at_ms\":1}]}"), 0);
    assert_int_equal(t.n, 1);
    assert_int_equal(load(&t, "{\"events\":{}}"), -EBADMSG);
    assert_int_equal(t.n, 0);
    assert_int_equal(load(&t, "[]"), -EBADMSG);
    assert_int_equal(load(&t, "{\"events\":[1,null,[],\"oom\",{\"kind\":1},{\"kind\":\"oom\","
                              "\"at_ms\":\"x\",\"kills\":-4,\"victim\":[],\"name\":{}}]}"),
                     0);
    assert_int_equal(t.n, 1);
    assert_true(t.event[0].kills == 0 && t.event[0].name.n == 0 && t.event[0].at_ms == 0);
    topevents_done(&t);
}

static void there_are_no_more_than_fit(void **state) {
    struct topevents t = {.n = 0};
    json_t *list = json_array(), *tree = json_pack("{s:o}", "events", list);

    (void)state;
    for (unsigned i = 0; i < TOPEVENTS_MAX + 10; i++)
        json_array_append_new(list, json_pack("{s:s,s:i}", "kind", "start", "at_ms", i));
    assert_int_equal(topevents_load(&t, tree), 0);
    assert_int_equal(t.n, TOPEVENTS_MAX);
    json_decref(tree);
    topevents_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_told_and_unknown_kinds_passed_over),
        cmocka_unit_test(nonsense_is_refused_or_passed_over),
        cmocka_unit_test(there_are_no_more_than_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
