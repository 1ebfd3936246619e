/* queryview.h - what `plimsoll query` prints of an answer in Prometheus' format: series with their
 * last value, and with a range their points too.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

struct queryview {
    bool json, plain;
    bool ascii;   /* the terminal has no UTF-8: no graph, escapes for what is not ASCII */
    bool points;  /* of a range, below its table (plain: instead of it) */
    bool graph;   /* a line of blocks beside each series of a range */
    size_t width; /* of the terminal; 0: no limit */
};

/* An expression as people type it: the name before the braces may also be the key that
 * `plimsoll stats --json` uses, "used" for "plimsoll_memory_used_bytes". The braces are the
 * agent's to check. */
void queryview_expression(struct str typed, struct buf *out);

/* "vector" or "matrix". 0; -EBADMSG with a text when the answer is none of these; -ENOMEM. The
 * number of series in *n_out. */
int queryview_print(const struct queryview *v, const json_t *answer, struct buf *out, size_t *n_out,
                    struct err *err);
