#include "cmd/agentclient.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/when.h"
#include "net/unixhttp.h"

enum { ANSWER_MAX = 256 << 20, DEADLINE_US = 30000000 };

static const char machine_socket[] = "/run/plimsoll/plimsoll.sock";

const char *agentclient_socket(const char *given) {
    static char own[4096];
    const char *named = getenv("PLIMSOLL_SOCKET"), *dir = getenv("XDG_RUNTIME_DIR");

    if (given)
        return given;
    if (named && *named)
        return named;
    if (geteuid() == 0 || !dir || dir[0] != '/')
        return machine_socket;
    snprintf(own, sizeof(own), "%s/plimsoll/plimsoll.sock", dir);
    return access(own, F_OK) == 0 || access(machine_socket, F_OK) < 0 ? own : machine_socket;
}

void agentclient_path(struct buf *request, const char *path) {
    buf_clear(request);
    buf_add(request, str_of(path));
}

static bool unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

void agentclient_param(struct buf *request, const char *key, struct str value) {
    buf_add_char(request, str_find(buf_str(request), '?') < 0 ? '?' : '&');
    buf_add_format(request, "%s=", key);
    for (size_t i = 0; i < value.n; i++)
        if (unreserved(value.p[i]))
            buf_add_char(request, value.p[i]);
        else
            buf_add_format(request, "%%%02X", (unsigned char)value.p[i]);
}

void agentclient_param_ms(struct buf *request, const char *key, int64_t ms) {
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)ms);
    agentclient_param(request, key, str_of(text));
}

int agentclient_silence(const char *socket, int code, struct err *err) {
    switch (code) {
    case -ENOENT:
    case -ECONNREFUSED:
    case -ENOTDIR:
        return err_set(err, code,
                       "no agent is running at '%s': start one with `plimsoll agent`, or name its "
                       "socket with --socket or PLIMSOLL_SOCKET",
                       socket);
    case -EACCES:
    case -EPERM:
        return err_set(err, code,
                       "the agent's socket '%s' may not be used: be root, or whoever started the "
                       "agent",
                       socket);
    case -ENAMETOOLONG:
        return err_set(err, code, "'%s' is too long for a socket", socket);
    case -ETIMEDOUT:
        return err_set(err, code, "the agent at '%s' did not answer in time", socket);
    case -EBADMSG:
        return err_set(err, code, "what answers at '%s' is no agent", socket);
    default:
        return err_set(err, code, "cannot ask the agent at '%s':", socket);
    }
}

/* Our own API and Prometheus' both have "error". */
static int refusal(const struct unixhttp *answer, const json_t *body, struct err *err) {
    const char *text = json_string_value(json_object_get(body, "error"));
    int code = answer->status == 404 ? -ENOENT : -EPROTO;

    if (text)
        return err_set(err, code, "%s", text);
    return err_set(err, code, "the agent answers with status %u", answer->status);
}

int agentclient_ask(const char *socket, struct buf *request, int64_t timeout_us, json_t **out,
                    struct err *err) {
    struct unixhttp http;
    json_error_t where;
    struct buf answer;
    json_t *body;
    int r = 0;

    buf_add_char(request, '\0');
    if (buf_error(request) < 0)
        return err_set(err, buf_error(request), "the request is too long");
    buf_init(&answer, ANSWER_MAX);
    r = unixhttp_get(socket, request->p, clock_mono_us() + timeout_us, &answer, &http);
    if (r < 0) {
        buf_done(&answer);
        return agentclient_silence(socket, r, err);
    }
    body = json_loadb(http.body.p, http.body.n, 0, &where);
    if (http.status != 200)
        r = refusal(&http, body, err);
    else if (!body)
        r = err_set(err, -EBADMSG, "what answers at '%s' is no agent", socket);
    buf_done(&answer);
    if (r < 0)
        json_decref(body);
    else
        *out = body;
    return r;
}

int agentclient_get(const char *socket, struct buf *request, json_t **out, struct err *err) {
    return agentclient_ask(socket, request, DEADLINE_US, out, err);
}

int agentclient_nothing(const char *socket, int64_t at_ms, struct err *err) {
    struct buf request, moment, since;
    json_t *health = NULL;
    int64_t oldest = 0;
    int r;

    buf_init(&request, 4096);
    buf_init(&moment, 100);
    buf_init(&since, 100);
    agentclient_path(&request, "/healthz");
    if (agentclient_get(socket, &request, &health, err) == 0)
        oldest = json_integer_value(json_object_get(json_object_get(health, "store"), "oldest_ms"));
    json_decref(health);
    clock_add_rfc3339(&moment, at_ms);
    clock_add_rfc3339(&since, oldest);
    if (oldest > 0)
        r = err_set(err, -ENODATA, "nothing was recorded at %.*s; the history begins at %.*s",
                    STR_ARG(buf_str(&moment)), STR_ARG(buf_str(&since)));
    else
        r = err_set(err, -ENODATA, "nothing was recorded at %.*s", STR_ARG(buf_str(&moment)));
    buf_done(&request);
    buf_done(&moment);
    buf_done(&since);
    return r;
}

int agentclient_moment(struct str text, int64_t *ms_out, struct err *err) {
    int r = when_parse(text, clock_wall_ms(), ms_out);

    if (r == -ERANGE)
        return err_set(err, -EINVAL, "there is no such moment as '%.*s'", STR_ARG(text));
    if (r < 0)
        return err_set(err, -EINVAL,
                       "'%.*s' is not a moment; write it as -10m, 07:48, 2026-11-21T07:48:16Z or "
                       "in seconds since 1970",
                       STR_ARG(text));
    return 0;
}

int agentclient_since(struct str text, int64_t *ms_out, struct err *err) {
    bool unit = text.n > 0 && text.p[text.n - 1] >= 'a' && text.p[text.n - 1] <= 'z';
    uint64_t ago_ms;

    if (unit && num_parse_ms(text, &ago_ms) == 0 && (int64_t)ago_ms < clock_wall_ms()) {
        *ms_out = clock_wall_ms() - (int64_t)ago_ms;
        return 0;
    }
    return agentclient_moment(text, ms_out, err);
}

int agentclient_set_socket(struct str value, const char **out, struct err *err) {
    if (value.n == 0)
        return err_set(err, -EINVAL, "--socket needs a path");
    *out = value.p;
    return 0;
}
