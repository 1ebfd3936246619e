/* gcout.h - a descriptor that is written to without waiting: a reader that is slow slows down what
 * we read, but keeps nobody from being heard.
 */
#pragma once
#include "base/buf.h"

struct gcout {
    int fd;
    struct buf buf;
    size_t sent; /* of the buffer */
    bool gone;   /* nobody reads any more, or the disk is full: what is added is dropped */
    int error;   /* why, negative errno */
};

void gcout_init(struct gcout *o, int fd);
void gcout_done(struct gcout *o);
void gcout_add(struct gcout *o, struct str s);

/* Writes what can be written. True: nothing is left. */
bool gcout_push(struct gcout *o);

/* Writes the rest, waiting at most so long. */
void gcout_end(struct gcout *o, int64_t patience_us);
