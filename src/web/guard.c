#include "web/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

static bool same_name(struct str a, struct str b) {
    return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

/* Takes ":PORT" off the end of an authority; *have tells whether there was one. False: it is no
 * authority. */
static bool split(struct str authority, struct str *name, bool *have, uint16_t *port) {
    ptrdiff_t colon = str_rfind(authority, ':'), bracket = str_rfind(authority, ']');
    uint64_t value;

    *have = colon > bracket;
    *name = *have ? str_head(authority, (size_t)colon) : authority;
    if (*have) {
        if (str_to_u64(str_from(authority, (size_t)colon + 1), &value) < 0 || value > UINT16_MAX)
            return false;
        *port = (uint16_t)value;
    }
    return name->n > 0;
}

/* An address as bytes, so that no spelling of it differs. 0 when it is none. */
static size_t address_of(struct str name, unsigned char out[16]) {
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool bracketed = str_skip(&name, STR("["));
    char text[INET6_ADDRSTRLEN + 1];

    if (bracketed && !str_drop(&name, STR("]")))
        return 0;
    if (str_copy(name, text, sizeof(text)) < 0)
        return 0;
    if (!bracketed && inet_pton(AF_INET, text, out) == 1)
        return 4;
    if (inet_pton(AF_INET6, text, out) != 1)
        return 0;
    if (memcmp(out, mapped, sizeof(mapped)) != 0)
        return 16;
    memmove(out, out + 12, 4);
    return 4;
}

static bool is_our_address(const struct guard_head *h, struct str name) {
    unsigned char said[16], ours[16];
    size_t n = address_of(name, said);

    /* Outside of brackets an address with colons is none. */
    if (n == 0 || (str_find(name, ':') >= 0 && name.p[0] != '['))
        return false;
    return address_of(h->address, ours) == n && memcmp(said, ours, n) == 0;
}

static bool is_configured(const struct guard *g, struct str host, struct str name) {
    for (unsigned i = 0; i < g->hosts; i++) {
        struct str ours = str_of(g->host[i]);

        if (same_name(ours, host) || same_name(ours, name))
            return true;
    }
    return false;
}

static bool host_is_ours(const struct guard *g, const struct guard_head *h) {
    uint16_t port = h->port;
    struct str name;
    bool have_port;

    if (h->hosts == 0)
        return h->http10;
    if (!split(h->host, &name, &have_port, &port))
        return false;
    if (is_configured(g, h->host, name))
        return true;
    return port == h->port && (same_name(name, STR("localhost")) || is_our_address(h, name));
}

/* Our own pages say as Origin what they said as Host. */
static bool origin_is_ours(const struct guard_head *h) {
    struct str origin = h->origin;

    if (!str_skip(&origin, STR("http://")) && !str_skip(&origin, STR("https://")))
        return false;
    return h->hosts == 1 && same_name(origin, h->host);
}

/* What a browser says of pages elsewhere: cross-site, and same-site, which may be another's too. */
static bool site_may_ask(const struct guard_head *h) {
    return !h->have_fetch_site || same_name(h->fetch_site, STR("same-origin")) ||
           same_name(h->fetch_site, STR("none")) || (h->navigates && str_eq(h->path, STR("/")));
}

bool guard_token(const char *token, struct str authorization) {
    size_t n = strlen(token);
    unsigned char differs;

    if (authorization.n < 7 || strncasecmp(authorization.p, "Bearer ", 7) != 0)
        return false;
    authorization = str_trim(str_from(authorization, 7));
    differs = authorization.n != n;
    for (size_t i = 0; i < n; i++) {
        char said = authorization.n > 0 ? authorization.p[i % authorization.n] : 0;

        differs |= (unsigned char)(token[i] ^ said);
    }
    return differs == 0;
}

static bool is_json(struct str type) {
    struct str rest = type;

    (void)str_cut(&rest, ';', &type);
    return same_name(str_trim(type), STR("application/json"));
}

/* Something is to be done: not without a token, but for who may do it without us. The type of the
 * body is one that a page of another site cannot send without asking first. */
static unsigned check_act(const struct guard *g, const struct guard_head *h,
                          const char **text_out) {
    if (!str_eq(h->method, STR("POST"))) {
        *text_out = "only POST";
        return 405;
    }
    if (h->bytes > GUARD_HEAD_MAX) {
        *text_out = "the request's head is longer than 8 KiB";
        return 431;
    }
    if (!h->may_act && h->no_token) {
        *text_out = "through this socket only root, and who runs the agent, may act";
        return 403;
    }
    if (!h->may_act && !g->token) {
        *text_out = "acting needs a token: set `token_file` in plimsoll.yaml";
        return 403;
    }
    if (!h->may_act && !guard_token(g->token, h->authorization)) {
        *text_out = "the token is missing or wrong (Authorization: Bearer TOKEN)";
        return 401;
    }
    if (!is_json(h->content_type)) {
        *text_out = "the body must be application/json";
        return 415;
    }
    if (h->chunked || !h->have_length) {
        *text_out = "the body needs a Content-Length";
        return 411;
    }
    if (h->length > GUARD_BODY_MAX) {
        *text_out = "the body is longer than 64 KiB";
        return 413;
    }
    return 0;
}

unsigned guard_check(const struct guard *g, const struct guard_head *h, const char **text_out) {
    if (h->hosts > 1 || h->tokens > 1) {
        *text_out = "a header stands twice";
        return 400;
    }
    if (!h->any_host && !host_is_ours(g, h)) {
        *text_out = "this Host is not one of ours; add it to `hosts` of plimsoll.yaml if it is";
        return 421;
    }
    if (h->have_origin && !origin_is_ours(h)) {
        *text_out = "pages of other origins may not ask";
        return 403;
    }
    if (!site_may_ask(h)) {
        *text_out = "pages of other sites may not ask";
        return 403;
    }
    if (h->acts)
        return check_act(g, h, text_out);
    if (!str_eq(h->method, STR("GET")) && !str_eq(h->method, STR("HEAD"))) {
        *text_out = "only GET and HEAD";
        return 405;
    }
    if (h->bytes > GUARD_HEAD_MAX) {
        *text_out = "the request's head is longer than 8 KiB";
        return 431;
    }
    if (h->body) {
        *text_out = "a request may have no body";
        return 413;
    }
    if (!h->no_token && !h->is_open && g->token && !guard_token(g->token, h->authorization)) {
        *text_out = "the token is missing or wrong (Authorization: Bearer TOKEN)";
        return 401;
    }
    return 0;
}
