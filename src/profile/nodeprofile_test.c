#include "profile/nodeprofile.h"

#include <errno.h>

#include "profile/profiletest.h"

static int read_text(struct str json, struct profile **out) {
    struct err err;

    return nodeprofile_read(json, "it", out, &err);
}

static void a_file_of_node_has_its_functions(void **state) {
    struct loaded l = load("tests/fixtures/profile/node.heapprofile");
    struct profile *p = NULL;
    struct profile_top *top;
    bool maker = false;
    size_t n;

    (void)state;
    assert_int_equal(read_text((struct str){l.p, l.n}, &p), 0);
    assert_int_equal(profile_top(p, 0, &top, &n), 0);
    for (size_t i = 0; i < n; i++)
        maker = maker || (str_eq(top[i].function, STR("outer")) && top[i].cum > 1000000);
    assert_true(maker);
    free(top);
    profile_free(p);
    free(l.p);
}

#define NODE(name, size, children)                                                                 \
    "{\"callFrame\":{\"functionName\":\"" name "\",\"url\":\"a.js\",\"lineNumber\":4},"            \
    "\"selfSize\":" size ",\"children\":[" children "]}"

static void stacks_are_the_way_from_the_root(void **state) {
    struct profile *p = NULL;
    struct profile_sample s;

    (void)state;
    assert_int_equal(
        read_text(
            STR("{\"profile\":{\"head\":" NODE(
                "(root)", "0", NODE("a", "5", NODE("", "7.5", "") "," NODE("b", "0", ""))) "}}"),
            &p),
        0);
    assert_int_equal(profile_samples(p), 2);
    assert_int_equal(profile_total(p, 0), 12);
    s = profile_sample(p, 1);
    assert_int_equal(s.frames, 2);
    assert_true(str_eq(profile_frame(p, s.frame[0]).function, STR("(anonymous a.js:5)")));
    assert_true(str_eq(profile_frame(p, s.frame[1]).function, STR("a")));
    assert_int_equal(profile_frame(p, s.frame[0]).line, 5);
    profile_free(p);
}

static void what_is_none_is_refused(void **state) {
    struct profile *p = NULL;
    struct buf deep;

    (void)state;
    assert_int_equal(read_text(STR(""), &p), -EBADMSG);
    assert_int_equal(read_text(STR("[]"), &p), -EBADMSG);
    assert_int_equal(read_text(STR("{\"head\":3}"), &p), -EBADMSG);
    assert_int_equal(read_text(STR("{\"head\":" NODE("a", "-1", "") "}"), &p), -EBADMSG);
    assert_int_equal(read_text(STR("{\"head\":" NODE("a", "1e999", "") "}"), &p), -EBADMSG);
    assert_int_equal(read_text(STR("{\"head\":" NODE("a", "\"1\"", "") "}"), &p), -EBADMSG);
    assert_int_equal(read_text(STR("{\"head\":" NODE("a", "1", "7") "}"), &p), -EBADMSG);
    buf_init(&deep, 1 << 20);
    buf_add(&deep, STR("{\"head\":"));
    for (int i = 0; i < 5000; i++)
        buf_add(&deep, STR("{\"selfSize\":1,\"callFrame\":{},\"children\":["));
    assert_int_equal(read_text(buf_str(&deep), &p), -EBADMSG);
    buf_done(&deep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_node_has_its_functions),
        cmocka_unit_test(stacks_are_the_way_from_the_root),
        cmocka_unit_test(what_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
