#include "net/websocket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/http1.h"

enum { HEAD_MAX = 16384, CONTROL_MAX = 125, CHUNK = 65536 };

/* ---- SHA-1 (FIPS 180-4) and base64 ---- */

static uint32_t rotate(uint32_t x, unsigned by) {
    return x << by | x >> (32 - by);
}

static void sha1_block(uint32_t h[5], const unsigned char *p) {
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)p[i * 4] << 24 | (uint32_t)p[i * 4 + 1] << 16 |
               (uint32_t)p[i * 4 + 2] << 8 | p[i * 4 + 3];
    for (unsigned i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (unsigned i = 0; i < 80; i++) {
        uint32_t f, k, next;

        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999;
        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;
        } else if (i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdc;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }
        next = rotate(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

void websocket_sha1(struct str text, unsigned char out[20]) {
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    unsigned char last[128] = {0};
    uint64_t bits = (uint64_t)text.n * 8;
    size_t blocks = text.n / 64, rest = text.n % 64, end = rest < 56 ? 64 : 128;

    for (size_t i = 0; i < blocks; i++)
        sha1_block(h, (const unsigned char *)text.p + i * 64);
    if (rest)
        memcpy(last, text.p + blocks * 64, rest);
    last[rest] = 0x80;
    for (unsigned i = 0; i < 8; i++)
        last[end - 1 - i] = (unsigned char)(bits >> (8 * i));
    for (size_t at = 0; at < end; at += 64)
        sha1_block(h, last + at);
    for (unsigned i = 0; i < 20; i++)
        out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* Writes (n + 2) / 3 * 4 characters and a NUL. */
static void base64(const unsigned char *p, size_t n, char *out) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;

        if (i + 1 < n)
            v |= (uint32_t)p[i + 1] << 8;
        if (i + 2 < n)
            v |= p[i + 2];
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
        *out++ = i + 2 < n ? digits[v & 63] : '=';
    }
    *out = 0;
}

void websocket_accept(struct str key, char out[WEBSOCKET_ACCEPT]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[20];
    struct buf text;

    buf_init(&text, 256);
    buf_add(&text, key);
    buf_add(&text, str_of(guid));
    websocket_sha1(buf_str(&text), digest);
    buf_done(&text);
    base64(digest, sizeof(digest), out);
}

/* ---- frames ---- */

/* The length of a frame of `data`, whose first two bytes are there, and where its payload starts.
 * 1; 0 when more is needed; -EBADMSG. */
static int parse_length(struct str data, uint64_t *length, size_t *start) {
    const unsigned char *p = (const unsigned char *)data.p;
    unsigned width = p[1] == 127 ? 8 : p[1] == 126 ? 2 : 0;
    uint64_t n = width ? 0 : p[1];

    if (data.n < 2 + width)
        return 0;
    for (unsigned i = 0; i < width; i++)
        n = n << 8 | p[2 + i];
    if ((width == 2 && n < 126) || (width == 8 && n < 65536))
        return -EBADMSG; /* section 5.2: the fewest bytes that will do */
    *length = n;
    *start = 2 + width;
    return 1;
}

int websocket_parse(struct str data, struct websocket_frame *out) {
    const unsigned char *p = (const unsigned char *)data.p;
    uint64_t length;
    size_t start;
    unsigned op;
    bool last;
    int r;

    if (data.n < 2)
        return 0;
    op = p[0] & 15;
    last = p[0] & 0x80;
    if ((p[0] & 0x70) || (p[1] & 0x80) || (op > WEBSOCKET_BINARY && op < WEBSOCKET_CLOSE) ||
        op > WEBSOCKET_PONG)
        return -EBADMSG;
    if (op >= WEBSOCKET_CLOSE && (!last || p[1] > CONTROL_MAX))
        return -EBADMSG;
    r = parse_length(data, &length, &start);
    if (r <= 0)
        return r;
    if (length > WEBSOCKET_MESSAGE_MAX)
        return -EFBIG;
    if (data.n - start < length)
        return 0;
    *out = (struct websocket_frame){
        .last = last,
        .op = (enum websocket_op)op,
        .payload = {data.p + start, (size_t)length},
        .size = start + (size_t)length,
    };
    return 1;
}

void websocket_add(struct buf *out, enum websocket_op op, struct str payload,
                   const unsigned char mask[4]) {
    unsigned width = payload.n < 126 ? 0 : payload.n < 65536 ? 2 : 8;
    char *room = buf_room(out, 2 + width + 4 + payload.n);
    size_t n = 0;

    if (!room)
        return;
    room[n++] = (char)(0x80 | op);
    room[n++] = (char)(0x80 | (width == 0 ? payload.n : width == 2 ? 126 : 127));
    for (unsigned i = width; i-- > 0;)
        room[n++] = (char)(payload.n >> (8 * i));
    memcpy(room + n, mask, 4);
    n += 4;
    for (size_t i = 0; i < payload.n; i++)
        room[n + i] = (char)(payload.p[i] ^ mask[i % 4]);
    buf_grow(out, n + payload.n);
}

/* ---- handshake ---- */

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_accept(struct str name) {
    static const char wanted[] = "sec-websocket-accept";

    if (name.n != sizeof(wanted) - 1)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (lower(name.p[i]) != wanted[i])
            return false;
    return true;
}

/* Length of the head with its empty line, or 0. */
static size_t head_length(struct str data) {
    for (size_t i = 3; i < data.n; i++)
        if (memcmp(data.p + i - 3, "\r\n\r\n", 4) == 0)
            return i + 1;
    return 0;
}

int websocket_parse_head(struct str data, const char *accept) {
    struct str head = str_head(data, data.n < HEAD_MAX ? data.n : HEAD_MAX), line, name;
    size_t length = head_length(head);
    bool agreed = false;

    if (length == 0)
        return data.n < HEAD_MAX ? 0 : -EBADMSG;
    head = str_head(data, length);
    if (!str_cut(&head, '\n', &line) || !str_skip(&line, STR("HTTP/1.1 ")) || line.n < 4)
        return -EBADMSG;
    if (!str_starts(line, STR("101")) || (line.p[3] != ' ' && line.p[3] != '\r'))
        return -EPROTO;
    while (str_cut(&head, '\n', &line)) {
        (void)str_drop(&line, STR("\r"));
        if (!str_cut(&line, ':', &name) || !is_accept(name))
            continue;
        if (agreed || !str_eq(str_trim(line), str_of(accept)))
            return -EBADMSG;
        agreed = true;
    }
    return agreed ? (int)length : -EBADMSG;
}

/* ---- over a descriptor ---- */

/* Takes in what comes next; moves what is not done with to the front first. */
static int fill(struct websocket *w, int64_t deadline_us) {
    for (;;) {
        char *room;
        ssize_t n;
        int r;

        if (clock_mono_us() >= deadline_us)
            return -ETIMEDOUT; /* also when there is always something to read */
        if (w->taken) {
            memmove(w->in.p, w->in.p + w->taken, w->in.n - w->taken);
            w->in.n -= w->taken;
            w->taken = 0;
        }
        room = buf_room(&w->in, CHUNK);
        if (!room)
            return buf_error(&w->in);
        /* A server that writes head and payload apart waits for the acknowledgement in between,
         * which the kernel delays by 40 ms else: a thousand frames are 40 s. It forgets this by
         * itself. */
        (void)setsockopt(w->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
        n = recv(w->fd, room, CHUNK, 0);
        if (n == 0)
            return -EPIPE;
        if (n > 0) {
            buf_grow(&w->in, (size_t)n);
            w->received += (uint64_t)n;
            return 0;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return errno == ECONNRESET ? -EPIPE : -errno;
        r = http1_wait(w->fd, POLLIN, deadline_us);
        if (r < 0)
            return r;
    }
}

int websocket_open(struct websocket *w, int fd, const char *host, const char *path,
                   int64_t deadline_us) {
    unsigned char random[16];
    char key[WEBSOCKET_KEY], accept[WEBSOCKET_ACCEPT];
    struct buf request;
    int r;

    *w = (struct websocket){.fd = fd};
    buf_init(&w->in, WEBSOCKET_MESSAGE_MAX + 2 * CHUNK);
    buf_init(&w->message, WEBSOCKET_MESSAGE_MAX);
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
            return -EINVAL;
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    base64(random, sizeof(random), key);
    websocket_accept(str_of(key), accept);
    buf_init(&request, 4096);
    buf_add_format(&request,
                   "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                   path, host, key);
    r = buf_error(&request);
    if (r == 0)
        r = http1_send(fd, buf_str(&request), deadline_us);
    buf_done(&request);
    while (r == 0) {
        r = fill(w, deadline_us);
        if (r < 0)
            return r;
        r = websocket_parse_head(buf_str(&w->in), accept);
    }
    if (r < 0)
        return r;
    w->taken = (size_t)r;
    return 0;
}

void websocket_done(struct websocket *w) {
    buf_done(&w->in);
    buf_done(&w->message);
}

static int send_frame(struct websocket *w, enum websocket_op op, struct str payload,
                      int64_t deadline_us) {
    unsigned char mask[4];
    struct buf frame;
    int r;

    if (getrandom(mask, sizeof(mask), 0) != sizeof(mask))
        return -EIO;
    buf_init(&frame, WEBSOCKET_MESSAGE_MAX);
    websocket_add(&frame, op, payload, mask);
    r = buf_error(&frame);
    if (r == 0)
        r = http1_send(w->fd, buf_str(&frame), deadline_us);
    buf_done(&frame);
    return r == -ECONNRESET ? -EPIPE : r;
}

int websocket_send(struct websocket *w, struct str text, int64_t deadline_us) {
    return send_frame(w, WEBSOCKET_TEXT, text, deadline_us);
}

/* 1: a frame; 0 never. */
static int next_frame(struct websocket *w, int64_t deadline_us, struct websocket_frame *out) {
    for (;;) {
        int r = websocket_parse(str_from(buf_str(&w->in), w->taken), out);

        if (r > 0)
            w->taken += out->size;
        if (r != 0)
            return r;
        r = fill(w, deadline_us);
        if (r < 0)
            return r;
    }
}

static int take_control(struct websocket *w, const struct websocket_frame *f, int64_t deadline_us) {
    if (clock_mono_us() >= deadline_us)
        return -ETIMEDOUT;
    if (f->op == WEBSOCKET_CLOSE) {
        (void)send_frame(w, WEBSOCKET_CLOSE, str_head(f->payload, f->payload.n < 2 ? 0 : 2),
                         deadline_us);
        return -EPIPE;
    }
    if (f->op == WEBSOCKET_PING)
        return send_frame(w, WEBSOCKET_PONG, f->payload, deadline_us);
    return 0;
}

int websocket_receive(struct websocket *w, int64_t deadline_us, struct str *out) {
    bool begun = false;

    for (;;) {
        struct websocket_frame f;
        int r = next_frame(w, deadline_us, &f);

        if (r < 0)
            return r;
        if (f.op >= WEBSOCKET_CLOSE) {
            r = take_control(w, &f, deadline_us);
            if (r < 0)
                return r;
            continue;
        }
        if (begun != (f.op == WEBSOCKET_MORE))
            return -EBADMSG;
        if (f.last && !begun) {
            *out = f.payload;
            return 0;
        }
        if (!begun)
            buf_clear(&w->message);
        begun = true;
        buf_add(&w->message, f.payload);
        if (buf_error(&w->message) < 0)
            return buf_error(&w->message);
        if (clock_mono_us() >= deadline_us)
            return -ETIMEDOUT; /* parts without end may be empty */
        if (f.last) {
            *out = buf_str(&w->message);
            return 0;
        }
    }
}

void websocket_close(struct websocket *w, int64_t deadline_us) {
    struct str ignored;
    int r = send_frame(w, WEBSOCKET_CLOSE, STR("\x03\xe8"), deadline_us); /* 1000: done */

    while (r == 0)
        r = websocket_receive(w, deadline_us, &ignored);
}
