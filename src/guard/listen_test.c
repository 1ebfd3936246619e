#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "guard/guardsint.h"

struct world {
    struct policy policy;
    struct guarded all, a, deep, *at[4];
    struct guards g;
};

static void begin(struct world *w, const char *actions) {
    struct guarded *const each[] = {&w->all, &w->a, &w->deep};
    static const char *const path[] = {"/", "/a", "/a/b"};

    memset(w, 0, sizeof(*w));
    policy_defaults(&w->policy);
    assert_int_equal(policy_parse_marks(STR("100M,200M"), &w->policy, NULL), 0);
    assert_int_equal(policy_parse_actions(str_of(actions), &w->policy, NULL), 0);
    for (unsigned i = 0; i < ARRAY_N(each); i++) {
        each[i]->policy = &w->policy;
        ladder_init(&each[i]->ladder, &w->policy);
        assert_int_equal(str_copy(str_of(path[i]), each[i]->grip.path, sizeof(each[i]->grip.path)),
                         0);
    }
    w->g.at = w->at;
    w->g.n = ARRAY_N(w->at);
}

static void is_guarded_by(struct world *w, const char *path, const char *by) {
    assert_true(str_eq(listen_guarded(&w->g, str_of(path)), str_of(by)));
}

static void the_innermost_guard_counts(void **state) {
    struct world w;

    (void)state;
    begin(&w, "notify,gc");
    is_guarded_by(&w, "/a/b", "");
    w.at[1] = &w.all;
    is_guarded_by(&w, "/a/b", "/");
    is_guarded_by(&w, "/", "/");
    w.at[0] = &w.deep;
    w.at[3] = &w.a;
    is_guarded_by(&w, "/a/b/c", "/a/b");
    is_guarded_by(&w, "/a/bc", "/a");
    is_guarded_by(&w, "/ab", "/");
}

static void see(struct guarded *x, uint64_t mib) {
    struct facts f = {
        .at_us = 1000000, .have = 1U << FACT_USED, .value = {[FACT_USED] = mib << 20}};
    struct ladder_change change;
    struct hang hang = {.kind = HANG_NONE};
    struct decision d;

    ladder_see(&x->ladder, &f, &hang, &change, &d);
    if (d.any)
        ladder_begun(&x->ladder, d.action, d.mark, f.at_us);
}

static void above_is_after_notify_and_not_below_its_mark(void **state) {
    struct world w;

    (void)state;
    begin(&w, "notify,gc");
    w.at[2] = &w.a;
    assert_false(listen_above(&w.g, STR("/a/b")));
    see(&w.a, 150);
    assert_true(listen_above(&w.g, STR("/a/b")));
    assert_true(listen_above(&w.g, STR("/a")));
    assert_false(listen_above(&w.g, STR("/ab")));
    assert_false(listen_above(&w.g, STR("/")));
    see(&w.a, 99); /* not left yet, and below it */
    assert_false(listen_above(&w.g, STR("/a")));
    see(&w.a, 101);
    assert_true(listen_above(&w.g, STR("/a")));
    w.policy.dry_run = true;
    assert_false(listen_above(&w.g, STR("/a")));
}

static void a_mark_without_notify_does_not_count(void **state) {
    struct world w;

    (void)state;
    begin(&w, "gc,notify");
    w.at[0] = &w.a;
    see(&w.a, 150);
    assert_false(listen_above(&w.g, STR("/a")));
    ladder_begun(&w.a.ladder, ACTION_NOTIFY, 0, 2000000); /* somebody asked for it */
    assert_false(listen_above(&w.g, STR("/a")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_innermost_guard_counts),
        cmocka_unit_test(above_is_after_notify_and_not_below_its_mark),
        cmocka_unit_test(a_mark_without_notify_does_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
