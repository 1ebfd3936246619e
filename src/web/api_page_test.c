/* The page's files over HTTP: as they were built in, whoever asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/mem.h"
#include "web/assets.h"
#include "web/webtest.h"

static struct webtest site;
static struct buf answer;

static int begin(void **state) {
    const struct webtest_setup setup = {.token = true, .rows = 3};

    (void)state;
    buf_init(&answer, 16 << 20);
    webtest_begin(&site, &setup);
    return 0;
}

static int end(void **state) {
    (void)state;
    webtest_end(&site);
    buf_done(&answer);
    return 0;
}

static int get(const char *path, const char *headers) {
    return webtest_get(&site, false, path, headers, &answer);
}

static void inflated(const struct asset *a, char **out) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)a->gzip, .avail_in = (unsigned)a->gzip_n};

    *out = malloc(a->n + 1);
    assert_non_null(*out);
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_out = (Bytef *)*out;
    z.avail_out = (unsigned)a->n + 1;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, a->n);
    inflateEnd(&z);
}

static void each_file_comes_as_it_was_built_in(void **state) {
    (void)state;
    assert_true(assets_n > 0);
    assert_non_null(asset_find(STR("/")));
    for (size_t i = 0; i < assets_n; i++) {
        const struct asset *a = &assets[i];
        auto_free char *plain = NULL;
        struct str body;

        assert_int_equal(get(a->path, "Accept-Encoding: br, gzip;q=0.8\r\n"), 200);
        assert_true(webtest_has(&answer, "\r\nContent-Encoding: gzip\r\n"));
        assert_true(webtest_has(&answer, a->type));
        body = webtest_body(&answer);
        assert_int_equal(body.n, a->gzip_n);
        assert_memory_equal(body.p, a->gzip, a->gzip_n);

        inflated(a, &plain);
        assert_int_equal(get(a->path, NULL), 200);
        assert_false(webtest_has(&answer, "Content-Encoding"));
        body = webtest_body(&answer);
        assert_int_equal(body.n, a->n);
        assert_memory_equal(body.p, plain, a->n);
    }
}

static void a_browser_that_has_it_is_told_so(void **state) {
    const struct asset *page = asset_find(STR("/"));
    const char *bare = strchr(page->etag, '"');
    char headers[300];

    (void)state;
    assert_int_equal(get("/", "Accept-Encoding: gzip\r\n"), 200);
    assert_true(webtest_has(&answer, "\r\nCache-Control: no-cache\r\n"));
    assert_true(webtest_has(&answer, "\r\nVary: Accept-Encoding\r\n"));
    snprintf(headers, sizeof(headers), "\r\nETag: %s\r\n", page->etag);
    assert_true(webtest_has(&answer, headers));

    for (unsigned i = 0; i < 4; i++) {
        snprintf(headers, sizeof(headers), "If-None-Match: %s%s%s\r\n", i & 2 ? "W/\"x\" , " : "",
                 i & 1 ? page->etag : bare, i & 2 ? ",\"y\"" : "");
        assert_int_equal(get("/", headers), 304);
        assert_int_equal(webtest_body(&answer).n, 0);
        assert_true(webtest_has(&answer, page->etag));
    }
    assert_int_equal(get("/", "If-None-Match: *\r\n"), 304);
    assert_int_equal(get("/", "If-None-Match: \"other\"\r\n"), 200);
    assert_int_equal(get("/", "If-None-Match: ,,W/,\"\r\n"), 200);
    assert_int_equal(get("/", "If-None-Match:\r\n"), 200);
}

static void head_tells_the_same_without_a_body(void **state) {
    char request[300], length[60];

    (void)state;
    snprintf(request, sizeof(request),
             "HEAD / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept-Encoding: gzip\r\n"
             "Connection: close\r\n\r\n",
             site.port);
    assert_int_equal(webtest_ask(&site, false, request, &answer), 200);
    snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", asset_find(STR("/"))->gzip_n);
    assert_true(webtest_has(&answer, length));
    assert_true(webtest_has(&answer, "\r\nETag: "));
    assert_int_equal(webtest_body(&answer).n, 0);
}

static void the_page_needs_no_token_and_all_else_does(void **state) {
    (void)state;
    for (size_t i = 0; i < assets_n; i++)
        assert_int_equal(get(assets[i].path, NULL), 200);
    assert_int_equal(get("/", "Authorization: Bearer wrong\r\n"), 200);
    assert_int_equal(get("/api", NULL), 401);
    assert_int_equal(get("/api/v1/about", NULL), 401);
    assert_int_equal(get("//", NULL), 401);
    assert_int_equal(get("/index.html", NULL), 401);
    assert_int_equal(get("/index.html", "Authorization: Bearer " WEBTEST_TOKEN "\r\n"), 404);
    assert_int_equal(get("/api", "Authorization: Bearer " WEBTEST_TOKEN "\r\n"), 200);
    assert_true(webtest_has(&answer, "/api/v1/events"));
}

static void other_sites_may_lead_to_it_but_not_read_it(void **state) {
    (void)state;
    assert_int_equal(get("/", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"), 200);
    assert_true(webtest_has(&answer, "\r\nContent-Security-Policy: default-src 'self'; "
                                     "frame-ancestors 'none'; base-uri 'none'; "
                                     "form-action 'none'\r\n"));
    assert_true(webtest_has(&answer, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_int_equal(get("/", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"), 403);
    assert_int_equal(get("/app.js", "Origin: http://evil.example\r\n"), 403);
    assert_int_equal(webtest_ask(&site, false,
                                 "GET / HTTP/1.1\r\nHost: evil.example\r\n"
                                 "Connection: close\r\n\r\n",
                                 &answer),
                     421);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_file_comes_as_it_was_built_in),
        cmocka_unit_test(a_browser_that_has_it_is_told_so),
        cmocka_unit_test(head_tells_the_same_without_a_body),
        cmocka_unit_test(the_page_needs_no_token_and_all_else_does),
        cmocka_unit_test(other_sites_may_lead_to_it_but_not_read_it),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
