#include "kern/proccgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "kern/proctest.h"

#define HYBRID                                                                                     \
    STR("9:name=systemd:/user:0::/\n4:cpu,cpuacct:/a\n3:memory:/b:c/d\n0::/e (deleted)\n")

static void path_is(struct str text, struct str controller, const char *path, bool deleted) {
    struct proccgroup g;

    assert_int_equal(proccgroup_parse(text, controller, &g), 0);
    assert_true(str_eq(g.path, str_of(path)));
    assert_int_equal(g.deleted, deleted);
}

static void each_controller_has_its_path(void **state) {
    struct proccgroup g = {.path = STR("/before")};

    (void)state;
    path_is(HYBRID, STR("memory"), "/b:c/d", false);
    path_is(HYBRID, STR("cpu"), "/a", false);
    path_is(HYBRID, STR("cpuacct"), "/a", false);
    path_is(HYBRID, STR("name=systemd"), "/user:0::/", false);
    path_is(HYBRID, STR(""), "/e", true);
    assert_int_equal(proccgroup_parse(HYBRID, STR("pids"), &g), -ENODATA);
    assert_int_equal(proccgroup_parse(HYBRID, STR("mem"), &g), -ENODATA);
    assert_true(str_eq(g.path, STR("/before")));
}

static void captured_files_say_where(void **state) {
    auto_close int v1 = proctest_open(PROCTEST_V1);
    auto_close int v2 = proctest_open(PROCTEST_V2);
    char buf[PROCCGROUP_SIZE];
    struct str text;

    (void)state;
    assert_int_equal(proccgroup_read(v1, 10569, buf, sizeof(buf), &text), 0);
    path_is(text, STR("memory"), "/plk/app", false);
    path_is(text, STR("pids"), "/", false);
    path_is(text, STR(""), "/", false);
    assert_int_equal(proccgroup_read(v2, 134, buf, sizeof(buf), &text), 0);
    path_is(text, STR(""), "/plk/app", false);
}

static void a_path_that_may_be_cut_is_not_believed(void **state) {
    char text[5000] = "4:memory:/";
    struct proccgroup g;

    (void)state;
    memset(text + 10, 'x', 4094); /* 4095 bytes with the '/' */
    strncat(text, "\n", 2);
    assert_int_equal(proccgroup_parse(str_of(text), STR("memory"), &g), -ENAMETOOLONG);
    memmove(text + 10, text + 11, strlen(text + 11) + 1);
    assert_int_equal(proccgroup_parse(str_of(text), STR("memory"), &g), 0);
    assert_int_equal(g.path.n, 4094);
}

static void bad_text_changes_nothing(void **state) {
    static const char *const bad[] = {"4:memory:/a",  "memory:/a\n",    "4:memory\n",
                                      "4:memory:a\n", "x:memory:/a\n",  "\n",
                                      "0::\n",        "4:memory:/a\n\n"};
    struct proccgroup g = {.path = STR("/before")};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(proccgroup_parse(str_of(bad[i]), STR("memory"), &g), -EBADMSG);
        assert_true(str_eq(g.path, STR("/before")));
    }
    assert_int_equal(proccgroup_parse(STR(""), STR("memory"), &g), -ENODATA);
}

static int try(struct str text) {
    struct proccgroup g;

    return proccgroup_parse(text, STR("memory"), &g);
}

static void prefixes_end_at_lines(void **state) {
    (void)state;
    /* The line is the sixth of ten: its end and those of lines seven to nine. */
    assert_int_equal(proctest_prefixes(PROCTEST_V1 "/10569/cgroup", try), 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_controller_has_its_path),
        cmocka_unit_test(captured_files_say_where),
        cmocka_unit_test(a_path_that_may_be_cut_is_not_believed),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(prefixes_end_at_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
