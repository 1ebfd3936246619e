#include "cmd/auditread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct buf text;

static struct str line_of(const struct audit *a, const struct policy *p) {
    buf_clear(&text);
    audit_add_json(&text, a, p);
    assert_int_equal(buf_error(&text), 0);
    return buf_str(&text);
}

static struct audit full(enum audit_kind kind) {
    struct audit a = {
        .kind = kind,
        .id = "20261122T000000.000-1",
        .at_ms = 1795305600123,
        .by = "agent",
        .name = "web \xe4\xb8\xad",
        .path = "/docker/abc",
        .guard = "guards[0]",
        .dry_run = true,
        .mark = 2,
        .action = ACTION_RESCUE,
        .up = true,
        .facts = {.at_us = 99000000, .have = (1u << FACT_N) - 1},
        .hang = {.kind = HANG_REFAULT, .since_us = 90000000},
        .report = {OUTCOME_PARTLY, 77, "some of it", "try again", "/var/lib/x"},
        .have_before = true,
        .have_after = true,
        .before = 1000,
        .after = 400,
        .took_us = 123450,
    };

    for (unsigned i = 0; i < FACT_N; i++)
        a.facts.value[i] = 1000 + i;
    return a;
}

/* What is written, read and written again is the same. */
static void there_and_back_for_each_kind(void **state) {
    struct auditread back;
    struct policy p;
    struct err err;

    (void)state;
    policy_defaults(&p);
    assert_int_equal(policy_parse_marks(STR("400M,500M"), &p, &err), 0);
    assert_int_equal(policy_parse_actions(STR("gc,rescue,kill"), &p, &err), 0);
    assert_int_equal(policy_add_text(p.hook, STR("/bin/tell"), &err), 0);
    assert_int_equal(policy_add_text(p.prefer, STR("worker*"), &err), 0);
    p.rt_limit = 9050;
    for (unsigned kind = 0; kind < AUDIT_N; kind++) {
        struct audit a = full((enum audit_kind)kind);
        const struct policy *policy = kind == AUDIT_GUARD ? &p : NULL;
        char first[8192];
        struct str line = line_of(&a, policy);

        assert_int_equal(str_copy(line, first, sizeof(first)), 0);
        assert_int_equal(auditread_line(line, &back), 0);
        assert_int_equal(back.have_policy, kind == AUDIT_GUARD);
        line = line_of(&back.audit, back.have_policy ? &back.policy : NULL);
        assert_int_equal(line.n, strlen(first));
        assert_memory_equal(line.p, first, line.n);
    }
}

static void what_is_not_known_stays_so(void **state) {
    struct audit a = full(AUDIT_END);
    struct auditread back;

    (void)state;
    a.facts.have = 1u << FACT_USED;
    a.have_after = false;
    a.report.pid = 0;
    assert_int_equal(auditread_line(line_of(&a, NULL), &back), 0);
    assert_int_equal(back.audit.facts.have, 1u << FACT_USED);
    assert_false(back.audit.have_after);
    assert_true(back.audit.have_before);
    assert_int_equal(back.audit.report.pid, 0);
}

static void damage_is_no_record(void **state) {
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"kind\":\"end\",\"id\":\"x\"}",
        "{\"kind\":\"none\",\"id\":\"x\",\"at_ms\":1}",
        "{\"kind\":\"mark\",\"id\":\"x\",\"at_ms\":1,\"mark\":99}",
        "{\"kind\":\"end\",\"id\":\"x\",\"at_ms\":1,\"action\":\"gc\","
        "\"outcome\":\"fine\"}",
        "{\"kind\":\"begin\",\"id\":\"x\",\"at_ms\":1,\"action\":\"dance\"}",
        "{\"kind\":\"over\",\"id\":\"x\",\"at_ms\":\"now\"}",
        "{\"kind\":\"guard\",\"id\":\"x\",\"at_ms\":1,\"policy\":{}}",
        "{\"kind\":\"over\",\"kind\":\"over\",\"id\":\"x\",\"at_ms\":1}",
    };
    struct audit a = full(AUDIT_END);
    struct auditread back = {.have_policy = true};
    struct str line = line_of(&a, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(auditread_line(str_of(bad[i]), &back) < 0);
    for (size_t n = 0; n < line.n; n++)
        assert_true(auditread_line(str_head(line, n), &back) < 0);
    assert_true(back.have_policy); /* untouched */
}

static void odd_numbers_are_not_known(void **state) {
    struct auditread back;

    (void)state;
    assert_int_equal(auditread_line(STR("{\"kind\":\"mark\",\"id\":\"x\",\"at_ms\":1,\"mark\":1,"
                                        "\"facts\":{\"used\":-5,\"limit\":1e300,"
                                        "\"psi_some_avg10\":1e300,\"file\":\"7\"}}"),
                                    &back),
                     0);
    assert_int_equal(back.audit.facts.have, 0);
}

static void lines_are_cut_where_they_end(void **state) {
    struct auditread_lines l = {STR("one\n\n \ntwo\nthr")};
    struct str line;

    (void)state;
    assert_true(auditread_next(&l, &line) && str_eq(line, STR("one")));
    assert_true(auditread_next(&l, &line) && str_eq(line, STR("two")));
    assert_false(auditread_next(&l, &line));
    assert_true(str_eq(l.rest, STR("thr")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back_for_each_kind),
        cmocka_unit_test(what_is_not_known_stays_so),
        cmocka_unit_test(damage_is_no_record),
        cmocka_unit_test(odd_numbers_are_not_known),
        cmocka_unit_test(lines_are_cut_where_they_end),
    };
    int r;

    buf_init(&text, 1 << 20);
    r = cmocka_run_group_tests(tests, NULL, NULL);
    buf_done(&text);
    return r;
}
