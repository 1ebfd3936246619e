#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "series/storetest.h"

/* What the child has done. */
struct shared {
    int64_t at_ms; /* of the last tick that is whole */
};

/* One tick of a life that is the same whoever lives it. */
static void live_on(struct feed *f) {
    bool fast = basetest_next(&f->random) % 8 == 0;

    feed_tick(f, fast ? 100 : 1000, !fast);
}

static void pause_us(long us) {
    struct timespec t = {.tv_nsec = us * 1000};

    nanosleep(&t, NULL);
}

/* The targets of one as the other has them: what they are, and every sample. */
static void take_targets(struct feed *f, const struct feed *from) {
    for (unsigned k = 0; k < f->targets; k++) {
        int64_t series = f->target[k].series;

        f->target[k] = from->target[k];
        f->target[k].series = series;
    }
    f->random = from->random;
}

/* A child goes on from where the file is, as the twin will, and is killed. What is left is a whole
 * number of ticks, and at most two seconds less than the child had. */
static void killed_once(struct feed *f, const struct feed *twin, struct shared *shared, long us) {
    int64_t had_ms;
    pid_t pid;

    shared->at_ms = twin->at_ms;
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        feed_open(f, NULL);
        for (take_targets(f, twin);;) {
            live_on(f);
            __atomic_store_n(&shared->at_ms, f->at_ms, __ATOMIC_SEQ_CST);
        }
    }
    pause_us(us);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    had_ms = __atomic_load_n(&shared->at_ms, __ATOMIC_SEQ_CST);
    feed_open(f, NULL);
    if (had_ms - f->at_ms > 2000)
        fail_msg("%lld ms are lost", (long long)(had_ms - f->at_ms));
}

static void a_kill_costs_two_seconds_at_most(void **state) {
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct basetest_random random = {12345};
    unsigned times = feed_times("PLIMSOLL_KILLS", 50);
    struct feed f, twin;
    char other[256];

    (void)state;
    assert_true(shared != MAP_FAILED);
    feed_dir(other, sizeof(other));
    feed_start(&f, feed_folder, 12, 5);
    feed_start(&twin, other, 12, 5);
    f.options.memory = twin.options.memory = 32 << 10;
    feed_open(&twin, NULL);
    for (unsigned i = 0; i < times; i++) {
        killed_once(&f, &twin, shared, (long)(basetest_next(&random) % 60000));
        while (twin.at_ms < f.at_ms)
            live_on(&twin);
        assert_int_equal(twin.at_ms, f.at_ms);
        if (f.seq != 0) /* killed before its first commit */
            assert_int_equal(twin.seq, f.seq);
        for (unsigned k = 0; k < f.targets; k++)
            assert_int_equal(f.target[k].alive, twin.target[k].alive);
        take_targets(&f, &twin);
        if (twin.target[0].n > 0)
            feed_compare_all(&f, INT64_MAX);
        store_close(f.store);
        f.store = NULL;
    }
    print_message("%zu samples of a target in the end\n", twin.target[0].n);
    feed_done(&twin);
    feed_remove(other);
    munmap(shared, sizeof(*shared));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_kill_costs_two_seconds_at_most, feed_set_up,
                                        feed_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
