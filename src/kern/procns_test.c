#include "kern/procns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void equal_numbers_mean_the_same_namespace(void **state) {
    auto_close int proc = proctest_open("/proc");

    (void)state;
    for (unsigned kind = 0; kind < PROCNS_N; kind++) {
        uint64_t mine = 0, parents = 1;

        assert_int_equal(procns_read(proc, getpid(), (enum procns_kind)kind, &mine), 0);
        assert_true(mine > 0);
        if (procns_read(proc, getppid(), (enum procns_kind)kind, &parents) == 0)
            assert_int_equal(mine, parents);
    }
}

static void gone_and_malformed_are_errors(void **state) {
    char top[] = "/tmp/plimsoll-procns-XXXXXX";
    uint64_t inode = 9;

    (void)state;
    assert_non_null(mkdtemp(top));
    auto_close int dir = proctest_open(top);

    assert_int_equal(mkdirat(dir, "7", 0700), 0);
    assert_int_equal(mkdirat(dir, "7/ns", 0700), 0);
    assert_int_equal(symlinkat("net:[40265x]", dir, "7/ns/net"), 0);
    assert_int_equal(symlinkat("pid:[4026531836]", dir, "7/ns/pid"), 0);
    assert_int_equal(procns_read(dir, 7, PROCNS_NET, &inode), -EBADMSG);
    assert_int_equal(procns_read(dir, 7, PROCNS_MNT, &inode), -ENOENT);
    assert_int_equal(inode, 9);
    assert_int_equal(procns_read(dir, 7, PROCNS_PID, &inode), 0);
    assert_int_equal(inode, 4026531836);
    assert_int_equal(unlinkat(dir, "7/ns/net", 0), 0);
    assert_int_equal(unlinkat(dir, "7/ns/pid", 0), 0);
    assert_int_equal(unlinkat(dir, "7/ns", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(dir, "7", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(top), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_numbers_mean_the_same_namespace),
        cmocka_unit_test(gone_and_malformed_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
