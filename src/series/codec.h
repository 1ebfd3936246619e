/* codec.h - one column of samples to few bytes and back, exactly.
 *
 * Memory gauges are multiples of the page size, mostly stand still, and move in steps that repeat:
 * the unit is divided out, the better of the first and the second difference is taken, and its
 * values are coded as symbols (small differences each their own, larger ones by magnitude with
 * their low bits raw) by an entropy coder with the column's own frequencies. A column that does not
 * change costs a few bytes. Any uint64_t survives, as does any pattern of unknown values.
 */
#pragma once
#include "base/buf.h"

enum { CODEC_MAX = 1 << 17 }; /* values in a column */

/* Appends the code of n values. known NULL: all are; else values that are not known are whatever
 * and are not kept. Allocates scratch: -ENOMEM; -EINVAL for n 0 or above CODEC_MAX. */
int codec_encode(struct buf *out, const uint64_t *value, const bool *known, size_t n);

/* Decodes exactly n values from the whole text. value[] and known[] (which may be NULL if the
 * caller knows that all are known: else -EBADMSG) have room for n. Values that are not known are
 * left as the last known one, or 0. 0; -EBADMSG on anything that codec_encode did not write.
 * Never reads or writes outside; time is linear in n. */
int codec_decode(struct str text, size_t n, uint64_t *value_out, bool *known_out);

/* A code begins with a front, which has the first value; the rest is how the column goes on.
 * Columns that move alike or opposite to each other, whatever their first values, have the same
 * rest, and codec_alike tells: then the front of one decodes with the rest of the other. The
 * front's length is 0 for an empty or damaged code, which is like no other. */
size_t codec_front(struct str text);
bool codec_alike(struct str a, struct str b);
int codec_decode_parts(struct str front, struct str rest, size_t n, uint64_t *value_out,
                       bool *known_out);

/* The same for times in ms: ascending, mostly one step apart. */
int codec_encode_times(struct buf *out, const int64_t *at_ms, size_t n);
int codec_decode_times(struct str text, size_t n, int64_t *at_ms_out);
