#include "inspect/gcserver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "web/guard.h"
#include "web/web.h"

enum {
    CONNECTIONS = 32,
    STREAMS = 8,
    IDLE_S = 30,
    POOL = 32 << 10,
    TICK_US = 250000, /* so often readers are told what is new */
    HEARTBEAT_US = 15 * 1000000,
    TURNS = 16,
    EVENT_MAX = 1 << 20,
};

struct stream {
    struct stream *next, **at;
    struct gcserver *server;
    struct MHD_Connection *connection;
    struct gcpage_told told;
    struct buf event;
    size_t sent;
    int64_t sent_us;
    bool suspended;
};

struct gcserver {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    struct stream *streams;
    unsigned streams_n;
    const struct gcpage *page;
    struct guard guard;
    uint16_t port;
    uint32_t source, tick;
    bool watched, ticks;
};

/* --- addresses ---------------------------------------------------------------------------------
 */

static bool is_loopback(struct str address) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr six;
    struct in_addr four;

    if (str_copy(address, text, sizeof(text)) < 0)
        return false;
    if (inet_pton(AF_INET, text, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, text, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

int gcserver_bind(struct str listen, bool token, struct err *err) {
    ptrdiff_t colon = str_rfind(listen, ':');
    struct str address = str_head(listen, colon > 0 ? (size_t)colon : 0);
    uint64_t port = 0;

    if (colon < 1 || str_to_u64(str_from(listen, (size_t)colon + 1), &port) < 0 ||
        port > UINT16_MAX)
        return err_set(err, -EINVAL,
                       "--listen is ADDRESS:PORT (127.0.0.1:7534, [::1]:0), not '%.*s'",
                       STR_ARG(listen));
    if (str_skip(&address, STR("[")))
        (void)str_drop(&address, STR("]"));
    if (str_eq(address, STR("localhost")))
        address = STR("127.0.0.1");
    if (!token && !is_loopback(address))
        return err_set(err, -EACCES,
                       "'%.*s' is no address of the loopback: others could read what the program "
                       "does; give a token with --token-file, or listen on 127.0.0.1",
                       STR_ARG(address));
    return web_bind_tcp(address, (uint16_t)port, err);
}

/* The address a socket has on our side. */
static void look_at_socket(int fd, char *address, size_t size, uint16_t *port_out) {
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof(a);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a;

    address[0] = '\0';
    *port_out = 0;
    if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        return;
    if (a.ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, address, (socklen_t)size);
        *port_out = ntohs(v4->sin_port);
    } else if (a.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, address, (socklen_t)size);
        *port_out = ntohs(v6->sin6_port);
    }
}

void gcserver_where(int fd, struct buf *out) {
    char address[INET6_ADDRSTRLEN];
    uint16_t port;

    look_at_socket(fd, address, sizeof(address), &port);
    buf_add_format(out, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, port);
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void add_headers(struct MHD_Response *response, const char *type, unsigned status) {
    static const char *const always[][2] = {
        {"Content-Security-Policy",
         "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cache-Control", "no-store"},
        {"Vary", "Accept-Encoding"},
    };

    for (size_t i = 0; i < ARRAY_N(always); i++)
        (void)MHD_add_response_header(response, always[i][0], always[i][1]);
    (void)MHD_add_response_header(response, "Content-Type", type);
    if (status == 401)
        (void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (status == 405)
        (void)MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (status == 405 || status == 413 || status == 431)
        (void)MHD_add_response_header(response, "Connection", "close");
}

static enum MHD_Result queue(struct MHD_Connection *c, unsigned status,
                             struct MHD_Response *response) {
    enum MHD_Result r = response ? MHD_queue_response(c, status, response) : MHD_NO;

    if (response)
        MHD_destroy_response(response);
    return r;
}

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *type,
                                 struct str body, const char *encoding) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)body.p, MHD_RESPMEM_MUST_COPY);

    if (response) {
        add_headers(response, type, status);
        if (encoding)
            (void)MHD_add_response_header(response, "Content-Encoding", encoding);
    }
    return queue(c, status, response);
}

static enum MHD_Result send_error(struct MHD_Connection *c, unsigned status, const char *text) {
    enum MHD_Result r;
    struct json j;
    struct buf body;

    buf_init(&body, 4096);
    json_start(&j, &body);
    json_begin_object(&j);
    json_key_str(&j, "error", str_of(text));
    json_end(&j);
    buf_add_char(&body, '\n');
    r = send_text(c, status, "application/json", buf_str(&body), NULL);
    buf_done(&body);
    return r;
}

static bool unpack(const struct asset *asset, struct buf *out) {
    z_stream z = {
        /* zlib's type lacks a const; it writes nothing there. */
        .next_in = (Bytef *)(uintptr_t)asset->gzip,
        .avail_in = (unsigned)asset->gzip_n,
    };
    char *room = buf_room(out, asset->n + 1);
    int r;

    if (!room || inflateInit2(&z, 15 + 16) != Z_OK)
        return false;
    z.next_out = (Bytef *)room;
    z.avail_out = (unsigned)asset->n + 1;
    r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    if (r != Z_STREAM_END || z.total_out != asset->n)
        return false;
    buf_grow(out, asset->n);
    return true;
}

static enum MHD_Result send_asset(struct MHD_Connection *c, const struct asset *asset, bool gzip) {
    enum MHD_Result r;
    struct buf plain;

    if (gzip)
        return send_text(c, 200, asset->type,
                         (struct str){(const char *)asset->gzip, asset->gzip_n}, "gzip");
    buf_init(&plain, asset->n + 1);
    r = unpack(asset, &plain) ? send_text(c, 200, asset->type, buf_str(&plain), NULL)
                              : send_error(c, 503, "no memory");
    buf_done(&plain);
    return r;
}

static enum MHD_Result send_state(struct gcserver *s, struct MHD_Connection *c) {
    enum MHD_Result r;
    struct buf body;

    buf_init(&body, EVENT_MAX);
    gcpage_add(&body, s->page, NULL);
    buf_add_char(&body, '\n');
    r = buf_error(&body) == 0 ? send_text(c, 200, "application/json", buf_str(&body), NULL)
                              : send_error(c, 503, "no memory");
    buf_done(&body);
    return r;
}

/* --- the stream --------------------------------------------------------------------------------
 */

static void make_event(struct stream *st) {
    int64_t now_us = clock_mono_us();

    buf_clear(&st->event);
    st->sent = 0;
    if (gcpage_has_news(st->server->page, &st->told)) {
        if (!st->told.any)
            buf_add(&st->event, STR("retry: 2000\n\n"));
        buf_add(&st->event, STR("event: gctrace\ndata: "));
        gcpage_add(&st->event, st->server->page, &st->told);
        buf_add(&st->event, STR("\n\n"));
    } else if (now_us - st->sent_us >= HEARTBEAT_US) {
        buf_add(&st->event, STR(":\n\n"));
    }
    if (st->event.n > 0)
        st->sent_us = now_us;
}

static ssize_t read_stream(void *ctx, uint64_t pos, char *to, size_t size) {
    struct stream *st = ctx;
    size_t n;

    (void)pos;
    if (st->sent == st->event.n && st->told.ended)
        return MHD_CONTENT_READER_END_OF_STREAM; /* nothing will follow */
    if (st->sent == st->event.n)
        make_event(st);
    if (buf_error(&st->event) < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = st->event.n - st->sent;
    if (n == 0) {
        st->suspended = true;
        MHD_suspend_connection(st->connection);
        return 0;
    }
    n = n < size ? n : size;
    memcpy(to, st->event.p + st->sent, n);
    st->sent += n;
    return (ssize_t)n;
}

static void free_stream(void *ctx) {
    struct stream *st = ctx;

    *st->at = st->next;
    if (st->next)
        st->next->at = st->at;
    st->server->streams_n--;
    buf_done(&st->event);
    free(st);
}

static enum MHD_Result open_stream(struct gcserver *s, struct MHD_Connection *c) {
    struct stream *st = s->streams_n < STREAMS ? calloc(1, sizeof(*st)) : NULL;
    struct MHD_Response *response;

    if (!st)
        return send_error(c, 503, "too many streams are open");
    st->server = s;
    st->connection = c;
    st->sent_us = clock_mono_us();
    buf_init(&st->event, EVENT_MAX);
    st->next = s->streams;
    st->at = &s->streams;
    if (st->next)
        st->next->at = &st->next;
    s->streams = st;
    s->streams_n++;
    response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 << 10, read_stream, st, free_stream);
    if (!response) {
        free_stream(st);
        return MHD_NO;
    }
    add_headers(response, "text/event-stream", 200);
    return queue(c, 200, response);
}

/* --- requests ----------------------------------------------------------------------------------
 */

struct heads {
    struct guard_head head;
    bool gzip;
};

static enum MHD_Result take_header(void *ctx, enum MHD_ValueKind kind, const char *key,
                                   size_t key_n, const char *value, size_t value_n) {
    struct heads *h = ctx;
    struct str v = str_trim((struct str){value ? value : "", value ? value_n : 0});

    (void)kind, (void)key_n;
    if (strcasecmp(key, "Host") == 0) {
        h->head.hosts++;
        h->head.host = v;
    } else if (strcasecmp(key, "Origin") == 0) {
        h->head.have_origin = true;
        h->head.origin = v;
    } else if (strcasecmp(key, "Sec-Fetch-Site") == 0) {
        h->head.have_fetch_site = true;
        h->head.fetch_site = v;
    } else if (strcasecmp(key, "Sec-Fetch-Mode") == 0) {
        h->head.navigates = str_eq(v, STR("navigate"));
    } else if (strcasecmp(key, "Authorization") == 0) {
        h->head.tokens++;
        h->head.authorization = v;
    } else if (strcasecmp(key, "Transfer-Encoding") == 0) {
        h->head.body = true;
    } else if (strcasecmp(key, "Content-Length") == 0) {
        h->head.body |= !str_eq(v, STR("0"));
    } else if (strcasecmp(key, "Accept-Encoding") == 0) {
        /* Whoever gives weights gets it as it is. */
        h->gzip |= memmem(v.p, v.n, "gzip", 4) && !memmem(v.p, v.n, "q=0", 3);
    }
    return MHD_YES;
}

static enum MHD_Result route(struct gcserver *s, struct MHD_Connection *c, struct str path,
                             const struct heads *h) {
    const struct asset *asset = gcpage_asset(path);

    if (asset)
        return send_asset(c, asset, h->gzip);
    if (str_eq(path, STR("/api/v1/gctrace")))
        return send_state(s, c);
    if (str_eq(path, STR("/api/v1/stream")))
        return open_stream(s, c);
    if (str_eq(path, STR("/healthz")))
        return send_text(c, 200, "application/json", STR("{\"status\":\"ok\"}\n"), NULL);
    return send_error(c, 404,
                      "there is no such page: /, /api/v1/gctrace, /api/v1/stream, /healthz");
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_n, void **place) {
    struct gcserver *s = ctx;
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const union MHD_ConnectionInfo *socket =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct heads h = {.head = {.is_open = gcpage_asset(str_of(url)),
                               .http10 = strcmp(version, "HTTP/1.0") == 0,
                               .method = str_of(method),
                               .path = str_of(url),
                               .bytes = size ? size->header_size : 0}};
    char address[INET6_ADDRSTRLEN];
    const char *text = "";
    unsigned status;

    (void)data;
    (void)MHD_get_connection_values_n(c, MHD_HEADER_KIND, take_header, &h);
    if (!*place && !h.head.body) {
        *place = s; /* called again when the request is whole */
        return MHD_YES;
    }
    if (*data_n > 0 || !socket)
        return MHD_NO;
    look_at_socket(socket->connect_fd, address, sizeof(address), &h.head.port);
    h.head.address = str_of(address);
    status = guard_check(&s->guard, &h.head, &text);
    return status == 0 ? route(s, c, str_of(url), &h) : send_error(c, status, text);
}

/* --- turns -------------------------------------------------------------------------------------
 */

static void turn(struct gcserver *s) {
    MHD_UNSIGNED_LONG_LONG wait_ms;

    for (unsigned i = 0; i < TURNS; i++) {
        (void)MHD_run(s->daemon);
        if (MHD_get_timeout(s->daemon, &wait_ms) != MHD_YES || wait_ms > 0)
            return;
    }
}

static void wake(struct gcserver *s) {
    for (struct stream *st = s->streams; st; st = st->next)
        if (st->suspended) {
            st->suspended = false;
            MHD_resume_connection(st->connection);
        }
}

static int on_server(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what;
    turn(ctx);
    return 0;
}

static int on_tick(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what;
    wake(ctx);
    turn(ctx);
    return 0;
}

void gcserver_finish(struct gcserver *s, int64_t patience_us) {
    int64_t end_us = clock_mono_us() + patience_us;

    while (s->streams && clock_mono_us() < end_us) {
        wake(s);
        turn(s);
        (void)poll(NULL, 0, 5);
    }
    turn(s);
}

int gcserver_new(struct loop *loop, int fd, const struct gcpage *page, const char *token,
                 struct gcserver **out, struct err *err) {
    struct gcserver *s = calloc(1, sizeof(*s));
    const union MHD_DaemonInfo *info;
    char address[INET6_ADDRSTRLEN];
    int r;

    if (!s) {
        close(fd);
        return err_set(err, -ENOMEM, "cannot serve the page:");
    }
    s->loop = loop;
    s->page = page;
    s->guard.token = token;
    look_at_socket(fd, address, sizeof(address), &s->port);
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)POOL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!s->daemon) {
        close(fd);
        free(s);
        return err_set(err, -EINVAL, "cannot serve the page");
    }
    info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    r = info ? loop_add_fd(loop, info->epoll_fd, EPOLLIN, on_server, s, &s->source) : -EINVAL;
    s->watched = r == 0;
    if (r == 0)
        r = loop_add_timer(loop, TICK_US, TICK_US, on_tick, s, &s->tick);
    s->ticks = r == 0;
    if (r < 0) {
        gcserver_free(s);
        return err_set(err, r, "cannot serve the page:");
    }
    *out = s;
    return 0;
}

void gcserver_free(struct gcserver *s) {
    if (!s)
        return;
    if (s->watched)
        loop_remove(s->loop, s->source);
    if (s->ticks)
        loop_remove(s->loop, s->tick);
    wake(s); /* none may be suspended when it ends */
    MHD_stop_daemon(s->daemon);
    free(s);
}
