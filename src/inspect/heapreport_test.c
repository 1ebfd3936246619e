#include "inspect/heapreport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "inspect/heapprint.h"
#include "profile/tallyprofile.h"

struct thing {
    const char *name;
    uint64_t count, bytes;
    bool have_bytes;
};

static struct profile *tally_of(const struct thing *thing, size_t n) {
    struct profile *p = NULL;
    struct tally *t = NULL;
    size_t left;

    assert_int_equal(tally_new(&t), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(tally_add(t, str_of(thing[i].name), thing[i].count, thing[i].bytes,
                                   thing[i].have_bytes),
                         0);
    assert_int_equal(tallyprofile_make(t, &p, &left), 0);
    tally_free(t);
    return p;
}

static const struct thing before[] = {
    {"gone", 10, 1000, true}, {"same", 7, 70, true}, {"grows", 1, 8, true}};
static const struct thing after[] = {
    {"same", 7, 70, true}, {"grows", 4, 32, true}, {"new\x1b[2J", 2, 64, true}};

/* Two looks at a process that has figures as well. */
static void fill(struct heapreport *r, enum heap_sort sort) {
    heapreport_init(r);
    r->pid = 4711;
    r->is_diff = true;
    buf_add(&r->command, STR("java \xff\x07 -jar"));
    r->before.tally = tally_of(before, ARRAY_N(before));
    r->after.tally = tally_of(after, ARRAY_N(after));
    r->before.at_ms = 1000;
    r->after.at_ms = 3000;
    heapview_figure(&r->before.view, "heap_used", "objects", HEAP_BYTES, 5000);
    heapview_figure(&r->after.view, "heap_used", "objects", HEAP_BYTES, 4000);
    heapview_figure(&r->after.view, "gc_count", "collections", HEAP_COUNT, INT64_MAX);
    heapview_note(&r->after.view, "a sentence with \x1b[31mcolour");
    r->after.view.types_are = "classes";
    assert_int_equal(heapreport_finish(r, sort), 0);
}

static void rows_are_joined_and_what_changed_most_comes_first(void **state) {
    struct heapreport r;

    (void)state;
    fill(&r, HEAP_SORT_BYTES);
    assert_int_equal(r.rows, 4);
    assert_int_equal(r.passed_ms, 2000);
    assert_true(str_eq(r.row[0].name, STR("gone")));
    assert_int_equal(r.row[0].bytes, 0);
    assert_int_equal(r.row[0].bytes_before, 1000);
    assert_true(str_eq(r.row[1].name, STR("new\x1b[2J")));
    assert_true(str_eq(r.row[2].name, STR("grows")));
    assert_int_equal(heapreport_growth(r.row[2].count_before, r.row[2].count), 3);
    assert_true(str_eq(r.row[3].name, STR("same")));
    assert_int_equal(profile_samples(heapreport_profile(&r)), 3);
    heapreport_done(&r);
    fill(&r, HEAP_SORT_NAME);
    assert_true(str_eq(r.row[0].name, STR("gone")));
    assert_true(str_eq(r.row[1].name, STR("grows")));
    heapreport_done(&r);
}

static void looks_with_nothing_in_common_are_told(void **state) {
    struct heapreport r;

    (void)state;
    heapreport_init(&r);
    r.is_diff = true;
    r.before.tally = tally_of(before, ARRAY_N(before));
    assert_int_equal(profile_new(&r.after.heap), 0);
    assert_int_equal(heapreport_finish(&r, HEAP_SORT_BYTES), -EINVAL);
    heapreport_done(&r);
}

static void unknown_bytes_are_unknown(void **state) {
    static const struct thing counts[] = {{"Thing", 5, 0, false}};
    static const struct cmd_context context = {.json = true};
    const struct heapprint how = {.context = &context};
    struct heapreport r;
    struct buf out;

    (void)state;
    heapreport_init(&r);
    r.after.tally = tally_of(counts, 1);
    assert_int_equal(heapreport_finish(&r, HEAP_SORT_BYTES), 0);
    buf_init(&out, 1 << 20);
    assert_int_equal(heapprint_json(&how, &r, &out), 0);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.p, "{\"name\":\"Thing\",\"count\":5,\"bytes\":null}"));
    buf_done(&out);
    heapreport_done(&r);
}

static void what_is_printed_has_no_control_bytes_and_json_is_valid(void **state) {
    static const struct cmd_context context = {.json = false};
    const struct heapprint how = {.context = &context, .top = 20};
    struct heapreport r;
    struct buf out;
    json_t *root;
    json_error_t where;

    (void)state;
    fill(&r, HEAP_SORT_BYTES);
    buf_init(&out, 1 << 20);
    assert_int_equal(heapprint_text(&how, &r, &out), 0);
    assert_int_equal(heapprint_plain(&how, &r, &out), 0);
    for (size_t i = 0; i < out.n; i++)
        assert_true((unsigned char)out.p[i] >= ' ' || out.p[i] == '\n' || out.p[i] == '\t');
    buf_clear(&out);
    assert_int_equal(heapprint_json(&how, &r, &out), 0);
    root = json_loadb(out.p, out.n, 0, &where);
    assert_non_null(root);
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(json_object_get(root, "figures"), "heap_used"), "growth")),
                     -1000);
    assert_true(json_is_null(
        json_object_get(json_object_get(json_object_get(root, "figures"), "gc_count"), "before")));
    json_decref(root);
    buf_done(&out);
    heapreport_done(&r);
}

static void where_nothing_grew_one_line_says_so(void **state) {
    static const struct cmd_context context = {.json = false};
    const struct heapprint how = {.context = &context, .top = 20};
    struct heapreport r;
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 20);
    heapreport_init(&r);
    r.pid = 4711;
    r.is_diff = true;
    r.before.tally = tally_of(before, ARRAY_N(before));
    r.after.tally = tally_of(before, ARRAY_N(before));
    assert_int_equal(heapreport_finish(&r, HEAP_SORT_BYTES), 0);
    assert_false(heapreport_changed(&r));
    assert_int_equal(heapprint_text(&how, &r, &out), 0);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.p, "nothing grew"));
    assert_null(strstr(out.p, "none"));
    heapreport_done(&r);
    buf_clear(&out);
    fill(&r, HEAP_SORT_BYTES);
    assert_true(heapreport_changed(&r));
    assert_int_equal(heapprint_text(&how, &r, &out), 0);
    buf_add_char(&out, '\0');
    assert_null(strstr(out.p, "nothing grew"));
    heapreport_done(&r);
    buf_done(&out);
}

static void stacks_that_changed_most_come_first(void **state) {
    static const int64_t values[] = {2, -7, 0, 5, INT64_MIN, 2};
    static const size_t order[] = {4, 1, 3, 0, 5, 2};
    struct heapstack *stack = NULL;
    struct profile *p = NULL;

    (void)state;
    assert_int_equal(profile_new(&p), 0);
    assert_true(profile_add_type(p, STR("goroutine"), STR("count")) >= 0);
    for (size_t i = 0; i < ARRAY_N(values); i++) {
        char name[2] = {(char)('a' + i), '\0'};
        struct profile_frame frame = {.function = str_of(name)};
        int64_t value[PROFILE_TYPES] = {values[i]};

        assert_int_equal(profile_add(p, &frame, 1, value), 0);
    }
    assert_int_equal(heapreport_stacks(p, 0, &stack), 0);
    for (size_t i = 0; i < ARRAY_N(order); i++)
        assert_int_equal(stack[i].sample, order[i]);
    free(stack);
    profile_free(p);
}

static void types_of_two_runtimes_are_not_compared(void **state) {
    static const struct {
        const char *before, *after;
        int code;
    } pairs[] = {{"java", "python", -EINVAL}, {"java", "java", 0}, {"", "java", 0}, {"", "", 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(pairs); i++) {
        struct heapreport r;

        heapreport_init(&r);
        r.is_diff = true;
        r.before.tally = tally_of(before, ARRAY_N(before));
        r.after.tally = tally_of(after, ARRAY_N(after));
        profile_set_comment(r.before.tally, str_of(pairs[i].before));
        profile_set_comment(r.after.tally, str_of(pairs[i].after));
        assert_int_equal(heapreport_finish(&r, HEAP_SORT_BYTES), pairs[i].code);
        heapreport_done(&r);
    }
}

static void a_long_name_is_cut_for_people_and_whole_in_json(void **state) {
    struct cmd_context context = {.terminal = true, .utf8 = true};
    struct heapprint how = {.context = &context};
    char name[501];
    const struct thing one[] = {{name, 1, 8, true}};
    struct heapreport r;
    struct buf out;

    (void)state;
    memset(name, 'x', 500);
    name[500] = '\0';
    buf_init(&out, 1 << 20);
    heapreport_init(&r);
    r.after.tally = tally_of(one, 1);
    r.after.file = "a";
    assert_int_equal(heapreport_finish(&r, HEAP_SORT_BYTES), 0);
    assert_int_equal(heapprint_text(&how, &r, &out), 0);
    assert_true(out.n > 160 && out.n < 400);
    buf_clear(&out);
    assert_int_equal(heapprint_json(&how, &r, &out), 0);
    assert_non_null(memmem(out.p, out.n, name, 500));
    heapreport_done(&r);
    buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_joined_and_what_changed_most_comes_first),
        cmocka_unit_test(looks_with_nothing_in_common_are_told),
        cmocka_unit_test(unknown_bytes_are_unknown),
        cmocka_unit_test(where_nothing_grew_one_line_says_so),
        cmocka_unit_test(stacks_that_changed_most_come_first),
        cmocka_unit_test(what_is_printed_has_no_control_bytes_and_json_is_valid),
        cmocka_unit_test(types_of_two_runtimes_are_not_compared),
        cmocka_unit_test(a_long_name_is_cut_for_people_and_whole_in_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
