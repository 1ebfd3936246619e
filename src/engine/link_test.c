#include "engine/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct setting {
    struct link *link;
    int far; /* the front's end */
};

static void open_link(struct setting *s, size_t limit) {
    int pair[2];

    assert_int_equal(link_new(limit, &s->link), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    s->link->fd = pair[0];
    s->far = pair[1];
    s->link->open = true;
}

static void close_link(struct setting *s) {
    close(s->link->fd);
    close(s->far);
    link_free(s->link);
}

/* A message that is as long as it is wanted: its at_ms is its number. */
static void put(struct setting *s, size_t length) {
    const struct wire_oom oom = {.uid = 1, .comm = {"x", 1}};
    struct wire_out w;

    link_begin(s->link, &w, WIRE_OOM);
    assert_true(wire_add_oom(&w, &oom));
    while (w.n < length)
        w.p[w.n++] = 0;
    link_put(s->link, &w);
}

/* The number of the next message at the far end; 0: there is none. */
static uint64_t next(struct setting *s) {
    uint8_t buf[WIRE_MESSAGE];
    ssize_t n = recv(s->far, buf, sizeof(buf), MSG_DONTWAIT);
    struct wire_in in = {buf, n > 0 ? (size_t)n : 0};
    struct wire_head head;

    if (n <= 0)
        return 0;
    assert_int_equal(wire_read_head(&in, &head), 0);
    return head.seq;
}

static void what_is_not_acknowledged_comes_again(void **state) {
    struct setting s;

    (void)state;
    open_link(&s, 1 << 20);
    for (unsigned i = 0; i < 5; i++)
        put(&s, 40);
    assert_int_equal(link_send(s.link), 0);
    for (uint64_t i = 1; i <= 5; i++)
        assert_true(next(&s) == i);
    link_acked(s.link, 2);
    put(&s, 40);
    /* A front that has 3 on disk, though its word of that was lost. */
    assert_true(link_resume(s.link, 3));
    assert_int_equal(link_send(s.link), 0);
    for (uint64_t i = 4; i <= 6; i++)
        assert_true(next(&s) == i);
    assert_true(next(&s) == 0);
    /* One that knows nothing, or more than there is, has to begin anew. */
    assert_false(link_resume(s.link, 0));
    put(&s, 40);
    assert_false(link_resume(s.link, 1000));
    close_link(&s);
}

static void a_slow_front_gets_it_in_pieces(void **state) {
    struct setting s;
    uint64_t want = 1, got;

    (void)state;
    open_link(&s, 8 << 20);
    for (unsigned i = 0; i < 100; i++)
        put(&s, 50000);
    while (want <= 100) {
        assert_int_equal(link_send(s.link), 0);
        got = next(&s);
        assert_true(got == want);
        want++;
    }
    link_acked(s.link, 100);
    assert_true(s.link->end == 0 && s.link->dropped == 0 && !s.link->lost);
    close_link(&s);
}

static void no_front_for_long_costs_the_oldest(void **state) {
    struct setting s;

    (void)state;
    open_link(&s, 100000);
    s.link->open = false;
    for (unsigned i = 0; i < 1000; i++) {
        put(&s, 1000);
        assert_true(s.link->end <= 100000);
    }
    assert_true(s.link->dropped > 800 && s.link->dropped < 1000);
    assert_true(s.link->lost);
    assert_false(link_resume(s.link, s.link->first_seq)); /* there was a hole before it */
    assert_false(s.link->lost);
    s.link->open = true;
    put(&s, 40);
    assert_int_equal(link_send(s.link), 0);
    assert_true(next(&s) == 1001);
    close_link(&s);
}

static void what_was_sent_and_is_given_up_is_no_loss(void **state) {
    struct setting s;

    (void)state;
    open_link(&s, 100000);
    for (unsigned i = 0; i < 1000; i++) { /* the front reads, and its disk is full */
        put(&s, 1000);
        assert_int_equal(link_send(s.link), 0);
        assert_true(next(&s) == i + 1);
    }
    assert_true(s.link->dropped == 0 && !s.link->lost);
    assert_false(link_resume(s.link, 5));
    close_link(&s);
}

static void another_front_gets_all_since_the_key(void **state) {
    struct setting s;

    (void)state;
    open_link(&s, 1 << 20);
    assert_false(link_rewind(s.link)); /* there was none */
    link_key(s.link);
    put(&s, 40);
    put(&s, 40);
    assert_int_equal(link_send(s.link), 0);
    assert_true(next(&s) == 1 && next(&s) == 2);
    assert_true(link_rewind(s.link));
    assert_int_equal(link_send(s.link), 0);
    assert_true(next(&s) == 1 && next(&s) == 2 && next(&s) == 0);
    link_acked(s.link, 1);
    assert_false(link_rewind(s.link)); /* its beginning is no more here */
    close_link(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_acknowledged_comes_again),
        cmocka_unit_test(a_slow_front_gets_it_in_pieces),
        cmocka_unit_test(no_front_for_long_costs_the_oldest),
        cmocka_unit_test(what_was_sent_and_is_given_up_is_no_loss),
        cmocka_unit_test(another_front_gets_all_since_the_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
