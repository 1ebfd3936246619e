#include "base/job.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

static int say(void *arg, struct buf *out) {
    buf_add(out, str_of(arg));
    return 0;
}

static int say_much(void *arg, struct buf *out) {
    (void)arg;
    buf_add_fill(out, 'x', 300000); /* more than a pipe holds */
    return 0;
}

static int give_up(void *arg, struct buf *out) {
    (void)arg;
    buf_add(out, STR("half an answer"));
    return -ENOENT;
}

static int die(void *arg, struct buf *out) {
    (void)arg;
    (void)out;
    raise(SIGKILL);
    return 0;
}

static int hang(void *arg, struct buf *out) {
    (void)arg;
    (void)out;
    while (pause() < 0)
        ;
    return 0;
}

static enum job_state wait_for(struct job *j, int64_t ms) {
    int64_t end = clock_mono_us() + ms * 1000;

    for (;;) {
        enum job_state state = job_poll(j, clock_mono_us());
        struct pollfd p = {.fd = j->fd, .events = POLLIN};

        if (state != JOB_RUNNING || clock_mono_us() > end)
            return state;
        poll(&p, 1, 20);
    }
}

static void answers_arrive_whole(void **state) {
    char word[] = "hello";
    struct job j;

    (void)state;
    job_init(&j, 1 << 20);
    assert_int_equal(job_poll(&j, 0), JOB_NONE);
    assert_int_equal(job_start(&j, say, word, clock_mono_us() + 30000000), 0);
    assert_int_equal(job_start(&j, say, word, clock_mono_us() + 30000000), -EBUSY);
    assert_int_equal(wait_for(&j, 30000), JOB_DONE);
    assert_true(str_eq(buf_str(&j.answer), STR("hello")));
    assert_int_equal(job_poll(&j, 0), JOB_NONE);
    assert_int_equal(job_start(&j, say_much, NULL, clock_mono_us() + 30000000), 0);
    assert_int_equal(wait_for(&j, 30000), JOB_DONE);
    assert_int_equal(j.answer.n, 300000);
    job_done(&j);
}

static void failures_are_told(void **state) {
    struct job j;

    (void)state;
    job_init(&j, 1 << 20);
    assert_int_equal(job_start(&j, give_up, NULL, clock_mono_us() + 30000000), 0);
    assert_int_equal(wait_for(&j, 30000), JOB_FAILED);
    assert_int_equal(job_start(&j, die, NULL, clock_mono_us() + 30000000), 0);
    assert_int_equal(wait_for(&j, 30000), JOB_FAILED);
    job_done(&j);
    job_init(&j, 1000); /* the answer is longer than was allowed */
    assert_int_equal(job_start(&j, say_much, NULL, clock_mono_us() + 30000000), 0);
    assert_int_equal(wait_for(&j, 30000), JOB_FAILED);
    job_done(&j);
}

static void what_hangs_is_killed(void **state) {
    int64_t start = clock_mono_us();
    struct job j;
    pid_t pid;

    (void)state;
    job_init(&j, 1000);
    assert_int_equal(job_start(&j, hang, NULL, start + 50000), 0);
    pid = j.pid;
    assert_int_equal(job_poll(&j, start), JOB_RUNNING);
    assert_int_equal(wait_for(&j, 30000), JOB_FAILED);
    for (int i = 0; i < 3000 && job_hanging() > 0; i++)
        usleep(10000);
    assert_int_equal(job_hanging(), 0);
    assert_int_equal(kill(pid, 0), -1); /* reaped, too */
    assert_int_equal(job_start(&j, hang, NULL, clock_mono_us() + 60000000), 0);
    pid = j.pid;
    job_done(&j); /* kills it */
    for (int i = 0; i < 3000 && job_hanging() > 0; i++)
        usleep(10000);
    assert_int_equal(kill(pid, 0), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_arrive_whole),
        cmocka_unit_test(failures_are_told),
        cmocka_unit_test(what_hangs_is_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
