/* guard.h - who may ask: the checks of a request's head, before anything is answered. Pure.
 *
 * A page of somewhere else in a visitor's browser can send requests here, and with a name of its
 * own that it points to our address it could read the answers (DNS rebinding). So the Host header
 * must be an address of ours or a name that was configured, and an Origin must be our own. A link
 * there may lead to our first page, which they cannot read.
 */
#pragma once
#include "base/str.h"

struct guard {
    const char *const *host; /* further names, "name" or "name:port"; a name alone has any port */
    unsigned hosts;
    const char *token; /* NULL: none is asked for */
};

/* The head of a request. */
struct guard_head {
    bool any_host;          /* through a unix socket, where no browser's page can get */
    bool acts;              /* what it asks for is something to be done: POST alone */
    bool may_act;           /* through our own socket, by root or by whoever runs the agent */
    bool no_token;          /* through our own one, which has its file's rights */
    bool is_open;           /* what it asks for is no secret: no token is asked for */
    bool http10;            /* of HTTP/1.0: Host may be missing */
    unsigned hosts, tokens; /* how many such headers there are */
    struct str method, path, host;
    bool have_origin, have_fetch_site;
    bool navigates; /* the browser says that the answer is to be a page, not something in one */
    struct str origin, fetch_site;
    struct str authorization;
    size_t bytes; /* of the whole head */
    bool body;
    bool have_length, chunked; /* of the body */
    uint64_t length;
    struct str content_type;
    struct str address; /* that the connection came to, without a port: "127.0.0.1", "::1" */
    uint16_t port;
};

enum { GUARD_HEAD_MAX = 8192, GUARD_BODY_MAX = 64 << 10 };

/* 0, or the status that refuses it, with why in *text_out. */
unsigned guard_check(const struct guard *g, const struct guard_head *h, const char **text_out);

/* Whether the token is the one of the header "Bearer TOKEN"; takes the same time wherever they
 * differ. */
bool guard_token(const char *token, struct str authorization);
