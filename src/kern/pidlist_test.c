#include "kern/pidlist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void all_of_proc_is_found(void **state) {
    auto_close int proc = proctest_open("/proc");
    struct pidlist list = {0};
    size_t n;

    (void)state;
    assert_int_equal(pidlist_add_proc(&list, proc), 0);
    n = list.n;
    pidlist_sort(&list);
    assert_int_equal(list.n, n); /* no doubles */
    assert_true(pidlist_has(&list, getpid()) && pidlist_has(&list, 1));
    assert_false(pidlist_has(&list, INT32_MAX));
    pidlist_clear(&list);
    assert_int_equal(pidlist_add_proc(&list, proc), 0); /* from the start again */
    assert_true(list.n + 20 > n);
    pidlist_done(&list);
}

static void only_numbers_are_processes(void **state) {
    static const char *const name[] = {"1",    "77",         "0",  "01",         "7x",
                                       "self", "4294967296", ".5", "2147483647", "2147483648"};
    char top[] = "/tmp/plimsoll-pidlist-XXXXXX";
    struct pidlist list = {0};

    (void)state;
    assert_non_null(mkdtemp(top));
    auto_close int dir = proctest_open(top);

    for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++)
        assert_int_equal(mkdirat(dir, name[i], 0700), 0);
    assert_int_equal(pidlist_add_proc(&list, dir), 0);
    pidlist_sort(&list);
    assert_int_equal(list.n, 3);
    assert_int_equal(list.pid[0], 1);
    assert_int_equal(list.pid[1], 77);
    assert_int_equal(list.pid[2], INT32_MAX);
    for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++)
        assert_int_equal(unlinkat(dir, name[i], AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(top), 0);
    pidlist_done(&list);
}

/* More than one buffer, numbers across its end, doubles, and 0 for a foreign namespace. */
static void files_of_any_size_are_read(void **state) {
    char path[] = "/tmp/plimsoll-pidlist-XXXXXX";
    auto_close int fd = mkstemp(path);
    FILE *file = fdopen(dup(fd), "w");
    struct pidlist list = {0};

    (void)state;
    assert_non_null(file);
    for (int i = 30000; i > 0; i--)
        fprintf(file, "%d\n0\n%d\n", i, 30001 - i);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(pidlist_add_fd(&list, fd), 0);
    assert_int_equal(list.n, 60000);
    pidlist_sort(&list);
    assert_int_equal(list.n, 30000);
    assert_int_equal(list.pid[0], 1);
    assert_int_equal(list.pid[29999], 30000);
    pidlist_clear(&list);
    assert_int_equal(pidlist_add_file_at(&list, AT_FDCWD, path), 0);
    assert_int_equal(list.n, 60000);
    assert_int_equal(ftruncate(fd, 0), 0);
    pidlist_clear(&list);
    assert_int_equal(pidlist_add_fd(&list, fd), 0);
    assert_int_equal(list.n, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pidlist_add_file_at(&list, AT_FDCWD, path), -ENOENT);
    pidlist_done(&list);
}

static void text_comes_in_pieces(void **state) {
    struct pidlist list = {0};
    size_t used = 99;

    (void)state;
    assert_int_equal(pidlist_add_text(&list, STR("12\n34"), false, &used), 0);
    assert_int_equal(used, 3);
    assert_int_equal(list.n, 1);
    assert_int_equal(pidlist_add_text(&list, STR("34\n"), true, &used), 0);
    assert_int_equal(used, 3);
    assert_int_equal(list.pid[1], 34);
    used = 99;
    assert_int_equal(pidlist_add_text(&list, STR("34"), true, &used), -EBADMSG);
    assert_int_equal(pidlist_add_text(&list, STR("\n"), true, &used), -EBADMSG);
    assert_int_equal(pidlist_add_text(&list, STR("-1\n"), true, &used), -EBADMSG);
    assert_int_equal(pidlist_add_text(&list, STR("4294967297\n"), true, &used), -EBADMSG);
    assert_int_equal(pidlist_add_text(&list, STR("12345678901"), false, &used), -EBADMSG);
    assert_int_equal(used, 99);
    assert_int_equal(list.n, 2);
    pidlist_done(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_proc_is_found),
        cmocka_unit_test(only_numbers_are_processes),
        cmocka_unit_test(files_of_any_size_are_read),
        cmocka_unit_test(text_comes_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
