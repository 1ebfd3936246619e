#include "cmd/agentclient.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "base/clock.h"

static char path[64];

/* A child that answers so many requests with this text. */
static pid_t serve(const char *answer, unsigned times) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t pid;

    snprintf(path, sizeof(path), "/tmp/plimsoll-agentclient-%d", (int)getpid());
    (void)unlink(path);
    memcpy(address.sun_path, path, strlen(path));
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        for (unsigned i = 0; i < times; i++) {
            int client = accept(fd, NULL, NULL);
            char request[4096];

            (void)!read(client, request, sizeof(request));
            (void)!write(client, answer, strlen(answer));
            close(client);
        }
        _exit(0);
    }
    close(fd);
    return pid;
}

static void ended(pid_t pid) {
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(unlink(path), 0);
}

static int ask(json_t **out, struct err *err) {
    struct buf request;
    int r;

    *out = NULL;
    buf_init(&request, 4096);
    agentclient_path(&request, "/api/v1/targets");
    r = agentclient_get(path, &request, out, err);
    buf_done(&request);
    return r;
}

static void requests_are_encoded(void **state) {
    struct buf request;

    (void)state;
    buf_init(&request, 4096);
    agentclient_path(&request, "/api/v1/targets");
    agentclient_param(&request, "target", STR("a b&c=d/\xc3\xa4~"));
    agentclient_param_ms(&request, "at", 1763711296123);
    basetest_holds(&request, "/api/v1/targets?target=a%20b%26c%3Dd%2F%C3%A4~&at=1763711296123");
    buf_done(&request);
}

static void nobody_there_says_what_to_do(void **state) {
    struct err err;
    json_t *answer;

    (void)state;
    snprintf(path, sizeof(path), "/nonexistent/plimsoll.sock");
    assert_int_equal(ask(&answer, &err), -ENOENT);
    assert_null(answer);
    assert_string_equal(err.text, "no agent is running at '/nonexistent/plimsoll.sock': start one "
                                  "with `plimsoll agent`, or name its socket with --socket or "
                                  "PLIMSOLL_SOCKET");
}

static void answers_and_refusals_are_told_apart(void **state) {
    struct err err;
    json_t *answer;
    pid_t pid;

    (void)state;
    pid = serve("HTTP/1.0 200 OK\r\n\r\n{\"at_ms\":7}", 1);
    assert_int_equal(ask(&answer, &err), 0);
    assert_int_equal(json_integer_value(json_object_get(answer, "at_ms")), 7);
    json_decref(answer);
    ended(pid);
    pid = serve("HTTP/1.0 400 Bad Request\r\n\r\n{\"error\":\"no such\\nmetric\"}", 1);
    assert_int_equal(ask(&answer, &err), -EPROTO);
    assert_null(answer);
    assert_string_equal(err.text, "no such?metric");
    ended(pid);
    pid = serve("HTTP/1.0 503 Busy\r\n\r\nlater", 1);
    assert_int_equal(ask(&answer, &err), -EPROTO);
    assert_string_equal(err.text, "the agent answers with status 503");
    ended(pid);
    pid = serve("HTTP/1.0 200 OK\r\n\r\n<html>", 1);
    assert_int_equal(ask(&answer, &err), -EBADMSG);
    ended(pid);
    pid = serve("220 mail.example ESMTP\r\n", 1);
    assert_int_equal(ask(&answer, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "is no agent"));
    ended(pid);
}

static void an_empty_past_says_where_history_begins(void **state) {
    struct err err;
    pid_t pid;

    (void)state;
    pid = serve("HTTP/1.0 200 OK\r\n\r\n{\"store\":{\"oldest_ms\":1763711296000}}", 1);
    assert_int_equal(agentclient_nothing(path, 1763711290000, &err), -ENODATA);
    assert_string_equal(err.text, "nothing was recorded at 2025-11-21T07:48:10.000Z; the history "
                                  "begins at 2025-11-21T07:48:16.000Z");
    ended(pid);
    pid = serve("HTTP/1.0 200 OK\r\n\r\n{\"store\":{\"oldest_ms\":null}}", 1);
    assert_int_equal(agentclient_nothing(path, 1763711290000, &err), -ENODATA);
    assert_string_equal(err.text, "nothing was recorded at 2025-11-21T07:48:10.000Z");
    ended(pid);
}

static void moments_are_read(void **state) {
    int64_t now = clock_wall_ms(), ms = 0;
    struct err err;

    (void)state;
    assert_int_equal(agentclient_moment(STR("2025-11-21T07:48:16.123Z"), &ms, &err), 0);
    assert_int_equal(ms, 1763711296123);
    assert_int_equal(agentclient_moment(STR("-10m"), &ms, &err), 0);
    assert_true(ms >= now - 600000 && ms < now - 590000);
    assert_int_equal(agentclient_since(STR("10m"), &ms, &err), 0);
    assert_true(ms >= now - 600000 && ms < now - 590000);
    assert_int_equal(agentclient_since(STR("1763711296"), &ms, &err), 0);
    assert_int_equal(ms, 1763711296000);
    ms = 7;
    assert_int_equal(agentclient_since(STR("soon"), &ms, &err), -EINVAL);
    assert_int_equal(agentclient_moment(STR("2025-02-30T00:00:00Z"), &ms, &err), -EINVAL);
    assert_int_equal(ms, 7);
}

static void the_socket_is_looked_for(void **state) {
    (void)state;
    assert_int_equal(setenv("PLIMSOLL_SOCKET", "/x/y.sock", 1), 0);
    assert_string_equal(agentclient_socket("/given"), "/given");
    assert_string_equal(agentclient_socket(NULL), "/x/y.sock");
    assert_int_equal(setenv("PLIMSOLL_SOCKET", "", 1), 0);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "/nonexistent", 1), 0);
    if (geteuid() == 0)
        assert_string_equal(agentclient_socket(NULL), "/run/plimsoll/plimsoll.sock");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_encoded),
        cmocka_unit_test(nobody_there_says_what_to_do),
        cmocka_unit_test(answers_and_refusals_are_told_apart),
        cmocka_unit_test(an_empty_past_says_where_history_begins),
        cmocka_unit_test(moments_are_read),
        cmocka_unit_test(the_socket_is_looked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
