#include "net/unixhttp.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

static void answers(void **state) {
    static const struct {
        const char *text;
        unsigned status;
        const char *body;
    } good[] = {
        {"HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello"},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 404, "no"},
        {"HTTP/1.0 200\n\nbare newlines", 200, "bare newlines"},
        {"HTTP/1.0 204 \r\nX: y\r\n\r\n", 204, ""},
        {"HTTP/1.1 200 OK\r\ncontent-LENGTH:  3 \r\n\r\nabcdef", 200, "abc"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nx", 200, "x"},
    };
    static const char *const bad[] = {
        "",
        "HTTP/1.0 200 OK",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.0 99 No\r\n\r\n",
        "HTTP/1.0 2000 OK\r\n\r\n",
        "HTTP/1.0 -20 OK\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.0 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.0 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nfour",
        "HTTP/1.0 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx",
        "HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx",
    };
    struct unixhttp got;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(good); i++) {
        assert_int_equal(unixhttp_parse(str_of(good[i].text), &got), 0);
        assert_int_equal(got.status, good[i].status);
        assert_true(str_eq(got.body, str_of(good[i].body)));
    }
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        got.status = 1;
        if (unixhttp_parse(str_of(bad[i]), &got) != -EBADMSG)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(got.status, 1);
    }
}

static void a_head_without_end_is_refused(void **state) {
    static char text[UNIXHTTP_HEAD_MAX * 2];
    struct unixhttp got;
    int n = snprintf(text, sizeof(text), "HTTP/1.0 200 OK\r\n");

    (void)state;
    for (size_t i = (size_t)n; i + 4 < sizeof(text); i += 4)
        memcpy(text + i, "a:b\n", 4);
    assert_int_equal(unixhttp_parse((struct str){text, sizeof(text)}, &got), -EBADMSG);
}

/* ---- a server that says one thing ---- */

struct server {
    char path[64];
    pid_t pid;
};

enum manner { AT_ONCE, BYTE_BY_BYTE, SILENT, ENDLESS };

static void serve(int listener, const char *answer, enum manner manner) {
    char request[512] = "";
    int fd = accept(listener, NULL, NULL);
    ssize_t n = fd < 0 ? -1 : read(fd, request, sizeof(request) - 1);

    if (n <= 0)
        _exit(1);
    if (!strstr(request, "GET /containers/json HTTP/1.0\r\n") || !strstr(request, "Host: "))
        answer = "HTTP/1.0 400 Bad\r\n\r\n";
    switch (manner) {
    case AT_ONCE:
        (void)!write(fd, answer, strlen(answer));
        break;
    case BYTE_BY_BYTE:
        for (; *answer; answer++)
            (void)!write(fd, answer, 1);
        break;
    case SILENT:
        pause();
        break;
    case ENDLESS:
        (void)!write(fd, answer, strlen(answer));
        while (write(fd, "xxxxxxxxxxxxxxxx", 16) > 0)
            ;
        break;
    }
    _exit(0);
}

static void server_start(struct server *s, const char *answer, enum manner manner) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(s->path, sizeof(s->path), "/tmp/plimsoll-unit-%d.sock", (int)getpid());
    unlink(s->path);
    memcpy(address.sun_path, s->path, strlen(s->path) + 1);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 4), 0);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0)
        serve(listener, answer, manner);
    close(listener);
}

static void server_stop(struct server *s) {
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    unlink(s->path);
}

static int ask(struct server *s, struct buf *answer, int64_t ms, struct unixhttp *got) {
    return unixhttp_get(s->path, "/containers/json", clock_mono_us() + ms * 1000, answer, got);
}

static void asks_and_gets(void **state) {
    struct server s;
    struct buf answer;
    struct unixhttp got;

    (void)state;
    buf_init(&answer, 1 << 20);
    server_start(&s, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]", AT_ONCE);
    assert_int_equal(ask(&s, &answer, 20000, &got), 0);
    assert_int_equal(got.status, 200);
    assert_true(str_eq(got.body, STR("[]")));
    server_stop(&s);
    server_start(&s, "HTTP/1.1 200 OK\r\n\r\n[1,2,3]", BYTE_BY_BYTE);
    assert_int_equal(ask(&s, &answer, 20000, &got), 0);
    assert_true(str_eq(got.body, STR("[1,2,3]")));
    server_stop(&s);
    buf_done(&answer);
}

static void waits_no_longer_than_said(void **state) {
    struct server s;
    struct buf answer;
    struct unixhttp got;

    (void)state;
    buf_init(&answer, 1 << 20);
    server_start(&s, "", SILENT);
    assert_int_equal(ask(&s, &answer, 50, &got), -ETIMEDOUT);
    server_stop(&s);
    server_start(&s, "HTTP/1.0 200 OK\r\n\r\n", ENDLESS);
    assert_int_equal(ask(&s, &answer, 60000, &got), -EFBIG); /* no more than the buffer takes */
    server_stop(&s);
    buf_done(&answer);
}

static void what_cannot_be_asked(void **state) {
    struct buf answer;
    struct unixhttp got;
    char longest[200];
    int64_t soon = clock_mono_us() + 20000000;

    (void)state;
    buf_init(&answer, 1 << 20);
    assert_int_equal(unixhttp_get("/tmp/plimsoll-none.sock", "/x", soon, &answer, &got), -ENOENT);
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(unixhttp_get(longest, "/x", soon, &answer, &got), -ENAMETOOLONG);
    assert_int_equal(unixhttp_get("/tmp/x", "/a b", soon, &answer, &got), -EINVAL);
    assert_int_equal(unixhttp_get("/tmp/x", "/a\r\nX: y", soon, &answer, &got), -EINVAL);
    buf_done(&answer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(a_head_without_end_is_refused),
        cmocka_unit_test(asks_and_gets),
        cmocka_unit_test(waits_no_longer_than_said),
        cmocka_unit_test(what_cannot_be_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
