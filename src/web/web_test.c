#include "web/web.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <zlib.h>

#include "base/basetest.h"
#include "web/webtest.h"

static struct webtest site;
static struct buf answer;

static const struct webtest_setup plain = {.rows = 3}, guarded = {.rows = 3, .token = true},
                                  open_commands = {.rows = 3, .commands = true},
                                  large = {.rows = 600}, remembering = {.rows = 3, .history = 600};
/* Its pages are larger than what the kernel takes for one who does not read. */
static const struct webtest_setup huge = {.rows = 2400};

static int begin(const struct webtest_setup *setup) {
    buf_init(&answer, 64 << 20);
    webtest_begin(&site, setup);
    return 0;
}

static int begin_plain(void **state) {
    (void)state;
    return begin(&plain);
}

static int begin_guarded(void **state) {
    (void)state;
    return begin(&guarded);
}

static int begin_open(void **state) {
    (void)state;
    return begin(&open_commands);
}

static int begin_large(void **state) {
    (void)state;
    return begin(&large);
}

static int begin_huge(void **state) {
    (void)state;
    return begin(&huge);
}

static int begin_remembering(void **state) {
    (void)state;
    return begin(&remembering);
}

static int end(void **state) {
    (void)state;
    webtest_end(&site);
    buf_done(&answer);
    return 0;
}

static void is_json(void) {
    struct str body = webtest_body(&answer);

    while (body.n > 0 && body.p[body.n - 1] == '\n')
        body.n--;
    if (!basetest_is_json(body))
        fail_msg("no JSON: '%.*s'", STR_ARG(str_head(body, 2000)));
}

/* --- who may ask --------------------------------------------------------------------------------
 */

static int ask_host(const char *host, const char *headers) {
    char request[1024];

    snprintf(request, sizeof(request), "GET /healthz HTTP/1.1\r\n%s%s%s%sConnection: close\r\n\r\n",
             host ? "Host: " : "", host ? host : "", host ? "\r\n" : "", headers);
    return webtest_ask(&site, false, request, &answer);
}

/* A # stands for our port. */
static void put_port(const char *text, char *out, size_t size) {
    size_t n = 0;

    for (; *text; text++)
        n += (size_t)(*text == '#' ? snprintf(out + n, size - n, "%u", site.port)
                                   : snprintf(out + n, size - n, "%c", *text));
    out[n] = '\0';
}

static void only_our_own_hosts_are_answered(void **state) {
    static const char *const good[] = {"127.0.0.1",           "localhost",   "LocalHost",
                                       "plimsoll.example",    "tunnel:8080", "plimsoll.example:99",
                                       "PLIMSOLL.example:1",  "127.0.0.1:#", "localhost:#",
                                       "[::ffff:127.0.0.1]:#"};
    static const char *const bad[] = {"evil.example",
                                      "evil.example:#",
                                      "127.0.0.2",
                                      "127.0.0.1:1",
                                      "localhost:1",
                                      "tunnel",
                                      "tunnel:8081",
                                      "[::1]:#",
                                      "127.0.0.1.evil.example",
                                      "localhost.evil",
                                      "",
                                      ":#",
                                      "127.1",
                                      "2130706433",
                                      "0x7f.0.0.1",
                                      "127.0.0.1:x",
                                      "127.0.0.1:#:#",
                                      "[127.0.0.1",
                                      "::1",
                                      "0.0.0.0",
                                      "localhost:99999999999"};
    char host[100];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(good); i++) {
        put_port(good[i], host, sizeof(host));
        if (ask_host(host, "") != 200)
            fail_msg("'%s' is refused: '%.*s'", host, STR_ARG(buf_str(&answer)));
    }
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        put_port(bad[i], host, sizeof(host));
        if (ask_host(host, "") != 421)
            fail_msg("'%s' gives '%.*s'", host, STR_ARG(buf_str(&answer)));
    }
    assert_int_equal(ask_host("localhost", "Host: evil.example\r\n"), 400);
    assert_int_not_equal(ask_host(NULL, ""), 200);
    assert_int_equal(webtest_ask(&site, true,
                                 "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                                 &answer),
                     200);
    assert_int_equal(webtest_ask(&site, true, "GET /healthz HTTP/1.0\r\n\r\n", &answer), 200);
    assert_int_equal(webtest_ask(&site, false, "GET /healthz HTTP/1.0\r\n\r\n", &answer), 200);
    assert_int_equal(
        webtest_ask(&site, false, "GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n", &answer),
        421);
}

static void pages_of_others_are_refused(void **state) {
    char ours[100], header[200];

    (void)state;
    snprintf(ours, sizeof(ours), "127.0.0.1:%u", site.port);
    snprintf(header, sizeof(header), "Origin: http://%s\r\n", ours);
    assert_int_equal(ask_host(ours, header), 200);
    assert_int_equal(ask_host(ours, "Sec-Fetch-Site: same-origin\r\n"), 200);
    assert_int_equal(ask_host(ours, "Sec-Fetch-Site: none\r\n"), 200);
    assert_int_equal(ask_host(ours, "Origin: http://evil.example\r\n"), 403);
    assert_int_equal(ask_host(ours, "Origin: null\r\n"), 403);
    assert_int_equal(ask_host(ours, "Origin: http://127.0.0.1:1\r\n"), 403);
    assert_int_equal(ask_host(ours, "Origin: http://localhost\r\n"), 403);
    assert_int_equal(ask_host(ours, "Sec-Fetch-Site: cross-site\r\n"), 403);
    assert_int_equal(ask_host(ours, "Sec-Fetch-Site: same-site\r\n"), 403);
    assert_int_equal(ask_host(ours, "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"),
                     403);
    assert_int_equal(webtest_get(&site, false, "/",
                                 "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n",
                                 &answer),
                     200);
    assert_int_equal(webtest_get(&site, false, "/",
                                 "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n",
                                 &answer),
                     403);
    assert_int_equal(
        webtest_get(&site, false, "/",
                    "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nOrigin: null\r\n",
                    &answer),
        403);
    assert_false(webtest_has(&answer, "Access-Control"));
    assert_int_equal(
        webtest_get(&site, true, "/healthz", "Origin: http://evil.example\r\n", &answer), 403);
}

static void nothing_but_reading_is_allowed(void **state) {
    static const char *const methods[] = {"POST",  "PUT",   "DELETE",  "OPTIONS",
                                          "PATCH", "TRACE", "CONNECT", "FOO"};
    char request[20000];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(methods); i++) {
        snprintf(request, sizeof(request),
                 "%s /healthz HTTP/1.1\r\nHost: localhost\r\n"
                 "Connection: close\r\n\r\n",
                 methods[i]);
        assert_int_equal(webtest_ask(&site, false, request, &answer), 405);
        assert_true(webtest_has(&answer, "\r\nAllow: GET, HEAD\r\n"));
    }
    assert_int_equal(webtest_ask(&site, false,
                                 "POST /healthz HTTP/1.1\r\nHost: localhost\r\n"
                                 "Content-Length: 5\r\n\r\nhello",
                                 &answer),
                     405);
    assert_int_equal(webtest_ask(&site, false,
                                 "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                                 "Content-Length: 5\r\n\r\nhello",
                                 &answer),
                     413);
    assert_int_equal(webtest_ask(&site, false,
                                 "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                                 &answer),
                     413);
    snprintf(request, sizeof(request),
             "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: %08000d\r\n\r\n",
             0);
    assert_int_equal(webtest_ask(&site, false, request, &answer), 200);
    snprintf(request, sizeof(request),
             "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: %08200d\r\n\r\n",
             0);
    assert_int_equal(webtest_ask(&site, false, request, &answer), 431);
    assert_int_equal(webtest_ask(&site, false,
                                 "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n"
                                 "Connection: close\r\n\r\n",
                                 &answer),
                     200);
    assert_ptr_equal(strstr(answer.p, "\r\n\r\n") + 4, answer.p + answer.n); /* no empty chunk */
}

static void a_token_is_asked_for_on_tcp(void **state) {
    static const char *const wrong[] = {
        "",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer \r\n",
        "Authorization: Basic " WEBTEST_TOKEN "\r\n",
        "Authorization: Bearer " WEBTEST_TOKEN "x\r\n",
        "Authorization: Bearer a-token-of-some-lengt\r\n",
        "Authorization: Bearer a-token-of-some-lengtH\r\n",
        "Authorization: " WEBTEST_TOKEN "\r\n",
        "Authorization: Bearer " WEBTEST_TOKEN WEBTEST_TOKEN "\r\n",
    };
    static const char *const pages[] = {
        "/api",     "/healthz",       "/metrics",     "/api/v1/targets",
        "/nothing", "/api/v1/stream", "/internal/log"};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(wrong); i++)
        for (size_t page = 0; page < ARRAY_N(pages); page++)
            if (webtest_get(&site, false, pages[page], wrong[i], &answer) != 401)
                fail_msg("'%s' with '%s' gives '%.*s'", pages[page], wrong[i],
                         STR_ARG(buf_str(&answer)));
    assert_true(webtest_has(&answer, "\r\nWWW-Authenticate: Bearer\r\n"));
    assert_int_equal(webtest_get(&site, false, "/healthz",
                                 "Authorization: Bearer " WEBTEST_TOKEN "\r\n", &answer),
                     200);
    assert_int_equal(webtest_get(&site, true, "/healthz", NULL, &answer), 200);
    /* Whoever has the token may see command lines. */
    assert_int_equal(webtest_get(&site, false, "/api/v1/processes?target=web",
                                 "Authorization: bearer " WEBTEST_TOKEN "\r\n", &answer),
                     200);
    assert_true(webtest_has(&answer, "geheim"));
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void every_answer_has_the_headers_that_protect(void **state) {
    static const char *const pages[] = {"/api",
                                        "/healthz",
                                        "/metrics",
                                        "/nothing",
                                        "/api/v1/targets",
                                        "/api/v1/series",
                                        "/api/v1/query?query=x"};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(pages); i++) {
        (void)webtest_get(&site, false, pages[i], NULL, &answer);
        assert_true(webtest_has(&answer, "\r\nContent-Security-Policy: default-src 'self'"));
        assert_true(webtest_has(&answer, "\r\nX-Content-Type-Options: nosniff\r\n"));
        assert_true(webtest_has(&answer, "\r\nX-Frame-Options: DENY\r\n"));
        assert_true(webtest_has(&answer, "\r\nReferrer-Policy: no-referrer\r\n"));
        assert_true(webtest_has(&answer, "\r\nCache-Control: no-store\r\n"));
        assert_true(webtest_has(&answer, "\r\nContent-Type: "));
        assert_false(webtest_has(&answer, "Access-Control"));
    }
}

static void targets_are_json_whatever_they_are_called(void **state) {
    struct str body;

    (void)state;
    assert_int_equal(webtest_get(&site, false, "/api/v1/targets", NULL, &answer), 200);
    is_json();
    body = webtest_body(&answer);
    for (size_t i = 0; i + 1 < body.n; i++)
        assert_true((unsigned char)body.p[i] >= 0x20 && (unsigned char)body.p[i] != 0x7f);
    assert_true(
        webtest_has(&answer, "\"name\":\"we\\\"b\\\\\\n\\u001b[31m</script>\xef\xbf\xbd\""));
    assert_true(webtest_has(&answer, "\"name\":\"host\",\"kind\":\"group\""));
    assert_true(webtest_has(&answer, "\"usage\":4100096,"));
    assert_true(webtest_has(&answer, "\"own_limit\":null"));
    assert_true(webtest_has(&answer, "\"used_pct\":9.01"));
    assert_true(
        webtest_has(&answer, "\"limit_from\":\"host\",\"limit_certain\":true,\"state\":\"ok\""));
    assert_int_equal(webtest_get(&site, false, "/api/v1/targets?target=web", NULL, &answer), 200);
    is_json();
    assert_true(webtest_has(&answer, "\"cgroup\":\"/docker/web\""));
    assert_false(webtest_has(&answer, "\"cgroup\":\"/\""));
    assert_int_equal(webtest_get(&site, false, "/api/v1/targets?target=nobody", NULL, &answer),
                     404);
    is_json();
}

static void what_is_wrong_is_told(void **state) {
    static const struct {
        const char *target;
        int status;
    } asks[] = {
        {"/api/v1/targets?at=yesterday", 400},
        {"/api/v1/targets?at=-1h", 404}, /* no store here */
        {"/api/v1/series", 400},
        {"/api/v1/series?target=web", 400},
        {"/api/v1/series?target=web&metric=nonsense", 400},
        {"/api/v1/series?target=web&metric=used&step=0", 400},
        {"/api/v1/series?target=web&metric=used", 404},
        {"/api/v1/processes", 400},
        {"/api/v1/processes?target=nobody", 404},
        {"/api/v1/incidents?limit=-1", 400},
        {"/api/v1/query", 400},
        {"/api/v1/query?query=up%20%2B%201", 400},
        {"/api/v1/query_range?query=up", 400},
        {"/api/v1/series?match[]=%7B%7D", 400},
        {"/api/v1/label/x/y/values", 404},
        {"/api/v1/label//values", 404},
        {"/api/v1/label/../values", 400},
        {"/api/v1/label/0a/values", 400},
        {"/api/v1/label/a-b/values", 400},
        {"/api/v1/", 404},
        {"/metrics/", 404},
        {"/..", 404},
        {"/internal/log", 404},
        {"/a?1&2&3&4&5&6&7&8&9&a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q&r&s&t&u&v&w&x&y&z", 400},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(asks); i++) {
        int status = webtest_get(&site, false, asks[i].target, NULL, &answer);

        if (status != asks[i].status)
            fail_msg("'%s' gives '%.*s'", asks[i].target, STR_ARG(buf_str(&answer)));
        is_json();
        assert_true(webtest_has(&answer, "\"error\":\""));
    }
}

static void command_lines_are_hidden(void **state) {
    (void)state;
    assert_int_equal(webtest_get(&site, false, "/api/v1/processes?target=web", NULL, &answer), 200);
    is_json();
    assert_true(webtest_has(&answer, "\"command\":null"));
    assert_false(webtest_has(&answer, "geheim"));
    assert_true(webtest_has(&answer, "\"total\":7,"));
    assert_true(webtest_has(&answer, "\"pid\":4711,"));
    assert_int_equal(webtest_get(&site, true, "/api/v1/processes?target=web", NULL, &answer), 200);
    assert_true(webtest_has(&answer, "\"command\":\"nginx --password=geheim\""));
}

static void command_lines_are_shown_when_that_is_wished(void **state) {
    (void)state;
    assert_int_equal(webtest_get(&site, false, "/api/v1/processes?target=web", NULL, &answer), 200);
    assert_true(webtest_has(&answer, "\"command\":\"nginx --password=geheim\""));
}

static void health_is_told(void **state) {
    (void)state;
    assert_int_equal(webtest_get(&site, false, "/healthz", NULL, &answer), 200);
    is_json();
    assert_true(webtest_has(&answer, "\"status\":\"ok\",\"version\":\"1.2.3\""));
    assert_true(webtest_has(&answer, "\"away\":false"));
}

static void labels_and_values_are_as_prometheus_has_them(void **state) {
    (void)state;
    assert_int_equal(
        webtest_get(&site, false,
                    "/api/v1/query?query=plimsoll_memory_usage_bytes%7Bname%3D~%22w.b%22%7D", NULL,
                    &answer),
        200);
    is_json();
    assert_true(webtest_has(&answer, "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\","
                                     "\"result\":[{\"metric\":{\"__name__\":"
                                     "\"plimsoll_memory_usage_bytes\","));
    assert_true(webtest_has(&answer, "\"name\":\"web\""));
    assert_true(webtest_has(&answer, ",\"4100096\"]}]}}"));
    assert_int_equal(webtest_get(&site, false, "/api/v1/labels", NULL, &answer), 200);
    is_json();
    assert_true(webtest_has(&answer, "\"data\":[\"__name__\",\"id\","));
    assert_int_equal(webtest_get(&site, false, "/api/v1/label/name/values", NULL, &answer), 200);
    is_json();
    assert_true(webtest_has(&answer, "\"data\":[\"we\\\"b"));
    assert_int_equal(webtest_get(&site, false, "/api/v1/label/_a0/values", NULL, &answer), 200);
    assert_int_equal(webtest_get(&site, false, "/api/v1/series?match[]=plimsoll_memory_usage_bytes",
                                 NULL, &answer),
                     200);
    is_json();
    assert_int_equal(
        webtest_get(&site, false, "/api/v1/query?query=%7Bname%3D%22web%22%7D", NULL, &answer),
        200);
    is_json();
    assert_true(webtest_has(&answer, "\"plimsoll_cpu_seconds_total\""));
    assert_false(webtest_has(&answer, "own_limit"));
}

static size_t unpacked(struct str body, char *out, size_t size) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)body.p,
                  .avail_in = (unsigned)body.n,
                  .next_out = (Bytef *)out,
                  .avail_out = (unsigned)size};

    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    assert_int_equal(inflateEnd(&z), Z_OK);
    return size - z.avail_out;
}

static void long_answers_come_in_pieces_packed_or_not(void **state) {
    static const char *const pages[] = {"/api/v1/targets",
                                        "/api/v1/query?query=%7Bimage%3D%22nginx:1%22%7D"};
    static char out[16 << 20];
    struct str body;
    char *whole;
    size_t n;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(pages); i++) {
        /* of a moment: the time in both would differ */
        char target[200];

        snprintf(target, sizeof(target), "%s%s", pages[i], i == 1 ? "&time=32503680000" : "");
        assert_int_equal(webtest_get(&site, false, target, NULL, &answer), 200);
        is_json();
        assert_int_equal(webtest_get(&site, true, target, NULL, &answer), 200);
        body = webtest_body(&answer);
        assert_true(body.n > 100000);
        whole = malloc(body.n);
        memcpy(whole, body.p, body.n);
        n = body.n;
        assert_int_equal(
            webtest_get(&site, false, target, "Accept-Encoding: deflate, gzip;q=0.5\r\n", &answer),
            200);
        assert_true(webtest_has(&answer, "\r\nContent-Encoding: gzip\r\n"));
        body = webtest_body(&answer);
        assert_true(body.n < n / 5);
        assert_int_equal(unpacked(body, out, sizeof(out)), n);
        assert_memory_equal(out, whole, n);
        free(whole);
        assert_int_equal(
            webtest_get(&site, false, target, "Accept-Encoding: gzip;q=0\r\n", &answer), 200);
        assert_false(webtest_has(&answer, "\r\nContent-Encoding:"));
    }
    assert_int_equal(webtest_get(&site, false, "/metrics", "Accept-Encoding: gzip\r\n", &answer),
                     200);
    assert_true(webtest_has(&answer, "\r\nContent-Type: text/plain; version=0.0.4; "));
    n = unpacked(webtest_body(&answer), out, sizeof(out));
    assert_non_null(memmem(out, n, "name=\"container-599\"", 20));
}

static void a_connection_can_ask_again(void **state) {
    int fd = webtest_connect(&site, false);

    (void)state;
    buf_clear(&answer);
    for (unsigned i = 0; i < 20; i++) {
        webtest_send(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_true(webtest_until(fd, &answer, "\"collector\":"));
        assert_true(webtest_until(fd, &answer, "}\n"));
        buf_clear(&answer);
    }
    webtest_send(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
                     "GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_true(webtest_until(fd, &answer, NULL));
    assert_true(webtest_has(&answer, "Plimsoll 1.2.3"));
    close(fd);
}

/* --- the past -----------------------------------------------------------------------------------
 */

/* The number behind the n-th such text. */
static int64_t number_after(const char *text, unsigned n) {
    const char *at = answer.p ? answer.p : "";

    for (; n > 0; n--) {
        at = strstr(at, text);
        if (!at) {
            fail_msg("no '%s' in '%.2000s'", text, answer.p);
            return -1;
        }
        at += strlen(text);
    }
    return strtoll(at, NULL, 10);
}

static unsigned count_of(const char *text) {
    unsigned n = 0;

    for (const char *at = answer.p; (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}

/* Usage in turn i was 4096 * (1000 + i), and a turn was a second. */
static void what_was_is_given_point_by_point(void **state) {
    int64_t first, last_ms;
    struct str body;

    (void)state;
    assert_int_equal(webtest_get(&site, false, "/api/v1/targets", NULL, &answer), 200);
    last_ms = number_after("\"at_ms\":", 1);
    assert_int_equal(
        webtest_get(&site, false, "/api/v1/series?target=web&metric=usage&from=-1h", NULL, &answer),
        200);
    is_json();
    assert_true(
        webtest_has(&answer, "\"metric\":\"plimsoll_memory_usage_bytes\",\"unit\":\"bytes\""));
    body = webtest_body(&answer);
    answer.p[body.p + body.n - answer.p] = '\0';
    first = number_after("\"points\":[[", 1);
    assert_int_equal(first, last_ms - 600000);
    assert_int_equal(count_of("],["), 600);
    for (unsigned i = 1; i <= 600; i += 37)
        assert_int_equal(number_after("],[", i), first + 1000 * i);
    assert_true(webtest_has(&answer, ",4100096],[")); /* 4096 * 1001, the first turn */
    assert_true(webtest_has(&answer, ",6557696]]}")); /* 4096 * 1601, the last */
    /* A metric told in seconds, rolled up, and two at once. */
    assert_int_equal(
        webtest_get(&site, true,
                    "/api/v1/series?target=web&metric=cpu_us&metric=plimsoll_memory_used_bytes"
                    "&from=-8m&to=-2m&step=1m",
                    NULL, &answer),
        200);
    is_json();
    assert_true(webtest_has(&answer, "\"step_ms\":60000"));
    assert_true(
        webtest_has(&answer, "\"metric\":\"plimsoll_cpu_seconds_total\",\"unit\":\"seconds\""));
    assert_true(count_of("],[") >= 8);
}

static void targets_are_told_as_of_then(void **state) {
    (void)state;
    webtest_tell(&site, 'g');
    webtest_tell(&site, 'n');
    assert_int_equal(webtest_get(&site, false, "/api/v1/targets", NULL, &answer), 200);
    assert_false(webtest_has(&answer, "\"name\":\"we\\\"b"));
    assert_int_equal(webtest_get(&site, false, "/api/v1/targets?at=-5m", NULL, &answer), 200);
    is_json();
    assert_true(webtest_has(&answer, "\"name\":\"we\\\"b"));
    assert_true(webtest_has(&answer, "\"uid\":null"));
    assert_true(webtest_has(&answer, "\"cpu_pct\":1.00"));
    assert_true(webtest_has(&answer, "\"key\":\"host\""));
    assert_int_equal(webtest_get(&site, false, "/api/v1/targets?at=-5m&target=0123", NULL, &answer),
                     200);
    assert_int_equal(webtest_get(&site, false, "/api/v1/targets?at=-5m&target=x", NULL, &answer),
                     404);
    assert_int_equal(webtest_get(&site, false, "/api/v1/targets?at=-2h", NULL, &answer), 200);
    assert_true(webtest_has(&answer, "\"targets\":[]}"));
    assert_int_equal(webtest_get(&site, false,
                                 "/api/v1/series?target=we%22b%5C%0A%1b[31m%3C/script%3E%EF%BF%BD"
                                 "&metric=used&from=-1h",
                                 NULL, &answer),
                     200);
    is_json();
    assert_true(webtest_has(&answer, "\"points\":[["));
}

static void incidents_and_processes_are_kept(void **state) {
    (void)state;
    webtest_tell(&site, 'o');
    webtest_tell(&site, 'o');
    webtest_tell(&site, 'n');
    assert_int_equal(webtest_get(&site, false, "/api/v1/incidents", NULL, &answer), 200);
    is_json();
    assert_int_equal(count_of("\"kind\":\"oom\""), 2);
    assert_true(webtest_has(&answer, "{\"id\":1,") && webtest_has(&answer, "{\"id\":2,"));
    assert_int_equal(webtest_get(&site, false, "/api/v1/incidents?target=web", NULL, &answer), 200);
    assert_true(webtest_has(&answer, "{\"incidents\":[]}"));
    assert_int_equal(
        webtest_get(&site, false, "/api/v1/incidents?limit=1&from=-10m", NULL, &answer), 200);
    assert_int_equal(count_of("\"kind\":\"oom\""), 1);
    assert_int_equal(
        webtest_get(&site, false, "/api/v1/processes?target=web&at=now", NULL, &answer), 200);
    is_json();
    assert_true(webtest_has(&answer, "\"pid\":4711,"));
    assert_true(webtest_has(&answer, "\"command\":null"));
    assert_int_equal(webtest_get(&site, true, "/internal/log?after=0", NULL, &answer), 200);
    assert_int_equal(webtest_get(&site, false, "/internal/log?after=0", NULL, &answer), 404);
}

/* Whoever waits for it to come back is not told of an error each time. */
static void a_target_that_is_away_has_no_processes(void **state) {
#define AWAY "/api/v1/processes?target=we%22b%5C%0A%1b[31m%3C/script%3E%EF%BF%BD"
    const char *const path[] = {AWAY, AWAY "&at=now"};

    (void)state;
    webtest_tell(&site, 'g');
    for (size_t i = 0; i < ARRAY_N(path); i++) {
        assert_int_equal(webtest_get(&site, false, path[i], NULL, &answer), 200);
        is_json();
        assert_true(webtest_has(&answer, "\"at_ms\":null,\"total\":null,\"processes\":[]"));
    }
    assert_int_equal(
        webtest_get(&site, false, "/api/v1/processes?target=nobody&at=now", NULL, &answer), 404);
}

static void ranges_are_as_prometheus_has_them(void **state) {
    char target[300];
    int64_t last_ms;

    (void)state;
    assert_int_equal(webtest_get(&site, false, "/api/v1/targets", NULL, &answer), 200);
    last_ms = number_after("\"at_ms\":", 1);
    snprintf(target, sizeof(target),
             "/api/v1/query_range?query=plimsoll_memory_usage_bytes%%7Bname%%3D%%22web%%22%%7D"
             "&start=%lld.%03d&end=%lld.%03d&step=10",
             (long long)(last_ms / 1000 - 100), (int)(last_ms % 1000), (long long)(last_ms / 1000),
             (int)(last_ms % 1000));
    assert_int_equal(webtest_get(&site, false, target, NULL, &answer), 200);
    is_json();
    assert_true(webtest_has(&answer, "\"resultType\":\"matrix\""));
    assert_int_equal(count_of("\"]"), 11);
    assert_true(webtest_has(&answer, ",\"6557696\"]]")); /* 4096 * 1601, the last turn */
    assert_true(webtest_has(&answer, ",\"6148096\"],")); /* 4096 * 1501, a hundred turns before */
    assert_int_equal(webtest_get(&site, false,
                                 "/api/v1/query?query=plimsoll_memory_usage_bytes&time=-60", NULL,
                                 &answer),
                     200);
    is_json();
    assert_int_equal(count_of("\"__name__\":"), 3);
    assert_int_equal(webtest_get(&site, false, "/api/v1/query_range?query=x&start=0&end=now&step=1",
                                 NULL, &answer),
                     400);
    assert_true(webtest_has(&answer, "11,000 points"));
    assert_int_equal(
        webtest_get(&site, false,
                    "/api/v1/query_range?query=%7Bname%3D%22web%22%7D&start=-3h&end=now"
                    "&step=1m",
                    NULL, &answer),
        200);
    is_json();
    assert_true(webtest_has(&answer, "\"plimsoll_memory_used_bytes\""));
}

/* --- those who mean no good ---------------------------------------------------------------------
 */

static void silent_connections_keep_nobody_out(void **state) {
    enum { SILENT = 300 };
    static int fd[SILENT];

    (void)state;
    for (unsigned i = 0; i < SILENT; i++) {
        fd[i] = webtest_connect(&site, false);
        webtest_send(fd[i], i % 2 ? "GET /healthz HTTP/1.1\r\nHost: loc" : "");
    }
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(webtest_get(&site, true, "/healthz", NULL, &answer), 200);
        assert_int_equal(webtest_get(&site, false, "/healthz", NULL, &answer), 200);
    }
    for (unsigned i = 0; i < SILENT; i++)
        close(fd[i]);
    assert_int_equal(webtest_get(&site, false, "/healthz", NULL, &answer), 200);
}

static void whatever_is_sent_the_server_lives(void **state) {
    static const char *const parts[] = {
        "GET ",
        "HEAD ",
        "POST ",
        "/",
        "/api/v1/targets",
        "?target=",
        "%",
        "%ff",
        "%00",
        " HTTP/1.1",
        " HTTP/9.9",
        "\r\n",
        "\n",
        "\r\n\r\n",
        "Host: localhost",
        ": ",
        "Content-Length: ",
        "-1",
        "99999999999999999999",
        "Transfer-Encoding: chunked",
        "\r\n \r\n",
        "\t",
        "&",
        "=",
        "Accept-Encoding: gzip",
        "match[]={a=~\"(((\"}",
        "Last-Event-ID: -9",
        "/api/v1/query?query=",
    };
    struct basetest_random random = {.state = 99};

    (void)state;
    for (unsigned i = 0; i < 1500; i++) {
        int fd = webtest_connect(&site, i % 2);
        char text[600] = "";
        size_t n = 0;

        while (n < 400) {
            uint64_t dice = basetest_next(&random);

            if (dice % 20 == 0)
                break;
            if (dice % 4 == 0)
                n += basetest_bytes(&random, text + n, 20);
            else
                n += (size_t)snprintf(text + n, 100, "%s", parts[(dice >> 8) % ARRAY_N(parts)]);
        }
        (void)send(fd, text, n, MSG_NOSIGNAL);
        if (i % 3)
            shutdown(fd, SHUT_WR);
        close(fd);
    }
    assert_int_equal(webtest_get(&site, false, "/healthz", NULL, &answer), 200);
}

static void a_reader_who_reads_nothing_does_not_stop_others(void **state) {
    int fd[8];

    (void)state;
    for (unsigned i = 0; i < ARRAY_N(fd); i++) {
        fd[i] = webtest_connect(&site, i % 2);
        webtest_send(fd[i], "GET /api/v1/targets HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    assert_int_equal(webtest_get(&site, false, "/healthz", NULL, &answer), 200);
    assert_int_equal(webtest_get(&site, true, "/api/v1/targets", NULL, &answer), 200);
    for (unsigned i = 0; i < ARRAY_N(fd); i++)
        close(fd[i]);
}

/* Asks again and again as more and more do who read nothing. */
static void ask_beside_the_deaf(bool local, int *fd, size_t n) {
    char byte;

    for (size_t i = 0; i < n; i++) {
        fd[i] = webtest_connect_with(&site, local, 2048);
        webtest_send(fd[i], "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_int_equal(recv(fd[i], &byte, 1, 0), 1); /* each has an answer begun */
        if (i % 10 != 9)
            continue;
        assert_int_equal(webtest_get(&site, local, "/api", NULL, &answer), 200);
        assert_int_equal(webtest_get(&site, local, "/api/v1/targets", NULL, &answer), 200);
        is_json();
    }
}

/* Beside those a reader that takes its time gets all that it asked for. */
static void readers_who_read_nothing_keep_nobody_out(void **state) {
    static int fd[130];
    int slow = webtest_connect(&site, false);
    struct str page;
    struct buf all;

    (void)state;
    buf_init(&all, 64 << 20);
    webtest_send(slow, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert_true(webtest_until(slow, &all, "\r\n\r\n"));
    ask_beside_the_deaf(false, fd, ARRAY_N(fd));
    for (ssize_t n = 1; n > 0;) {
        char *room = buf_room(&all, 32768);

        assert_non_null(room);
        n = recv(slow, room, 32768, 0);
        assert_true(n >= 0);
        buf_grow(&all, (size_t)n);
        assert_int_equal(webtest_get(&site, false, "/api", NULL, &answer), 200);
    }
    assert_int_equal(webtest_get(&site, false, "/metrics", NULL, &answer), 200);
    page = webtest_body(&answer);
    assert_true(str_ends(buf_str(&all), str_from(page, page.n - 100)));
    for (size_t i = 0; i < ARRAY_N(fd); i++)
        close(fd[i]);
    close(slow);
    buf_done(&all);
}

static void readers_of_the_unix_socket_are_no_different(void **state) {
    static int fd[60];

    (void)state;
    ask_beside_the_deaf(true, fd, ARRAY_N(fd));
    for (size_t i = 0; i < ARRAY_N(fd); i++)
        close(fd[i]);
}

/* --- streams ------------------------------------------------------------------------------------
 */

static int open_stream(bool local, const char *headers) {
    int fd = webtest_connect(&site, local);
    char request[300];

    snprintf(request, sizeof(request), "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
             headers);
    webtest_send(fd, request);
    buf_clear(&answer);
    return fd;
}

/* Waits for an event of that name, whole, and forgets what stood before it. Its data. */
static struct str next_event(int fd, const char *name) {
    char head[60];
    const char *at, *end_at;

    snprintf(head, sizeof(head), "event: %s\ndata: ", name);
    if (!webtest_until(fd, &answer, head))
        fail_msg("no '%s' comes, but '%.*s'", name, STR_ARG(buf_str(&answer)));
    for (;;) {
        at = memmem(answer.p, answer.n, head, strlen(head));
        end_at = memmem(at, answer.n - (size_t)(at - answer.p), "\n\n", 2);
        if (end_at)
            return (struct str){at + strlen(head), (size_t)(end_at - at) - strlen(head)};
        assert_true(webtest_until(fd, &answer, "\n\n"));
        /* the blank line was an earlier one */
        (void)poll(NULL, 0, 10);
        char *room = buf_room(&answer, 65536);
        ssize_t n = recv(fd, room, 65536, MSG_DONTWAIT);

        if (n > 0)
            buf_grow(&answer, (size_t)n);
    }
}

static bool holds(struct str s, const char *text) {
    return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

static void a_stream_tells_all_then_what_changes(void **state) {
    int fd = open_stream(false, "");
    struct str data = next_event(fd, "snapshot");
    const char *id;
    char resume[100];

    (void)state;
    assert_true(webtest_has(&answer, "\r\nContent-Type: text/event-stream\r\n"));
    assert_true(webtest_has(&answer, "retry: 2000\n\n"));
    assert_false(webtest_has(&answer, "Content-Encoding"));
    assert_true(holds(data, "\"cgroup\":\"/docker/web\"") && holds(data, "\"gone\":[]"));
    buf_clear(&answer);
    webtest_tell(&site, 't');
    data = next_event(fd, "tick");
    /* The host is the first row: its usage moved, its limit did not. */
    assert_true(holds(data, "\"targets\":[{\"uid\":0,"));
    assert_true(holds(data, "\"usage\":4104192"));
    assert_false(holds(data, "\"limit\":"));
    assert_false(holds(data, "\"uid\":1,"));
    assert_true(holds(data, "\"cpu_pct\":1.00"));
    buf_clear(&answer);
    webtest_tell(&site, 'g');
    webtest_tell(&site, 'n');
    data = next_event(fd, "tick");
    assert_true(holds(data, "\"gone\":[2]"));
    id = memmem(answer.p, answer.n, "id: ", 4);
    assert_non_null(id);
    snprintf(resume, sizeof(resume), "Last-Event-ID: %.13s\r\n", id + 4);
    buf_clear(&answer);
    webtest_tell(&site, 'c');
    data = next_event(fd, "snapshot");
    assert_true(holds(data, "\"cgroup\":\"/docker/other\""));
    assert_false(holds(data, "/docker/web"));
    close(fd);
    /* What the table meant before it was cleared is of no use any more. */
    fd = open_stream(false, resume);
    (void)next_event(fd, "snapshot");
    close(fd);
}

static void a_stream_goes_on_where_it_was(void **state) {
    int fd = open_stream(true, "");
    char resume[100];
    const char *id;
    struct str data;

    (void)state;
    (void)next_event(fd, "snapshot");
    id = memmem(answer.p, answer.n, "id: ", 4);
    assert_non_null(id);
    snprintf(resume, sizeof(resume), "Last-Event-ID: %.13s\r\n", id + 4);
    close(fd);
    webtest_tell(&site, 'n');
    webtest_tell(&site, 't');
    webtest_tell(&site, 'g');
    webtest_tell(&site, 'n');
    fd = open_stream(true, resume);
    data = next_event(fd, "tick");
    assert_true(holds(data, "\"uid\":0,") && holds(data, "\"usage\":"));
    assert_false(holds(data, "\"uid\":1,"));
    assert_true(holds(data, "\"gone\":[2]"));
    assert_false(webtest_has(&answer, "event: snapshot"));
    close(fd);
    /* A number that was never given is no reason to believe anything. */
    fd = open_stream(true, "Last-Event-ID: 9999999999999\r\n");
    (void)next_event(fd, "snapshot");
    close(fd);
    fd = open_stream(true, "Last-Event-ID: 17\r\n");
    (void)next_event(fd, "snapshot");
    close(fd);
}

static void an_oom_kill_is_told_at_once(void **state) {
    int fd = open_stream(false, "");
    struct str data;

    (void)state;
    (void)next_event(fd, "snapshot");
    webtest_tell(&site, 'o');
    data = next_event(fd, "oom");
    assert_true(basetest_is_json(data));
    assert_true(holds(data, "\"kind\":\"oom\"") && holds(data, "\"kills\":3,\"sure\":true"));
    assert_true(holds(data, "\"victim\":{\"pid\":99,\"comm\":\"ev\\\"il\\n\",\"anon\":5000000"));
    close(fd);
}

static void there_are_so_many_streams_and_no_more(void **state) {
    enum { STREAMS = 16 };
    int fd[STREAMS];

    (void)state;
    for (unsigned i = 0; i < STREAMS; i++) {
        fd[i] = open_stream(false, "");
        (void)next_event(fd[i], "snapshot");
    }
    assert_int_equal(webtest_get(&site, false, "/api/v1/stream", NULL, &answer), 503);
    for (unsigned i = 0; i < STREAMS; i++)
        close(fd[i]);
    /* That they left is noticed by telling them something. */
    for (unsigned i = 0; i < 3; i++)
        webtest_tell(&site, 't');
    fd[0] = open_stream(false, "");
    (void)next_event(fd[0], "snapshot");
    close(fd[0]);
}

static void streams_leave_room_for_questions(void **state) {
    enum { LOCAL = 8, TCP = 8, SILENT = 50 };
    int fd[LOCAL + TCP], silent[SILENT];

    (void)state;
    for (unsigned i = 0; i < LOCAL + TCP; i++) {
        fd[i] = open_stream(i < LOCAL, "");
        (void)next_event(fd[i], "snapshot");
    }
    for (unsigned i = 0; i < SILENT; i++) {
        silent[i] = webtest_connect(&site, i % 2);
        assert_int_equal(webtest_get(&site, i % 2, "/healthz", NULL, &answer), 200);
    }
    webtest_tell(&site, 't');
    for (unsigned i = 0; i < LOCAL + TCP; i++) {
        buf_clear(&answer);
        (void)next_event(fd[i], "tick"); /* it is still there */
        close(fd[i]);
    }
    for (unsigned i = 0; i < SILENT; i++)
        close(silent[i]);
}

/* Nothing waits in a queue for a slow reader: it finds what holds now, once. */
static void a_slow_stream_reader_skips_what_it_missed(void **state) {
    int fd = open_stream(true, ""), small = 4096;
    size_t ticks = 0;

    (void)state;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (unsigned i = 0; i < 200; i++)
        webtest_tell(&site, 'c');
    for (unsigned i = 0; i < 500; i++)
        webtest_tell(&site, 't');
    assert_int_equal(webtest_get(&site, true, "/healthz", NULL, &answer), 200);
    buf_clear(&answer);
    while (poll(&(struct pollfd){fd, POLLIN, 0}, 1, 2000) == 1) {
        char *room = buf_room(&answer, 65536);
        ssize_t n = recv(fd, room, 65536, 0);

        assert_true(n > 0);
        buf_grow(&answer, (size_t)n);
    }
    for (const char *p = answer.p; (p = memmem(p, answer.n - (size_t)(p - answer.p), "\nid: ", 5));
         p++)
        ticks++;
    assert_true(ticks > 1 && ticks < 600);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_our_own_hosts_are_answered, begin_plain, end),
        cmocka_unit_test_setup_teardown(pages_of_others_are_refused, begin_plain, end),
        cmocka_unit_test_setup_teardown(nothing_but_reading_is_allowed, begin_plain, end),
        cmocka_unit_test_setup_teardown(a_token_is_asked_for_on_tcp, begin_guarded, end),
        cmocka_unit_test_setup_teardown(every_answer_has_the_headers_that_protect, begin_plain,
                                        end),
        cmocka_unit_test_setup_teardown(targets_are_json_whatever_they_are_called, begin_plain,
                                        end),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_told, begin_plain, end),
        cmocka_unit_test_setup_teardown(command_lines_are_hidden, begin_plain, end),
        cmocka_unit_test_setup_teardown(command_lines_are_shown_when_that_is_wished, begin_open,
                                        end),
        cmocka_unit_test_setup_teardown(health_is_told, begin_plain, end),
        cmocka_unit_test_setup_teardown(labels_and_values_are_as_prometheus_has_them, begin_plain,
                                        end),
        cmocka_unit_test_setup_teardown(long_answers_come_in_pieces_packed_or_not, begin_large,
                                        end),
        cmocka_unit_test_setup_teardown(what_was_is_given_point_by_point, begin_remembering, end),
        cmocka_unit_test_setup_teardown(targets_are_told_as_of_then, begin_remembering, end),
        cmocka_unit_test_setup_teardown(incidents_and_processes_are_kept, begin_remembering, end),
        cmocka_unit_test_setup_teardown(a_target_that_is_away_has_no_processes, begin_remembering,
                                        end),
        cmocka_unit_test_setup_teardown(ranges_are_as_prometheus_has_them, begin_remembering, end),
        cmocka_unit_test_setup_teardown(a_connection_can_ask_again, begin_plain, end),
        cmocka_unit_test_setup_teardown(silent_connections_keep_nobody_out, begin_plain, end),
        cmocka_unit_test_setup_teardown(whatever_is_sent_the_server_lives, begin_plain, end),
        cmocka_unit_test_setup_teardown(a_reader_who_reads_nothing_does_not_stop_others,
                                        begin_large, end),
        cmocka_unit_test_setup_teardown(readers_who_read_nothing_keep_nobody_out, begin_huge, end),
        cmocka_unit_test_setup_teardown(readers_of_the_unix_socket_are_no_different, begin_large,
                                        end),
        cmocka_unit_test_setup_teardown(a_stream_tells_all_then_what_changes, begin_plain, end),
        cmocka_unit_test_setup_teardown(a_stream_goes_on_where_it_was, begin_plain, end),
        cmocka_unit_test_setup_teardown(an_oom_kill_is_told_at_once, begin_plain, end),
        cmocka_unit_test_setup_teardown(there_are_so_many_streams_and_no_more, begin_plain, end),
        cmocka_unit_test_setup_teardown(streams_leave_room_for_questions, begin_plain, end),
        cmocka_unit_test_setup_teardown(a_slow_stream_reader_skips_what_it_missed, begin_plain,
                                        end),
    };

    if (getenv("T"))
        cmocka_set_test_filter(getenv("T"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
