#include "runtime/cdp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* ---- pure ---- */

/* Whether text is small enough to be parsed: every value after the first of its container follows a
 * comma, every container opens with a bracket. */
static bool is_bounded(struct str text) {
    unsigned depth = 0;
    size_t values = 0;
    bool in_text = false;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (in_text) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_text = false;
            continue;
        }
        if (c == '"')
            in_text = true;
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        values += c == ',' || c == '{' || c == '[';
        if (depth > CDP_DEPTH_MAX || values > CDP_VALUES_MAX)
            return false;
    }
    return true;
}

int cdp_parse(struct str text, json_t **out) {
    json_error_t why;
    json_t *root;

    if (text.n > CDP_MESSAGE_MAX || !is_bounded(text))
        return -EFBIG;
    root = json_loadb(text.p, text.n, JSON_ALLOW_NUL, &why);
    if (!root)
        return json_error_code(&why) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
    if (!json_is_object(root)) {
        json_decref(root);
        return -EBADMSG;
    }
    *out = root;
    return 0;
}

int cdp_add_call(struct buf *out, uint64_t id, const char *method, const json_t *params) {
    auto_free char *text = params ? json_dumps(params, JSON_COMPACT) : NULL;

    if (params && !text)
        return -ENOMEM;
    buf_add_format(out, "{\"id\":%llu,\"method\":\"%s\"", (unsigned long long)id, method);
    if (text) {
        buf_add(out, STR(",\"params\":"));
        buf_add(out, str_of(text));
    }
    buf_add_char(out, '}');
    return buf_error(out);
}

const json_t *cdp_at(const json_t *from, const char *path) {
    struct str rest = str_of(path), key;

    while (from && rest.n > 0) {
        char name[64];

        if (!str_cut(&rest, '.', &key)) {
            key = rest;
            rest.n = 0;
        }
        if (str_copy(key, name, sizeof(name)) < 0)
            return NULL;
        from = json_object_get(from, name);
    }
    return from;
}

struct str cdp_text(const json_t *from, const char *path) {
    const json_t *text = cdp_at(from, path);

    if (!json_is_string(text))
        return STR("");
    return (struct str){json_string_value(text), json_string_length(text)};
}

/* ---- a session ---- */

int cdp_open(struct cdp *c, int fd, const char *host, const char *path, int64_t deadline_us) {
    *c = (struct cdp){.fd = fd};
    return websocket_open(&c->ws, fd, host, path, deadline_us);
}

void cdp_done(struct cdp *c) {
    if (c->fd < 0)
        return;
    websocket_done(&c->ws);
    close(c->fd);
    *c = CDP_NONE;
}

/* Its number, or -errno. */
static int64_t send_call(struct cdp *c, const char *method, json_t *params, int64_t deadline_us) {
    struct buf text;
    int r;

    buf_init(&text, CDP_MESSAGE_MAX);
    r = cdp_add_call(&text, ++c->last_id, method, params);
    json_decref(params);
    if (r == 0)
        r = websocket_send(&c->ws, buf_str(&text), deadline_us);
    buf_done(&text);
    return r < 0 ? r : (int64_t)c->last_id;
}

/* The next message: an event is delivered, an answer to `id` is 1 with *out. */
static int next_message(struct cdp *c, int64_t id, int64_t deadline_us, json_t **out) {
    json_t *root = NULL;
    const json_t *number;
    struct str text, method;
    int r =
        clock_mono_us() < deadline_us ? websocket_receive(&c->ws, deadline_us, &text) : -ETIMEDOUT;

    if (r == 0)
        r = cdp_parse(text, &root);
    if (r < 0)
        return r;
    number = json_object_get(root, "id");
    method = cdp_text(root, "method");
    if (json_is_integer(number) && json_integer_value(number) == id) {
        *out = root;
        return 1;
    }
    if (!number && method.n > 0 && c->event)
        r = c->event(c->ctx, method, json_object_get(root, "params"));
    json_decref(root);
    return r < 0 ? r : 0;
}

static int fail_with(struct cdp *c, struct str words) {
    (void)snprintf(c->said, sizeof(c->said), "%.*s",
                   STR_ARG(str_head(words, words.n < 190 ? words.n : 190)));
    for (char *p = c->said; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    return -EREMOTEIO;
}

int cdp_call(struct cdp *c, const char *method, json_t *params, int64_t deadline_us,
             json_t **result) {
    int64_t id = send_call(c, method, params, deadline_us);
    json_t *answer = NULL;
    int r = id < 0 ? (int)id : 0;

    while (r == 0)
        r = next_message(c, id, deadline_us, &answer);
    if (r < 0)
        return r;
    if (json_object_get(answer, "error")) {
        r = fail_with(c, cdp_text(answer, "error.message"));
    } else {
        r = 0;
        if (result)
            *result = json_incref(json_object_get(answer, "result"));
        if (result && !*result)
            r = -EBADMSG;
    }
    json_decref(answer);
    return r;
}

int cdp_send(struct cdp *c, const char *method, json_t *params, int64_t deadline_us) {
    int64_t id = send_call(c, method, params, deadline_us);

    return id < 0 ? (int)id : 0;
}

int cdp_wait(struct cdp *c, bool (*done)(void *ctx), int64_t deadline_us) {
    json_t *ignored;
    int r = 0;

    while (r == 0 && !done(c->ctx))
        r = next_message(c, -1, deadline_us, &ignored);
    return r;
}

int cdp_evaluate(struct cdp *c, const char *expression, int64_t deadline_us, json_t **value) {
    json_t *result = NULL;
    int r = cdp_call(
        c, "Runtime.evaluate",
        json_pack("{s:s, s:b, s:b}", "expression", expression, "returnByValue", 1, "silent", 1),
        deadline_us, &result);

    if (r < 0)
        return r;
    if (json_object_get(result, "exceptionDetails"))
        r = fail_with(c, cdp_text(result, "exceptionDetails.exception.description"));
    else if (!json_object_get(json_object_get(result, "result"), "value"))
        r = -EBADMSG;
    else
        *value = json_incref(json_object_get(json_object_get(result, "result"), "value"));
    json_decref(result);
    return r;
}
