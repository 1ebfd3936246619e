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

static void events_are_told_and_others_by_their_name(void **state) {
    struct topevents t = {.n = 0};

    (void)state;
    assert_int_equal(
        load(&t, "{\"events\":[{\"kind\":\"oom\",\"at_ms\":9,\"name\":\"web\",\"kills\":2,"
                 "\"outside\":true,\"victim\":{\"comm\":\"java\"},\"limit_path\":\"/docker\"},"
                 "{\"kind\":\"gc\",\"at_ms\":8,\"name\":\"j\",\"text\":\"freed\"},"
                 "{\"kind\":\"limit\",\"at_ms\":8,\"from\":67108864,\"to\":null},"
                 "{\"kind\":\"restart\",\"at_ms\":7,\"key\":\"docker:db\",\"name\":null,"
                 "\"restarts\":3},"
                 "{\"kind\":\"oom\",\"at_ms\":6,\"name\":\"x\",\"victim\":null,\"outside\":false,"
                 "\"limit_path\":\"/docker\"}]}"),
        0);
    assert_int_equal(t.n, 5);
    assert_true(t.event[0].kind == TUI_EVENT_OOM && t.event[0].at_ms == 9);
    assert_true(t.event[0].kills == 2 && str_eq(t.event[0].name, STR("web")));
    assert_true(str_eq(t.event[0].detail, STR("java, limit of /docker")));
    assert_true(t.event[1].kind == TUI_EVENT_OTHER && str_eq(t.event[1].word, STR("gc")));
    assert_true(str_eq(t.event[1].name, STR("j")) && str_eq(t.event[1].detail, STR("freed")));
    assert_true(t.event[2].kind == TUI_EVENT_LIMIT && t.event[2].word.n == 0);
    assert_true(str_eq(t.event[2].detail, STR("from 64.0M to none")));
    assert_true(t.event[3].kind == TUI_EVENT_RESTART);
    assert_true(str_eq(t.event[3].detail, STR("restart 3")));
    assert_true(str_eq(t.event[3].name, STR("docker:db")));
    assert_true(t.event[4].kind == TUI_EVENT_OOM && t.event[4].detail.n == 0);
    topevents_done(&t);
}

static void what_guards_did_is_told(void **state) {
    struct topevents t = {.n = 0};

    (void)state;
    assert_int_equal(
        load(&t, "{\"events\":[{\"kind\":\"guard\",\"record\":\"end\",\"at_ms\":9,"
                 "\"action\":\"reclaim\",\"outcome\":\"done\",\"before\":67108864,"
                 "\"after\":1048576,\"text\":\"cache\",\"hang\":\"none\"},"
                 "{\"kind\":\"guard\",\"record\":\"end\",\"at_ms\":8,\"action\":\"kill\","
                 "\"outcome\":\"refused\",\"before\":5,\"after\":5},"
                 "{\"kind\":\"guard\",\"record\":\"undo\",\"at_ms\":7,\"action\":\"pause\"},"
                 "{\"kind\":\"hang\",\"record\":\"hang\",\"at_ms\":6,\"up\":false,"
                 "\"hang\":\"oom-wait\"}]}"),
        0);
    assert_true(str_eq(t.event[0].word, STR("guard")));
    assert_true(str_eq(t.event[0].detail, STR("reclaim: done, 64.0M -> 1.00M, cache")));
    assert_true(str_eq(t.event[1].detail, STR("kill: refused")));
    assert_true(str_eq(t.event[2].detail, STR("pause let go")));
    assert_true(str_eq(t.event[3].word, STR("hang")));
    assert_true(str_eq(t.event[3].detail, STR("oom-wait: over")));
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
    assert_int_equal(t.n, TOPEVENTS_ASKED);
    assert_true(topevents_are_cut(&t));
    json_decref(tree);
    topevents_done(&t);
}

/* The newest of all are starts: the kills before them are asked for by themselves. */
static void kills_are_not_lost_where_the_list_is_cut(void **state) {
    struct topevents t = {.n = 0};
    json_t *list = json_array(), *all = json_pack("{s:o}", "events", list);
    json_t *killed = json_array(), *kills = json_pack("{s:o}", "events", killed);

    (void)state;
    for (int i = 0; i < TOPEVENTS_ASKED; i++) /* 2000 down to 1501 */
        json_array_append_new(list, json_pack("{s:s,s:i,s:i}", "kind", i == 7 ? "oom" : "restart",
                                              "at_ms", 2000 - i, "restarts", 4));
    json_array_append_new(killed, json_pack("{s:s,s:i}", "kind", "oom", "at_ms", 1993));
    json_array_append_new(
        killed, json_pack("{s:s,s:i,s:s}", "kind", "oom", "at_ms", 1501, "name", "at the cut"));
    for (int i = 0; i < TOPEVENTS_ASKED; i++)
        json_array_append_new(killed, json_pack("{s:s,s:i,s:{s:s}}", "kind", "oom", "at_ms",
                                                1400 - i, "victim", "comm", "java"));
    assert_int_equal(topevents_add_kills(&t, kills), -EBADMSG); /* there is no list */
    assert_int_equal(topevents_load(&t, all), 0);
    assert_int_equal(topevents_add_kills(&t, kills), 0);
    assert_int_equal(t.n, TOPEVENTS_MAX);
    for (size_t i = 1; i < t.n; i++)
        assert_true(t.event[i].at_ms < t.event[i - 1].at_ms || i == TOPEVENTS_ASKED);
    assert_true(str_eq(t.event[TOPEVENTS_ASKED].name, STR("at the cut")));
    assert_true(t.event[7].kind == TUI_EVENT_OOM && t.event[8].kind == TUI_EVENT_RESTART);
    assert_true(str_eq(t.event[0].detail, STR("restart 4")));
    assert_true(str_eq(t.event[TOPEVENTS_MAX - 1].detail, STR("java")));
    json_decref(all);
    json_decref(kills);
    topevents_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_told_and_others_by_their_name),
        cmocka_unit_test(what_guards_did_is_told),
        cmocka_unit_test(nonsense_is_refused_or_passed_over),
        cmocka_unit_test(there_are_no_more_than_fit),
        cmocka_unit_test(kills_are_not_lost_where_the_list_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
