/* chunk.h - the samples of one target over a span of time: a column of times and one column for
 * each metric that was known in it.
 *
 * A chunk is self-contained bytes with a checksum: what was damaged is told and skipped. Reading
 * one metric decodes the times and that metric only. Of rolled-up chunks every metric has three
 * columns (CHUNK_MEAN, CHUNK_MIN, CHUNK_MAX), and a time is the start of its step. A metric is kept
 * by its number in metric.def, where rows may only be added at the end.
 */
#pragma once
#include "base/buf.h"
#include "model/metric.h"

enum chunk_column { CHUNK_LAST, CHUNK_MIN, CHUNK_MAX, CHUNK_MEAN, CHUNK_COLUMNS };

/* The times of the chunk, n of them, ascending. */
int chunk_begin(struct buf *out, const int64_t *at_ms, size_t n);

/* Adds a column; each pair of metric and kind at most once. */
int chunk_add(struct buf *out, enum metric metric, enum chunk_column kind, const uint64_t *value,
              const bool *known);

/* Closes it: the checksum. The buffer must hold nothing but this chunk. */
int chunk_end(struct buf *out);

struct chunk {
    struct str text;        /* borrowed */
    size_t n;               /* times */
    int64_t from_ms, to_ms; /* first and last */
    size_t times_at, columns_at;
};

/* 0; -EBADMSG when it is damaged. Checks the whole checksum. */
int chunk_open(struct str text, struct chunk *out);

int chunk_times(const struct chunk *c, int64_t *at_ms_out); /* room for c->n */

/* 0; -ENODATA: no such column; -EBADMSG. */
int chunk_column(const struct chunk *c, enum metric metric, enum chunk_column kind,
                 uint64_t *value_out, bool *known_out);

/* Which metrics have that kind of column: bits (1 << metric). */
uint64_t chunk_metrics(const struct chunk *c, enum chunk_column kind);
