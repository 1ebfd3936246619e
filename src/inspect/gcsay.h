/* gcsay.h - a collection and a summary in words and as JSON. Pure. */
#pragma once
#include "inspect/gclines.h"
#include "inspect/gcstats.h"

/* A collection as the JSON object of `--json` and of the event stream; at_ms since the start. */
void gcsay_collection(struct json *j, const struct gcstats *s, const struct gctrace *g,
                      int64_t at_ms);

/* The members of the summary, into an object that is open. */
void gcsay_summary(struct json *j, const struct gcsummary *s, const struct gclines *l);

/* The same in a few lines for people. */
void gcsay_words(struct buf *out, const struct gcsummary *s, const struct gclines *l);

/* "1.23ms", "45.6us", "2.50s": three digits. */
void gcsay_time(struct buf *out, uint64_t ns);
