/* web.h - the agent's HTTP: pages, /metrics, the JSON API, the event stream.
 *
 * libmicrohttpd turned by our own loop, on at most two sockets: TCP and a unix socket, which are
 * bound before privileges are dropped. Everything is read-only but
 * POST /api/v1/act, which asks a guard for an action. What protects it: the Host header
 * must be one of ours (421), no CORS header is ever sent, a token where one is set, limits on
 * header, body, connections and time. Never blocks but for the store's disk. Counts requests,
 * refusals and streams in live->self.
 */
#pragma once
#include <sys/types.h>

#include "base/err.h"
#include "net/loop.h"
#include "series/live.h"
#include "series/store.h"
#include "wire/wireact.h"

enum { WEB_PORT = 7533, WEB_HOSTS = 16, WEB_CONNECTIONS = 64 };

struct web_options {
    struct live *live;
    struct store *store; /* NULL: no history */
    int tcp, local;      /* listening sockets, -1: none; taken */
    const char *address; /* what `tcp` listens on, "127.0.0.1:7533", for the Host check and words */
    const char *host[WEB_HOSTS]; /* further names that a Host header may have */
    unsigned hosts;
    const char *token;              /* NULL: none is asked for on TCP; never on the unix socket */
    const char *tls_cert, *tls_key; /* PEM texts; NULL: no TLS */
    bool cadvisor_names;            /* /metrics has them too */
    bool show_commands;             /* command lines also over TCP without a token */
    int64_t interval_ms;            /* of the collector's rounds: later than that it is away */
    const char *version;
    uid_t owner; /* who runs the agent: may act through the unix socket, as root may */
    /* Asks the collector for an action; 0 or -errno; NULL: nobody can be asked. The answer comes
     * through web_acted. */
    int (*act)(void *ctx, uint32_t uid, enum action action, uint64_t request);
    void *act_ctx;
};

struct web;

/* Binds, with a text that names the address. A descriptor or -errno. An old unix socket that nobody
 * listens on is replaced; one that answers is -EADDRINUSE. */
int web_bind_tcp(struct str address, uint16_t port, struct err *err);
int web_bind_local(const char *path, struct err *err);

int web_new(struct loop *loop, const struct web_options *options, struct web **out,
            struct err *err);
void web_free(struct web *w);

/* After the last message of each tick: tells the streams. */
void web_tick(struct web *w);

/* After live_clear: uids mean something else now, and streams begin with a snapshot again. */
void web_reset(struct web *w);

/* An OOM kill: for the streams. The JSON of web_add_oom. */
void web_oom(struct web *w, struct str json);

/* A record of a guard: for the streams. The JSON of web_add_audit. */
void web_audit(struct web *w, struct str json);

/* The answer to a request for an action. */
void web_acted(struct web *w, const struct wire_acted *acted);

/* --- JSON that the store keeps and the API gives back ------------------------------------------
 */

/* What a target is called, for store_series: all texts of it, as one object. */
void web_add_identity(struct buf *out, const struct wire_target *t);

/* An OOM kill, for store_oom and web_oom: one object. t NULL: the target is not known. */
void web_add_oom(struct buf *out, const struct wire_oom *o, const struct wire_target *t);

/* Something that happened to a target, for store_event: one object. */
struct web_event {
    const char *kind; /* "start" */
    int64_t at_ms;
    uint64_t restarts; /* 0: not told */
    uint64_t from, to; /* a limit before and after; the same: not told */
};

void web_add_event(struct buf *out, const struct web_event *e, const struct wire_target *t);

/* A record of a guard, for store_event and web_audit: one object. Its kind there is the word of
 * web_audit_word: "hang" (seen or over), "gc" and "guard" (an action has ended, or is let go),
 * which are events; and "begin", "mark", "guarded", which only the list of incidents has. */
const char *web_audit_word(const struct audit *a);
void web_add_audit(struct buf *out, const struct audit *a, const struct wire_target *t);
