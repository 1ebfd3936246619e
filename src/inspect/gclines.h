/* gclines.h - a stream of bytes in which Go's collector and its program write beside each other,
 * taken apart again: what is the program's goes out byte for byte and in order, what is the
 * collector's is parsed and kept back.
 *
 * Behind other text on the same line ("log: the last was gc 7 @1.2s ...") it is the program's, a
 * quote or not; behind what a log's reader puts before each line ("web-1  | gc 7 @1.2s ...") it is
 * counted, and goes out all the same, with its newline. The runtime writes a line in pieces; when a
 * line of the program's comes between two of them, it is found there, if there is just one way to
 * do so (behind a number there are more). Where each write is known by itself, the pieces are told
 * from lines between any of them, and from a text without newline before them. Whatever is not
 * certain is the program's. Pure, with bounded memory: only what may still become a collector's
 * line is held back.
 */
#pragma once
#include "runtime/gctrace.h"

enum { GCLINES_HELD = 4 * GCTRACE_LINE, GCLINES_LOG = 256 << 10, GCLINES_PREFIX = 256 };

struct gclines {
    /* The program's bytes, as many as there are at once; and a line of the collector's, empty when
     * it went out as text already. */
    void (*text)(void *ctx, struct str s);
    void (*line)(void *ctx, const struct gctrace *g, struct str line);
    void *ctx;
    size_t n;       /* bytes held: from the beginning of what may be a collector's line */
    size_t first;   /* of those, the first line with its newline; 0: it is not over yet */
    size_t newest;  /* where the newest line begins */
    uint64_t lines; /* of the program's: newlines that went out */
    uint64_t torn;  /* of the collector's, put together again */
    char held[GCLINES_HELD];
    size_t before_n; /* bytes that went out since the last line ended, and the first of them */
    char before[GCLINES_PREFIX];
    /* A line that comes in pieces: what of it came, all that came since, and of that the program's
     */
    size_t pieces_n, log_n, others_n;
    char pieces[GCTRACE_LINE], log[GCLINES_LOG], others[GCLINES_LOG];
};

void gclines_init(struct gclines *l, void (*text)(void *, struct str),
                  void (*line)(void *, const struct gctrace *, struct str), void *ctx);

void gclines_feed(struct gclines *l, struct str s);

/* The same for one write of somebody's, whole. */
void gclines_write(struct gclines *l, struct str s);

/* How long what is held may wait for the rest of its line: 0 when nothing is held; less while it
 * only might be a collector's ("gc"), since a person may wait for it. */
int64_t gclines_patience_us(const struct gclines *l);

/* The rest does not come: what is held is the program's. At the end of the stream, too; a
 * collector's line without newline counts then. */
void gclines_flush(struct gclines *l, bool end);
