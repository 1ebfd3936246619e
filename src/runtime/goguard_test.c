#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kern/host.h"
#include "runtime/goguard.h"

/* Each process has its own; the test looks at the target's. */
static volatile uint64_t word[2] = {100, 200};

struct target {
    pid_t pid;
    struct host host;
    struct rtproc proc;
};

static void start(struct target *t) {
    t->pid = fork();
    if (t->pid == 0)
        for (;;)
            pause();
    assert_int_equal(host_open(NULL, &t->host, NULL), 0);
    assert_int_equal(rtproc_open(&t->host, t->pid, &t->proc, NULL), 0);
}

static void end(struct target *t) {
    rtproc_done(&t->proc);
    host_done(&t->host);
    kill(t->pid, SIGKILL);
    waitpid(t->pid, NULL, 0);
}

static uint64_t seen(const struct target *t, unsigned i) {
    uint64_t value = 0;

    assert_int_equal(rtproc_read(&t->proc, (uint64_t)(uintptr_t)&word[i], &value, 8), 0);
    return value;
}

static int change(struct goguard *g, unsigned i, uint64_t old, uint64_t value) {
    return goguard_write(g, i, (uint64_t)(uintptr_t)&word[i], old, value);
}

static bool comes_true(const struct target *t, uint64_t first, uint64_t second) {
    for (int i = 0; i < 4000; i++) {
        if (seen(t, 0) == first && seen(t, 1) == second)
            return true;
        usleep(5000);
    }
    return false;
}

static int64_t in_s(int64_t s) {
    return clock_mono_us() + s * 1000000;
}

static bool may_write(void) {
    return geteuid() == 0;
}

static void words_are_written_and_put_back(void **state) {
    struct goguard g;
    struct target t;

    (void)state;
    if (!may_write())
        skip();
    start(&t);
    assert_int_equal(goguard_start(&g, &t.proc, in_s(60), NULL), 0);
    assert_int_equal(change(&g, 0, 100, 1), 0);
    assert_int_equal(change(&g, 1, 200, 2), 0);
    assert_int_equal(seen(&t, 0), 1);
    assert_int_equal(change(&g, 0, 100, 3), 0);
    assert_int_equal(seen(&t, 0), 3);
    assert_int_equal(goguard_restore(&g, 0), 0);
    assert_int_equal(seen(&t, 0), 100);
    assert_int_equal(seen(&t, 1), 2);
    assert_int_equal(change(&g, 0, 100, 4), 0);
    assert_int_equal(goguard_end(&g), 0);
    assert_int_equal(seen(&t, 0), 100);
    assert_int_equal(seen(&t, 1), 200);
    assert_int_equal(goguard_end(&g), 0);
    end(&t);
}

static void another_value_than_expected_is_not_touched(void **state) {
    struct goguard g;
    struct target t;

    (void)state;
    if (!may_write())
        skip();
    start(&t);
    assert_int_equal(goguard_start(&g, &t.proc, in_s(60), NULL), 0);
    assert_int_equal(change(&g, 0, 101, 1), -ESTALE);
    assert_int_equal(seen(&t, 0), 100);
    assert_int_equal(change(&g, 0, 100, 1), 0);
    /* The program writes the word itself: its value stays. */
    {
        const uint64_t own = 777;

        assert_int_equal(pwrite(g.mem, &own, 8, (off_t)(uintptr_t)&word[0]), 8);
    }
    assert_int_equal(change(&g, 0, 100, 2), -ESTALE);
    assert_int_equal(goguard_end(&g), 0);
    assert_int_equal(seen(&t, 0), 777);
    end(&t);
}

static void what_is_kept_stays(void **state) {
    struct goguard g;
    struct target t;

    (void)state;
    if (!may_write())
        skip();
    start(&t);
    assert_int_equal(goguard_start(&g, &t.proc, in_s(60), NULL), 0);
    assert_int_equal(change(&g, 0, 100, 1), 0);
    assert_int_equal(change(&g, 1, 200, 2), 0);
    goguard_keep(&g, 1);
    assert_int_equal(goguard_end(&g), 0);
    assert_int_equal(seen(&t, 0), 100);
    assert_int_equal(seen(&t, 1), 2);
    end(&t);
}

/* A writer that changes both words and then does what `then` says. */
static pid_t writer(const struct target *t, int64_t deadline_us, int then) {
    pid_t pid = fork();

    if (pid == 0) {
        struct goguard g;

        if (goguard_start(&g, &t->proc, deadline_us, NULL) < 0 || change(&g, 0, 100, 1) < 0 ||
            change(&g, 1, 200, 2) < 0 || seen(t, 0) != 1)
            _exit(1);
        raise(then);
        /* Continued too late: nothing may be written any more. */
        _exit(change(&g, 0, 100, 5) == -ECANCELED && goguard_end(&g) == 0 ? 0 : 2);
    }
    return pid;
}

static void words_are_put_back_when_the_writer_is_killed(void **state) {
    struct target t;

    (void)state;
    if (!may_write())
        skip();
    start(&t);
    for (int i = 0; i < 20; i++) {
        int status;

        assert_int_equal(waitpid(writer(&t, in_s(60), SIGKILL), &status, 0) > 0, 1);
        assert_true(WIFSIGNALED(status));
        assert_true(comes_true(&t, 100, 200));
    }
    end(&t);
}

static void words_are_put_back_in_time_when_the_writer_hangs(void **state) {
    struct target t;
    pid_t pid;
    int status;

    (void)state;
    if (!may_write())
        skip();
    start(&t);
    for (int64_t us = 100000;; us *= 4) { /* so long that it comes to write in time */
        pid = writer(&t, clock_mono_us() + us, SIGSTOP);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        if (WIFSTOPPED(status) || us > 20000000)
            break;
        assert_true(comes_true(&t, 100, 200));
    }
    assert_true(WIFSTOPPED(status));
    assert_true(comes_true(&t, 100, 200));
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(comes_true(&t, 100, 200));
    end(&t);
}

static void a_process_that_ends_is_no_error_but_told(void **state) {
    struct goguard g;
    struct target t;

    (void)state;
    if (!may_write())
        skip();
    start(&t);
    assert_int_equal(goguard_start(&g, &t.proc, in_s(60), NULL), 0);
    assert_int_equal(change(&g, 0, 100, 1), 0);
    kill(t.pid, SIGKILL);
    waitpid(t.pid, NULL, 0);
    assert_true(change(&g, 0, 100, 2) < 0);
    assert_int_equal(goguard_end(&g), -EIO);
    rtproc_done(&t.proc);
    host_done(&t.host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_written_and_put_back),
        cmocka_unit_test(another_value_than_expected_is_not_touched),
        cmocka_unit_test(what_is_kept_stays),
        cmocka_unit_test(words_are_put_back_when_the_writer_is_killed),
        cmocka_unit_test(words_are_put_back_in_time_when_the_writer_hangs),
        cmocka_unit_test(a_process_that_ends_is_no_error_but_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
