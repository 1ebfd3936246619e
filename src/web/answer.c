#include "web/answer.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"

struct packer {
    z_stream z;
    bool finished;
};

void answer_init(struct answer *a) {
    *a = (struct answer){.status = 200, .type = ANSWER_JSON};
    buf_init(&a->piece, ANSWER_PIECE_MAX);
}

static void forget(struct answer *a) {
    if (a->done)
        a->done(a->ctx);
    a->done = NULL;
    a->more = NULL;
    a->ctx = NULL;
}

void answer_done(struct answer *a) {
    struct packer *packer = a->packer;

    forget(a);
    buf_done(&a->piece);
    if (packer)
        deflateEnd(&packer->z);
    free(packer);
    a->packer = NULL;
}

void answer_error(struct answer *a, unsigned status, const char *format, ...) {
    char text[400];
    struct json j;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    forget(a);
    a->status = status;
    a->type = ANSWER_JSON;
    a->stream = a->keep = false;
    a->etag = a->encoding = NULL;
    a->still = STR("");
    a->sent = 0;
    a->end = a->waits = false;
    buf_clear(&a->piece);
    json_start(&j, &a->piece);
    json_begin_object(&j);
    json_key_str(&j, "error", str_of(text));
    json_end(&j);
    buf_add_char(&a->piece, '\n');
}

/* Fills the piece anew. 0; -errno. */
static int refill(struct answer *a) {
    int r;

    buf_clear(&a->piece);
    a->sent = 0;
    a->waits = false;
    if (!a->more) {
        a->end = true;
        return 0;
    }
    r = a->more(a, &a->piece);
    if (r >= 0 && buf_error(&a->piece) < 0)
        r = buf_error(&a->piece);
    if (r < 0)
        return r;
    a->end = r == ANSWER_END;
    a->waits = r == ANSWER_WAIT && a->piece.n == 0;
    return 0;
}

int answer_begin(struct answer *a) {
    int r = a->more ? refill(a) : 0;

    if (r == 0 && buf_error(&a->piece) < 0)
        r = buf_error(&a->piece);
    if (!a->more)
        a->end = true;
    return r;
}

int answer_pack(struct answer *a) {
    struct packer *packer = calloc(1, sizeof(*packer));

    if (!packer)
        return -ENOMEM;
    /* 15 + 16: a window of 32 KiB and gzip's header. */
    if (deflateInit2(&packer->z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(packer);
        return -ENOMEM;
    }
    a->packer = packer;
    return 0;
}

static ptrdiff_t read_plain(struct answer *a, char *to, size_t size) {
    size_t n;

    while (a->sent == a->piece.n) {
        int r;

        if (a->end)
            return -ENODATA;
        r = refill(a);
        if (r < 0)
            return r;
        if (a->waits)
            return 0;
    }
    n = a->piece.n - a->sent < size ? a->piece.n - a->sent : size;
    memcpy(to, a->piece.p + a->sent, n);
    a->sent += n;
    return (ptrdiff_t)n;
}

static ptrdiff_t read_packed(struct answer *a, char *to, size_t size) {
    struct packer *packer = a->packer;
    z_stream *z = &packer->z;
    unsigned room = size < 1 << 20 ? (unsigned)size : 1 << 20;

    if (packer->finished)
        return -ENODATA;
    z->next_out = (Bytef *)to;
    z->avail_out = room;
    while (z->avail_out > 0 && !packer->finished) {
        int r;

        if (a->sent == a->piece.n && !a->end) {
            if (z->avail_out < room)
                break; /* others have their turn before the next piece */
            r = refill(a);
            if (r < 0)
                return r;
        }
        /* zlib's type lacks a const; it writes nothing there. */
        z->next_in = a->piece.n > a->sent ? (Bytef *)a->piece.p + a->sent : (Bytef *)to;
        z->avail_in = (unsigned)(a->piece.n - a->sent);
        r = deflate(z, a->end ? Z_FINISH : Z_SYNC_FLUSH);
        if (r == Z_STREAM_ERROR)
            return -EIO;
        a->sent = a->piece.n - z->avail_in;
        packer->finished = r == Z_STREAM_END;
    }
    return (ptrdiff_t)(room - z->avail_out);
}

ptrdiff_t answer_read(struct answer *a, char *to, size_t size) {
    assert(size > 0);
    return a->packer ? read_packed(a, to, size) : read_plain(a, to, size);
}
