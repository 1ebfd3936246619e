#include "cmd/agentstream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/unixhttp.h"

enum { RETRY_US = 1000000, PIECE = 65536, PIECES = 256 };

static const char request[] =
    "GET /api/v1/stream HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n";

void agentstream_init(struct agentstream *s, const char *socket) {
    *s = (struct agentstream){.socket = socket, .fd = -1};
    buf_init(&s->text, AGENTSTREAM_EVENT_MAX);
}

static void disconnect(struct agentstream *s) {
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->past_head = false;
    s->looked = 0;
    s->event[0] = '\0';
    buf_clear(&s->text);
    s->retry_us = clock_mono_us() + RETRY_US;
}

void agentstream_done(struct agentstream *s) {
    disconnect(s);
    buf_done(&s->text);
}

static int connect_now(struct agentstream *s) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = -1;
    int r;

    if (clock_mono_us() < s->retry_us)
        return -EAGAIN;
    s->retry_us = clock_mono_us() + RETRY_US;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    r = str_copy(str_of(s->socket), address.sun_path, sizeof(address.sun_path));
    if (r < 0)
        return r;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1)
        return -EIO; /* it fits into any socket's buffer */
    s->fd = take_fd(&fd);
    return 0;
}

/* "HTTP/1.1 200 OK"; 0 when it is no such line. */
static unsigned status_of(struct str line) {
    struct str version;
    uint64_t status;

    if (!str_starts(line, STR("HTTP/1.")) || !str_cut(&line, ' ', &version) ||
        str_to_u64(str_head(line, 3), &status) < 0)
        return 0;
    return (unsigned)status;
}

/* Takes the head away. 1; 0 when it is not there as a whole yet. */
static int pass_head(struct agentstream *s) {
    struct str text = buf_str(&s->text), rest = text, line;
    unsigned status = 0;

    for (bool first = true; str_cut(&rest, '\n', &line); first = false) {
        (void)str_drop(&line, STR("\r"));
        if (first)
            status = status_of(line);
        if (status == 0)
            return -EBADMSG;
        if (line.n > 0)
            continue;
        s->status = status == 200 ? 0 : status;
        if (s->status)
            return -EPROTO;
        s->past_head = true;
        memmove(s->text.p, rest.p, rest.n);
        s->text.n = rest.n;
        return 1;
    }
    return text.n > UNIXHTTP_HEAD_MAX ? -EBADMSG : 0;
}

static int take_line(struct agentstream *s, struct str line, agentstream_fn *fn, void *ctx) {
    (void)str_drop(&line, STR("\r"));
    if (line.n == 0) {
        s->event[0] = '\0';
        return 0;
    }
    if (str_skip(&line, STR("event: ")) &&
        str_copy(line, s->event, sizeof(s->event)) < 0) /* one that we do not know */
        s->event[0] = '\0';
    if (!str_skip(&line, STR("data: ")) || !s->event[0])
        return 0;
    int r = fn(ctx, str_of(s->event), line);

    return r < 0 ? r : 1;
}

/* Tells every line that is whole. */
static int take_lines(struct agentstream *s, agentstream_fn *fn, void *ctx) {
    size_t from = 0, at = s->looked;
    const char *end;
    int events = 0;

    while ((end = memchr(s->text.p + at, '\n', s->text.n - at))) {
        int r =
            take_line(s, (struct str){s->text.p + from, (size_t)(end - s->text.p) - from}, fn, ctx);

        if (r < 0)
            return r;
        events += r;
        at = from = (size_t)(end - s->text.p) + 1;
    }
    memmove(s->text.p, s->text.p + from, s->text.n - from);
    s->text.n -= from;
    s->looked = s->text.n;
    return events;
}

static int take(struct agentstream *s, agentstream_fn *fn, void *ctx) {
    int r = s->past_head ? 1 : pass_head(s);

    return r > 0 && s->text.n > 0 ? take_lines(s, fn, ctx) : r < 0 ? r : 0;
}

int agentstream_feed(struct agentstream *s, struct str text, agentstream_fn *fn, void *ctx) {
    buf_add(&s->text, text);
    return buf_error(&s->text) < 0 ? buf_error(&s->text) : take(s, fn, ctx);
}

/* 1: there may be more; 0: nothing now. */
static int receive(struct agentstream *s) {
    char *room = buf_room(&s->text, PIECE);
    ssize_t n;

    if (!room)
        return buf_error(&s->text);
    n = recv(s->fd, room, PIECE, 0);
    if (n > 0) {
        buf_grow(&s->text, (size_t)n);
        return 1;
    }
    if (n == 0)
        return -ECONNRESET;
    return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -errno;
}

int agentstream_poll(struct agentstream *s, agentstream_fn *fn, void *ctx) {
    int events = 0, r = s->fd < 0 ? connect_now(s) : 0;

    if (r < 0)
        return r;
    for (unsigned i = 0; i < PIECES; i++) { /* who sends without end must not keep us */
        r = receive(s);
        if (r == 0)
            return events;
        if (r > 0)
            r = take(s, fn, ctx);
        if (r < 0)
            break;
        events += r;
    }
    if (r < 0)
        disconnect(s);
    return events > 0 || r >= 0 ? events : r;
}

void agentstream_wait(const struct agentstream *s, int64_t until_us) {
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    int64_t left_ms = (until_us - clock_mono_us() + 999) / 1000;

    if (left_ms > 0)
        (void)poll(&p, 1, left_ms > 60000 ? 60000 : (int)left_ms);
}
