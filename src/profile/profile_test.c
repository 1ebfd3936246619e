#include "profile/profile.h"

#include <errno.h>
#include <string.h>

#include "profile/profiletest.h"

static void the_same_stack_is_one_sample(void **state) {
    struct profile *p = two_types();

    (void)state;
    add_stack_text(p, "x;main", 1, 10);
    add_stack_text(p, "y;main", 2, 20);
    add_stack_text(p, "x;main", 3, 30);
    assert_int_equal(profile_samples(p), 2);
    assert_int_equal(profile_sample(p, 0).value[0], 4);
    assert_int_equal(profile_sample(p, 0).value[1], 40);
    assert_int_equal(profile_total(p, 1), 60);
    assert_true(str_eq(profile_frame(p, profile_sample(p, 1).frame[0]).function, STR("y")));
    profile_free(p);
}

static void sums_stop_at_the_ends(void **state) {
    struct profile *p = two_types();

    (void)state;
    add_stack_text(p, "x", INT64_MAX, INT64_MIN);
    add_stack_text(p, "x", 5, -5);
    add_stack_text(p, "y", INT64_MAX, INT64_MIN);
    assert_true(profile_sample(p, 0).value[0] == INT64_MAX);
    assert_true(profile_sample(p, 0).value[1] == -INT64_MAX);
    assert_true(profile_total(p, 0) == INT64_MAX);
    assert_true(profile_total(p, 1) == -INT64_MAX);
    profile_free(p);
}

static void deep_stacks_are_cut_at_the_root_and_counted(void **state) {
    static struct profile_frame frame[PROFILE_DEPTH + 5];
    const int64_t value[PROFILE_TYPES] = {1, 1};
    struct profile *p = two_types();

    (void)state;
    for (size_t i = 0; i < PROFILE_DEPTH + 5; i++)
        frame[i] = (struct profile_frame){.function = STR("f"), .line = (int64_t)i};
    assert_int_equal(profile_add(p, frame, PROFILE_DEPTH, value), 0);
    assert_int_equal(profile_cut(p), 0);
    assert_int_equal(profile_add(p, frame, PROFILE_DEPTH + 5, value), 0);
    assert_int_equal(profile_cut(p), 1);
    assert_int_equal(profile_samples(p), 1); /* the leaf's side is the same */
    assert_int_equal(profile_frame(p, profile_sample(p, 0).frame[0]).line, 0);
    profile_free(p);
}

static void recursion_is_counted_once(void **state) {
    struct profile *p = two_types();
    struct profile_top *top;
    size_t n;

    (void)state;
    add_stack_text(p, "f;g;f;main", 7, 0);
    add_stack_text(p, "g;f;main", 1, 0);
    assert_int_equal(profile_top(p, 0, &top, &n), 0);
    assert_int_equal(n, 3);
    assert_true(str_eq(top[0].function, STR("f")));
    assert_int_equal(top[0].flat, 7);
    assert_int_equal(top[0].cum, 8);
    assert_true(str_eq(top[1].function, STR("g")));
    assert_int_equal(top[1].flat, 1);
    assert_int_equal(top[1].cum, 8);
    assert_int_equal(top[2].flat, 0);
    free(top);
    profile_free(p);
}

static void a_diff_has_what_changed_by_types_of_the_same_name(void **state) {
    struct profile *before = two_types(), *after = NULL, *diff = NULL, *other = NULL;

    (void)state;
    assert_int_equal(profile_new(&after), 0);
    assert_int_equal(profile_add_type(after, STR("b"), STR("bytes")), 0);
    assert_int_equal(profile_add_type(after, STR("a"), STR("seconds")), 1); /* another unit */
    profile_set_default(after, 0);
    add_stack_text(before, "gone;main", 1, 100);
    add_stack_text(before, "same;main", 1, 50);
    add_stack_text(before, "grows;main", 1, 10);
    add_stack_text(after, "same;main", 50, 1);
    add_stack_text(after, "grows;main", 17, 1);
    add_stack_text(after, "new;main", 5, 1);
    assert_int_equal(profile_diff(before, after, &diff), 0);
    assert_int_equal(profile_types(diff), 1);
    assert_true(str_eq(profile_type(diff, 0).type, STR("b")));
    assert_int_equal(profile_samples(diff), 3);
    assert_int_equal(profile_total(diff, 0), -100 + 7 + 5);
    assert_int_equal(profile_new(&other), 0);
    assert_int_equal(profile_add_type(other, STR("z"), STR("count")), 0);
    profile_free(diff);
    assert_int_equal(profile_diff(before, other, &diff), -EINVAL);
    profile_free(other);
    profile_free(before);
    profile_free(after);
}

static void the_least_number_can_be_subtracted(void **state) {
    struct profile *before = two_types(), *after = two_types(), *diff = NULL;

    (void)state;
    add_stack_text(before, "x", INT64_MIN, INT64_MAX);
    add_stack_text(after, "x", 1, -5);
    assert_int_equal(profile_diff(before, after, &diff), 0);
    assert_true(profile_sample(diff, 0).value[0] == INT64_MAX);
    assert_true(profile_sample(diff, 0).value[1] == -INT64_MAX);
    profile_free(diff);
    profile_free(before);
    profile_free(after);
}

static void folded_stacks_begin_at_the_root_and_are_one_line(void **state) {
    struct profile *p = two_types();
    struct profile_frame frame[2] = {{.function = STR("a;b\nc")}, {.function = STR("main")}};
    const int64_t value[PROFILE_TYPES] = {-3, 0};
    struct buf out;

    (void)state;
    assert_int_equal(profile_add(p, frame, 2, value), 0);
    add_stack_text(p, "nothing", 0, 9);
    buf_init(&out, 4096);
    profile_add_folded(&out, p, 0);
    assert_true(str_eq(buf_str(&out), STR("main;a:b\\nc -3\n")));
    buf_done(&out);
    profile_free(p);
}

static void names_beyond_the_bound_are_refused(void **state) {
    struct profile *p = two_types();
    const int64_t value[PROFILE_TYPES] = {1, 1};
    size_t n = 8 << 20;
    char *name = malloc(n);
    int r = 0;

    (void)state;
    assert_non_null(name);
    memset(name, 'x', n);
    for (int i = 0; i < 16 && r == 0; i++) {
        struct profile_frame frame = {.function = {name, n}};

        name[i] = 'y';
        r = profile_add(p, &frame, 1, value);
    }
    assert_int_equal(r, -E2BIG);
    assert_int_equal(profile_samples(p), (PROFILE_TEXT - 1) / n);
    free(name);
    profile_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_stack_is_one_sample),
        cmocka_unit_test(sums_stop_at_the_ends),
        cmocka_unit_test(deep_stacks_are_cut_at_the_root_and_counted),
        cmocka_unit_test(recursion_is_counted_once),
        cmocka_unit_test(a_diff_has_what_changed_by_types_of_the_same_name),
        cmocka_unit_test(the_least_number_can_be_subtracted),
        cmocka_unit_test(folded_stacks_begin_at_the_root_and_are_one_line),
        cmocka_unit_test(names_beyond_the_bound_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
