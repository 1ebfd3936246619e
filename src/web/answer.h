/* answer.h - what a request is answered with: a status, a type, and a body that is made in pieces.
 *
 * A handler either writes a whole body into `piece`, or sets `more`, which is asked for the next
 * piece whenever the client has taken the last one: an answer of many megabytes costs one piece of
 * memory. Knows nothing of the server below.
 */
#pragma once
#include "base/buf.h"
#include "base/json.h"

enum {
    ANSWER_PIECE = 64 << 10, /* about as much as a piece should be */
    ANSWER_PIECE_MAX = 4 << 20,
};

#define ANSWER_JSON "application/json"

enum answer_step { ANSWER_END, ANSWER_MORE, ANSWER_WAIT };

struct answer;

/* Appends to `out`, which is empty. ANSWER_END: that was the last piece. ANSWER_WAIT with nothing
 * appended: there is nothing to tell yet. Negative: the connection is broken off. */
typedef int answer_more(struct answer *a, struct buf *out);

struct answer {
    unsigned status;
    const char *type;
    bool keep;            /* may be kept and asked for again with its tag: the page's files */
    const char *etag;     /* NULL: none */
    const char *encoding; /* of the body as it is: it is not compressed again */
    struct str still;     /* the whole body, in memory that stays; then piece and more are unused */
    bool stream;          /* never ends by itself, is never compressed */
    const char *realm;    /* of a 401 */
    const char *allow;    /* of a 405: the methods; NULL: GET and HEAD */
    answer_more *more;
    void (*done)(void *ctx);
    void *ctx; /* of more and done */
    struct buf piece;
    size_t sent; /* of the piece */
    bool end, waits;
    void *packer; /* answer_pack's */
};

void answer_init(struct answer *a); /* 200, JSON, empty */
void answer_done(struct answer *a);

/* Makes it {"error":"..."} with that status, whatever it was before. */
void answer_error(struct answer *a, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The first piece is made now; an answer that ends with it needs no `more`. -errno breaks off. */
int answer_begin(struct answer *a);

/* From here on the body is compressed with gzip. -ENOMEM: it is not. */
int answer_pack(struct answer *a);

/* The next bytes of the body, at most `size`: how many; 0 with a->waits when there is nothing to
 * tell yet; -ENODATA at the end; another -errno breaks off. */
ptrdiff_t answer_read(struct answer *a, char *to, size_t size);
