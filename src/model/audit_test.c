#include "model/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"

enum { MIB = 1 << 20 };

static struct audit some(enum audit_kind kind) {
    struct audit a = {
        .kind = kind,
        .id = "20261122T000000-1",
        .at_ms = 1795305600000,
        .by = "guard",
        .name = "web",
        .path = "/docker/abc",
        .guard = "guards[0]",
        .mark = 3,
        .action = ACTION_KILL,
        .facts = {.at_us = 5000000},
    };

    a.facts.have = 1u << FACT_USED | 1u << FACT_LIMIT | 1u << FACT_SOME_AVG10;
    a.facts.value[FACT_USED] = 243 * (uint64_t)MIB;
    a.facts.value[FACT_LIMIT] = 256 * (uint64_t)MIB;
    a.facts.value[FACT_SOME_AVG10] = 1234;
    return a;
}

static json_t *json_of(const struct audit *a, const struct policy *p) {
    struct buf out;
    json_t *root;

    buf_init(&out, 1 << 20);
    audit_add_json(&out, a, p);
    assert_int_equal(buf_error(&out), 0);
    assert_null(memchr(out.p, '\n', out.n));
    root = json_loadb(out.p, out.n, 0, NULL);
    assert_non_null(root);
    buf_done(&out);
    return root;
}

static void line_is(const struct audit *a, const char *text) {
    struct buf out;

    buf_init(&out, 1 << 16);
    audit_add_line(&out, a);
    buf_add_char(&out, '\0');
    assert_string_equal(out.p, text);
    buf_done(&out);
}

static const char *text_at(const json_t *o, const char *key) {
    return json_string_value(json_object_get(o, key));
}

static json_int_t number_at(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);

    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

static void an_end_tells_all_that_came_of_it(void **state) {
    struct audit a = some(AUDIT_END);
    json_t *o, *facts;

    (void)state;
    a.report = (struct action_report){OUTCOME_DONE, 4711, "java", "", "/var/x"};
    a.have_before = a.have_after = true;
    a.before = 480 * (uint64_t)MIB;
    a.after = 12 * (uint64_t)MIB;
    a.took_us = 3456;
    o = json_of(&a, NULL);
    assert_string_equal(text_at(o, "kind"), "end");
    assert_string_equal(text_at(o, "ts"), "2026-11-22T00:00:00.000Z");
    assert_string_equal(text_at(o, "outcome"), "done");
    assert_string_equal(text_at(o, "action"), "kill");
    assert_string_equal(text_at(o, "target"), "/docker/abc");
    assert_int_equal(number_at(o, "pid"), 4711);
    assert_int_equal(number_at(o, "freed"), 468 * (json_int_t)MIB);
    assert_true(json_number_value(json_object_get(o, "took_ms")) == 3.45);
    assert_true(json_is_null(json_object_get(o, "next")));
    facts = json_object_get(o, "facts");
    assert_int_equal(number_at(facts, "used"), 243 * (json_int_t)MIB);
    assert_true(json_number_value(json_object_get(facts, "psi_some_avg10")) == 12.34);
    assert_true(json_is_null(json_object_get(facts, "under_oom"))); /* unknown is not 0 */
    assert_int_equal(json_object_size(facts), FACT_N + 1);
    json_decref(o);
    line_is(&a, "mark 3: kill 4711: done in 3.45 ms, 480M -> 12.0M: java; "
                "written: /var/x");
}

static void more_than_before_is_a_negative_gain(void **state) {
    struct audit a = some(AUDIT_END);
    json_t *o;

    (void)state;
    a.have_before = a.have_after = true;
    a.before = 10;
    a.after = 30;
    o = json_of(&a, NULL);
    assert_int_equal(number_at(o, "freed"), -20);
    json_decref(o);
    a.have_after = false;
    o = json_of(&a, NULL);
    assert_true(json_is_null(json_object_get(o, "freed")));
    assert_true(json_is_null(json_object_get(o, "after")));
    json_decref(o);
}

static void a_policy_is_whole(void **state) {
    struct audit a = some(AUDIT_GUARD);
    struct policy p;
    struct err err;
    json_t *o, *q;

    (void)state;
    policy_defaults(&p);
    assert_int_equal(policy_parse_marks(STR("80%,90%"), &p, &err), 0);
    assert_int_equal(policy_parse_actions(STR("gc,kill"), &p, &err), 0);
    assert_int_equal(policy_add_text(p.protect, STR("nginx*"), &err), 0);
    assert_int_equal(policy_add_text(p.hook, STR("/bin/tell"), &err), 0);
    assert_int_equal(policy_add_text(p.hook, STR("a b"), &err), 0);
    p.dry_run = true;
    o = json_of(&a, &p);
    q = json_object_get(o, "policy");
    assert_int_equal(json_array_size(json_object_get(q, "marks")), 2);
    assert_true(json_number_value(json_object_get(json_array_get(json_object_get(q, "marks"), 1),
                                                  "pct")) == 90.0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(q, "actions"), 1)),
                        "kill");
    assert_true(json_is_true(json_object_get(q, "dry_run")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(q, "hook"), 1)), "a b");
    assert_int_equal(json_array_size(json_object_get(q, "prefer")), 0);
    assert_int_equal(number_at(q, "cooldown_us"), p.cooldown_us);
    json_decref(o);
}

static void a_line_says_what_happened(void **state) {
    struct audit a = some(AUDIT_MARK);

    (void)state;
    a.up = true;
    line_is(&a, "mark 3 passed: 243M of 256M used (94.9 %)");
    a.up = false;
    line_is(&a, "below mark 3 again: 243M of 256M used (94.9 %)");
    a = some(AUDIT_BEGIN);
    (void)report_done(&a.report, "used is much");
    line_is(&a, "mark 3: kill begins: used is much");
    a = some(AUDIT_HANG);
    a.hang.kind = HANG_OOM_WAIT;
    a.hang.since_us = 2000000;
    line_is(&a, "hangs no more (oom-wait, 3000 ms)");
    a = some(AUDIT_END);
    a.mark = 0;
    a.hang.kind = HANG_REFAULT;
    a.action = ACTION_RESCUE;
    (void)report_refused(&a.report, "plimsoll rescue web", "it may not be");
    line_is(&a, "hang (refault-livelock): rescue: refused: it may not be; next: "
                "plimsoll rescue web");
    a = some(AUDIT_OVER);
    line_is(&a, "no longer guarded");
}

static void hostile_names_are_escaped_at_the_exit(void **state) {
    struct audit a = some(AUDIT_END);
    json_t *o;

    (void)state;
    strcpy(a.name, "a\x1b[2J\xff");
    memset(a.report.text, '\x01', sizeof(a.report.text)); /* not even a NUL */
    o = json_of(&a, NULL);
    assert_string_equal(text_at(o, "name"), "a\x1b[2J\xef\xbf\xbd");
    json_decref(o);
    strcpy(a.report.text, "\x1b]0;x\x07\n");
    a.report.outcome = OUTCOME_FAILED;
    a.took_us = 20000;
    line_is(&a, "mark 3: kill: failed in 20 ms: \\x1b]0;x\\x07\\n");
}

static void kinds_and_words(void **state) {
    enum audit_kind kind;
    struct audit a = some(AUDIT_END);

    (void)state;
    for (unsigned i = 0; i < AUDIT_N; i++) {
        assert_int_equal(audit_kind_parse(str_of(audit_kind_name((enum audit_kind)i)), &kind), 0);
        assert_int_equal(kind, i);
    }
    assert_true(audit_kind_parse(STR(""), &kind) < 0);
    assert_string_equal(audit_event_word(&a), "guard");
    a.action = ACTION_GC;
    assert_string_equal(audit_event_word(&a), "gc");
    a.kind = AUDIT_HANG;
    assert_string_equal(audit_event_word(&a), "hang");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_tells_all_that_came_of_it),
        cmocka_unit_test(more_than_before_is_a_negative_gain),
        cmocka_unit_test(a_policy_is_whole),
        cmocka_unit_test(a_line_says_what_happened),
        cmocka_unit_test(hostile_names_are_escaped_at_the_exit),
        cmocka_unit_test(kinds_and_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
