#include "model/guardmatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static bool glob(const char *pattern, const char *text) {
    return guardmatch_glob(pattern, str_of(text), false);
}

static bool path(const char *pattern, const char *text) {
    return guardmatch_glob(pattern, str_of(text), true);
}

static void stars_and_sets_take_bytes(void **state) {
    (void)state;
    assert_true(glob("web", "web") && glob("web*", "web") && glob("*", ""));
    assert_true(glob("w?b", "wxb") && glob("*redis*", "registry/x/redis:7"));
    assert_true(glob("[a-c]x", "bx") && glob("[!a-c]x", "dx") && glob("[]x]", "]"));
    assert_true(glob("a*b*c", "aXbXbXc") && glob("*\xff", "we\xff"));
    assert_true(!glob("web", "web2") && !glob("", "x") && !glob("?", "") && !glob("a*b", "acd"));
    assert_true(!glob("[a-c]x", "dx") && !glob("[!a-c]x", "ax") && !glob("[a", "[a"));
}

static void in_a_path_only_two_stars_cross_a_slash(void **state) {
    (void)state;
    assert_true(path("/docker/*", "/docker/abc") && !path("/docker/*", "/docker/abc/sub"));
    assert_true(path("/docker/**", "/docker/abc/sub") && !path("/docker/**", "/dockerx"));
    assert_true(path("**/x", "/a/b/x") && path("/**/pod*/*", "/a/b/c/pod1/abc"));
    assert_true(!path("/a?b", "/a/b") && !path("/a[/]b", "/a/b") && !path("/a[!x]b", "/a/b"));
    assert_true(path("/a/*b*/c", "/a/xbx/c") && !path("/a/*b*/c", "/a/xbx/d/c"));
    assert_true(path("/**a*/z", "/a/b/ca/z"));
}

/* fnmatch is somebody else's opinion of the same patterns, without '**'. */
static void libc_agrees(void **state) {
    static const char letters[] = "ab/*?[!]-";

    (void)state;
    srand(1);
    for (unsigned i = 0; i < 300000; i++) {
        char pattern[9] = "", text[9] = "";
        unsigned n = (unsigned)rand() % 9, m = (unsigned)rand() % 9;

        for (unsigned k = 0; k < n; k++)
            pattern[k] = letters[(unsigned)rand() % 9];
        for (unsigned k = 0; k < m; k++)
            text[k] = letters[(unsigned)rand() % 3];
        /* Sets are where shells differ among each other: only simple ones are compared. */
        if (strstr(pattern, "**") || strpbrk(pattern, "[]!-"))
            continue;
        assert_int_equal(glob(pattern, text), fnmatch(pattern, text, FNM_NOESCAPE) == 0);
        assert_int_equal(path(pattern, text),
                         fnmatch(pattern, text, FNM_NOESCAPE | FNM_PATHNAME) == 0);
    }
}

static void a_hostile_name_costs_no_time(void **state) {
    char text[4096];

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_false(glob("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
    assert_false(path("**a*a*a**a*a*a**a*a*a**b", text));
}

static void a_pattern_that_is_not_closed_is_told(void **state) {
    (void)state;
    assert_true(guardmatch_glob_is_good("a[bc]*") && guardmatch_glob_is_good("[]]"));
    assert_true(guardmatch_glob_is_good("") && guardmatch_glob_is_good("a]b"));
    assert_false(guardmatch_glob_is_good("a[bc") || guardmatch_glob_is_good("[") ||
                 guardmatch_glob_is_good("[]"));
}

static void all_patterns_must_match(void **state) {
    static struct guardmatch m;
    struct guardmatch_target t = {
        .field = {[GUARDMATCH_NAME] = STR("web-1"), [GUARDMATCH_CGROUP] = STR("/docker/abc")},
        .labels = STR("app=web\ntier=front\n")};

    (void)state;
    assert_false(guardmatch_matches(&m, &t)); /* nothing asked for is not everything */
    strcpy(m.glob[GUARDMATCH_NAME], "web-*");
    assert_true(guardmatch_matches(&m, &t));
    strcpy(m.glob[GUARDMATCH_IMAGE], "*"); /* it has none */
    assert_false(guardmatch_matches(&m, &t));
    m.glob[GUARDMATCH_IMAGE][0] = '\0';
    m.labels = 2;
    strcpy(m.label[0].key, "app");
    strcpy(m.label[0].glob, "w*");
    strcpy(m.label[1].key, "tier");
    strcpy(m.label[1].glob, "front");
    assert_true(guardmatch_matches(&m, &t));
    strcpy(m.label[1].glob, "back");
    assert_false(guardmatch_matches(&m, &t));
    strcpy(m.label[1].key, "none");
    assert_false(guardmatch_matches(&m, &t));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stars_and_sets_take_bytes),
        cmocka_unit_test(in_a_path_only_two_stars_cross_a_slash),
        cmocka_unit_test(libc_agrees),
        cmocka_unit_test(a_hostile_name_costs_no_time),
        cmocka_unit_test(a_pattern_that_is_not_closed_is_told),
        cmocka_unit_test(all_patterns_must_match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
