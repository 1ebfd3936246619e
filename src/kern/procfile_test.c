#include "kern/procfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void paths_are_decimal(void **state) {
    char path[PROCFILE_PATH];

    (void)state;
    assert_string_equal(procfile_path(path, 1, "stat"), "1/stat");
    assert_string_equal(procfile_path(path, INT32_MAX, "ns/cgroup"), "2147483647/ns/cgroup");
    assert_string_equal(procfile_path(path, 100, ""), "100");
    assert_string_equal(procfile_path(path, -7, "stat"), "0/stat"); /* no such process */
}

static void numbers_are_whole_files(void **state) {
    auto_close int v1 = proctest_open(PROCTEST_V1);
    uint64_t score = 7;
    int64_t adj = 7;

    (void)state;
    assert_int_equal(procfile_read_u64(v1, 10569, "oom_score", &score), 0);
    assert_int_equal(score, 669);
    assert_int_equal(procfile_read_i64(v1, 10569, "oom_score_adj", &adj), 0);
    assert_int_equal(adj, 0);
    score = 7;
    assert_int_equal(procfile_read_u64(v1, 10569, "statm", &score), -EBADMSG);
    assert_int_equal(procfile_read_u64(v1, 10569, "smaps", &score), -EBADMSG);
    assert_int_equal(procfile_read_u64(v1, 10569, "nothing", &score), -ENOENT);
    assert_int_equal(procfile_read_u64(v1, 4711, "oom_score", &score), -ENOENT);
    assert_int_equal(score, 7);
    assert_true(procfile_gone(-ENOENT) && procfile_gone(-ESRCH));
    assert_false(procfile_gone(-EACCES) || procfile_gone(0));
}

static void a_file_that_does_not_fit_is_an_error(void **state) {
    auto_close int v1 = proctest_open(PROCTEST_V1);
    char buf[64];
    struct str text = {buf, 3};

    (void)state;
    assert_int_equal(procfile_read(v1, 10569, "status", buf, sizeof(buf), &text), -EFBIG);
    assert_int_equal(text.n, 3);
    assert_int_equal(procfile_read(v1, 10569, "statm", buf, sizeof(buf), &text), 0);
    assert_int_equal(text.n, 29);
}

struct counter {
    int n, end;
};

static int count(void *ctx, const char *name) {
    struct counter *c = ctx;

    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    return ++c->n == c->end ? 42 : 0;
}

static void names_end_when_told(void **state) {
    auto_close int dir = proctest_open(PROCTEST_V1 "/7596");
    struct counter c = {0, 3};

    (void)state;
    assert_int_equal(procfile_names(dir, count, &c), 42);
    assert_int_equal(c.n, 3);
    c = (struct counter){0, -1};
    assert_int_equal(procfile_names(dir, count, &c), 0); /* from the start again */
    assert_int_equal(c.n, 4);
    assert_int_equal(procfile_names(-1, count, &c), -EBADF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_decimal),
        cmocka_unit_test(numbers_are_whole_files),
        cmocka_unit_test(a_file_that_does_not_fit_is_an_error),
        cmocka_unit_test(names_end_when_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
