#include <errno.h>

#include "profile/profiletest.h"

static void goroutines_are_grouped_by_stack(void **state) {
    struct loaded l = load("tests/fixtures/profile/go-goroutines.txt");
    struct profile *p = NULL;
    struct profile_sample s;
    struct profile_frame f;
    struct err err;

    (void)state;
    assert_int_equal(goroutines_read((struct str){l.p, l.n}, &p, &err), 0);
    assert_int_equal(profile_total(p, 0), 54);
    assert_int_equal(profile_samples(p), 5);
    s = profile_sample(p, 0);
    assert_int_equal(s.value[0], 50);
    assert_int_equal(s.frames, 1);
    f = profile_frame(p, s.frame[0]);
    assert_true(str_eq(f.function, STR("main.wait")));
    assert_true(str_ends(f.file, STR("main.go")));
    assert_int_equal(f.line, 34);
    s = profile_sample(p, 1);
    f = profile_frame(p, s.frame[3]);
    assert_true(str_eq(f.function, STR("runtime/pprof.(*Profile).WriteTo")));
    profile_free(p);
    free(l.p);
}

static void odd_frames_keep_what_they_have(void **state) {
    static const char text[] = "goroutine profile: total 7\n"
                               "3 @ 0x1 0x2\n\n"
                               "# labels: {\"k\":\"v\"}\n"
                               "4 @ 0x5\n"
                               "#\t0x5\tmain.a+b+0xzz\t\t/a b/c:d.go:12\n"
                               "#\t0x6\n";
    struct profile *p = NULL;
    struct profile_frame f;
    struct err err;

    (void)state;
    assert_int_equal(goroutines_read(STR("goroutine profile: total 0\n"), &p, &err), 0);
    assert_int_equal(profile_samples(p), 0);
    profile_free(p);
    assert_int_equal(goroutines_read(str_of(text), &p, &err), 0);
    assert_int_equal(profile_samples(p), 2);
    assert_true(str_eq(profile_frame(p, profile_sample(p, 0).frame[1]).function, STR("0x2")));
    f = profile_frame(p, profile_sample(p, 1).frame[0]);
    assert_true(str_eq(f.function, STR("main.a+b+0xzz")));
    assert_true(str_eq(f.file, STR("/a b/c:d.go")));
    assert_int_equal(f.line, 12);
    assert_true(str_eq(profile_frame(p, profile_sample(p, 1).frame[1]).function, STR("0x6")));
    profile_free(p);
}

static void what_is_none_is_refused(void **state) {
    static const char *const bad[] = {
        "",
        "goroutine profile: total 1",
        "goroutine profile: total 1\n#\t0x1\tmain.a+0x1\tx.go:1\n",
        "goroutine profile: total 1\nhello\n",
        "goroutine profile: total 1\n99999999999999999999 @ 0x1\n",
        "goroutine profile: total 1\n-1 @ 0x1\n",
        "<html>",
    };
    struct profile *p = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(goroutines_read(str_of(bad[i]), &p, &err), -EBADMSG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goroutines_are_grouped_by_stack),
        cmocka_unit_test(odd_frames_keep_what_they_have),
        cmocka_unit_test(what_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
