#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "series/storetest.h"

static char dir[256];

static int set_up(void **state) {
    (void)state;
    feed_dir(dir, sizeof(dir));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    feed_remove(dir);
    return 0;
}

static void compare_all(struct feed *f, int64_t until_ms) {
    size_t n = 0;

    for (unsigned i = 0; i < f->targets; i++)
        n += feed_compare(f, i, until_ms);
    assert_true(n > 0);
}

/* Rounds, fast ticks between them, targets that come and go. */
static void run(struct feed *f, unsigned ticks) {
    for (unsigned i = 0; i < ticks; i++) {
        bool fast = basetest_next(&f->random) % 8 == 0;

        feed_tick(f, fast ? 100 : 1000, !fast);
    }
}

static void every_sample_is_there_from_chunks_and_head(void **state) {
    struct feed f;

    (void)state;
    feed_start(&f, dir, 20, 4);
    f.options.memory = 64 << 10; /* many chunks */
    feed_open(&f, NULL);
    for (unsigned i = 0; i < 10; i++) {
        run(&f, 300);
        compare_all(&f, INT64_MAX);
    }
    feed_done(&f);
}

static void a_replay_brings_back_all_and_nothing_twice(void **state) {
    struct feed f;

    (void)state;
    feed_start(&f, dir, 20, 7);
    f.options.memory = 64 << 10;
    feed_open(&f, NULL);
    for (unsigned i = 0; i < 12; i++) {
        bool alive[FEED_TARGETS];
        uint64_t seq;

        run(&f, 50 + (unsigned)(basetest_next(&f.random) % 400));
        seq = f.seq;
        for (unsigned k = 0; k < f.targets; k++)
            alive[k] = f.target[k].alive;
        store_close(f.store);
        feed_open(&f, NULL);
        assert_int_equal(f.seq, seq);
        for (unsigned k = 0; k < f.targets; k++)
            assert_int_equal(f.target[k].alive, alive[k]);
        compare_all(&f, INT64_MAX);
    }
    feed_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_sample_is_there_from_chunks_and_head, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_replay_brings_back_all_and_nothing_twice, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
