#include "kern/proccmdline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void joined_is(struct str cmdline, const char *expect) {
    struct buf b;

    buf_init(&b, 1000);
    proccmdline_add_joined(&b, cmdline, STR("name"));
    assert_true(str_eq(buf_str(&b), str_of(expect)));
    buf_done(&b);
}

static void arguments_are_joined_by_blanks(void **state) {
    auto_close int v1 = proctest_open(PROCTEST_V1);
    char buf[PROCCMDLINE_MAX];
    struct str text, arg;

    (void)state;
    assert_int_equal(proccmdline_read(v1, 7596, buf, sizeof(buf), &text), 0);
    joined_is(text, "./named a) R 1 1\nVmRSS: 9 1 3");
    assert_true(proccmdline_arg(&text, &arg));
    assert_true(str_eq(arg, STR("./named")));
    joined_is(STR("sh\0-c\0\0x"), "sh -c  x");
    joined_is(STR(""), "[name]");
}

static void long_lines_are_cut(void **state) {
    auto_close int proc = proctest_open("/proc");
    char buf[PROCCMDLINE_MAX], small[4];
    struct str text;

    (void)state;
    assert_int_equal(proccmdline_read(proc, getpid(), buf, sizeof(buf), &text), 0);
    assert_true(text.n > 4);
    assert_int_equal(proccmdline_read(proc, getpid(), small, sizeof(small), &text), 0);
    assert_int_equal(text.n, 4);
    assert_int_equal(proccmdline_read(proc, INT32_MAX, buf, sizeof(buf), &text), -ENOENT);
}

static void a_zombie_has_none(void **state) {
    auto_close int proc = proctest_open("/proc");
    pid_t child = fork();
    char buf[64];
    struct str text = {buf, 9};
    siginfo_t info;

    (void)state;
    if (child == 0)
        _exit(0);
    assert_true(child > 0);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(proccmdline_read(proc, child, buf, sizeof(buf), &text), 0);
    assert_int_equal(text.n, 0);
    waitpid(child, NULL, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_joined_by_blanks),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(a_zombie_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
