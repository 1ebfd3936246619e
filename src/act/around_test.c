#include "act/around.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kern/cgtest.h"

#define NONE CGROUP_NO_LIMIT

static void limit_is(const struct cgtest *t, const char *path, uint64_t wanted) {
    uint64_t got = around_limit(&t->host, &t->fs, str_of(path));

    if (got != wanted)
        fail_msg("%s: %llu", path, (unsigned long long)got);
}

static void on_v2_the_tightest_above_counts(void **state) {
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v2(&t);
    cgtest_write(&t, "/sys/fs/cgroup/a/memory.max", "4096000\n");
    cgtest_write(&t, "/sys/fs/cgroup/a/b/memory.max", "8192000\n");
    cgtest_write(&t, "/sys/fs/cgroup/a/b/c/memory.max", "max\n");
    cgtest_write(&t, "/sys/fs/cgroup/a/b/d/memory.max", "409600\n");
    cgtest_write(&t, "/sys/fs/cgroup/e/memory.max", "max\n");
    cgtest_write(&t, "/sys/fs/cgroup/f/memory.max", "9000000000000\n"); /* MemTotal is 8 GiB */
    cgtest_open(&t, true);
    limit_is(&t, "/a/b/c", 4096000);
    limit_is(&t, "/a/b/d", 409600);
    limit_is(&t, "/a/b/missing", 4096000);
    limit_is(&t, "/e", NONE);
    limit_is(&t, "/f", NONE);
    limit_is(&t, "/", NONE);
    cgtest_write(&t, "/sys/fs/cgroup/memory.max", "2048000\n"); /* of a container */
    limit_is(&t, "/e", 2048000);
    cgtest_done(&t);
}

static void on_v1_the_kernel_tells_it(void **state) {
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_write(&t, "/sys/fs/cgroup/memory/a/memory.stat",
                 "cache 0\nhierarchical_memory_limit 4096000\ntotal_rss 0\n");
    cgtest_write(&t, "/sys/fs/cgroup/memory/b/memory.stat",
                 "cache 0\nhierarchical_memory_limit 9223372036854771712\ntotal_rss 0\n");
    cgtest_open(&t, true);
    limit_is(&t, "/a", 4096000);
    limit_is(&t, "/a/missing/as/yet", 4096000);
    limit_is(&t, "/b", NONE);
    limit_is(&t, "/missing", NONE);
    cgtest_done(&t);
}

static void the_way_up_ends_at_the_top(void **state) {
    struct str path = STR("/a/b");

    (void)state;
    path = around_above(path);
    assert_true(str_eq(path, STR("/a")));
    path = around_above(path);
    assert_true(str_eq(path, STR("/")));
    path = around_above(path);
    assert_int_equal(path.n, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_v2_the_tightest_above_counts),
        cmocka_unit_test(on_v1_the_kernel_tells_it),
        cmocka_unit_test(the_way_up_ends_at_the_top),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
