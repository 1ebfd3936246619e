#include "tui/proctree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/basetest.h"

static struct tui_process process(int32_t pid, int32_t ppid, uint64_t res) {
    struct tui_process p = {.pid = pid, .ppid = ppid, .have = PROC_BIT(PROC_RES)};

    p.value[PROC_RES] = res;
    return p;
}

/* "10 -20 --30": pids with their depth. */
static void draws(const struct tui_process *p, size_t n, const char *wanted) {
    struct proctree t = {.node = NULL};
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(proctree_build(&t, p, n), 0);
    for (size_t i = 0; i < t.n; i++) {
        buf_add(&out, i ? STR(" ") : STR(""));
        buf_add_fill(&out, '-', t.node[i].depth);
        buf_add_u64(&out, (uint64_t)p[t.node[i].index].pid);
    }
    basetest_holds(&out, wanted);
    buf_done(&out);
    proctree_done(&t);
}

static void children_follow_their_parent_the_largest_first(void **state) {
    const struct tui_process p[] = {process(30, 10, 5), process(10, 1, 1), process(20, 10, 9),
                                    process(21, 20, 1), process(5, 1, 50)};

    (void)state;
    draws(p, 5, "5 10 -20 --21 -30");
    draws(p, 0, "");
}

static void a_circle_is_drawn_once(void **state) {
    const struct tui_process p[] = {process(1, 2, 5), process(2, 1, 1), process(3, 3, 9)};

    (void)state;
    draws(p, 3, "3 1 -2");
}

static void any_depth_and_any_parents_are_drawn_whole(void **state) {
    enum { N = 3000 };
    static struct tui_process p[N];
    struct basetest_random random = {77};
    struct proctree t = {.node = NULL};

    (void)state;
    for (int i = 0; i < N; i++)
        p[i] = process(i + 1, i, 0);
    assert_int_equal(proctree_build(&t, p, N), 0);
    assert_int_equal(t.n, N);
    assert_int_equal(t.node[N - 1].depth, PROCTREE_DEPTH_MAX);
    for (int round = 0; round < 20; round++) {
        bool seen[N] = {false};

        for (int i = 0; i < N; i++)
            p[i] = process((int32_t)(basetest_next(&random) % N),
                           (int32_t)(basetest_next(&random) % N), basetest_next(&random) % 5);
        assert_int_equal(proctree_build(&t, p, N), 0);
        assert_int_equal(t.n, N);
        for (size_t i = 0; i < t.n; i++) {
            assert_false(seen[t.node[i].index]);
            seen[t.node[i].index] = true;
        }
    }
    proctree_done(&t);
}

static void bars_tell_who_has_siblings_below(void **state) {
    const struct tui_process p[] = {process(1, 0, 1), process(2, 1, 9), process(3, 2, 1),
                                    process(4, 1, 2)};
    struct proctree t = {.node = NULL};

    (void)state;
    assert_int_equal(proctree_build(&t, p, 4), 0); /* 1 -2 --3 -4 */
    assert_false(t.node[1].last);
    assert_true(t.node[2].last && t.node[2].bars == 2);
    assert_true(t.node[3].last && t.node[3].bars == 0);
    proctree_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_follow_their_parent_the_largest_first),
        cmocka_unit_test(a_circle_is_drawn_once),
        cmocka_unit_test(any_depth_and_any_parents_are_drawn_whole),
        cmocka_unit_test(bars_tell_who_has_siblings_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
