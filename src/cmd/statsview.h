/* statsview.h - what `stats` shows: rows of samples as a table, as JSON, as Docker does, or by a
 * template. Knows nothing of time or terminals.
 */
#pragma once
#include "base/table.h"
#include "cmd/statsfields.h"
#include "cmd/template.h"

enum stats_format { STATS_TEXT, STATS_PLAIN, STATS_JSON, STATS_DOCKER, STATS_TEMPLATE };

struct stats_view {
    enum stats_format format;
    bool no_trunc; /* whole ids, nothing cut */
    bool wide;     /* with the language runtime */
    bool ascii;    /* the terminal has no UTF-8 */
    bool colour;
    struct template template;
    struct table table;
};

/* What the sampler has to read for this view: TICK_ bits. */
unsigned stats_view_wants(const struct stats_view *v);

/* Makes the table the view needs, if any. */
void stats_view_init(struct stats_view *v);
void stats_view_done(struct stats_view *v);

/* One tick: the rows in their order. width: columns of the terminal, 0 for no limit. */
void stats_view_print(struct stats_view *v, const struct stats_rows *rows, size_t width,
                      struct buf *out);
