/* buf.h - a growing buffer with a maximum: what every printer writes into.
 *
 * Appending never fails visibly: the first failure (the maximum reached: -EFBIG; no memory:
 * -ENOMEM) is remembered, later appends do nothing, and buf_error tells at the end. So printing
 * code stays free of checks, and a half-written answer is never sent.
 */
#pragma once
#include "base/str.h"

struct buf {
    char *p;
    size_t n, size, max;
    int error;
};

void buf_init(struct buf *b, size_t max); /* allocates nothing yet */
void buf_done(struct buf *b);             /* legal on a zeroed struct */
/* Prints into the caller's memory and never allocates; there is nothing to be done with it after.
 */
void buf_fixed(struct buf *b, char *memory, size_t size);
void buf_clear(struct buf *b);      /* empty again, memory kept, error forgotten */
int buf_error(const struct buf *b); /* 0 or what went wrong first */

struct str buf_str(const struct buf *b); /* what is in it; valid until the next append */

void buf_add(struct buf *b, struct str s);
void buf_add_char(struct buf *b, char c);
void buf_add_fill(struct buf *b, char c, size_t times);
void buf_add_u64(struct buf *b, uint64_t value);
void buf_add_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for n more bytes at the end, or NULL (and the error is remembered). The caller writes at
 * most n bytes there and then calls buf_grow with how many it wrote. */
char *buf_room(struct buf *b, size_t n);
void buf_grow(struct buf *b, size_t written);

/* Writes everything to a descriptor that may be slow (loops, waits when it would block) and
 * empties the buffer. 0 or -errno; a remembered error is returned and nothing is written. */
int buf_flush(struct buf *b, int fd);

/* The same, but gives up with -ECANCELED when `stop` becomes readable while a slow reader is waited
 * for: what was not written is lost. */
int buf_flush_until(struct buf *b, int fd, int stop);
