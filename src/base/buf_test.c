#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/basetest.h"

static void it_grows_to_its_maximum_and_no_byte_further(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (unsigned i = 0; i < 100; i++)
        buf_add(&b, STR("0123456789"));
    assert_int_equal(buf_error(&b), 0);
    assert_int_equal(buf_str(&b).n, 1000);
    buf_add_char(&b, 'x');
    assert_int_equal(buf_error(&b), -EFBIG);
    assert_int_equal(buf_str(&b).n, 1000);
    assert_true(b.size <= 1000);
    buf_done(&b);
}

static void the_first_error_is_remembered_until_cleared(void **state) {
    struct buf b;
    char text[600];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    buf_init(&b, 10);
    buf_add(&b, STR("12345"));
    buf_add(&b, STR("678901")); /* would be 11: not even its head is taken */
    assert_int_equal(buf_error(&b), -EFBIG);
    buf_add(&b, STR("x"));
    buf_add_u64(&b, 1);
    buf_add_fill(&b, ' ', 2);
    assert_null(buf_room(&b, 1));
    assert_true(str_eq(buf_str(&b), STR("12345")));
    buf_clear(&b);
    assert_int_equal(buf_error(&b), 0);
    buf_add(&b, STR("1234567890"));
    basetest_holds(&b, "1234567890");
    buf_done(&b);

    buf_init(&b, 4096);
    buf_add_format(&b, "%s", text); /* formats are for short texts */
    assert_int_equal(buf_error(&b), -EFBIG);
    buf_done(&b);
}

static void numbers_and_fills_are_exact(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    buf_add_u64(&b, 0);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, UINT64_MAX);
    buf_add_fill(&b, '-', 3);
    buf_add_fill(&b, '-', 0);
    buf_add(&b, (struct str){NULL, 0});
    buf_add_format(&b, "%d%%", -5);
    basetest_holds(&b, "0 18446744073709551615----5%");
    buf_done(&b);
    buf_done(&b); /* twice is legal */
}

static void nothing_is_allocated_before_it_is_needed(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    assert_null(b.p);
    assert_int_equal(buf_str(&b).n, 0);
    assert_non_null(buf_str(&b).p);
    buf_done(&b);
}

static void room_is_taken_only_as_far_as_it_was_written(void **state) {
    struct buf b;
    char *room;

    (void)state;
    buf_init(&b, 300);
    buf_add(&b, STR("ab"));
    room = buf_room(&b, 298);
    assert_non_null(room);
    memcpy(room, "cde", 3);
    buf_grow(&b, 3);
    basetest_holds(&b, "abcde");
    buf_done(&b);
}

static void *read_slowly(void *ctx) {
    static char all[300000];
    int fd = *(int *)ctx;
    size_t n = 0;
    ssize_t r;

    usleep(20000);
    while (n < sizeof(all) && (r = read(fd, all + n, sizeof(all) - n)) > 0)
        n += (size_t)r;
    for (size_t i = 0; i < n; i++)
        if (all[i] != (char)('a' + i % 26))
            return NULL;
    return n == 200000 ? all : NULL;
}

static void flush_waits_for_a_slow_reader(void **state) {
    pthread_t thread;
    struct buf b;
    void *good = NULL;
    int fd[2];

    (void)state;
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &fd[0]), 0);
    buf_init(&b, 1 << 20);
    for (unsigned i = 0; i < 200000; i++)
        buf_add_char(&b, (char)('a' + i % 26));
    assert_int_equal(buf_flush(&b, fd[1]), 0);
    assert_int_equal(buf_str(&b).n, 0);
    close(fd[1]);
    pthread_join(thread, &good);
    assert_non_null(good);
    close(fd[0]);
    buf_done(&b);
}

static void a_half_written_answer_is_not_sent(void **state) {
    struct buf b;
    char byte;
    int fd[2];

    (void)state;
    assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
    buf_init(&b, 4);
    buf_add(&b, STR("1234"));
    buf_add(&b, STR("5"));
    assert_int_equal(buf_flush(&b, fd[1]), -EFBIG);
    assert_int_equal(read(fd[0], &byte, 1), -1);
    assert_int_equal(errno, EAGAIN);
    buf_clear(&b);
    buf_add_char(&b, 'x');
    assert_int_equal(buf_flush(&b, -1), -EBADF);
    buf_done(&b);
    close(fd[0]);
    close(fd[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_to_its_maximum_and_no_byte_further),
        cmocka_unit_test(the_first_error_is_remembered_until_cleared),
        cmocka_unit_test(numbers_and_fills_are_exact),
        cmocka_unit_test(nothing_is_allocated_before_it_is_needed),
        cmocka_unit_test(room_is_taken_only_as_far_as_it_was_written),
        cmocka_unit_test(flush_waits_for_a_slow_reader),
        cmocka_unit_test(a_half_written_answer_is_not_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
