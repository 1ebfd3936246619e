/* heapprint.h - a report of `plimsoll heap`, for people, as tab-separated text, and as JSON.
 */
#pragma once
#include "cmd/cmd.h"
#include "inspect/heapreport.h"

struct heapprint {
    const struct cmd_context *context;
    size_t top;   /* rows of each list; 0: all */
    size_t width; /* of the terminal; 0: no limit */
};

/* 0; -ENOMEM, -EFBIG. */
int heapprint_text(const struct heapprint *how, const struct heapreport *r, struct buf *out);
int heapprint_plain(const struct heapprint *how, const struct heapreport *r, struct buf *out);
int heapprint_json(const struct heapprint *how, const struct heapreport *r, struct buf *out);
