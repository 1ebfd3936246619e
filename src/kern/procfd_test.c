#include "kern/procfd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "kern/proctest.h"

static uint64_t count_by_hand(const char *path) {
    DIR *dir = opendir(path);
    uint64_t n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2 - 1; /* "." and "..", and the descriptor of the listing itself */
}

static void each_descriptor_counts(void **state) {
    auto_close int proc = proctest_open("/proc");
    uint64_t before, after;
    int fds[2];

    (void)state;
    assert_int_equal(procfd_count(proc, getpid(), &before), 0);
    assert_int_equal(before, count_by_hand("/proc/self/fd"));
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(procfd_count(proc, getpid(), &after), 0);
    assert_int_equal(after, before + 2);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(procfd_count(proc, INT32_MAX, &after), -ENOENT);
    assert_int_equal(after, before + 2);
}

/* The size of a real directory is not a number of entries. */
static void captured_trees_are_counted(void **state) {
    char top[] = "/tmp/plimsoll-procfd-XXXXXX", path[64];
    uint64_t n;

    (void)state;
    assert_non_null(mkdtemp(top));
    auto_close int dir = proctest_open(top);

    assert_int_equal(mkdirat(dir, "7", 0700), 0);
    assert_int_equal(mkdirat(dir, "7/fd", 0500), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "7/fd/%d", i);
        assert_int_equal(symlinkat("/dev/null", dir, path), 0);
    }
    assert_int_equal(procfd_count(dir, 7, &n), 0);
    assert_int_equal(n, 3);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "7/fd/%d", i);
        assert_int_equal(unlinkat(dir, path, 0), 0);
    }
    assert_int_equal(unlinkat(dir, "7/fd", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(dir, "7", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(top), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_descriptor_counts),
        cmocka_unit_test(captured_trees_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
