/* Reading the log as it is given out, without the store: see store.h. */
#include <errno.h>

#include "series/store.h"

/* A message has its length before it. HEADER of a row: row 8, flags 4, at_ms 8, length 4 bytes.
 * All little endian. */
enum { LENGTH = 4, HEADER = 24 };

static uint64_t cut_number(struct str *s, unsigned bytes) {
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)(uint8_t)s->p[i] << 8 * i;
    *s = str_from(*s, bytes);
    return value;
}

int store_log_message(struct str *messages, struct str *out) {
    struct str rest = *messages;
    size_t n;

    if (messages->n == 0)
        return 0;
    if (messages->n < LENGTH)
        return -EBADMSG;
    n = (size_t)cut_number(&rest, LENGTH);
    if (n > rest.n)
        return -EBADMSG;
    *out = str_head(rest, n);
    *messages = str_from(rest, n);
    return 1;
}

int store_log_next(struct str *rest, struct store_log_row *out) {
    struct str in = *rest;
    uint64_t flags, length;

    if (in.n == 0)
        return 0;
    if (in.n < HEADER)
        return -EBADMSG;
    out->row = (int64_t)cut_number(&in, 8);
    flags = cut_number(&in, 4);
    out->key = flags != 0;
    out->at_ms = (int64_t)cut_number(&in, 8);
    length = cut_number(&in, 4);
    if (length > in.n)
        return -EBADMSG;
    out->messages = str_head(in, (size_t)length);
    *rest = str_from(in, (size_t)length);
    return 1;
}
