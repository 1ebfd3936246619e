#include "cmd/incidentlist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static struct buf file;
static int64_t at_ms;

static struct audit of(const char *path, enum audit_kind kind, const char *id) {
    struct audit a = {.kind = kind, .by = "agent", .mark = 1, .up = true};

    at_ms += 1000;
    a.at_ms = at_ms;
    snprintf(a.id, sizeof(a.id), "%s", id);
    snprintf(a.path, sizeof(a.path), "%s", path);
    snprintf(a.name, sizeof(a.name), "%s", path + 1);
    a.hang.kind = kind == AUDIT_HANG ? HANG_OOM_WAIT : HANG_NONE;
    a.action = ACTION_GC;
    a.report.outcome = OUTCOME_DONE;
    return a;
}

static void write_down(const struct audit *a) {
    audit_add_json(&file, a, NULL);
    buf_add_char(&file, '\n');
}

static void put(const char *path, enum audit_kind kind, const char *id, bool up) {
    struct audit a = of(path, kind, id);

    a.up = up;
    write_down(&a);
}

static int begin(void **state) {
    (void)state;
    buf_init(&file, 64 << 20);
    at_ms = 1795305600000;
    return 0;
}

static int end(void **state) {
    (void)state;
    buf_done(&file);
    return 0;
}

static size_t incidents(const struct incidentlist *l, const char *kinds, const char *target,
                        struct incident *out) {
    const struct incident_filter filter = {str_of(kinds), str_of(target)};

    return incidentlist_incidents(l, &filter, out);
}

static const char *kills = "{\"incidents\":[{\"id\":7,\"series\":2,\"kind\":\"oom\","
                           "\"at_ms\":1795305603500,\"name\":\"web\",\"target\":\"/web\","
                           "\"kills\":2,\"victim\":{\"pid\":99,\"comm\":\"ja\\u001bva\","
                           "\"anon\":5000,\"file\":1,\"shmem\":24},\"outside\":true,"
                           "\"limit_path\":\"/pod\"}]}";

/* The agent numbers a kill when it has written it down, a moment after it has told it. */
static void a_kill_is_the_same_before_it_has_a_number(void **state) {
    struct incidentlist early = {.n = 0}, late = {.n = 0};
    json_t *answer = json_loads(kills, 0, NULL);
    json_t *row = json_array_get(json_object_get(answer, "incidents"), 0);
    bool in[4], over;

    (void)state;
    assert_int_equal(incidentlist_add_answer(&late, answer), 0);
    assert_int_equal(json_object_set_new(row, "id", json_integer(0)), 0);
    assert_int_equal(incidentlist_add_answer(&early, answer), 0);
    assert_string_equal(early.record[0].a.id, "oom-1795305603500");
    assert_true(incident_same(&early.record[0], &late.record[0]));
    assert_int_equal(incidentlist_story(&late, str_of(early.record[0].a.id), in, &over), 1);
    assert_int_equal(incidentlist_story(&late, STR("oom-7"), in, &over), 1);
    assert_int_equal(json_object_set_new(row, "target", json_string("/db")), 0);
    assert_int_equal(incidentlist_add_answer(&early, answer), 0);
    assert_false(incident_same(&early.record[0], &early.record[1]));
    incidentlist_done(&early);
    incidentlist_done(&late);
    json_decref(answer);
}

static void what_belongs_together_is_one(void **state) {
    struct incidentlist l = {.n = 0};
    struct incident i[64];
    struct buf text;
    json_t *answer = json_loads(kills, 0, NULL);
    int64_t us = 0;

    (void)state;
    buf_init(&text, 1 << 16);
    put("/web", AUDIT_GUARD, "g", false);
    put("/web", AUDIT_MARK, "m1", true);
    put("/web", AUDIT_BEGIN, "a1", false);
    put("/db", AUDIT_BEGIN, "a2", false); /* never ended */
    put("/web", AUDIT_END, "a1", false);
    put("/web", AUDIT_HANG, "h1", true);
    put("/web", AUDIT_HANG, "h2", false);
    put("/web", AUDIT_MARK, "m2", false);
    assert_int_equal(incidentlist_add_lines(&l, buf_str(&file), true), 0);
    assert_int_equal(incidentlist_add_answer(&l, answer), 0);
    incidentlist_settle(&l);
    assert_int_equal(l.n, 9);
    assert_int_equal(incidents(&l, "", "", i), 4);
    assert_string_equal(incident_kind(&i[0]), "gc");
    assert_true(i[0].last && i[0].last->a.kind == AUDIT_END);
    assert_string_equal(incident_kind(&i[1]), "oom");
    assert_string_equal(i[1].first->a.id, "oom-7");
    assert_null(i[2].last);
    assert_string_equal(i[2].first->a.path, "/db");
    assert_string_equal(incident_kind(&i[3]), "hang");
    assert_true(incident_took_us(&i[3], &us));
    assert_int_equal(us, 1000000);
    incident_add_what(&text, &i[1]);
    buf_add_char(&text, '\0');
    assert_string_equal(text.p, "OOM kills (2) of ja\\x1bva, by the limit of /pod");
    assert_int_equal(incidents(&l, "oom,hang", "", i), 2);
    assert_int_equal(incidents(&l, "guard", "", i), 2);
    assert_int_equal(incidents(&l, "mark", "", i), 1);
    assert_int_equal(incidents(&l, "kill", "", i), 0);
    assert_int_equal(incidents(&l, "", "db", i), 1);
    assert_int_equal(incidents(&l, "", "/web", i), 3);
    buf_done(&text);
    json_decref(answer);
    incidentlist_done(&l);
}

/* The agent has the same records as the file. */
static void nothing_is_there_twice(void **state) {
    struct incidentlist l = {.n = 0};
    json_t *answer = json_object(), *list = json_array();
    struct str rest, line;

    (void)state;
    put("/web", AUDIT_BEGIN, "a1", false);
    put("/web", AUDIT_END, "a1", false);
    rest = buf_str(&file);
    while (str_cut(&rest, '\n', &line)) {
        json_t *row = json_loadb(line.p, line.n, 0, NULL);

        json_object_set(row, "record", json_object_get(row, "kind"));
        json_object_set_new(row, "kind", json_string("gc"));
        json_array_append_new(list, row);
    }
    json_object_set_new(answer, "incidents", list);
    assert_int_equal(incidentlist_add_lines(&l, buf_str(&file), true), 0);
    assert_int_equal(incidentlist_add_answer(&l, answer), 0);
    assert_int_equal(incidentlist_add_lines(&l, buf_str(&file), true), 0);
    assert_int_equal(l.n, 6);
    incidentlist_settle(&l);
    assert_int_equal(l.n, 2);
    assert_true(incidentlist_add_answer(&l, list) < 0);
    json_decref(answer);
    incidentlist_done(&l);
}

static void damage_is_counted(void **state) {
    struct incidentlist l = {.since_ms = 1795305602000};

    (void)state;
    buf_add(&file, STR("{\"kind\":\"begi\n\x01\x02\n\n"));
    put("/web", AUDIT_BEGIN, "a1", false); /* too old */
    put("/web", AUDIT_END, "a1", false);
    buf_add(&file, STR("{\"kind\":"));
    assert_int_equal(incidentlist_add_lines(&l, buf_str(&file), false), 0);
    assert_int_equal(l.damaged, 2);
    assert_int_equal(l.n, 1);
    assert_int_equal(incidentlist_add_lines(&l, buf_str(&file), true), 0);
    assert_int_equal(l.damaged, 5);
    incidentlist_done(&l);
}

static size_t story(const struct incidentlist *l, const char *id, bool *over) {
    bool in[64];

    return incidentlist_story(l, str_of(id), in, over);
}

static void a_story_goes_until_it_is_well(void **state) {
    struct incidentlist l = {.n = 0};
    bool over = false;

    (void)state;
    put("/web", AUDIT_GUARD, "g", false);
    put("/web", AUDIT_MARK, "m1", true);
    put("/web", AUDIT_BEGIN, "a1", false);
    put("/db", AUDIT_MARK, "x1", true);
    put("/web", AUDIT_END, "a1", false);
    put("/web", AUDIT_MARK, "m2", false);
    put("/web", AUDIT_BEGIN, "a2", false); /* somebody asked */
    put("/web", AUDIT_END, "a2", false);
    put("/web", AUDIT_HANG, "h1", true);
    put("/web", AUDIT_BEGIN, "a3", false);
    assert_int_equal(incidentlist_add_lines(&l, buf_str(&file), true), 0);
    incidentlist_settle(&l);
    assert_int_equal(story(&l, "a1", &over), 4); /* m1 a1 a1 m2 */
    assert_true(over);
    assert_int_equal(story(&l, "m2", &over), 4);
    assert_int_equal(story(&l, "a2", &over), 2);
    assert_true(over);
    assert_int_equal(story(&l, "a3", &over), 2); /* h1 a3: goes on */
    assert_false(over);
    assert_int_equal(story(&l, "x1", &over), 1);
    assert_false(over);
    assert_int_equal(story(&l, "nobody", &over), 0);
    incidentlist_done(&l);
}

static void the_oldest_go_when_there_are_too_many(void **state) {
    struct incidentlist l = {.n = 0};

    (void)state;
    for (unsigned i = 0; i < INCIDENTS_MOST + 50; i++)
        put("/web", AUDIT_MARK, "m", true);
    assert_int_equal(incidentlist_add_lines(&l, buf_str(&file), true), 0);
    assert_int_equal(incidentlist_add_lines(&l, buf_str(&file), true), 0);
    incidentlist_settle(&l);
    assert_int_equal(l.n, INCIDENTS_MOST);
    assert_true(l.cut);
    assert_int_equal(l.record[l.n - 1].a.at_ms, at_ms);
    incidentlist_done(&l);
}

static void kinds_are_checked(void **state) {
    struct err err = {.text = ""};

    (void)state;
    assert_int_equal(incident_check_kinds(STR("oom,hang,gc,guard,mark"), &err), 0);
    assert_true(incident_check_kinds(STR("oom,dance"), &err) < 0);
    assert_non_null(strstr(err.text, "'dance'"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_is_the_same_before_it_has_a_number),
        cmocka_unit_test_setup_teardown(what_belongs_together_is_one, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_there_twice, begin, end),
        cmocka_unit_test_setup_teardown(damage_is_counted, begin, end),
        cmocka_unit_test_setup_teardown(a_story_goes_until_it_is_well, begin, end),
        cmocka_unit_test_setup_teardown(the_oldest_go_when_there_are_too_many, begin, end),
        cmocka_unit_test(kinds_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
