#include "runtime/cdp.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

static int64_t soon(int64_t ms) {
    return clock_mono_us() + ms * 1000;
}

static int parse(struct str text) {
    json_t *root = NULL;
    int r = cdp_parse(text, &root);

    json_decref(root);
    return r;
}

static void messages_are_bounded(void **state) {
    static char text[4 << 20];

    (void)state;
    assert_int_equal(parse(STR("{\"id\":1}")), 0);
    assert_int_equal(parse(STR("{\"id\":1,\"s\":\"[[[{{{,,,\\\"\"}")), 0);
    assert_int_equal(parse(STR("[]")), -EBADMSG);
    assert_int_equal(parse(STR("{\"id\":1")), -EBADMSG);
    assert_int_equal(parse(STR("")), -EBADMSG);
    memset(text, '[', sizeof(text));
    assert_int_equal(parse((struct str){text, sizeof(text)}), -EFBIG); /* deep */
    memset(text, ',', sizeof(text));
    assert_int_equal(parse((struct str){text, sizeof(text)}), -EFBIG); /* many */
}

static void calls_are_written(void **state) {
    json_t *params = json_pack("{s:s}", "a", "\"\n");
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    assert_int_equal(cdp_add_call(&out, 7, "X.y", params), 0);
    assert_true(
        str_eq(buf_str(&out), STR("{\"id\":7,\"method\":\"X.y\",\"params\":{\"a\":\"\\\"\\n\"}}")));
    buf_done(&out);
    json_decref(params);
}

static void members_are_found(void **state) {
    json_t *root = json_loads("{\"a\":{\"b\":{\"c\":\"x\"}},\"n\":1}", 0, NULL);

    (void)state;
    assert_true(str_eq(cdp_text(root, "a.b.c"), STR("x")));
    assert_true(str_eq(cdp_text(root, "a.b.d"), STR("")));
    assert_true(str_eq(cdp_text(root, "n"), STR("")));
    assert_null(cdp_at(root, "n.b"));
    assert_null(cdp_at(NULL, "n"));
    json_decref(root);
}

/* ---- another side that says what it likes ---- */

static void say(int fd, const char *text) {
    unsigned char head[4] = {0x81, 126};
    size_t n = strlen(text);

    head[2] = (unsigned char)(n >> 8);
    head[3] = (unsigned char)n;
    if (n < 126) {
        head[1] = (unsigned char)n;
        if (write(fd, head, 2) != 2)
            _exit(0);
    } else if (write(fd, head, 4) != 4) {
        _exit(0);
    }
    if (write(fd, text, n) != (ssize_t)n)
        _exit(0);
}

static void serve(int fd, const char *const *says, bool for_ever) {
    char text[4096], accept[WEBSOCKET_ACCEPT], answer[256];
    ssize_t n = read(fd, text, sizeof(text) - 1);
    char *key;
    int length;

    text[n > 0 ? n : 0] = 0;
    key = strstr(text, "Sec-WebSocket-Key: ");
    if (!key)
        _exit(1);
    websocket_accept((struct str){key + 19, 24}, accept);
    length = snprintf(answer, sizeof(answer), "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                      accept);
    if (write(fd, answer, (size_t)length) != length || read(fd, text, sizeof(text)) <= 0)
        _exit(1);
    do
        for (const char *const *line = says; *line; line++)
            say(fd, *line);
    while (for_ever);
    while (read(fd, text, sizeof(text)) > 0)
        ;
    _exit(0);
}

static unsigned events;

static int count(void *ctx, struct str method, const json_t *params) {
    (void)ctx;
    (void)params;
    events += str_eq(method, STR("E.e"));
    return 0;
}

static int call(const char *const *says, bool for_ever, int64_t ms, struct cdp *c) {
    int pair[2], r;
    pid_t pid;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    pid = fork();
    if (pid == 0) {
        close(pair[0]);
        alarm(100);
        serve(pair[1], says, for_ever);
    }
    close(pair[1]);
    assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
    r = cdp_open(c, pair[0], "127.0.0.1:1", "/x", soon(20000));
    if (r == 0) {
        json_t *value = NULL;

        events = 0;
        c->event = count;
        r = cdp_evaluate(c, "1", soon(ms), &value);
        if (r == 0)
            r = (int)json_integer_value(value);
        json_decref(value);
    }
    websocket_done(&c->ws);
    close(pair[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return r;
}

static void only_the_answer_to_the_question_counts(void **state) {
    static const char *const says[] = {
        "{\"method\":\"E.e\",\"params\":{}}",
        "{\"id\":99,\"result\":{\"result\":{\"value\":66}}}",
        "{\"id\":\"1\",\"result\":{\"result\":{\"value\":66}}}",
        "{\"id\":0,\"method\":\"E.e\"}",
        "{\"method\":\"E.e\"}",
        "{}",
        "{\"id\":1,\"result\":{\"result\":{\"value\":42}}}",
        NULL,
    };
    struct cdp c;

    (void)state;
    assert_int_equal(call(says, false, 20000, &c), 42);
    assert_int_equal(events, 2);
}

static void errors_are_told(void **state) {
    static const char *const refused[] = {
        "{\"id\":1,\"error\":{\"code\":-1,\"message\":\"no\\u001b such method\"}}", NULL};
    static const char *const thrown[] = {
        "{\"id\":1,\"result\":{\"result\":{},\"exceptionDetails\":{\"exception\":"
        "{\"description\":\"TypeError: x\"}}}}",
        NULL};
    static const char *const odd[] = {"{\"id\":1}", NULL};
    static const char *const none[] = {"{\"id\":1,\"result\":{}}", NULL};
    static const char *const no_json[] = {"hello", NULL};
    struct cdp c;

    (void)state;
    assert_int_equal(call(refused, false, 20000, &c), -EREMOTEIO);
    assert_string_equal(c.said, "no  such method");
    assert_int_equal(call(thrown, false, 20000, &c), -EREMOTEIO);
    assert_string_equal(c.said, "TypeError: x");
    assert_int_equal(call(odd, false, 20000, &c), -EBADMSG);
    assert_int_equal(call(none, false, 20000, &c), -EBADMSG);
    assert_int_equal(call(no_json, false, 20000, &c), -EBADMSG);
}

static void events_without_end_end_at_the_deadline(void **state) {
    static const char *const says[] = {"{\"method\":\"E.e\",\"params\":{}}", NULL};
    struct cdp c;

    (void)state;
    events = 0;
    for (int64_t ms = 200; ms < 20000 && events <= 1; ms *= 4) /* the other end is to be run, too */
        assert_int_equal(call(says, true, ms, &c), -ETIMEDOUT);
    assert_true(events > 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_bounded),
        cmocka_unit_test(calls_are_written),
        cmocka_unit_test(members_are_found),
        cmocka_unit_test(only_the_answer_to_the_question_counts),
        cmocka_unit_test(errors_are_told),
        cmocka_unit_test(events_without_end_end_at_the_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
