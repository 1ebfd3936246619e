#include "cmd/agentstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define EVENTS                                                                                     \
    "retry: 2000\n\nid: 1\nevent: snapshot\ndata: {\"a\":1}\n\n:\n\nid: 2\nevent: tick\r\n"        \
    "data: {}\r\n\r\n"

struct told {
    char text[400];
    int result;
};

static int on_event(void *ctx, struct str event, struct str data) {
    struct told *told = ctx;
    size_t n = strlen(told->text);

    snprintf(told->text + n, sizeof(told->text) - n, "%.*s=%.*s;", STR_ARG(event), STR_ARG(data));
    return told->result;
}

static int feed(struct agentstream *s, const char *text, struct told *told) {
    return agentstream_feed(s, str_of(text), on_event, told);
}

static void events_are_told_however_they_are_cut(void **state) {
    static const char text[] = HEAD EVENTS;

    (void)state;
    for (size_t piece = 1; piece < sizeof(text); piece++) {
        struct told told = {.text = ""};
        struct agentstream s;

        agentstream_init(&s, "/nowhere");
        for (size_t at = 0; at < sizeof(text) - 1; at += piece) {
            struct str part = {text + at, sizeof(text) - 1 - at};

            assert_true(agentstream_feed(&s, str_head(part, piece), on_event, &told) >= 0);
        }
        assert_string_equal(told.text, "snapshot={\"a\":1};tick={};");
        agentstream_done(&s);
    }
}

static void a_refusal_is_told_by_its_status(void **state) {
    struct told told = {.text = ""};
    struct agentstream s;

    (void)state;
    agentstream_init(&s, "/nowhere");
    assert_true(feed(&s, "HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n{\"error\"", &told) < 0);
    assert_int_equal(s.status, 503);
    agentstream_done(&s);
    assert_string_equal(told.text, "");
}

static void what_is_no_stream_is_refused(void **state) {
    static const char *const bad[] = {"SSH-2.0-x\r\n\r\n", "HTTP/1.1 x\r\n\r\n", "\r\n\r\n", "\n"};
    char *large = test_calloc(1, 70000);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct told told = {.text = ""};
        struct agentstream s;

        agentstream_init(&s, "/nowhere");
        assert_int_equal(feed(&s, bad[i], &told), -EBADMSG);
        agentstream_done(&s);
    }
    /* a head without an end */
    struct told told = {.text = ""};
    struct agentstream s;

    memset(large, 'a', 69999);
    memcpy(large, "HTTP/1.1 200 OK\r\n", 17);
    agentstream_init(&s, "/nowhere");
    assert_int_equal(feed(&s, large, &told), -EBADMSG);
    agentstream_done(&s);
    test_free(large);
}

static void odd_lines_are_passed_over(void **state) {
    struct told told = {.text = ""};
    struct agentstream s;

    (void)state;
    agentstream_init(&s, "/nowhere");
    assert_int_equal(feed(&s,
                          HEAD "data: alone\n\nevent: "
                               "a-name-that-is-much-longer-than-any-that-we-know\ndata: x\n\n"
                               "event: tick\n\ndata: y\n\nnonsense\nevent: tick\ndata: \n\n",
                          &told),
                     1);
    assert_string_equal(told.text, "tick=;");
    told.result = -EPROTO; /* who takes it has had enough */
    assert_int_equal(feed(&s, "event: tick\ndata: z\n\n", &told), -EPROTO);
    agentstream_done(&s);
}

static int listening(struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof(address->sun_path), "/tmp/plimsoll-test-%d.sock", getpid());
    unlink(address->sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof(*address)), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static void a_lost_connection_is_made_again(void **state) {
    struct told told = {.text = ""};
    struct sockaddr_un address;
    struct agentstream s;
    char request[200];
    int server = listening(&address), peer;

    (void)state;
    agentstream_init(&s, address.sun_path);
    assert_int_equal(agentstream_poll(&s, on_event, &told), 0); /* a silent one keeps nobody */
    peer = accept(server, NULL, NULL);
    assert_true(read(peer, request, sizeof(request)) > 20);
    assert_memory_equal(request, "GET /api/v1/stream HTTP/1.0\r\n", 29);
    assert_true(write(peer, HEAD EVENTS, sizeof(HEAD EVENTS) - 1) > 0);
    assert_int_equal(agentstream_poll(&s, on_event, &told), 2);
    close(peer);
    assert_int_equal(agentstream_poll(&s, on_event, &told), -ECONNRESET);
    assert_int_equal(agentstream_poll(&s, on_event, &told), -EAGAIN); /* not at once */
    s.retry_us = clock_mono_us();
    assert_int_equal(agentstream_poll(&s, on_event, &told), 0);
    peer = accept(server, NULL, NULL);
    assert_true(write(peer, HEAD EVENTS, sizeof(HEAD EVENTS) - 1) > 0);
    agentstream_wait(&s, clock_mono_us() + 30000000);
    assert_int_equal(agentstream_poll(&s, on_event, &told), 2);
    close(peer);
    close(server);
    unlink(address.sun_path);
    (void)agentstream_poll(&s, on_event, &told);
    s.retry_us = clock_mono_us();
    assert_int_equal(agentstream_poll(&s, on_event, &told), -ENOENT);
    agentstream_done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_told_however_they_are_cut),
        cmocka_unit_test(a_refusal_is_told_by_its_status),
        cmocka_unit_test(what_is_no_stream_is_refused),
        cmocka_unit_test(odd_lines_are_passed_over),
        cmocka_unit_test(a_lost_connection_is_made_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
