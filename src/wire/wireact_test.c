#include "wire/wireact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static uint8_t memory[WIRE_MESSAGE];

static struct wire_in body_of(const struct wire_out *w, enum wire_kind kind) {
    struct wire_in in = {w->p, w->n};
    struct wire_head head;

    assert_int_equal(wire_read_head(&in, &head), 0);
    assert_int_equal(head.kind, kind);
    return in;
}

static void fill(char *text, size_t size) {
    memset(text, 'x', size - 1);
    text[size - 1] = '\0';
}

/* Every text as long as it can be. */
static void full_record(struct wire_audit *out) {
    struct audit *a = &out->audit;

    *out = (struct wire_audit){.uid = UINT32_MAX};
    a->kind = AUDIT_END;
    fill(a->id, sizeof(a->id));
    a->at_ms = INT64_MAX;
    fill(a->by, sizeof(a->by));
    fill(a->name, sizeof(a->name));
    fill(a->path, sizeof(a->path));
    fill(a->guard, sizeof(a->guard));
    a->dry_run = a->have_after = true;
    a->facts = (struct facts){.at_us = -1, .have = (1u << FACT_N) - 1};
    for (unsigned i = 0; i < FACT_N; i++)
        a->facts.value[i] = UINT64_MAX - i;
    a->mark = POLICY_MARKS;
    a->hang.kind = HANG_UNKILLABLE;
    a->hang.since_us = INT64_MIN;
    a->action = ACTION_KILL;
    a->report.outcome = OUTCOME_PARTLY;
    a->report.pid = INT32_MAX;
    fill(a->report.text, sizeof(a->report.text));
    fill(a->report.next, sizeof(a->report.next));
    fill(a->report.file, sizeof(a->report.file));
    a->before = 4096;
    a->after = UINT64_MAX;
    a->took_us = 1;
}

static void the_longest_record_comes_back_as_it_was(void **state) {
    static struct wire_audit a, back;
    struct wire_out w;
    struct wire_in in;

    (void)state;
    full_record(&a);
    wire_begin(&w, memory, WIRE_AUDIT_MOST, WIRE_AUDIT, UINT64_MAX);
    assert_true(wire_add_audit(&w, &a));
    in = body_of(&w, WIRE_AUDIT);
    assert_int_equal(wire_read_audit(&in, &back), 0);
    assert_int_equal(in.n, 0);
    assert_memory_equal(&a, &back, sizeof(a)); /* both were zeroed as a whole */
}

static void a_record_that_was_cut_off_is_none(void **state) {
    static struct wire_audit a, back;
    struct wire_out w;

    (void)state;
    full_record(&a);
    wire_begin(&w, memory, sizeof(memory), WIRE_AUDIT, 1);
    assert_true(wire_add_audit(&w, &a));
    for (size_t n = 0; n < w.n; n++) {
        struct wire_in in = {w.p, n};
        struct wire_head head;

        assert_true(wire_read_head(&in, &head) < 0 || wire_read_audit(&in, &back) == -EBADMSG);
    }
    wire_begin(&w, memory, 100, WIRE_AUDIT, 1);
    assert_false(wire_add_audit(&w, &a)); /* no room: nothing was written */
    assert_int_equal(w.n, 2);
}

static void requests_and_answers_come_back(void **state) {
    const struct wire_act act = {UINT64_MAX, 7, ACTION_DUMP, "api"};
    const struct wire_acted acted = {UINT64_MAX, WIRE_ACTED_BUSY, "20261122-1"};
    struct wire_acted acted_back;
    struct wire_act act_back;
    struct wire_out w;
    struct wire_in in;

    (void)state;
    wire_begin(&w, memory, sizeof(memory), WIRE_ACT, 0);
    assert_true(wire_add_act(&w, &act));
    in = body_of(&w, WIRE_ACT);
    assert_int_equal(wire_read_act(&in, &act_back), 0);
    assert_true(act_back.request == act.request && act_back.uid == 7);
    assert_int_equal(act_back.action, ACTION_DUMP);
    assert_string_equal(act_back.by, "api");
    wire_begin(&w, memory, sizeof(memory), WIRE_ACTED, 0);
    assert_true(wire_add_acted(&w, &acted));
    in = body_of(&w, WIRE_ACTED);
    assert_int_equal(wire_read_acted(&in, &acted_back), 0);
    assert_true(acted_back.request == acted.request && acted_back.word == WIRE_ACTED_BUSY);
    assert_string_equal(acted_back.id, acted.id);
    memory[w.n - 1 - strlen(acted.id) - 1] = WIRE_ACTED_N; /* a word that there is not */
    in = body_of(&w, WIRE_ACTED);
    assert_int_equal(wire_read_acted(&in, &acted_back), -EBADMSG);
}

static void full_policy(struct wire_policy *out) {
    struct policy *p = &out->policy;

    *out = (struct wire_policy){.match = {.labels = GUARDMATCH_LABELS}};
    for (unsigned i = 0; i < GUARDMATCH_N; i++)
        fill(out->match.glob[i], GUARDMATCH_TEXT);
    for (unsigned i = 0; i < GUARDMATCH_LABELS; i++) {
        fill(out->match.label[i].key, GUARDMATCH_TEXT);
        fill(out->match.label[i].glob, GUARDMATCH_TEXT);
    }
    fill(p->name, sizeof(p->name));
    p->marks = POLICY_MARKS;
    p->actions = POLICY_ACTIONS;
    for (unsigned i = 0; i < POLICY_MARKS; i++)
        p->mark[i] = (struct policy_mark){i % 2, UINT64_MAX - i};
    for (unsigned i = 0; i < POLICY_ACTIONS; i++)
        p->action[i] = (enum action)(i % ACTION_N);
    p->inject = p->kill_init = p->leave_high = true;
    p->per_hour = UINT32_MAX;
    p->kills_per_hour = 5;
    out->line = 12;
    out->column = 34;
    p->cooldown_us = 1;
    p->grace_us = 2;
    p->deadline_us = INT64_MAX;
    p->lend = 64 << 20;
    p->rt_limit = UINT64_MAX;
    fill(p->hook, POLICY_TEXT - 1); /* one text, its NUL and the empty one */
    memcpy(p->protect, "init\0*d", 8);
}

static void the_longest_policy_comes_back_as_it_was(void **state) {
    static struct wire_policy p, back;
    struct wire_policies end = {0};
    struct wire_out w;
    struct wire_in in;

    (void)state;
    full_policy(&p);
    wire_begin(&w, memory, sizeof(memory), WIRE_POLICY, 0);
    assert_true(wire_add_policy(&w, &p));
    in = body_of(&w, WIRE_POLICY);
    assert_int_equal(wire_read_policy(&in, &back), 0);
    assert_memory_equal(&p, &back, sizeof(p));
    for (size_t n = 2; n < w.n; n += 7) {
        in = (struct wire_in){w.p + 2, n - 2};
        assert_int_equal(wire_read_policy(&in, &back), -EBADMSG);
    }
    wire_begin(&w, memory, sizeof(memory), WIRE_POLICIES, 0);
    assert_true(wire_add_policies(
        &w, &(struct wire_policies){3, STR("/etc/x"), STR("/run/y"), STR("/run/z")}));
    in = body_of(&w, WIRE_POLICIES);
    assert_int_equal(wire_read_policies(&in, &end), 0);
    assert_int_equal(end.n, 3);
    assert_true(str_eq(end.file, STR("/etc/x")) && str_eq(end.socket, STR("/run/y")));
    assert_true(str_eq(end.pressure, STR("/run/z")));
}

/* Whatever is in a message, reading it ends within it. */
static void any_bytes_are_read_or_refused(void **state) {
    static struct wire_audit audit;
    static struct wire_policy policy;
    uint64_t x = 88172645463325252ull;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t bytes[200];
        struct wire_acted acted;
        struct wire_act act;
        struct wire_in in;

        for (size_t k = 0; k < sizeof(bytes); k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            bytes[k] = (uint8_t)(x >> 5) & (i % 2 ? 0xff : 0x07);
        }
        in = (struct wire_in){bytes, i % sizeof(bytes)};
        (void)wire_read_audit(&in, &audit);
        in = (struct wire_in){bytes, i % sizeof(bytes)};
        (void)wire_read_policy(&in, &policy);
        in = (struct wire_in){bytes, i % 40};
        (void)wire_read_act(&in, &act);
        in = (struct wire_in){bytes, i % 60};
        (void)wire_read_acted(&in, &acted);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_record_comes_back_as_it_was),
        cmocka_unit_test(a_record_that_was_cut_off_is_none),
        cmocka_unit_test(requests_and_answers_come_back),
        cmocka_unit_test(the_longest_policy_comes_back_as_it_was),
        cmocka_unit_test(any_bytes_are_read_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
