#include "net/waiters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { ROOM = 4 };

struct world {
    struct loop *loop;
    struct waiters *w;
    int listener;
    struct sockaddr_un address;
    socklen_t length;
    unsigned asked, came, left;
    bool refuses;
};

static bool admit(void *ctx, unsigned number, int fd) {
    struct world *w = ctx;

    assert_true(number < ROOM && fd >= 0);
    w->asked++;
    return !w->refuses;
}

static void came(void *ctx, unsigned number) {
    struct world *w = ctx;

    assert_true(waiters_has(w->w, number));
    w->came++;
}

static void left(void *ctx) {
    ((struct world *)ctx)->left++;
}

static void begin(struct world *w) {
    struct waiters_options o = {.most = ROOM, .admit = admit, .came = came, .left = left, .ctx = w};

    *w = (struct world){.address = {.sun_family = AF_UNIX}};
    w->length = sizeof(sa_family_t); /* the kernel gives it a name */
    w->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w->listener, (struct sockaddr *)&w->address, w->length), 0);
    w->length = sizeof(w->address);
    assert_int_equal(getsockname(w->listener, (struct sockaddr *)&w->address, &w->length), 0);
    assert_int_equal(listen(w->listener, SOMAXCONN), 0);
    assert_int_equal(loop_new(&w->loop), 0);
    o.loop = w->loop;
    o.listener = w->listener;
    assert_int_equal(waiters_new(&o, &w->w), 0);
}

static void end(struct world *w) {
    waiters_free(w->w);
    loop_free(w->loop);
    close(w->listener);
}

static void turn(struct world *w, unsigned times) {
    for (unsigned i = 0; i < times; i++)
        assert_int_equal(loop_turn(w->loop), 0);
}

static int join(struct world *w) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&w->address, w->length), 0);
    return fd;
}

/* Bytes since the last look; -1: hung up. */
static int told(int fd) {
    char bytes[4096];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    return n > 0 ? (int)n : n == 0 ? -1 : 0;
}

static void each_is_told_and_who_is_gone_makes_room(void **state) {
    struct world w;
    int fd[ROOM + 1];

    (void)state;
    begin(&w);
    for (unsigned i = 0; i < ROOM + 1; i++)
        fd[i] = join(&w);
    turn(&w, 20);
    assert_int_equal(waiters_count(w.w), ROOM);
    for (unsigned i = 0; i < ROOM; i++)
        assert_true(waiters_tell(w.w, i));
    for (unsigned i = 0; i < ROOM + 1; i++)
        assert_int_equal(told(fd[i]), i < ROOM); /* the last waits unharmed */
    close(fd[0]);
    turn(&w, 20);
    assert_int_equal(w.left, 1);
    assert_int_equal(w.came, ROOM + 1);
    assert_true(waiters_tell(w.w, 0));
    assert_int_equal(told(fd[ROOM]), 1);
    waiters_free(w.w);
    w.w = NULL;
    for (unsigned i = 1; i < ROOM + 1; i++) {
        assert_int_equal(told(fd[i]), -1);
        close(fd[i]);
    }
    end(&w);
}

static void who_does_not_read_counts_as_told(void **state) {
    struct world w;
    int fd, n, all = 0;

    (void)state;
    begin(&w);
    fd = join(&w);
    turn(&w, 5);
    for (unsigned i = 0; i < 20000; i++)
        assert_true(waiters_tell(w.w, 0));
    while ((n = told(fd)) > 0)
        all += n;
    assert_int_equal(all, 1); /* more would be memory of our group */
    assert_true(waiters_tell(w.w, 0));
    assert_int_equal(told(fd), 1);
    assert_false(waiters_tell(w.w, 1)); /* nobody */
    close(fd);
    assert_false(waiters_tell(w.w, 0)); /* gone, and not noticed yet */
    assert_int_equal(w.left, 1);
    turn(&w, 5);
    assert_int_equal(waiters_count(w.w), 0);
    end(&w);
}

static void who_is_not_let_in_is_hung_up_on(void **state) {
    struct world w;
    int fd;

    (void)state;
    begin(&w);
    w.refuses = true;
    fd = join(&w);
    turn(&w, 5);
    assert_int_equal(told(fd), -1);
    assert_int_equal(w.came + w.left, 0);
    close(fd);
    end(&w);
}

/* What has been written since the last look is read: a byte each time. So long, and until it was so
 * often. */
static unsigned drained(struct world *w, int fd, int64_t for_us, unsigned least) {
    int64_t until = clock_mono_us() + for_us, patience = until + 10000000;
    unsigned times = 0;

    for (; clock_mono_us() < (times < least ? patience : until); turn(w, 1)) {
        int unread = 1;

        assert_int_equal(ioctl(fd, SIOCOUTQ, &unread), 0);
        if (unread > 0)
            continue;
        times++;
        assert_int_equal(send(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL), 1);
    }
    return times;
}

/* However much is written, and in however small pieces: once a second it is read, and others go
 * on. */
static void who_writes_is_read_once_a_second(void **state) {
    static const char bytes[1 << 16];
    int64_t since;
    struct world w;
    unsigned times;
    int fd, other;

    (void)state;
    begin(&w);
    fd = join(&w);
    other = join(&w);
    turn(&w, 5);
    since = clock_mono_us();
    times = drained(&w, fd, 300000, 2);
    assert_in_range(times, 2, 3 + (clock_mono_us() - since) / 1000000); /* a second may end */
    assert_true(waiters_tell(w.w, 0) && waiters_tell(w.w, 1));
    assert_int_equal(told(fd), 1);
    assert_int_equal(told(other), 1);
    assert_true(drained(&w, fd, 1100000, 1) >= 1); /* again, in the next second */
    while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    turn(&w, 20);
    close(fd); /* is seen, read or not */
    turn(&w, 20);
    assert_int_equal(waiters_count(w.w), 1);
    assert_int_equal(shutdown(other, SHUT_WR), 0);
    turn(&w, 20);
    assert_int_equal(waiters_count(w.w), 0);
    close(other);
    end(&w);
}

static void who_comes_and_goes_is_not_in_the_way_of_others(void **state) {
    struct world w;
    int fd;

    (void)state;
    begin(&w);
    for (unsigned i = 0; i < 3000; i++)
        close(join(&w));
    fd = join(&w);
    turn(&w, 3001 / 8 + 20);
    assert_int_equal(w.came, 1); /* nobody is asked about who has left */
    assert_true(waiters_tell(w.w, 0));
    assert_int_equal(told(fd), 1);
    close(fd);
    end(&w);
}

static void a_flood_of_connections_waits_for_the_next_second(void **state) {
    unsigned at_once, asked = 0;
    int64_t until;
    struct world w;
    int fd;

    (void)state;
    begin(&w);
    w.refuses = true;
    for (until = clock_mono_us() + 300000; clock_mono_us() < until && asked < 2 * WAITERS_ASKED;
         asked++) {
        fd = join(&w);
        turn(&w, 1);
        close(fd);
    }
    at_once = w.asked;
    if (asked <= WAITERS_ASKED || at_once < WAITERS_ASKED)
        print_message("# a slow machine: %u came, %u were asked about\n", asked, at_once);
    assert_true(at_once <= 2 * WAITERS_ASKED); /* a second may end meanwhile */
    w.refuses = false;
    fd = join(&w);
    for (until = clock_mono_us() + 10000000; clock_mono_us() < until && told(fd) == 0; turn(&w, 1))
        for (unsigned i = 0; i < ROOM; i++)
            (void)waiters_tell(w.w, i);
    assert_int_equal(w.came, 1);
    close(fd);
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_told_and_who_is_gone_makes_room),
        cmocka_unit_test(who_does_not_read_counts_as_told),
        cmocka_unit_test(who_is_not_let_in_is_hung_up_on),
        cmocka_unit_test(who_writes_is_read_once_a_second),
        cmocka_unit_test(who_comes_and_goes_is_not_in_the_way_of_others),
        cmocka_unit_test(a_flood_of_connections_waits_for_the_next_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
