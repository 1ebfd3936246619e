#include "kern/passwd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void name_is(const struct passwd *p, uint32_t uid, const char *expect) {
    struct str name = STR("before");

    assert_int_equal(passwd_name(p, uid, &name), expect != NULL);
    assert_true(str_eq(name, str_of(expect ? expect : "before")));
}

static void the_first_of_equal_ids_counts(void **state) {
    struct passwd *p;

    (void)state;
    assert_int_equal(passwd_parse(STR("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n"
                                      "# comment\n\n:x:5:5\nnobody:x:65534:65534:n:/:/bin/false\n"
                                      "neg:x:-1:0::\nbig:x:4294967296:0::\n+::::::\n"
                                      "max:x:4294967295:1::\ncut:x:12\nlast::13:13"),
                                  &p),
                     0);
    name_is(p, 0, "root");
    name_is(p, 5, NULL);
    name_is(p, 12, NULL); /* a third field that nothing follows */
    name_is(p, 13, "last");
    name_is(p, 65534, "nobody");
    name_is(p, UINT32_MAX, "max");
    name_is(p, 1, NULL);
    passwd_free(p);
}

static void no_file_is_an_empty_table(void **state) {
    auto_close int v1 = proctest_open(PROCTEST_V1);
    struct passwd *p;

    (void)state;
    assert_int_equal(passwd_open(v1, &p), 0);
    name_is(p, 0, NULL);
    passwd_free(p);
    passwd_free(NULL);
    assert_int_equal(passwd_parse(STR(""), &p), 0);
    name_is(p, 0, NULL);
    passwd_free(p);
}

static void names_are_the_systems(void **state) {
    auto_close int root = proctest_open("/");
    struct passwd *p;

    (void)state;
    assert_int_equal(passwd_open(root, &p), 0);
    for (uint32_t uid = 0; uid < 100; uid++) {
        struct str name;

        if (passwd_name(p, uid, &name))
            assert_true(name.n > 0);
    }
    name_is(p, 0, "root");
    passwd_free(p);
}

static int try(struct str text) {
    struct passwd *p;
    int r = passwd_parse(text, &p);

    if (r == 0)
        passwd_free(p);
    return r;
}

static void any_prefix_gives_a_table(void **state) {
    (void)state;
    assert_true(proctest_prefixes("/etc/passwd", try) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_equal_ids_counts),
        cmocka_unit_test(no_file_is_an_empty_table),
        cmocka_unit_test(names_are_the_systems),
        cmocka_unit_test(any_prefix_gives_a_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
