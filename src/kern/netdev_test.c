#include "kern/netdev.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "kern/proctest.h"

#define HEAD                                                                                       \
    "Inter-|   Receive                            |  Transmit\n"                                   \
    " face |bytes    packets errs drop            |bytes    packets\n"

static void loopback_is_left_out_of_the_sum(void **state) {
    struct str text = proctest_load("tests/fixtures/v1/proc/net/dev");
    struct netdev n;

    (void)state;
    assert_int_equal(netdev_parse(text, &n), 0);
    assert_int_equal(n.interfaces, 3); /* ifb0, ifb1, eth0 */
    assert_int_equal(n.rx, 169936700);
    assert_int_equal(n.tx, 127350);
    proctest_free(text);
}

static void names_are_whole_and_numbers_may_touch_them(void **state) {
    struct netdev n;

    (void)state;
    assert_int_equal(netdev_parse(STR(HEAD "lo0:5 0 0 0 0 0 0 0 7 0 0 0 0 0 0 0\n"
                                           "  lo: 100 0 0 0 0 0 0 0 100\n"
                                           "xlo:1 0 0 0 0 0 0 0 2\n"),
                                  &n),
                     0);
    assert_int_equal(n.interfaces, 2);
    assert_int_equal(n.rx, 6);
    assert_int_equal(n.tx, 9);
    assert_int_equal(netdev_parse(STR(HEAD), &n), 0);
    assert_int_equal(n.interfaces, 0);
    assert_int_equal(n.rx, 0);
}

static void bad_text_changes_nothing(void **state) {
    static const char *const bad[] = {
        "",
        "one line |\n",
        "no\nbars\n",
        HEAD "eth0: 1 2 3 4 5 6 7 8 9",
        HEAD "eth0: 1 2 3 4 5 6 7 8\n",
        HEAD "eth0 1 2 3 4 5 6 7 8 9\n",
        HEAD "eth0: 1 2 3 4 5 6 7 8 x\n",
        HEAD "eth0: -1 2 3 4 5 6 7 8 9\n",
        HEAD "eth0: 99999999999999999999 2 3 4 5 6 7 8 9\n",
        HEAD "\n",
    };
    struct netdev n = {7, 8, 9};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        if (netdev_parse(str_of(bad[i]), &n) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(n.rx == 7 && n.tx == 8 && n.interfaces == 9);
    }
}

static int try(struct str text) {
    struct netdev n = {7, 8, 9};
    int r = netdev_parse(text, &n);

    assert_true(r == 0 || (n.rx == 7 && n.tx == 8 && n.interfaces == 9));
    return r;
}

static void prefixes_are_whole_lines_or_errors(void **state) {
    (void)state; /* behind the heads, and behind each interface but the last */
    assert_int_equal(proctest_prefixes("tests/fixtures/v1/proc/net/dev", try), 4);
}

static void reads_this_process(void **state) {
    auto_close int proc = proctest_open("/proc");
    struct netdev n;

    (void)state;
    assert_int_equal(netdev_read(proc, getpid(), &n), 0);
    assert_int_equal(netdev_read(proc, INT32_MAX, &n), -ENOENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_left_out_of_the_sum),
        cmocka_unit_test(names_are_whole_and_numbers_may_touch_them),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(prefixes_are_whole_lines_or_errors),
        cmocka_unit_test(reads_this_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
