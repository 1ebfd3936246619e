/* POST /api/v1/act: who may ask, for what, and what the answer becomes. */
#include "web/api_act.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "web/webtest.h"

static struct webtest site;
static struct buf answer;

static int begin_with(bool token) {
    const struct webtest_setup setup = {.rows = 5, .token = token, .history = 3};

    buf_init(&answer, 1 << 20);
    webtest_begin(&site, &setup);
    return 0;
}

static int begin(void **state) {
    (void)state;
    return begin_with(true);
}

static int begin_open(void **state) {
    (void)state;
    return begin_with(false);
}

static int end(void **state) {
    (void)state;
    webtest_end(&site);
    buf_done(&answer);
    return 0;
}

#define JSON "Content-Type: application/json\r\n"
#define BEARER "Authorization: Bearer " WEBTEST_TOKEN "\r\n"

static int post(bool local, const char *headers, const char *body) {
    char request[70000];

    snprintf(request, sizeof(request),
             "POST /api/v1/act HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n"
             "Content-Length: %zu\r\n%s\r\n%s",
             site.port, strlen(body), headers, body);
    return webtest_ask(&site, local, request, &answer);
}

static bool told(const char *text) {
    return memmem(answer.p, answer.n, text, strlen(text)) != NULL;
}

/* The child answers an action with the word of its number. */
static void each_answer_has_its_status(void **state) {
    static const struct {
        enum action action;
        int status;
        const char *text;
    } cases[] = {
        {(enum action)WIRE_ACTED_BEGUN, 202, "{\"id\":\"act-1\",\"name\":\"web\""},
        {(enum action)WIRE_ACTED_REFUSED, 403, "does not allow it: put gc into its `do`"},
        {(enum action)WIRE_ACTED_BUSY, 409, "or the guard's bound per hour is reached"},
        {(enum action)WIRE_ACTED_UNKNOWN, 404, "has just gone"},
        {(enum action)WIRE_ACTED_UNGUARDED, 403, "no guard matches 'web'"},
        {(enum action)WIRE_ACTED_NO_GUARD, 503, "nothing guards"},
        {(enum action)WIRE_ACTED_FAILED, 503, "cannot begin"},
    };
    char body[100];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        snprintf(body, sizeof(body), "{\"target\":\"web\",\"action\":\"%s\"}",
                 action_name(cases[i].action));
        assert_int_equal(post(false, JSON BEARER, body), cases[i].status);
        if (!told(cases[i].text))
            fail_msg("not '%s' in %.*s", cases[i].text, STR_ARG(buf_str(&answer)));
    }
}

static void a_refusal_names_the_guard(void **state) {
    (void)state;
    webtest_tell(&site, 'w');
    assert_int_equal(post(false, JSON BEARER, "{\"target\":\"web\",\"action\":\"gc\"}"), 403);
    assert_true(told("the guard 'web' of 'web' does not allow it: put gc into its `do`"));
}

static void who_may_not_ask_is_told_why(void **state) {
    const char *const body = "{\"target\":\"web\",\"action\":\"notify\"}";
    char large[66000];

    (void)state;
    assert_int_equal(post(false, JSON, body), 401);
    assert_int_equal(post(false, JSON "Authorization: Bearer wrong\r\n", body), 401);
    assert_int_equal(post(false, BEARER, body), 415);
    assert_int_equal(post(false, BEARER "Content-Type: text/plain\r\n", body), 415);
    assert_int_equal(post(false, JSON BEARER "Origin: http://evil.example\r\n", body), 403);
    assert_int_equal(post(false, JSON BEARER "Sec-Fetch-Site: cross-site\r\n", body), 403);
    assert_int_equal(webtest_get(&site, true, "/api/v1/act", NULL, &answer), 405);
    assert_true(told("Allow: POST\r\n"));
    memset(large, ' ', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    assert_int_equal(post(false, JSON BEARER, large), 413);
    /* Of a socket that has its file's rights: root, as whom the tests run, or the agent's user. */
    if (geteuid() == 0)
        assert_int_equal(post(true, "Content-Type: application/json; charset=utf-8\r\n", body),
                         202);
}

static void without_a_token_nobody_acts_over_tcp(void **state) {
    (void)state;
    assert_int_equal(post(false, JSON, "{\"target\":\"web\",\"action\":\"notify\"}"), 403);
    assert_true(told("token_file"));
    assert_int_equal(post(false, JSON BEARER, "{\"target\":\"web\",\"action\":\"notify\"}"), 403);
    assert_int_equal(webtest_get(&site, false, "/api/v1/targets", NULL, &answer), 200);
}

static void nonsense_is_refused(void **state) {
    static const struct {
        const char *body;
        int status;
    } cases[] = {
        {"", 400},
        {"[]", 400},
        {"{\"target\":\"web\"}", 400},
        {"{\"target\":\"web\",\"action\":\"dance\"}", 400},
        {"{\"action\":\"gc\"}", 400},
        {"{\"target\":\"nobody\",\"action\":\"gc\"}", 404},
        {"{\"target\":\"container-3\",\"action\":\"gc\"}", 503},
        {"{\"target\":1,\"action\":\"gc\"}", 400},
        {"{\"target\":\"/\",\"action\":\"notify\"}", 400},
        {"{\"target\":\"web\",\"action\":\"notify\",\"x\":1}", 400},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++)
        assert_int_equal(post(false, JSON BEARER, cases[i].body), cases[i].status);
    assert_true(told("unknown key 'x': the body has 'target' and 'action'"));
    assert_int_equal(post(false, JSON BEARER, "{\"target\":\"host\",\"action\":\"kill\"}"), 400);
    assert_true(told("the whole machine is not acted on"));
}

/* A reader who goes while the answer is waited for harms nobody. */
static void who_leaves_is_forgotten(void **state) {
    char request[400];

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        int fd = webtest_connect(&site, false);
        const char *body = "{\"target\":\"web\",\"action\":\"term\"}"; /* never answered */

        snprintf(
            request, sizeof(request),
            "POST /api/v1/act HTTP/1.1\r\nHost: localhost:%u\r\nContent-Length: %zu\r\n" JSON BEARER
            "\r\n%s",
            site.port, strlen(body), body);
        webtest_send(fd, request);
        close(fd);
    }
    assert_int_equal(post(false, JSON BEARER, "{\"target\":\"web\",\"action\":\"notify\"}"), 202);
}

static void what_is_not_answered_is_late(void **state) {
    const struct act act = {.name = "web"};
    struct answer a;

    (void)state;
    answer_init(&a);
    act_answer(&act, &a);
    assert_int_equal(a.status, 504);
    answer_done(&a);
}

static size_t count_of(const char *path, const char *text) {
    json_t *tree = webtest_json(&site, true, path, &answer);
    size_t n = 0;

    for (const char *at = answer.p;
         (at = memmem(at, (size_t)(answer.p + answer.n - at), text, strlen(text))); at++)
        n++;
    json_decref(tree);
    return n;
}

/* What a guard told is in all lists, and the target hangs. */
static void records_are_told_everywhere(void **state) {
    (void)state;
    webtest_tell(&site, 'w');
    assert_int_equal(count_of("/api/v1/incidents", "\"record\":"), 5);
    assert_int_equal(count_of("/api/v1/incidents?kind=mark", "\"record\":\"mark\""), 1);
    assert_int_equal(count_of("/api/v1/incidents?kind=oom", "\"record\":"), 0);
    assert_int_equal(count_of("/api/v1/incidents?limit=2", "\"record\":"), 2);
    assert_int_equal(count_of("/api/v1/incidents?target=web", "\"id\":\"id-2\""), 2);
    assert_int_equal(count_of("/api/v1/events", "\"record\":"), 2); /* no steps between */
    assert_int_equal(count_of("/api/v1/events?kind=gc", "\"freed\":8000"), 1);
    assert_int_equal(count_of("/api/v1/events?kind=hang&kind=begin", "\"record\":"), 2);
    assert_int_equal(webtest_get(&site, true, "/api/v1/incidents?kind=dance", NULL, &answer), 400);
    assert_int_equal(count_of("/api/v1/targets", "\"state\":\"hung\""), 1);
    assert_int_equal(count_of("/api/v1/targets", "\"hang\":\"refault-livelock\""), 1);
    assert_int_equal(count_of("/api/v1/targets", "\"marks_passed\":1"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_answer_has_its_status, begin, end),
        cmocka_unit_test_setup_teardown(a_refusal_names_the_guard, begin, end),
        cmocka_unit_test_setup_teardown(who_may_not_ask_is_told_why, begin, end),
        cmocka_unit_test_setup_teardown(without_a_token_nobody_acts_over_tcp, begin_open, end),
        cmocka_unit_test_setup_teardown(nonsense_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(who_leaves_is_forgotten, begin, end),
        cmocka_unit_test(what_is_not_answered_is_late),
        cmocka_unit_test_setup_teardown(records_are_told_everywhere, begin_open, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
