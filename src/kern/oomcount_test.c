#include "kern/oomcount.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kern/cgtest.h"

static int open_at(const struct cgtest *t, const char *below) {
    char path[4096];
    int dir;

    cgtest_full(t, below, path, sizeof(path));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    return dir;
}

static void v1_sums_the_tree(void **state) {
    struct oomcount c;
    struct cgtest t;
    auto_close int dir = -1;

    (void)state;
    cgtest_init(&t);
    cgtest_write(&t, "/g/cgroup.procs", "");
    cgtest_write(&t, "/g/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
    cgtest_write(&t, "/g/w/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    cgtest_write(&t, "/g/w/x/memory.oom_control", "oom_kill_disable 0\nunder_oom 1\noom_kill 4\n");
    cgtest_write(&t, "/g/w/old/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n");
    dir = open_at(&t, "/g");
    assert_int_equal(oomcount_read(dir, CG_V1, &c), 0);
    assert_true(c.have_kills);
    assert_int_equal(c.kills, 7);
    assert_false(c.have_ooms || c.have_local);
    cgtest_done(&t);
}

static void v2_tells_whose_limit_it_was(void **state) {
    struct oomcount c;
    struct cgtest t;
    auto_close int dir = -1;

    (void)state;
    cgtest_init(&t);
    cgtest_write(&t, "/g/cgroup.procs", "");
    cgtest_write(&t, "/g/memory.events",
                 "low 0\nhigh 0\nmax 90\noom 5\noom_kill 3\noom_group_kill 0\n");
    cgtest_write(&t, "/g/memory.events.local",
                 "low 0\nhigh 0\nmax 80\noom 4\noom_kill 0\noom_group_kill 0\n");
    dir = open_at(&t, "/g");
    assert_int_equal(oomcount_read(dir, CG_V2, &c), 0);
    assert_true(c.have_kills && c.have_ooms && c.have_local);
    assert_int_equal(c.kills, 3);
    assert_int_equal(c.ooms, 5);
    assert_int_equal(c.local, 4);
    cgtest_delete(&t, "/g/memory.events.local"); /* before Linux 5.2 */
    assert_int_equal(oomcount_read(dir, CG_V2, &c), 0);
    assert_false(c.have_local);
    cgtest_done(&t);
}

static void what_is_not_offered_is_not_had(void **state) {
    struct oomcount c = {.kills = 9};
    struct cgtest t;
    auto_close int dir = -1;

    (void)state;
    cgtest_init(&t);
    cgtest_write(&t, "/g/cgroup.procs", "");
    dir = open_at(&t, "/g");
    assert_int_equal(oomcount_read(dir, CG_V1, &c), 0);
    assert_false(c.have_kills || c.have_ooms || c.have_local);
    assert_int_equal(oomcount_read(dir, CG_V2, &c), 0);
    assert_false(c.have_kills || c.have_ooms || c.have_local);
    cgtest_write(&t, "/g/memory.events", "oom_kill many\n");
    assert_int_equal(oomcount_read(dir, CG_V2, &c), 0);
    assert_false(c.have_kills);
    c.kills = 9;
    cgtest_delete(&t, "/g");
    assert_int_equal(oomcount_read(dir, CG_V1, &c), -ENODEV);
    assert_int_equal(oomcount_read(dir, CG_V2, &c), -ENODEV);
    assert_int_equal(c.kills, 9); /* untouched */
    cgtest_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v1_sums_the_tree),
        cmocka_unit_test(v2_tells_whose_limit_it_was),
        cmocka_unit_test(what_is_not_offered_is_not_had),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
