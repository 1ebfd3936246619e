#include "web/web.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "web/api_act.h"
#include "web/assets.h"
#include "web/guard.h"
#include "web/site.h"

enum {
    POOL = 96 << 10,         /* memory of a connection: its head and what waits to be sent */
    BLOCK = 64 << 10,        /* of an answer without a known length for HTTP/1.0 */
    FIXED_MAX = 64 << 10,    /* answers up to here have a Content-Length */
    PACK_MIN = 1024,         /* smaller ones are not worth compressing */
    IDLE_S = 30,             /* a reader that takes nothing for so long is dropped */
    HEAD_US = 10 * 1000000,  /* for the whole head */
    WAIT_US = 60 * 1000000,  /* between two requests of a connection */
    BODY_US = 120 * 1000000, /* for taking a whole answer, but for streams */
    SWEEP_US = 1000000,
    TURNS = 16, /* of a server in one turn of the loop */
    /* Of WEB_CONNECTIONS the unix socket has its own, so that nobody on TCP can take them. The
     * spare ones are for those that come until those that must go are gone. */
    LOCAL_CONNECTIONS = 16,
    SPARE = 8,
    LOCAL_SPARE = 4,
    PACE_STEP = 4096, /* readers that differ by less are equally slow */
};

enum phase { PHASE_HEAD, PHASE_BUSY, PHASE_BETWEEN };

struct server;

/* A connection, while it lasts. */
struct visit {
    struct visit *next, **at;
    struct server *server;
    struct MHD_Connection *connection;
    int fd;
    enum phase phase;
    int64_t since_us; /* it is in that phase */
    uint64_t taken;   /* bytes that the client's side has acknowledged, of all answers */
    uint64_t pace;    /* of this answer, what was taken in about the last two seconds */
    bool stream, suspended, dropped;
    struct buf body; /* of a request that acts */
    struct act *act; /* it waits for an answer */
};

struct server {
    struct web *web;
    struct MHD_Daemon *daemon;
    struct visit *visits;
    unsigned n, limit, spare;
    bool full;       /* the library has stopped listening */
    uint32_t source; /* in the loop */
    bool own_socket; /* the unix socket that has its file's rights */
    bool is_unix;
    uint16_t port;
};

enum { SERVERS = 2 };

struct web {
    struct site site;
    struct loop *loop;
    struct server server[SERVERS];
    unsigned servers;
    struct guard guard;
    char *host[WEB_HOSTS];
    char *token, *version;
    bool show_commands;
    uid_t owner;
    int again; /* an eventfd: a server has more to do at once */
    uint32_t again_source, sweep_source;
    bool have_again, sweeps;
};

/* An answer on its way. */
struct reply {
    struct answer answer;
    struct visit *visit; /* NULL: it has ended */
};

static void turn(struct server *s);

/* --- connections --------------------------------------------------------------------------------
 */

static void set_phase(struct visit *v, enum phase phase) {
    v->phase = phase;
    v->since_us = clock_mono_us();
}

/* How much of the answers has arrived on the other side. A unix socket does not tell (there
 * read_reply counts), nor does Linux before 4.1: all readers are equally slow then. */
static void look_at_pace(struct visit *v) {
    struct tcp_info info = {0};
    socklen_t n = sizeof(info);

    if (v->server->is_unix || getsockopt(v->fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0 ||
        n < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked))
        return;
    if (info.tcpi_bytes_acked > v->taken)
        v->pace += info.tcpi_bytes_acked - v->taken;
    v->taken = info.tcpi_bytes_acked;
}

/* A new answer begins with a step of credit. */
static void set_busy(struct visit *v) {
    set_phase(v, PHASE_BUSY);
    look_at_pace(v);
    v->pace = PACE_STEP;
}

/* The library sees the end of the connection in its next turn. */
static void drop(struct visit *v) {
    /* Else the kernel would keep what nobody reads for minutes. */
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (v->dropped)
        return;
    v->dropped = true;
    if (v->phase == PHASE_BUSY)
        (void)setsockopt(v->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    shutdown(v->fd, SHUT_RDWR);
    if (v->suspended) {
        v->suspended = false;
        MHD_resume_connection(v->connection);
    }
}

/* Of those that ask nothing the oldest goes first, of readers the slowest. */
static bool goes_before(const struct visit *v, const struct visit *other) {
    uint64_t pace = v->pace / PACE_STEP;

    if (!other)
        return true;
    if (v->phase == PHASE_BUSY && pace != other->pace / PACE_STEP)
        return pace < other->pace / PACE_STEP;
    return v->since_us <= other->since_us;
}

/* Makes room for who comes. Readers have half of it where it is scarce: neither those who ask
 * nothing nor those who do not read what they asked for can keep the others out. Streams have a
 * limit of their own. */
static void make_room(struct server *s) {
    unsigned n_silent = 0, n_readers = 0, room = s->limit - s->spare;
    struct visit *silent = NULL, *reader = NULL;

    for (struct visit *v = s->visits; v; v = v->next) {
        if (v->dropped)
            continue;
        if (v->stream) {
            room -= room > 0;
        } else if (v->phase == PHASE_BUSY) {
            look_at_pace(v);
            n_readers++;
            if (goes_before(v, reader))
                reader = v;
        } else {
            n_silent++;
            if (goes_before(v, silent))
                silent = v;
        }
    }
    if (n_silent + n_readers <= room)
        return;
    if (reader && n_readers > room / 2)
        drop(reader);
    else if (silent)
        drop(silent);
}

static int on_sweep(struct loop *loop, uint32_t what, void *ctx);

static void begin_visit(struct server *s, struct MHD_Connection *connection, void **place) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct visit *v = info ? calloc(1, sizeof(*v)) : NULL;
    struct web *w = s->web;

    *place = v;
    if (!v)
        return; /* its requests are refused */
    v->server = s;
    v->connection = connection;
    v->fd = info->connect_fd;
    set_phase(v, PHASE_HEAD);
    v->next = s->visits;
    v->at = &s->visits;
    if (v->next)
        v->next->at = &v->next;
    s->visits = v;
    s->n++;
    s->full |= s->n >= s->limit;
    make_room(s);
    if (!w->sweeps)
        w->sweeps = loop_add_timer(w->loop, SWEEP_US, SWEEP_US, on_sweep, w, &w->sweep_source) == 0;
}

static void drop_act(struct visit *v) {
    buf_done(&v->body);
    free(v->act);
    v->act = NULL;
}

static void end_visit(struct visit *v) {
    *v->at = v->next;
    if (v->next)
        v->next->at = v->at;
    v->server->n--;
    drop_act(v);
    free(v);
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **place,
                          enum MHD_ConnectionNotificationCode code) {
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        begin_visit(ctx, connection, place);
    else if (*place)
        end_visit(*place);
}

static struct visit *visit_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* --- requests -----------------------------------------------------------------------------------
 */

/* The address that the connection came to: what a Host header may say. */
static void local_address(int fd, char *out, size_t size) {
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof(a);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a;

    out[0] = '\0';
    if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        return;
    if (a.ss_family == AF_INET)
        inet_ntop(AF_INET, &v4->sin_addr, out, (socklen_t)size);
    else if (a.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &v6->sin6_addr, out, (socklen_t)size);
}

struct heads {
    struct guard_head *head;
    struct request *rq;
};

/* "gzip" in a list of encodings, and not with q=0. */
static bool takes_gzip(struct str list) {
    struct str item;

    while (list.n > 0) {
        if (!str_cut(&list, ',', &item)) {
            item = list;
            list.n = 0;
        }
        struct str name = item;

        (void)str_cut(&item, ';', &name);
        if (item.p == name.p)
            item = STR("");
        if (!str_eq(str_trim(name), STR("gzip")))
            continue;
        item = str_trim(item);
        return !str_skip(&item, STR("q=0")) ||
               (str_skip(&item, STR(".")) && item.n > 0 && item.p[0] != '0');
    }
    return false;
}

static enum MHD_Result take_header(void *ctx, enum MHD_ValueKind kind, const char *key,
                                   size_t key_n, const char *value, size_t value_n) {
    struct heads *h = ctx;
    struct str v = {value ? value : "", value ? value_n : 0};

    (void)kind, (void)key_n;
    if (strcasecmp(key, "Host") == 0) {
        h->head->hosts++;
        h->head->host = str_trim(v);
    } else if (strcasecmp(key, "Origin") == 0) {
        h->head->have_origin = true;
        h->head->origin = str_trim(v);
    } else if (strcasecmp(key, "Sec-Fetch-Site") == 0) {
        h->head->have_fetch_site = true;
        h->head->fetch_site = str_trim(v);
    } else if (strcasecmp(key, "Sec-Fetch-Mode") == 0) {
        h->head->navigates = str_eq(str_trim(v), STR("navigate"));
    } else if (strcasecmp(key, "Authorization") == 0) {
        h->head->tokens++;
        h->head->authorization = str_trim(v);
    } else if (strcasecmp(key, "Transfer-Encoding") == 0) {
        h->head->body = h->head->chunked = true;
    } else if (strcasecmp(key, "Content-Length") == 0) {
        h->head->body |= !str_eq(str_trim(v), STR("0"));
        h->head->have_length = str_to_u64(str_trim(v), &h->head->length) == 0;
    } else if (strcasecmp(key, "Content-Type") == 0) {
        h->head->content_type = str_trim(v);
    } else if (strcasecmp(key, "Accept-Encoding") == 0) {
        h->rq->gzip |= takes_gzip(v);
    } else if (strcasecmp(key, "Last-Event-ID") == 0) {
        h->rq->last_event = str_trim(v);
    } else if (strcasecmp(key, "If-None-Match") == 0) {
        h->rq->none_match = str_trim(v);
    }
    return MHD_YES;
}

static enum MHD_Result take_argument(void *ctx, enum MHD_ValueKind kind, const char *key,
                                     size_t key_n, const char *value, size_t value_n) {
    struct request *rq = ctx;

    (void)kind;
    if (rq->args == REQUEST_ARGS) {
        rq->args++; /* too many: seen by whoever asks */
        return MHD_NO;
    }
    rq->arg[rq->args++] =
        (struct request_arg){{key ? key : "", key_n}, {value ? value : "", value ? value_n : 0}};
    return MHD_YES;
}

/* Whoever has connected to our own socket. */
static bool peer_may_act(const struct web *w, const struct visit *v) {
    struct ucred peer;
    socklen_t n = sizeof(peer);

    return v->server->own_socket && getsockopt(v->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
           (peer.uid == 0 || peer.uid == w->owner);
}

/* Reads the request and answers it, or refuses. True: it may be compressed. One that acts is only
 * checked: a status of 0 lets it. */
static bool make_answer(struct web *w, struct visit *v, const char *url, const char *method,
                        const char *version, struct answer *a) {
    struct MHD_Connection *c = v->connection;
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    char address[INET6_ADDRSTRLEN];
    struct guard_head head = {
        .any_host = v->server->is_unix,
        .no_token = v->server->own_socket,
        .is_open = asset_find(str_of(url)),
        .acts = strcmp(url, ACT_PATH) == 0,
        .may_act = peer_may_act(w, v),
        .http10 = strcmp(version, "HTTP/1.0") == 0,
        .method = str_of(method),
        .path = str_of(url),
        .bytes = size ? size->header_size : 0,
        .port = v->server->port,
    };
    struct request rq = {
        .path = str_of(url),
        .local = v->server->own_socket,
        .commands = v->server->own_socket || w->show_commands || w->guard.token,
        .now_ms = clock_wall_ms(),
    };
    struct heads heads = {&head, &rq};
    const char *text = "";
    unsigned status;

    local_address(v->fd, address, sizeof(address));
    head.address = str_of(address);
    (void)MHD_get_connection_values_n(c, MHD_HEADER_KIND, take_header, &heads);
    (void)MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, take_argument, &rq);
    status = guard_check(&w->guard, &head, &text);
    if (status == 0 && rq.args > REQUEST_ARGS) {
        status = 400;
        text = "too many arguments";
    }
    if (status == 0 && head.acts) {
        a->status = 0;
        return false;
    }
    if (status == 0) {
        site_answer(&w->site, &rq, a);
        w->site.live->self[LIVE_SELF_REQUESTS]++;
        return rq.gzip;
    }
    answer_error(a, status, "%s", text);
    if (head.acts)
        a->allow = "POST";
    w->site.live->self[LIVE_SELF_REFUSED]++;
    return false;
}

/* --- answers ------------------------------------------------------------------------------------
 */

static ssize_t read_reply(void *ctx, uint64_t pos, char *to, size_t size) {
    struct reply *reply = ctx;
    ptrdiff_t n = answer_read(&reply->answer, to, size);

    (void)pos;
    if (n > 0) {
        if (reply->visit && reply->visit->server->is_unix)
            reply->visit->pace += (uint64_t)n; /* it has taken what was before */
        return n;
    }
    if (n == -ENODATA)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n < 0 || !reply->visit || reply->visit->dropped)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    reply->visit->suspended = true;
    MHD_suspend_connection(reply->visit->connection);
    return 0;
}

static void free_reply(void *ctx) {
    struct reply *reply = ctx;

    answer_done(&reply->answer);
    free(reply);
}

static void add_headers(struct MHD_Response *response, const struct answer *a) {
    static const char *const always[][2] = {
        {"Content-Security-Policy",
         "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };

    for (size_t i = 0; i < ARRAY_N(always); i++)
        (void)MHD_add_response_header(response, always[i][0], always[i][1]);
    (void)MHD_add_response_header(response, "Content-Type", a->type);
    (void)MHD_add_response_header(response, "Cache-Control", a->keep ? "no-cache" : "no-store");
    if (a->etag)
        (void)MHD_add_response_header(response, "ETag", a->etag);
    if (a->packer || a->encoding)
        (void)MHD_add_response_header(response, "Content-Encoding",
                                      a->packer ? "gzip" : a->encoding);
    if (!a->stream)
        (void)MHD_add_response_header(response, "Vary", "Accept-Encoding");
    if (a->status == 405)
        (void)MHD_add_response_header(response, "Allow", a->allow ? a->allow : "GET, HEAD");
    if (a->status == 401)
        (void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (a->status == 405 || a->status == 411 || a->status == 413 || a->status == 415 ||
        a->status == 431 || (a->allow && (a->status == 401 || a->status == 403)))
        (void)MHD_add_response_header(response, "Connection", "close");
}

/* Takes the reply. */
static enum MHD_Result send_reply(struct visit *v, struct reply *reply, bool pack, bool head) {
    static char nothing[1];
    struct answer *a = &reply->answer;
    struct MHD_Response *response;
    enum MHD_Result r;

    if (pack && !a->stream && !a->encoding && (!a->end || a->piece.n >= PACK_MIN))
        (void)answer_pack(a);
    if (a->end && !a->packer && (a->piece.n <= FIXED_MAX || a->etag)) {
        response = a->still.n > 0
                       ? MHD_create_response_from_buffer(a->still.n, (void *)(uintptr_t)a->still.p,
                                                         MHD_RESPMEM_PERSISTENT)
                       : MHD_create_response_from_buffer(
                             a->piece.n, a->piece.p ? a->piece.p : nothing, MHD_RESPMEM_MUST_COPY);
        if (response)
            add_headers(response, a);
        r = response ? MHD_queue_response(v->connection, a->status, response) : MHD_NO;
        free_reply(reply);
    } else {
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_reply, reply,
                                                     free_reply);
        if (!response) {
            free_reply(reply);
            return MHD_NO;
        }
        add_headers(response, a);
        v->stream = a->stream;
        if (head) /* else it ends with a chunk that is none (0.9.75), the next answer's beginning */
            (void)MHD_set_response_options(response, MHD_RF_HTTP_VERSION_1_0_ONLY, MHD_RO_END);
        r = MHD_queue_response(v->connection, a->status, response);
    }
    if (response)
        MHD_destroy_response(response);
    return r;
}

static struct reply *new_reply(struct visit *v) {
    struct reply *reply = calloc(1, sizeof(*reply));

    if (!reply)
        return NULL;
    reply->visit = v;
    answer_init(&reply->answer);
    return reply;
}

static enum MHD_Result answer_request(struct web *w, struct visit *v, const char *url,
                                      const char *method, const char *version) {
    struct reply *reply = new_reply(v);
    bool pack;

    if (!reply)
        return MHD_NO;
    pack = make_answer(w, v, url, method, version, &reply->answer);
    if (reply->answer.status == 0) { /* it acts, and may: its body comes */
        free_reply(reply);
        buf_init(&v->body, ACT_BODY_MAX);
        return MHD_YES;
    }
    if (answer_begin(&reply->answer) < 0)
        answer_error(&reply->answer, 503, "the answer cannot be made");
    if (!reply->answer.more)
        reply->answer.end = true;
    return send_reply(v, reply, pack, strcmp(method, "HEAD") == 0);
}

/* --- something is to be done ------------------------------------------------------------------ */

static enum MHD_Result wait_for_act(struct visit *v) {
    v->suspended = true;
    MHD_suspend_connection(v->connection);
    return MHD_YES;
}

/* The body is there, or the answer that was waited for, or neither in time. */
static enum MHD_Result answer_act(struct web *w, struct visit *v) {
    struct reply *reply;
    bool begun = v->act != NULL;

    if (begun && !v->act->answered && clock_mono_us() < v->act->deadline_us && !v->dropped)
        return wait_for_act(v);
    reply = new_reply(v);
    if (!begun)
        v->act = calloc(1, sizeof(*v->act));
    if (!reply || !v->act) {
        free(reply);
        return MHD_NO;
    }
    if (begun) {
        act_answer(v->act, &reply->answer);
    } else if (act_begin(&w->site, buf_str(&v->body), v->act, &reply->answer)) {
        free_reply(reply);
        return wait_for_act(v);
    }
    w->site.live->self[LIVE_SELF_REQUESTS]++;
    drop_act(v);
    (void)answer_begin(&reply->answer);
    reply->answer.end = true;
    return send_reply(v, reply, false, false);
}

static enum MHD_Result take_body(struct visit *v, const char *data, size_t *n) {
    buf_add(&v->body, (struct str){data, *n});
    *n = 0;
    return buf_error(&v->body) == 0 ? MHD_YES : MHD_NO; /* more than it said */
}

void web_acted(struct web *w, const struct wire_acted *acted) {
    for (unsigned i = 0; i < w->servers; i++)
        for (struct visit *v = w->server[i].visits; v; v = v->next) {
            if (!v->act || v->act->request != acted->request || v->act->answered)
                continue;
            v->act->said = *acted;
            v->act->answered = true;
            if (v->suspended) {
                v->suspended = false;
                MHD_resume_connection(v->connection);
            }
            turn(&w->server[i]);
            return;
        }
}

/* Called when the head is there, and once more when the request is whole; with a body it is
 * refused the first time, but one that acts: then for each part of its body in between. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_n, void **place) {
    struct server *s = ctx;
    struct visit *v = visit_of(connection);
    bool has_body = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length") ||
                    MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Transfer-Encoding");
    bool acts = strcmp(url, ACT_PATH) == 0;

    if (!v)
        return MHD_NO;
    if (!*place) {
        *place = v;
        set_busy(v);
        if (!has_body && !acts)
            return MHD_YES;
        return answer_request(s->web, v, url, method, version);
    }
    if (acts)
        return *data_n > 0 ? take_body(v, data, data_n) : answer_act(s->web, v);
    if (*data_n > 0)
        return MHD_NO;
    return answer_request(s->web, v, url, method, version);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **place,
                         enum MHD_RequestTerminationCode code) {
    struct visit *v = *place;

    (void)ctx, (void)connection, (void)code;
    if (!v)
        return;
    *place = NULL;
    v->stream = false;
    v->suspended = false;
    drop_act(v);
    set_phase(v, PHASE_BETWEEN);
}

/* --- turns --------------------------------------------------------------------------------------
 */

static void turn(struct server *s) {
    MHD_UNSIGNED_LONG_LONG wait_ms;
    const uint64_t one = 1;

    for (unsigned i = 0; i < TURNS; i++) {
        (void)MHD_run(s->daemon);
        /* 0.9.75 listens again when it has its next turn, but asks for none. */
        if (s->full && s->n < s->limit) {
            s->full = false;
            continue;
        }
        if (MHD_get_timeout(s->daemon, &wait_ms) != MHD_YES || wait_ms > 0)
            return;
    }
    /* Others have their turn before it goes on. */
    if (write(s->web->again, &one, sizeof(one)) < 0)
        return; /* it is set already */
}

static int on_server(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what;
    turn(ctx);
    return 0;
}

static int on_again(struct loop *loop, uint32_t what, void *ctx) {
    struct web *w = ctx;
    uint64_t count;

    (void)loop, (void)what;
    if (read(w->again, &count, sizeof(count)) < 0)
        return 0;
    for (unsigned i = 0; i < w->servers; i++)
        turn(&w->server[i]);
    return 0;
}

static int64_t patience_us(const struct visit *v) {
    switch (v->phase) {
    case PHASE_HEAD:
        return HEAD_US;
    case PHASE_BETWEEN:
        return WAIT_US;
    case PHASE_BUSY:
        break;
    }
    return v->stream ? INT64_MAX : BODY_US;
}

/* Streams that wait look for news and for whether their reader is there still. */
static void wake(struct server *s) {
    for (struct visit *v = s->visits; v; v = v->next)
        if (v->suspended) {
            v->suspended = false;
            MHD_resume_connection(v->connection);
        }
}

/* The end of what a client sends is not noticed by the library when it came together with the
 * last of it (0.9.75: a short read is believed to be the end of an edge). */
static bool has_left(const struct visit *v) {
    char byte;

    return v->phase != PHASE_BUSY && recv(v->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static int on_sweep(struct loop *loop, uint32_t what, void *ctx) {
    struct web *w = ctx;
    int64_t now_us = clock_mono_us();
    unsigned n = 0;

    (void)what;
    for (unsigned i = 0; i < w->servers; i++) {
        struct server *s = &w->server[i];

        n += s->n;
        for (struct visit *v = s->visits; v; v = v->next) {
            look_at_pace(v);
            v->pace /= 2;
            if (now_us - v->since_us > patience_us(v) || has_left(v))
                drop(v);
        }
        wake(s);
        if (s->n > 0)
            turn(s);
    }
    if (n == 0) {
        loop_remove(loop, w->sweep_source);
        w->sweeps = false;
    }
    return 0;
}

void web_tick(struct web *w) {
    struct site *site = &w->site;

    if (site->told_ms == 0)
        site->era_ms = site->live->at_ms;
    site->told_ms = site->live->at_ms;
    for (unsigned i = 0; i < w->servers && site->streams > 0; i++) {
        wake(&w->server[i]);
        turn(&w->server[i]);
    }
}

void web_reset(struct web *w) {
    w->site.era++;
    w->site.told_ms = 0;
}

static void tell_streams(struct web *w, const char *event, struct str json) {
    struct site *site = &w->site;
    struct site_oom *place = &site->oom[site->ooms % SITE_OOMS];

    free(place->json);
    *place = (struct site_oom){clock_wall_ms(), event, strndup(json.p, json.n)};
    site->ooms++;
    for (unsigned i = 0; i < w->servers && site->streams > 0; i++) {
        wake(&w->server[i]);
        turn(&w->server[i]);
    }
}

void web_oom(struct web *w, struct str json) {
    tell_streams(w, "oom", json);
}

void web_audit(struct web *w, struct str json) {
    tell_streams(w, "guard", json);
}

/* --- beginning and end --------------------------------------------------------------------------
 */

static void look_at_socket(struct server *s, int fd) {
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof(a);

    (void)getsockname(fd, (struct sockaddr *)&a, &n);
    s->is_unix = a.ss_family == AF_UNIX;
    if (a.ss_family == AF_INET)
        s->port = ntohs(((const struct sockaddr_in *)&a)->sin_port);
    else if (a.ss_family == AF_INET6)
        s->port = ntohs(((const struct sockaddr_in6 *)&a)->sin6_port);
}

/* Takes the socket. */
static int start(struct web *w, int fd, bool own_socket, const struct web_options *o,
                 struct err *err) {
    struct server *s = &w->server[w->servers];
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    bool tls = o->tls_cert && !own_socket;
    /* The library reads the key as text and keeps it. */
    struct MHD_OptionItem options[8];
    size_t n = 0;
    const union MHD_DaemonInfo *info;
    int r;

    *s = (struct server){.web = w, .own_socket = own_socket};
    s->limit = own_socket ? LOCAL_CONNECTIONS : WEB_CONNECTIONS - LOCAL_CONNECTIONS;
    s->spare = own_socket ? LOCAL_SPARE : SPARE;
    look_at_socket(s, fd);
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, fd, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, (intptr_t)s->limit, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL, NULL};
    if (tls) {
        flags |= MHD_USE_TLS;
        options[n++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert};
        options[n++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key};
    }
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_NOTIFY_CONNECTION,
                                 on_connection, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
                                 MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, options,
                                 MHD_OPTION_END);
    if (!s->daemon) {
        close(fd);
        return err_set(err, -EINVAL, "cannot serve HTTP%s",
                       tls ? "; are the certificate and its key in order?" : "");
    }
    w->servers++;
    info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    r = info ? loop_add_fd(w->loop, info->epoll_fd, EPOLLIN, on_server, s, &s->source) : -EINVAL;
    return r < 0 ? err_set(err, r, "cannot watch the server:") : 0;
}

static int copy_options(struct web *w, const struct web_options *o) {
    w->site.live = o->live;
    w->site.store = o->store;
    w->site.interval_ms = o->interval_ms > 0 ? o->interval_ms : 1000;
    w->site.cadvisor_names = o->cadvisor_names;
    w->show_commands = o->show_commands;
    w->owner = o->owner;
    w->site.act = o->act;
    w->site.act_ctx = o->act_ctx;
    for (unsigned i = 0; i < o->hosts && i < WEB_HOSTS; i++) {
        w->host[i] = strdup(o->host[i]);
        if (!w->host[i])
            return -ENOMEM;
        w->guard.hosts++;
    }
    w->token = o->token ? strdup(o->token) : NULL;
    w->version = strdup(o->version ? o->version : "");
    if ((o->token && !w->token) || !w->version)
        return -ENOMEM;
    w->site.version = w->version;
    w->guard.host = (const char *const *)w->host;
    w->guard.token = w->token;
    return 0;
}

static int begin(struct web *w, const struct web_options *o, struct err *err) {
    int r = copy_options(w, o), tcp = o->tcp, local = o->local;

    w->again = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r == 0 && w->again < 0)
        r = -errno;
    if (r == 0)
        r = loop_add_fd(w->loop, w->again, EPOLLIN, on_again, w, &w->again_source);
    w->have_again = r == 0;
    if (r < 0)
        err_set(err, r, "cannot begin to serve:");
    if (r == 0 && tcp >= 0)
        r = start(w, take_fd(&tcp), false, o, err);
    if (r == 0 && local >= 0)
        r = start(w, take_fd(&local), true, o, err);
    mem_close_fd(&tcp);
    mem_close_fd(&local);
    return r;
}

int web_new(struct loop *loop, const struct web_options *options, struct web **out,
            struct err *err) {
    struct web *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return err_set(err, -ENOMEM, "cannot begin to serve:");
    w->loop = loop;
    w->again = -1;
    r = begin(w, options, err);
    if (r < 0) {
        web_free(w);
        return r;
    }
    *out = w;
    return 0;
}

void web_free(struct web *w) {
    if (!w)
        return;
    for (unsigned i = 0; i < w->servers; i++) {
        wake(&w->server[i]);
        loop_remove(w->loop, w->server[i].source);
        MHD_stop_daemon(w->server[i].daemon);
    }
    if (w->sweeps)
        loop_remove(w->loop, w->sweep_source);
    if (w->have_again)
        loop_remove(w->loop, w->again_source);
    mem_close_fd(&w->again);
    for (unsigned i = 0; i < WEB_HOSTS; i++)
        free(w->host[i]);
    for (unsigned i = 0; i < SITE_OOMS; i++)
        free(w->site.oom[i].json);
    free(w->token);
    free(w->version);
    free(w);
}
