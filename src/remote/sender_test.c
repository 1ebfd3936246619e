/* A server in a thread says what it is told to, and keeps what it was asked. */
#include "remote/sender.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

struct server {
    int fd;
    char url[80];
    const char *answer;
    size_t padding; /* bytes behind the answer */
    int stop;       /* when there is an answer to be waited for, this is told to stop; 0: nobody */
    pthread_t thread;
    struct buf asked;
};

/* Reads a request: its head, and as much body as it announces. */
static void read_request(int fd, struct buf *out) {
    for (;;) {
        const char *end = out->n ? memmem(out->p, out->n, "\r\n\r\n", 4) : NULL;
        struct str length = {NULL, 0};
        uint64_t body = 0;
        char *room;
        ssize_t n;

        if (end) {
            const char *at = memmem(out->p, out->n, "Content-Length: ", 16);

            assert_non_null(at);
            length = str_from(buf_str(out), (size_t)(at + 16 - out->p));
            length = str_head(length, (size_t)str_find(length, '\r'));
            assert_int_equal(str_to_u64(length, &body), 0);
            if (out->n >= (size_t)(end + 4 - out->p) + body)
                return;
        }
        room = buf_room(out, 4096);
        n = room ? recv(fd, room, 4096, 0) : 0;
        if (n <= 0)
            return;
        buf_grow(out, (size_t)n);
    }
}

static void *serve(void *ctx) {
    struct server *s = ctx;
    int fd = accept(s->fd, NULL, NULL);

    if (fd < 0)
        return NULL;
    read_request(fd, &s->asked);
    if (s->answer) {
        (void)!send(fd, s->answer, strlen(s->answer), MSG_NOSIGNAL);
        for (size_t i = 0; i < s->padding; i += 1024) {
            char block[1024] = {0};

            if (send(fd, block, sizeof(block), MSG_NOSIGNAL) < 0)
                break;
        }
    } else if (s->stop) {
        const uint64_t one = 1;

        (void)!write(s->stop, &one, sizeof(one));
        (void)!recv(fd, &s->padding, 1, 0); /* until the other end closes */
    } else {
        (void)!recv(fd, &s->padding, 1, 0); /* says nothing until the other end closes */
    }
    close(fd);
    return NULL;
}

static void listen_on(struct server *s) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(s->fd, 5), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &size), 0);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d/api/v1/write", ntohs(a.sin_port));
    buf_init(&s->asked, 1 << 20);
}

static void close_server(struct server *s) {
    close(s->fd);
    buf_done(&s->asked);
}

/* Asks once; what the server was asked is in s->asked. */
static enum sender_result post(struct server *s, const struct sender_options *more,
                               const char *answer, int64_t *after_ms, struct err *err) {
    struct sender_options o = more ? *more : (struct sender_options){.timeout_ms = 30000};
    enum sender_result result;
    struct sender *sender;

    if (!more)
        o.stop = eventfd(0, EFD_CLOEXEC);
    o.url = s->url;
    s->answer = answer;
    buf_clear(&s->asked);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    assert_int_equal(sender_new(&o, &sender, err), 0);
    result = sender_post(sender, STR("\x01\x00\xff body"), after_ms, err);
    sender_free(sender);
    pthread_join(s->thread, NULL);
    if (!more)
        close(o.stop);
    return result;
}

static void has(struct server *s, const char *line) {
    if (!memmem(s->asked.p, s->asked.n, line, strlen(line)))
        fail_msg("no '%s' in '%.*s'", line, STR_ARG(buf_str(&s->asked)));
}

static void lacks(struct server *s, const char *text) {
    if (memmem(s->asked.p, s->asked.n, text, strlen(text)))
        fail_msg("'%s' in '%.*s'", text, STR_ARG(buf_str(&s->asked)));
}

static void a_request_is_as_the_protocol_wants_it(void **state) {
    const struct sender_options token = {.timeout_ms = 30000, .token = "t0ken", .stop = -1};
    const struct sender_options basic = {
        .timeout_ms = 30000, .username = "me", .password = "secret", .stop = -1};
    struct server s = {0};
    int64_t after;
    struct err err;

    (void)state;
    listen_on(&s);
    assert_int_equal(post(&s, NULL, "HTTP/1.1 204 No Content\r\n\r\n", &after, &err), SENDER_SENT);
    has(&s, "POST /api/v1/write HTTP/1.1\r\n");
    has(&s, "\r\nContent-Encoding: snappy\r\n");
    has(&s, "\r\nContent-Type: application/x-protobuf\r\n");
    has(&s, "\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n");
    has(&s, "\r\nUser-Agent: plimsoll/");
    has(&s, "\r\nContent-Length: 8\r\n");
    lacks(&s, "Authorization");
    lacks(&s, "Expect");
    assert_memory_equal(s.asked.p + s.asked.n - 8, "\x01\x00\xff body", 8);
    assert_int_equal(post(&s, &token, "HTTP/1.1 200 OK\r\n\r\n", &after, &err), SENDER_SENT);
    has(&s, "\r\nAuthorization: Bearer t0ken\r\n");
    assert_int_equal(post(&s, &basic, "HTTP/1.1 200 OK\r\n\r\n", &after, &err), SENDER_SENT);
    has(&s, "\r\nAuthorization: Basic bWU6c2VjcmV0\r\n");
    close_server(&s);
}

static void answers_say_what_is_to_be_done(void **state) {
    static const struct {
        const char *answer;
        enum sender_result result;
        int64_t after_ms;
        const char *text;
    } cases[] = {
        {"HTTP/1.1 500 Oh\r\n\r\nout of\r\nluck", SENDER_AGAIN, 0, "HTTP 500: out of"},
        {"HTTP/1.1 503 No\r\nRetry-After: 7\r\n\r\n", SENDER_AGAIN, 7000, "HTTP 503"},
        {"HTTP/1.1 503 No\r\nRetry-After: 9999999\r\n\r\n", SENDER_AGAIN, 600000, "HTTP 503"},
        {"HTTP/1.1 429 Many\r\nRetry-After: 2\r\n\r\n", SENDER_AGAIN, 2000, "HTTP 429"},
        {"HTTP/1.1 400 Bad\r\n\r\nout of order", SENDER_DROP, 0, "HTTP 400: out of order"},
        {"HTTP/1.1 404 No\r\n\r\n", SENDER_DROP, 0, "HTTP 404"},
        {"HTTP/1.1 401 Who\r\n\r\n", SENDER_DROP, 0, "HTTP 401"},
        {"HTTP/1.1 302 Away\r\nLocation: http://127.0.0.1:1/\r\n\r\n", SENDER_DROP, 0, "HTTP 302"},
        {"this is no HTTP\r\n\r\n", SENDER_AGAIN, 0, NULL},
        {"", SENDER_AGAIN, 0, NULL},
    };
    struct server s = {0};
    int64_t after;
    struct err err;

    (void)state;
    listen_on(&s);
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        enum sender_result got = post(&s, NULL, cases[i].answer, &after, &err);

        if (got != cases[i].result || after != cases[i].after_ms)
            fail_msg("'%s': %d, %lld ms", cases[i].answer, got, (long long)after);
        if (cases[i].text)
            assert_string_equal(err.text, cases[i].text);
        else
            assert_true(strlen(err.text) > 0);
    }
    close_server(&s);
}

static void an_endless_answer_is_cut_off(void **state) {
    struct server s = {.padding = 64 << 20};
    int64_t after;
    struct err err;

    (void)state;
    listen_on(&s);
    assert_int_equal(post(&s, NULL, "HTTP/1.1 400 Bad\r\n\r\nno", &after, &err), SENDER_DROP);
    assert_int_equal(post(&s, NULL, "HTTP/1.1 200 OK\r\n\r\n", &after, &err), SENDER_SENT);
    close_server(&s);
}

static void nobody_there_and_nothing_said_are_tried_again(void **state) {
    const struct sender_options soon = {.timeout_ms = 300, .stop = -1};
    struct sender_options away = {.url = "http://127.0.0.1:1/", .timeout_ms = 2000, .stop = -1};
    struct server s = {0};
    struct sender *sender;
    int64_t after;
    struct err err;

    (void)state;
    listen_on(&s);
    assert_int_equal(post(&s, &soon, NULL, &after, &err), SENDER_AGAIN);
    assert_int_equal(sender_new(&away, &sender, &err), 0);
    assert_int_equal(sender_post(sender, STR("x"), &after, &err), SENDER_AGAIN);
    assert_non_null(strstr(err.text, "connect"));
    sender_free(sender);
    close_server(&s);
}

static void stop_ends_a_request_and_a_wait(void **state) {
    struct sender_options o = {.timeout_ms = 60000, .stop = eventfd(0, EFD_CLOEXEC)};
    int quiet = eventfd(0, EFD_CLOEXEC);
    struct server s = {.stop = o.stop};
    int64_t after, begin_us = clock_mono_us();
    struct err err;

    (void)state;
    listen_on(&s);
    assert_int_equal(post(&s, &o, NULL, &after, &err), SENDER_STOP);
    assert_false(sender_wait(o.stop, 100000));
    assert_true(clock_mono_us() - begin_us < 30 * 1000000);
    begin_us = clock_mono_us();
    assert_true(sender_wait(quiet, 20));
    assert_true(clock_mono_us() - begin_us >= 20000);
    close(o.stop);
    close(quiet);
    close_server(&s);
}

static void waits_double_up_to_a_minute(void **state) {
    (void)state;
    for (unsigned failures = 1; failures < 40; failures++) {
        int64_t most = failures >= 7 ? 60000 : 1000LL << (failures - 1);

        assert_int_equal(sender_wait_ms(failures, 0, 0), most / 2);
        assert_int_equal(sender_wait_ms(failures, 0, (uint32_t)most / 2), most);
        assert_in_range(sender_wait_ms(failures, 0, 4000000007u), most / 2, most);
        assert_int_equal(sender_wait_ms(failures, 90000, 5), 90000);
        assert_int_equal(sender_wait_ms(failures, INT64_MAX, 5), 600000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_as_the_protocol_wants_it),
        cmocka_unit_test(answers_say_what_is_to_be_done),
        cmocka_unit_test(an_endless_answer_is_cut_off),
        cmocka_unit_test(nobody_there_and_nothing_said_are_tried_again),
        cmocka_unit_test(stop_ends_a_request_and_a_wait),
        cmocka_unit_test(waits_double_up_to_a_minute),
    };

    if (sender_global_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
