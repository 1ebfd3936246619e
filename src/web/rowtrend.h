/* rowtrend.h - how the targets of the API move: the trend of each row, with what the store has of
 * the time before the row was there.
 */
#pragma once
#include "web/site.h"

enum { ROWTREND_FILLS = 64 }; /* windows filled from the store a tick: a fifth of a ms each */

/* Fills the window with the lowest of each of its blocks in (from_ms, to_ms], as the store has
 * them. An hour of samples is read at most, of one metric. */
void rowtrend_fill(struct trend *t, struct store *store, int64_t series, int64_t from_ms,
                   int64_t to_ms);

/* When this instance of the target began: what was before under its key is another's. 0: not known,
 * or long ago. */
int64_t rowtrend_start(const struct site *site, const struct wire_target *t);

/* What a row's trend tells now. The first time anybody asks its window is filled, if the tick has
 * not had its fill of that; else later. */
const struct trend_view *rowtrend_live(struct site *site, struct live_row *row);

/* What the trend of a target of the past told at the moment of its sample. start_ms: as above;
 * before: some seconds before it, at_ms 0 when there is none. */
struct trend_view rowtrend_then(struct store *store, int64_t series, int64_t start_ms,
                                const struct sample *before, const struct sample *then);
