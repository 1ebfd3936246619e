#include "kern/cgtree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kern/cgtest.h"

struct seen {
    unsigned n, stop_at;
};

static int count(void *ctx, int dir) {
    struct seen *s = ctx;

    assert_true(dir >= 0);
    return ++s->n == s->stop_at ? 7 : 0;
}

static int open_top(const struct cgtest *t, int flags) {
    int dir = open(t->top, flags | O_DIRECTORY | O_CLOEXEC);

    assert_true(dir >= 0);
    return dir;
}

static void every_group_is_visited_once(void **state) {
    struct seen all = {0}, some = {.stop_at = 3};
    struct cgtest t;
    int dir;

    (void)state;
    cgtest_init(&t); /* makes proc/ */
    cgtest_folders(&t, "/a/b/c/");
    cgtest_folders(&t, "/a/b2/");
    cgtest_folders(&t, "/.hidden/x/");
    cgtest_write(&t, "/a/cgroup.procs", "1\n");
    dir = open_top(&t, O_PATH); /* does for the top */
    assert_int_equal(symlinkat("a", dir, "link"), 0);
    assert_int_equal(cgtree_each(dir, count, &all), 0);
    assert_int_equal(all.n, 6); /* the top, proc, a, b, b2, c */
    assert_int_equal(cgtree_each(dir, count, &some), 7);
    assert_int_equal(some.n, 3);
    close(dir);
    cgtest_done(&t);
}

static int remove_it(void *ctx, int dir, const char *name) {
    struct seen *s = ctx;

    s->n++;
    return unlinkat(dir, name, AT_REMOVEDIR);
}

static void names_may_be_removed_while_they_are_listed(void **state) {
    struct seen seen = {0};
    struct cgtest t;
    int dir, fds = cgtest_open_fds();

    (void)state;
    cgtest_init(&t);
    for (unsigned i = 0; i < 300; i++) {
        char name[64];

        snprintf(name, sizeof(name), "/a-name-long-enough-to-need-several-reads-%u/", i);
        cgtest_folders(&t, name);
    }
    dir = open_top(&t, O_RDONLY);
    assert_int_equal(cgtree_names(dir, remove_it, &seen), 0);
    assert_int_equal(seen.n, 301);
    close(dir);
    cgtest_done(&t);
    assert_int_equal(cgtest_open_fds(), fds);
}

static void what_is_too_deep_is_refused(void **state) {
    struct seen seen = {0};
    struct cgtest t;
    int dir, at;

    (void)state;
    cgtest_init(&t);
    dir = open_top(&t, O_RDONLY);
    at = dup(dir);
    for (unsigned i = 0; i < CGTREE_DEPTH + 5; i++) {
        int next;

        assert_int_equal(mkdirat(at, "d", 0755), 0);
        next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    close(at);
    assert_int_equal(cgtree_each(dir, count, &seen), -ELOOP);
    close(dir);
    cgtest_done(&t);
}

static void a_removed_top_is_told(void **state) {
    struct seen seen = {0};
    struct cgtest t;
    int dir;

    (void)state;
    cgtest_init(&t);
    cgtest_folders(&t, "/gone/");
    dir = open_top(&t, O_RDONLY);
    assert_int_equal(unlinkat(dir, "proc", AT_REMOVEDIR), 0);
    {
        auto_close int gone = openat(dir, "gone", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_int_equal(unlinkat(dir, "gone", AT_REMOVEDIR), 0);
        assert_int_equal(cgtree_names(gone, remove_it, &seen), -ENODEV);
    }
    close(dir);
    cgtest_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_group_is_visited_once),
        cmocka_unit_test(names_may_be_removed_while_they_are_listed),
        cmocka_unit_test(what_is_too_deep_is_refused),
        cmocka_unit_test(a_removed_top_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
