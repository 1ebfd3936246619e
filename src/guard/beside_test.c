#include "guard/beside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

/* What the child has found, in memory that is shared with it. */
struct found {
    int fds;
    bool had_other;
};

static struct found *found;
static int other;

static int count_fds(void) {
    auto_closedir DIR *list = opendir("/proc/self/fd");
    int n = 0;

    while (list && readdir(list))
        n++;
    return n - 3; /* ".", "..", its own */
}

static void tell(void *ctx, const int *fd) {
    char byte = 0;

    (void)ctx;
    found->fds = count_fds();
    found->had_other = fcntl(other, F_GETFD) >= 0;
    (void)!write(fd[1], "a", 1);
    (void)!read(fd[0], &byte, 1); /* until we have closed and opened */
    (void)!write(fd[1], &byte, 1);
}

static char hear(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte = 0;

    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_int_equal(read(fd, &byte, 1), 1);
    return byte;
}

static void it_has_what_it_was_given_and_nothing_else(void **state) {
    int go[2], back[2], before, given[2];
    char byte;

    (void)state;
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(back), 0);
    other = memfd_create("other", MFD_CLOEXEC);
    given[0] = go[0];
    given[1] = back[1];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(beside_run(given, 2, tell, NULL), 0);
        assert_int_equal(hear(back[0]), 'a');
        assert_int_equal(found->fds, 2 + 4); /* and what stands for standard output, say */
        assert_false(found->had_other);
        before = count_fds();
        assert_int_equal(write(go[1], "b", 1), 1);
        assert_int_equal(hear(back[0]), 'b');
        assert_int_equal(count_fds(), before);
    }
    close(back[1]);
    close(go[0]);
    assert_int_equal(read(back[0], &byte, 1), 0); /* nothing of it stays open with us */
    close(back[0]);
    close(go[1]);
    close(other);
}

static void ours_may_be_closed_at_once(void **state) {
    int go[2], back[2], given[2], again;

    (void)state;
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(back), 0);
    given[0] = go[0];
    given[1] = back[1];
    assert_int_equal(beside_run(given, 2, tell, NULL), 0);
    close(go[0]);
    close(back[1]);
    again = memfd_create("again", MFD_CLOEXEC); /* takes one of the numbers */
    assert_true(again == given[0] || again == given[1]);
    assert_int_equal(hear(back[0]), 'a');
    assert_int_equal(write(go[1], "c", 1), 1);
    assert_int_equal(hear(back[0]), 'c');
    assert_int_equal(lseek(again, 0, SEEK_END), 0);
    close(again);
    close(back[0]);
    close(go[1]);
}

static void nothing_is_begun_with_a_bad_one(void **state) {
    int bad = -1;

    (void)state;
    assert_int_equal(beside_run(&bad, 1, tell, NULL), -EBADF);
    assert_int_equal(beside_run(&bad, BESIDE_FDS + 1, tell, NULL), -EINVAL);
}

static void do_nothing(void *ctx, const int *fd) {
    (void)ctx, (void)fd;
}

static void it_takes_as_long_with_many(void **state) {
    enum { MANY = 900, TIMES = 20 };
    int fd[MANY], n = 0;
    int64_t start_us;

    (void)state;
    while (n < MANY && (fd[n] = memfd_create("one of many", MFD_CLOEXEC)) >= 0)
        n++;
    start_us = clock_mono_us();
    for (int i = 0; i < TIMES; i++)
        assert_int_equal(beside_run(fd, 1, do_nothing, NULL), 0);
    print_message("# %d us with %d open\n", (int)((clock_mono_us() - start_us) / TIMES), n);
    while (n > 0)
        close(fd[--n]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_what_it_was_given_and_nothing_else),
        cmocka_unit_test(ours_may_be_closed_at_once),
        cmocka_unit_test(nothing_is_begun_with_a_bad_one),
        cmocka_unit_test(it_takes_as_long_with_many),
    };

    found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
