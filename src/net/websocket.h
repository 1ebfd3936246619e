/* websocket.h - a client of WebSocket (RFC 6455) over a connection that is open already: whole text
 * messages out, whole messages in. The server is not trusted: what it sends is bounded, and what
 * the RFC forbids a server ends the connection. Text is not checked to be UTF-8.
 */
#pragma once
#include "base/buf.h"

enum { WEBSOCKET_MESSAGE_MAX = 64 << 20, WEBSOCKET_KEY = 25, WEBSOCKET_ACCEPT = 29 };

enum websocket_op {
    WEBSOCKET_MORE = 0, /* a message goes on */
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

/* --- pure --- */

struct websocket_frame {
    bool last; /* of its message */
    enum websocket_op op;
    struct str payload; /* points into the data */
    size_t size;        /* of the whole frame */
};

/* The frame that `data` begins with. 1 and *out; 0 when more is needed; -EBADMSG for what a server
 * must not send (masked, a reserved bit or opcode, a length in too many bytes, a control frame that
 * is long or in parts); -EFBIG above WEBSOCKET_MESSAGE_MAX, told as soon as the length is there. */
int websocket_parse(struct str data, struct websocket_frame *out);

/* Appends a whole message as one frame, masked as a client's must be. */
void websocket_add(struct buf *out, enum websocket_op op, struct str payload,
                   const unsigned char mask[4]);

/* What a server must answer to this key: base64 of SHA-1. With a NUL. */
void websocket_accept(struct str key, char out[WEBSOCKET_ACCEPT]);

/* The head of the answer to a handshake, up to and with its empty line. Bytes it has; 0 when more
 * is needed; -EPROTO when it is another status than 101; -EBADMSG when it is none, has no end in 16
 * KiB or its Sec-WebSocket-Accept is not this one. */
int websocket_parse_head(struct str data, const char *accept);

/* SHA-1, which nothing but the handshake should use. */
void websocket_sha1(struct str text, unsigned char out[20]);

/* --- over a descriptor --- */

struct websocket {
    int fd; /* borrowed, non-blocking */
    struct buf in, message;
    size_t taken;      /* of `in`: done with */
    uint64_t received; /* bytes, since it was opened */
};

/* Shakes hands: GET `path` with this Host. 0; -ETIMEDOUT; -EINVAL for a path with blanks or
 * controls; as websocket_parse_head; -errno. websocket_done also after a failure. */
int websocket_open(struct websocket *w, int fd, const char *host, const char *path,
                   int64_t deadline_us);
void websocket_done(struct websocket *w); /* legal on a zeroed one */

int websocket_send(struct websocket *w, struct str text, int64_t deadline_us);

/* The next whole message, which stays until the next call; pings are answered. 0; -EPIPE when the
 * server has closed; -ETIMEDOUT, also when what comes is no end of control frames; -EBADMSG,
 * -EFBIG; -errno. */
int websocket_receive(struct websocket *w, int64_t deadline_us, struct str *out);

/* Says goodbye and waits until the server has closed, at most until the deadline. */
void websocket_close(struct websocket *w, int64_t deadline_us);
