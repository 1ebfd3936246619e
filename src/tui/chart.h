/* chart.h - values over time as cells: a line of blocks, and parts stacked under a limit. Pure.
 *
 * Values of time are as a source's history has them: n at equal steps, UINT64_MAX for unknown.
 */
#pragma once
#include "tui/canvas.h"

/* One row of eight heights, a value a column. The scale is the values' own range, but not less than
 * a tenth of the largest, so that what hardly moves is a flat line. */
void chart_spark(struct canvas *c, int y, int x, const uint64_t *value, size_t n, unsigned style);

/* The same from zero up to `top`; what is not zero is seen as such. */
void chart_lane(struct canvas *c, int y, int x, const uint64_t *value, size_t n, uint64_t top,
                unsigned style);

/* The largest that is known, or 0. */
uint64_t chart_top(const uint64_t *value, size_t n);

/* A counter's values as differences per second of one step; a fall is a new beginning: unknown. */
void chart_rate(uint64_t *value, size_t n, int64_t step_ms);

struct chart_area {
    int y, x, height, width;
};

struct chart_column {
    bool known;
    struct parts parts;
    uint64_t limit, high; /* UINT64_MAX: unknown or none */
};

/* Where the scale of a chart ends: above usage, and above the limit unless that is far away. */
uint64_t chart_scale(const struct chart_column *column, size_t n);

/* As many columns as the area is wide. */
void chart_stack(struct canvas *c, struct chart_area area, const struct chart_column *column,
                 uint64_t scale);

/* The sign and style of a part in chart_stack. */
void chart_sign(struct canvas *c, int y, int x, enum part part);
