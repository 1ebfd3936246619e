#include "engine/guardbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint8_t bytes[WIRE_MESSAGE];

static void put(struct guardbox *b, uint64_t number, size_t size) {
    struct wire_out w;

    wire_begin(&w, bytes, sizeof(bytes), WIRE_AUDIT, number);
    memset(w.p + w.n, 'x', size - w.n);
    w.n = size;
    guardbox_put(b, &w);
}

static uint64_t receive(int fd, size_t *size) {
    struct wire_head head;
    struct wire_in in;
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    assert_true(n > 0);
    *size = (size_t)n;
    in = (struct wire_in){bytes, (size_t)n};
    assert_int_equal(wire_read_head(&in, &head), 0);
    return head.seq;
}

static void messages_come_in_their_order(void **state) {
    struct guardbox *b;
    int pair[2];
    size_t size;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(guardbox_new(pair[0], &b), 0);
    for (unsigned i = 1; i <= 50; i++)
        put(b, i, 10 + i);
    assert_int_equal(guardbox_waiting(b), 50);
    guardbox_flush(b);
    assert_int_equal(guardbox_waiting(b), 0);
    for (unsigned i = 1; i <= 50; i++) {
        assert_int_equal(receive(pair[1], &size), i);
        assert_int_equal(size, 10 + i);
    }
    guardbox_free(b);
    close(pair[0]);
    close(pair[1]);
}

/* Nobody takes them: the last ones are kept, in number and in bytes. */
static void the_oldest_are_dropped(void **state) {
    struct guardbox *b;
    int pair[2];
    uint64_t sent = 0, last = 0, number;
    size_t size;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(guardbox_new(pair[0], &b), 0);
    for (unsigned i = 1; i <= 3 * GUARDBOX_MOST; i++)
        put(b, ++sent, 100);
    assert_int_equal(guardbox_waiting(b), GUARDBOX_MOST);
    assert_int_equal(guardbox_dropped(b), 2 * GUARDBOX_MOST);
    for (unsigned i = 1; i <= 100; i++)
        put(b, ++sent, 50000);
    assert_true(guardbox_waiting(b) >= GUARDBOX_BYTES / 2 / 50004);
    assert_int_equal(guardbox_waiting(b) + guardbox_dropped(b), sent);
    number = guardbox_dropped(b);
    while (guardbox_waiting(b) > 0) {
        guardbox_flush(b);
        last = receive(pair[1], &size);
        assert_int_equal(last, ++number);
    }
    while (number < sent)
        assert_int_equal(receive(pair[1], &size), ++number);
    guardbox_free(b);
    close(pair[0]);
    close(pair[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_in_their_order),
        cmocka_unit_test(the_oldest_are_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
