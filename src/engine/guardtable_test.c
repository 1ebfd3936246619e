#include "engine/guardtable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4 };

/* What the caller was asked, as a text: "+0 /a web;" "-0 why;" "!/a why;". */
struct world {
    char said[1024];
    int refuse; /* what beginning fails with */
    struct guardtable *table;
    struct guardpolicies policies;
    struct wire_policy policy[2];
};

static void say(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct world *w, const char *format, ...) {
    size_t n = strlen(w->said);
    va_list args;

    va_start(args, format);
    vsnprintf(w->said + n, sizeof(w->said) - n, format, args);
    va_end(args);
}

static int on_begin(void *ctx, unsigned id, struct str path, struct str name,
                    const struct policy *p, struct err *err) {
    struct world *w = ctx;

    if (w->refuse < 0)
        return err_set(err, w->refuse, "refused");
    say(w, "+%u %.*s %.*s %s;", id, STR_ARG(path), STR_ARG(name), p->name);
    return 0;
}

static void on_end(void *ctx, unsigned id, const char *why) {
    say(ctx, "-%u %s;", id, why);
}

static void on_failed(void *ctx, struct str path, struct str name, const struct policy *p,
                      const char *why) {
    (void)name, (void)p;
    say(ctx, "!%.*s %s;", STR_ARG(path), why);
}

static void says(struct world *w, const char *text) {
    assert_string_equal(w->said, text);
    w->said[0] = '\0';
}

static struct wire_policy policy_for(const char *name, const char *glob) {
    struct wire_policy p;

    memset(&p, 0, sizeof(p));
    strcpy(p.policy.name, name);
    strcpy(p.match.glob[GUARDMATCH_CGROUP], glob);
    return p;
}

static int setup(void **state) {
    struct world *w = calloc(1, sizeof(*w));
    struct guardtable_caller caller = {on_begin, on_end, on_failed, w};

    w->policy[0] = policy_for("a", "/a/*");
    w->policy[1] = policy_for("all", "/**");
    w->policies = (struct guardpolicies){.at = w->policy, .n = 2};
    assert_int_equal(guardtable_new(&caller, MOST, STR("/sys/agent"), &w->table), 0);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;

    guardtable_free(w->table);
    free(w);
    return 0;
}

static void see(struct world *w, uint32_t uid, const char *path, uint64_t instance) {
    const struct wire_target t = {
        .uid = uid, .path = str_of(path), .name = STR("x"), .instance = instance};

    guardtable_see(w->table, &w->policies, &t);
}

static void the_first_guard_that_matches_is_the_one(void **state) {
    struct world *w = *state;

    see(w, 1, "/a/1", 11);
    see(w, 2, "/b", 12);
    says(w, "+0 /a/1 x a;+1 /b x all;");
    see(w, 1, "/a/1", 11); /* something else of it has changed */
    says(w, "");
    assert_int_equal(guardtable_id(w->table, 2), 1);
    assert_int_equal(guardtable_id(w->table, 3), -1);
    assert_int_equal(guardtable_uid(w->table, STR("/b")), 2);
}

static void what_we_are_in_is_never_guarded(void **state) {
    struct world *w = *state;

    see(w, 1, "/", 1);
    see(w, 2, "/sys", 2);
    see(w, 3, "/sys/agent", 3);
    see(w, WIRE_UID_HOST, "/x", 4);
    says(w, "");
    see(w, 4, "/sys/agent2", 4);
    see(w, 5, "/sys/agent/below", 5);
    says(w, "+0 /sys/agent2 x all;+1 /sys/agent/below x all;");
}

static void a_new_collector_changes_nothing(void **state) {
    struct world *w = *state;

    see(w, 1, "/b", 11);
    see(w, 2, "/c", 12);
    see(w, 3, "/d", 13);
    says(w, "+0 /b x all;+1 /c x all;+2 /d x all;");
    guardtable_anew(w->table);
    assert_int_equal(guardtable_uid(w->table, STR("/b")), WIRE_UID_HOST);
    assert_int_equal(guardtable_id(w->table, 1), -1); /* a number of the old one */
    see(w, 9, "/b", 11);
    see(w, 8, "/c", 99); /* made again meanwhile */
    says(w, "-1 the group was made again;+1 /c x all;");
    guardtable_told(w->table);
    says(w, "-2 the group is no target any more;");
    assert_int_equal(guardtable_uid(w->table, STR("/b")), 9);
}

static void a_group_that_goes_is_not_guarded_any_more(void **state) {
    struct world *w = *state;

    see(w, 1, "/b", 11);
    guardtable_gone(w->table, 1);
    says(w, "+0 /b x all;-0 the group was removed;");
    guardtable_gone(w->table, 1);
    see(w, 2, "/b", 12);
    guardtable_lost(w->table, 0); /* the guard saw it first */
    guardtable_gone(w->table, 2);
    says(w, "+0 /b x all;");
}

static void what_does_not_fit_is_told_once_and_tried_again(void **state) {
    struct world *w = *state;
    struct guardtable_figures f;
    char path[8];

    for (unsigned i = 0; i < MOST + 1; i++) {
        snprintf(path, sizeof(path), "/b%u", i);
        see(w, i + 1, path, i + 1);
    }
    says(w, "+0 /b0 x all;+1 /b1 x all;+2 /b2 x all;+3 /b3 x all;"
            "!/b4 4 groups are guarded, more are not;");
    guardtable_retry(w->table, &w->policies);
    says(w, "");
    guardtable_figures(w->table, &f);
    assert_true(f.guarded == MOST && f.failed == 1);
    guardtable_gone(w->table, 2);
    guardtable_retry(w->table, &w->policies);
    says(w, "-1 the group was removed;+1 /b4 x all;");
    guardtable_gone(w->table, 1);
    w->refuse = -EMFILE;
    see(w, 20, "/c", 20);
    says(w, "-0 the group was removed;!/c refused;");
    w->refuse = -ENOENT; /* it went before it could be opened: nothing to tell */
    see(w, 21, "/d", 21);
    says(w, "");
    guardtable_figures(w->table, &f);
    assert_int_equal(f.failed, 1);
}

static void another_configuration_keeps_what_is_the_same(void **state) {
    struct world *w = *state;
    struct wire_policy changed[2] = {policy_for("all", "/**"), policy_for("a", "/a/*")};
    struct guardpolicies now = {.at = changed, .n = 2};

    see(w, 1, "/a/1", 11);
    see(w, 2, "/b", 12);
    says(w, "+0 /a/1 x a;+1 /b x all;");
    guardtable_policies(w->table, &w->policies, &now);
    w->policies = now;
    says(w, ""); /* until all is told anew */
    guardtable_anew(w->table);
    see(w, 1, "/a/1", 11);
    see(w, 2, "/b", 12);
    guardtable_told(w->table);
    says(w, "-0 the configuration has another guard for it;+0 /a/1 x all;");
    now.n = 0;
    guardtable_policies(w->table, &w->policies, &now);
    w->policies = now;
    guardtable_retry(w->table, &w->policies);
    guardtable_anew(w->table);
    see(w, 1, "/a/1", 11);
    guardtable_told(w->table);
    says(w, "-0 no guard of the configuration is for it;-1 the group is no target any more;");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_guard_that_matches_is_the_one, setup, teardown),
        cmocka_unit_test_setup_teardown(what_we_are_in_is_never_guarded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_collector_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_group_that_goes_is_not_guarded_any_more, setup, teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_told_once_and_tried_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_configuration_keeps_what_is_the_same, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
