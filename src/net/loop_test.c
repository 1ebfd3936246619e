#include "net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

struct seen {
    unsigned calls, total;
    uint32_t what;
    uint32_t other; /* a source to remove */
    bool remove_other, remove_self, stop;
    uint32_t self;
    int64_t at_us[64];
    int result;
    unsigned stop_after;
    unsigned sleep_ms;
};

static int note(struct loop *loop, uint32_t what, void *ctx) {
    struct seen *seen = ctx;

    if (seen->calls < ARRAY_N(seen->at_us))
        seen->at_us[seen->calls] = loop_now_us(loop);
    seen->calls++;
    seen->total += what;
    seen->what = what;
    if (seen->remove_other)
        loop_remove(loop, seen->other);
    if (seen->remove_self)
        loop_remove(loop, seen->self);
    if (seen->sleep_ms && seen->calls == 2)
        usleep(seen->sleep_ms * 1000);
    if (seen->stop || (seen->stop_after && seen->calls >= seen->stop_after))
        loop_stop(loop);
    return seen->result;
}

static int give_up(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what, (void)ctx;
    return -ETIMEDOUT;
}

static struct loop *made(void) {
    struct loop *loop = NULL;

    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(loop_add_timer(loop, 60000000, 0, give_up, NULL, NULL), 0);
    return loop;
}

/* The grid is first, first + every, ...: how late we are may vary, the grid does not move. */
static void timers_are_paced_and_a_late_turn_shifts_nothing(void **state) {
    enum { EVERY_US = 5000 };
    struct loop *loop = made();
    struct seen seen = {.stop_after = 12, .sleep_ms = 23};
    int64_t start = clock_mono_us();

    (void)state;
    assert_int_equal(loop_add_timer(loop, EVERY_US, EVERY_US, note, &seen, NULL), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_int_equal(seen.calls, 12);
    /* the second call slept over four expirations: they are counted, not repeated */
    assert_true(seen.total >= 12 + 3);
    for (unsigned i = 0; i < 12; i++)
        assert_true(seen.at_us[i] - start >= (int64_t)(i + 1) * EVERY_US);
    /* as many periods have passed as were counted: none was lost, none was made up */
    assert_true(seen.at_us[11] - start >= (int64_t)seen.total * EVERY_US);
    loop_free(loop);
}

static void a_timer_without_a_period_fires_once(void **state) {
    struct loop *loop = made();
    struct seen once = {0}, end = {.stop = true};

    (void)state;
    assert_int_equal(loop_add_timer(loop, 0, 0, note, &once, NULL), 0); /* at once */
    assert_int_equal(loop_add_timer(loop, 30000, 0, note, &end, NULL), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_int_equal(once.calls, 1);
    assert_int_equal(once.what, 1);
    loop_free(loop);
}

static void descriptors_tell_what_happened(void **state) {
    struct loop *loop = made();
    struct seen reader = {.stop_after = 2}, writer = {.remove_self = true};
    int fd[2];

    (void)state;
    assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(loop_add_fd(loop, fd[1], EPOLLOUT, note, &writer, &writer.self), 0);
    assert_int_equal(loop_add_fd(loop, fd[0], EPOLLIN, note, &reader, NULL), 0);
    assert_int_equal(write(fd[1], "x", 1), 1);
    assert_int_equal(loop_run(loop), 0); /* nobody reads it: it is told again */
    assert_int_equal(reader.calls, 2);
    assert_int_equal(reader.what, EPOLLIN);
    assert_int_equal(writer.calls, 1);
    assert_int_equal(writer.what, EPOLLOUT);
    assert_int_equal(loop_add_fd(loop, fd[0], EPOLLIN, note, &reader, NULL), -EEXIST);
    assert_int_equal(loop_add_fd(loop, -1, EPOLLIN, note, &reader, NULL), -EBADF);
    loop_free(loop);
    assert_int_equal(fcntl(fd[0], F_GETFD), FD_CLOEXEC); /* stayed the caller's */
    close(fd[0]);
    close(fd[1]);
}

/* Both are ready in the same turn, and each removes the other: one call in all, whichever was
 * first. */
static void a_removed_source_gets_no_event_of_the_same_turn(void **state) {
    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        struct loop *loop = made();
        struct seen a = {.remove_other = true}, b = {.remove_other = true}, end = {.stop = true};
        int fd[2][2];

        for (unsigned i = 0; i < 2; i++) {
            struct seen *seen = i ? &b : &a;
            uint32_t *id = i ? &a.other : &b.other;

            assert_int_equal(pipe2(fd[i], O_CLOEXEC), 0);
            if (kind == 0) {
                assert_int_equal(write(fd[i][1], "x", 1), 1);
                assert_int_equal(loop_add_fd(loop, fd[i][0], EPOLLIN | EPOLLET, note, seen, id), 0);
            } else if (kind == 1) {
                assert_int_equal(loop_add_timer(loop, 1, 0, note, seen, id), 0);
            } else {
                assert_int_equal(loop_add_signal(loop, i ? SIGUSR1 : SIGUSR2, note, seen, id), 0);
                assert_int_equal(raise(i ? SIGUSR1 : SIGUSR2), 0);
            }
        }
        usleep(2000);
        assert_int_equal(loop_add_timer(loop, 20000, 0, note, &end, NULL), 0);
        assert_int_equal(loop_run(loop), 0);
        assert_int_equal(a.calls + b.calls, 1);
        if (kind == 2) { /* the one that was not handled is still pending: take it away */
            assert_true(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
            assert_true(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
        }
        loop_free(loop);
        for (unsigned i = 0; i < 4; i++)
            close(fd[i / 2][i % 2]);
    }
    assert_true(signal(SIGUSR1, SIG_DFL) != SIG_ERR);
    assert_true(signal(SIGUSR2, SIG_DFL) != SIG_ERR);
}

struct heir {
    struct seen old, heir;
    int fd;
};

/* Removes a source that is ready too and puts a new one in its place. */
static int replace(struct loop *loop, uint32_t what, void *ctx) {
    struct heir *h = ctx;

    (void)what;
    loop_remove(loop, h->old.self);
    return loop_add_fd(loop, h->fd, EPOLLIN, note, &h->heir, NULL);
}

static void an_event_of_the_old_source_is_not_given_to_its_heir(void **state) {
    struct loop *loop = made();
    struct seen end = {.stop = true};
    struct heir h = {.old = {0}};
    int quiet[2], loud[2][2];

    (void)state;
    assert_int_equal(pipe2(quiet, O_CLOEXEC), 0);
    h.fd = quiet[0];
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pipe2(loud[i], O_CLOEXEC), 0);
        assert_int_equal(write(loud[i][1], "x", 1), 1);
    }
    assert_int_equal(loop_add_fd(loop, loud[0][0], EPOLLIN | EPOLLET, replace, &h, NULL), 0);
    assert_int_equal(loop_add_fd(loop, loud[1][0], EPOLLIN | EPOLLET, note, &h.old, &h.old.self),
                     0);
    assert_int_equal(loop_add_timer(loop, 20000, 0, note, &end, NULL), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_int_equal(h.heir.calls, 0);
    loop_free(loop);
    for (unsigned i = 0; i < 2; i++) {
        close(quiet[i]);
        close(loud[i][0]);
        close(loud[i][1]);
    }
}

static void *send_later(void *ctx) {
    usleep(10000);
    kill(getpid(), *(int *)ctx);
    return NULL;
}

static void signals_are_delivered_as_events(void **state) {
    struct loop *loop = made();
    struct seen seen = {.stop = true};
    int number = SIGTERM;
    pthread_t thread;
    sigset_t now;

    (void)state;
    assert_int_equal(loop_add_signal(loop, SIGTERM, note, &seen, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, send_later, &number), 0);
    assert_int_equal(loop_run(loop), 0);
    pthread_join(thread, NULL);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.what, SIGTERM);
    loop_free(loop);
    assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &now), 0);
    assert_int_equal(sigismember(&now, SIGTERM), 0);
}

static void a_handlers_error_ends_the_run(void **state) {
    struct loop *loop = made();
    struct seen bad = {.result = -EIO}, good = {.stop = true};

    (void)state;
    assert_int_equal(loop_add_timer(loop, 1, 0, note, &bad, NULL), 0);
    assert_int_equal(loop_run(loop), -EIO);
    assert_int_equal(loop_add_timer(loop, 1, 0, note, &good, NULL), 0);
    assert_int_equal(loop_run(loop), 0); /* and it can be run again */
    assert_int_equal(good.calls, 1);
    loop_free(loop);
    loop_free(NULL);
}

static int open_fds(void) {
    int n = 0;

    for (int fd = 0; fd < 1000; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void nothing_is_left_open(void **state) {
    int before = open_fds();
    struct loop *loop = made();
    struct seen seen = {0};
    uint32_t id;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(loop_add_timer(loop, 1000000, 1000000, note, &seen, &id), 0);
        if (i % 2)
            loop_remove(loop, id);
        loop_remove(loop, id); /* twice is legal */
    }
    assert_int_equal(loop_add_signal(loop, SIGUSR1, note, &seen, NULL), 0);
    loop_free(loop);
    assert_int_equal(open_fds(), before);
}

static void a_turn_does_what_there_is_and_does_not_wait(void **state) {
    struct loop *outer = made(), *loop = made();
    struct seen seen = {0}, outside = {.stop = true};
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(loop_add_fd(loop, ends[0], EPOLLIN, note, &seen, NULL), 0);
    assert_int_equal(loop_turn(loop), 0);
    assert_int_equal(seen.calls, 0);
    assert_int_equal(loop_add_fd(outer, loop_fd(loop), EPOLLIN, note, &outside, NULL), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(loop_run(outer), 0); /* the one inside has something to do */
    assert_int_equal(loop_turn(loop), 0);
    assert_int_equal(seen.calls, 1);
    seen.result = -EPROTO;
    assert_int_equal(loop_turn(loop), -EPROTO);
    loop_free(outer);
    loop_free(loop);
    close(ends[0]);
    close(ends[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_does_what_there_is_and_does_not_wait),
        cmocka_unit_test(timers_are_paced_and_a_late_turn_shifts_nothing),
        cmocka_unit_test(a_timer_without_a_period_fires_once),
        cmocka_unit_test(descriptors_tell_what_happened),
        cmocka_unit_test(a_removed_source_gets_no_event_of_the_same_turn),
        cmocka_unit_test(an_event_of_the_old_source_is_not_given_to_its_heir),
        cmocka_unit_test(signals_are_delivered_as_events),
        cmocka_unit_test(a_handlers_error_ends_the_run),
        cmocka_unit_test(nothing_is_left_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
