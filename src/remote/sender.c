#include "remote/sender.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
    ANSWER_MAX = 64 << 10,
    ANSWER_TOLD = 120,
    CONNECT_MS = 10000,
    FIRST_MS = 1000,
    LONGEST_MS = 60 * 1000,
    LONGEST_ASKED_MS = 10 * 60 * 1000,
};

struct sender {
    CURL *curl;
    struct curl_slist *headers;
    int stop;
    bool stopped;
    size_t answer_n;
    char answer[ANSWER_TOLD]; /* its beginning */
    char error[CURL_ERROR_SIZE];
};

int sender_global_init(void) {
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
}

static bool has_stopped(int stop) {
    struct pollfd p = {.fd = stop, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

static size_t take_answer(char *text, size_t size, size_t n, void *ctx) {
    struct sender *s = ctx;

    n *= size;
    if (s->answer_n < ANSWER_TOLD)
        memcpy(s->answer + s->answer_n, text,
               n < ANSWER_TOLD - s->answer_n ? n : ANSWER_TOLD - s->answer_n);
    s->answer_n += n;
    return s->answer_n > ANSWER_MAX ? 0 : n;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    struct sender *s = ctx;

    (void)a, (void)b, (void)c, (void)d;
    s->stopped = s->stopped || has_stopped(s->stop);
    return s->stopped;
}

static bool add_header(struct sender *s, const char *line) {
    struct curl_slist *more = curl_slist_append(s->headers, line);

    if (more)
        s->headers = more;
    return more;
}

static bool add_headers(struct sender *s, const char *token) {
    struct buf line;
    bool good;

    good = add_header(s, "Content-Type: application/x-protobuf") &&
           add_header(s, "Content-Encoding: snappy") &&
           add_header(s, "X-Prometheus-Remote-Write-Version: 0.1.0") && add_header(s, "Expect:");
    if (!good || !token)
        return good;
    buf_init(&line, 64 << 10);
    buf_add_format(&line, "Authorization: Bearer %s", token);
    buf_add_char(&line, '\0');
    good = buf_error(&line) == 0 && add_header(s, line.p);
    buf_done(&line);
    return good;
}

/* The first failure counts: a setting that is not taken could be the one that verifies. */
static CURLcode set_security(CURL *c, const struct sender_options *o) {
    struct curl_blob ca = {(void *)(uintptr_t)o->ca.p, o->ca.n, CURL_BLOB_COPY};
    CURLcode r = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");

    if (r == CURLE_OK)
        r = curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    if (r == CURLE_OK)
        r = curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (r == CURLE_OK)
        r = curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    if (r == CURLE_OK)
        r = curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    if (r == CURLE_OK && o->ca.n > 0)
        r = curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &ca);
    if (r == CURLE_OK && o->username)
        r = curl_easy_setopt(c, CURLOPT_USERNAME, o->username);
    if (r == CURLE_OK && o->username)
        r = curl_easy_setopt(c, CURLOPT_PASSWORD, o->password ? o->password : "");
    if (r == CURLE_OK)
        r = curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    return r;
}

static CURLcode set_options(struct sender *s, const struct sender_options *o) {
    CURL *c = s->curl;
    CURLcode r = set_security(c, o);

    if (r == CURLE_OK)
        r = curl_easy_setopt(c, CURLOPT_URL, o->url);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_POST, 1L);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, s->headers);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "plimsoll/1");
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(o->timeout_ms < CONNECT_MS ? o->timeout_ms : CONNECT_MS));
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, s);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, s->error);
    return r;
}

int sender_new(const struct sender_options *options, struct sender **out, struct err *err) {
    struct sender *s = calloc(1, sizeof(*s));
    CURLcode r;

    if (!s)
        return err_set(err, -ENOMEM, "no memory for a remote");
    s->stop = options->stop;
    s->curl = curl_easy_init();
    if (!s->curl || !add_headers(s, options->token)) {
        sender_free(s);
        return err_set(err, -ENOMEM, "no memory for a remote");
    }
    r = set_options(s, options);
    if (r != CURLE_OK) {
        sender_free(s);
        return err_set(err, -EINVAL, "'%s' cannot be used: %s", options->url,
                       curl_easy_strerror(r));
    }
    *out = s;
    return 0;
}

void sender_free(struct sender *s) {
    if (!s)
        return;
    curl_easy_cleanup(s->curl);
    curl_slist_free_all(s->headers);
    free(s);
}

/* What the remote has said, on one line. */
static struct str answer_line(const struct sender *s) {
    struct str text = {s->answer, s->answer_n < ANSWER_TOLD ? s->answer_n : ANSWER_TOLD};
    ptrdiff_t end = str_find(text, '\n');

    text = end < 0 ? text : str_head(text, (size_t)end);
    (void)str_drop(&text, STR("\r"));
    return str_trim(text);
}

static enum sender_result judge(struct sender *s, long status, struct err *err) {
    struct str line = answer_line(s);

    if (status >= 200 && status < 300)
        return SENDER_SENT;
    err_set(err, -EIO, "HTTP %ld%s%.*s", status, line.n > 0 ? ": " : "", STR_ARG(line));
    return status >= 500 || status == 429 ? SENDER_AGAIN : SENDER_DROP;
}

enum sender_result sender_post(struct sender *s, struct str body, int64_t *after_ms_out,
                               struct err *err) {
    curl_off_t after = 0;
    long status = 0;
    CURLcode r;

    s->answer_n = 0;
    s->error[0] = '\0';
    *after_ms_out = 0;
    curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, body.p);
    curl_easy_setopt(s->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    r = curl_easy_perform(s->curl);
    if (s->stopped)
        return SENDER_STOP;
    (void)curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
    /* An answer that is too long has told its status nevertheless. */
    if (r != CURLE_OK && !(r == CURLE_WRITE_ERROR && s->answer_n > ANSWER_MAX)) {
        err_set(err, -EIO, "%s", s->error[0] ? s->error : curl_easy_strerror(r));
        return SENDER_AGAIN;
    }
    if (curl_easy_getinfo(s->curl, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
        *after_ms_out = after > LONGEST_ASKED_MS / 1000 ? LONGEST_ASKED_MS : (int64_t)after * 1000;
    return judge(s, status, err);
}

int64_t sender_wait_ms(unsigned failures, int64_t after_ms, uint32_t random) {
    int64_t most = failures > 7 ? LONGEST_MS : (int64_t)FIRST_MS << (failures - 1), wait;

    if (most > LONGEST_MS)
        most = LONGEST_MS;
    wait = most / 2 + random % (most / 2 + 1);
    if (after_ms > LONGEST_ASKED_MS)
        after_ms = LONGEST_ASKED_MS;
    return wait > after_ms ? wait : after_ms;
}

bool sender_wait(int stop, int64_t ms) {
    int64_t end_us = clock_mono_us() + ms * 1000;

    for (;;) {
        struct pollfd p = {.fd = stop, .events = POLLIN};
        int64_t left_ms = (end_us - clock_mono_us() + 999) / 1000;
        int n = poll(&p, 1, left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms);

        if (n > 0)
            return false;
        if (left_ms <= 0)
            return true;
    }
}
