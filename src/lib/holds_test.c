#include "lib/holds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/mem.h"

static int new_event(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

static void each_is_known_and_closed(void **state) {
    struct held event, file;
    struct holds s;
    struct str text;
    char buf[64];
    int fds[4];

    (void)state;
    assert_int_equal(holds_open(&s), 0);
    assert_int_equal(holds_watch(&s, new_event(), EPOLLIN | EPOLLET, &event), 0);
    assert_int_equal(holds_keep(&s, open("/proc/self/stat", O_RDONLY | O_CLOEXEC), &file), 0);
    assert_true(holds_check(&s) == 0 && holds_is_ours(&s, &event) && holds_is_ours(&s, &file));
    assert_int_equal(held_read(&file, buf, sizeof(buf), &text), -EFBIG);
    fds[0] = event.fd;
    fds[1] = file.fd;
    fds[2] = s.epoll;
    fds[3] = s.kick;
    holds_drop(&s, &event, false);
    holds_drop(&s, &file, false);
    holds_close(&s, false);
    for (size_t i = 0; i < ARRAY_N(fds); i++) {
        assert_true(fds[i] > 2);
        assert_false(is_open(fds[i]));
    }
    assert_int_equal(holds_check(&s), -EBADF);
}

/* An eventfd cannot be told from ours by anything that it says of itself. */
static void another_eventfd_under_our_number_is_left_alone(void **state) {
    struct held event;
    struct holds s;
    uint64_t one = 1;
    int number, theirs = new_event();

    (void)state;
    assert_int_equal(holds_open(&s), 0);
    assert_int_equal(holds_watch(&s, new_event(), EPOLLIN | EPOLLET, &event), 0);
    number = event.fd;
    assert_int_equal(dup2(theirs, number), number);
    assert_false(holds_is_ours(&s, &event));
    holds_drop(&s, &event, false);
    assert_true(is_open(number));
    assert_true(write(number, &one, sizeof(one)) == sizeof(one));
    close(number);
    close(theirs);
    holds_close(&s, false);
}

static void another_epoll_set_under_our_number_is_left_alone(void **state) {
    struct epoll_event want = {.events = EPOLLIN, .data.u64 = 7}, got;
    struct held event;
    struct holds s;
    int theirs = epoll_create1(EPOLL_CLOEXEC), in_it = eventfd(1, EFD_CLOEXEC), number;

    (void)state;
    assert_int_equal(holds_open(&s), 0);
    assert_int_equal(holds_watch(&s, new_event(), EPOLLIN | EPOLLET, &event), 0);
    assert_int_equal(epoll_ctl(theirs, EPOLL_CTL_ADD, in_it, &want), 0);
    number = s.epoll;
    assert_int_equal(dup2(theirs, number), number);
    assert_int_equal(holds_check(&s), -EBADF);
    assert_false(holds_is_ours(&s, &event));
    holds_drop(&s, &event, false); /* cannot be proven any more: left open */
    holds_close(&s, false);
    assert_true(is_open(number));
    assert_int_equal(epoll_wait(number, &got, 1, 0), 1);
    assert_true(got.data.u64 == 7);
    close(number);
    close(theirs);
    close(in_it);
}

static void another_file_under_our_number_is_not_read(void **state) {
    struct holds s;
    struct held file;
    struct str text;
    char buf[4096];
    int number, theirs = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(holds_open(&s), 0);
    assert_int_equal(holds_keep(&s, open("/proc/self/statm", O_RDONLY | O_CLOEXEC), &file), 0);
    assert_int_equal(held_read(&file, buf, sizeof(buf), &text), 0);
    number = file.fd;
    close(number);
    assert_int_equal(held_read(&file, buf, sizeof(buf), &text), -EBADF);
    assert_int_equal(dup2(theirs, number), number);
    assert_int_equal(held_read(&file, buf, sizeof(buf), &text), -EBADF);
    holds_drop(&s, &file, false);
    assert_true(is_open(number));
    close(number);
    close(theirs);
    holds_close(&s, false);
}

static void failures_are_passed_on(void **state) {
    struct holds s;
    struct held h = HELD_NONE;

    (void)state;
    assert_int_equal(holds_open(&s), 0);
    assert_int_equal(holds_keep(&s, -ENOENT, &h), -ENOENT);
    assert_int_equal(holds_watch(&s, -EMFILE, EPOLLIN, &h), -EMFILE);
    assert_int_equal(h.fd, -1);
    assert_false(holds_is_ours(&s, &h));
    holds_drop(&s, &h, false);
    holds_close(&s, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_known_and_closed),
        cmocka_unit_test(another_eventfd_under_our_number_is_left_alone),
        cmocka_unit_test(another_epoll_set_under_our_number_is_left_alone),
        cmocka_unit_test(another_file_under_our_number_is_not_read),
        cmocka_unit_test(failures_are_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
