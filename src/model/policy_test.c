#include "model/policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void defaults_are_sound(void **state) {
    struct policy p;
    struct err err;

    (void)state;
    policy_defaults(&p);
    assert_int_equal(policy_check(&p, &err), 0);
    assert_int_equal(policy_mark_bytes(&p.mark[1], 1000), 900);
    assert_int_equal(policy_mark_bytes(&p.mark[1], 0), 0);
    assert_int_equal(policy_mark_bytes(&p.mark[1], UINT64_MAX), 0);
}

static void words(const char *marks, const char *actions, const char *want) {
    struct policy p;
    struct err err;
    struct buf out;

    policy_defaults(&p);
    assert_int_equal(policy_parse_marks(str_of(marks), &p, &err), 0);
    assert_int_equal(policy_parse_actions(str_of(actions), &p, &err), 0);
    assert_int_equal(policy_check(&p, &err), 0);
    buf_init(&out, 1000);
    policy_add_words(&out, &p);
    buf_add_char(&out, 0);
    assert_string_equal(out.p, want);
    buf_done(&out);
}

static void marks_start_actions(void **state) {
    (void)state;
    words("80%,90%,95%", "notify,gc,reclaim,kill", "80% notify, 90% gc, 95% reclaim then kill");
    words("87.5%", "gc", "87.5% gc");
    words("99.99%", "pause", "99.99% pause");
    words("400M, 1G", "gc , term", "400M gc, 1.00G term");
}

static void a_dry_run_holds_nothing(void **state) {
    struct policy p;
    char text[200];
    struct buf out;

    (void)state;
    policy_defaults(&p);
    p.marks = p.actions = 1;
    p.oom_hold = p.dry_run = true;
    buf_fixed(&out, text, sizeof(text));
    policy_add_words(&out, &p);
    buf_add_char(&out, 0);
    assert_string_equal(text, "80% notify; would hold an OOM for a dump; dry run");
}

static void refuses(const char *marks, const char *actions, const char *want) {
    struct policy p;
    struct err err;
    int r;

    policy_defaults(&p);
    r = policy_parse_marks(str_of(marks), &p, &err);
    if (r == 0)
        r = policy_parse_actions(str_of(actions), &p, &err);
    if (r == 0)
        r = policy_check(&p, &err);
    assert_true(r < 0);
    assert_non_null(strstr(err.text, want));
}

static void what_does_not_fit(void **state) {
    (void)state;
    refuses("80", "gc", "'80' is no mark");
    refuses("80%,", "gc", "'' is no mark");
    refuses("100%", "gc", "from 0.01% to 99.99%");
    refuses("0%", "gc", "from 0.01%");
    refuses("8a%", "gc", "'8a%'");
    refuses("80.123%", "gc", "'80.123%'");
    refuses("90%,80%", "gc,kill", "mark 2 is not above mark 1");
    refuses("80%,400M", "gc,kill", "all in percent or all sizes");
    refuses("80%,90%", "gc", "2 marks and 1 action:");
    refuses("80%", "gcc", "did you mean 'gc'?");
    refuses("80%", "", "unknown action '': notify, gc");
    refuses("80%", "xy", "unknown action 'xy': notify, gc");
    refuses("80%", "explode", "unknown action 'explode': notify");
    refuses("80%", "kill,gc", "nothing can follow 'kill'");
    refuses("80%", "term,term", "'term' stands in the list twice");
    refuses("1%,2%,3%,4%,5%,6%,7%,8%,9%", "gc", "more than 8 marks");
}

static void lists_of_texts(void **state) {
    char list[POLICY_TEXT] = {0}, big[POLICY_TEXT];
    const char *at = NULL;
    struct err err;

    (void)state;
    assert_false(policy_next_text(list, &at));
    assert_int_equal(policy_add_text(list, STR("/bin/true"), &err), 0);
    assert_int_equal(policy_add_text(list, STR("-x"), &err), 0);
    memset(big, 'a', sizeof(big));
    assert_int_equal(policy_add_text(list, (struct str){big, sizeof(big) - 14}, &err), -ENOSPC);
    assert_int_equal(policy_add_text(list, (struct str){"a\0b", 3}, &err), -EILSEQ);
    at = NULL;
    assert_true(policy_next_text(list, &at));
    assert_string_equal(at, "/bin/true");
    assert_true(policy_next_text(list, &at));
    assert_string_equal(at, "-x");
    assert_false(policy_next_text(list, &at));
}

static void policies_are_compared_in_all(void **state) {
    struct policy a, b;
    struct err err;

    (void)state;
    policy_defaults(&a);
    policy_defaults(&b);
    assert_true(policy_same(&a, &b));
    b.mark[2].value++;
    assert_false(policy_same(&a, &b));
    policy_defaults(&b);
    b.grace_us++;
    assert_false(policy_same(&a, &b));
    policy_defaults(&b);
    assert_int_equal(policy_add_text(b.protect, STR("x"), &err), 0);
    assert_false(policy_same(&a, &b));
    assert_int_equal(policy_add_text(a.protect, STR("x"), &err), 0);
    assert_true(policy_same(&a, &b));
}

static void names_come_back(void **state) {
    (void)state;
    for (unsigned i = 0; i < ACTION_N; i++) {
        enum action a = ACTION_N;

        assert_int_equal(action_parse(str_of(action_name((enum action)i)), &a), 0);
        assert_int_equal(a, i);
    }
    for (unsigned i = 0; i < OUTCOME_N; i++) {
        enum outcome o = OUTCOME_N;

        assert_int_equal(outcome_parse(str_of(outcome_name((enum outcome)i)), &o), 0);
        assert_int_equal(o, i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_sound),      cmocka_unit_test(marks_start_actions),
        cmocka_unit_test(a_dry_run_holds_nothing), cmocka_unit_test(what_does_not_fit),
        cmocka_unit_test(lists_of_texts),          cmocka_unit_test(policies_are_compared_in_all),
        cmocka_unit_test(names_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
