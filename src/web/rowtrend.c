#include "web/rowtrend.h"

#include <string.h>

enum {
    WINDOW_MS = (TREND_BLOCKS - 1) * TREND_BLOCK_MAX_MS,
    POINTS = TREND_BLOCKS + 2,
    NEAR_MS = 5000, /* what it missed for so short a time need not be read */
};

/* Whole blocks from that moment on: what was before it was another program's. */
static int read_lows(struct store *store, int64_t series, int64_t from_ms, int64_t to_ms,
                     int64_t block_ms, struct store_points *out) {
    return store_range(store, series, METRIC_USED, from_ms + block_ms - 1, to_ms, block_ms, POINTS,
                       out);
}

/* The shortest block of which the window has enough, for history that begins at that moment. */
static int64_t block_for(int64_t span_ms) {
    int64_t block_ms = TREND_BLOCK_MS;

    while (block_ms < TREND_BLOCK_MAX_MS && span_ms / block_ms >= TREND_BLOCKS - 1)
        block_ms *= 2;
    return block_ms;
}

static void give_lows(struct trend *t, const struct store_points *points, int64_t block_ms) {
    uint64_t low[POINTS];
    int64_t first_ms = points->p[0].at_ms;
    size_t n = 0;

    memset(low, 0xff, sizeof(low));
    for (size_t i = 0; i < points->n; i++) {
        int64_t at = (points->p[i].at_ms - first_ms) / block_ms;

        if (at < 0 || at >= POINTS) /* steps of hours, where there is nothing finer */
            continue;
        if (points->p[i].min < low[at])
            low[at] = points->p[i].min;
        n = (size_t)at + 1;
    }
    trend_begin(t, block_ms, first_ms, low, n);
}

void rowtrend_fill(struct trend *t, struct store *store, int64_t series, int64_t from_ms,
                   int64_t to_ms) {
    struct store_points points = {0};
    int64_t block_ms;

    if (from_ms < to_ms - WINDOW_MS)
        from_ms = to_ms - WINDOW_MS;
    block_ms = block_for(to_ms - from_ms);
    if (read_lows(store, series, from_ms, to_ms, block_ms, &points) == 0 && points.n > 0) {
        int64_t begins_ms = points.p[0].at_ms > from_ms + block_ms ? points.p[0].at_ms : from_ms;
        int64_t shorter_ms = block_for(to_ms - begins_ms);

        if (shorter_ms < block_ms &&
            read_lows(store, series, begins_ms, to_ms, shorter_ms, &points) == 0)
            block_ms = shorter_ms;
        if (points.n > 0)
            give_lows(t, &points, block_ms);
    }
    store_points_done(&points);
}

/* A tick has so many of them. */
static bool may_fill(struct site *site) {
    if (site->fills_ms != site->told_ms) {
        site->fills_ms = site->told_ms;
        site->fills = 0;
    }
    return site->fills++ < ROWTREND_FILLS;
}

int64_t rowtrend_start(const struct site *site, const struct wire_target *t) {
    int64_t born_ms = (int64_t)t->born_ms;

    if (t->start_ms > 0)
        return t->start_ms;
    if (t->run_ms > 0)
        return t->run_ms;
    return born_ms - site->live->started_ms > NEAR_MS ? born_ms : 0;
}

/* A row that was here all the time its target lived has nothing to be told. */
static bool missed_any(const struct live_row *row, int64_t start_ms) {
    int64_t seen_ms = row->trend.first_ms;

    return start_ms < seen_ms - NEAR_MS && row->sample.at_ms - seen_ms < WINDOW_MS;
}

const struct trend_view *rowtrend_live(struct site *site, struct live_row *row) {
    if (!row->trend_begun && row->trend.n > 0 && row->series > 0) {
        int64_t start_ms = rowtrend_start(site, &row->t);

        if (!site->store || !missed_any(row, start_ms)) {
            row->trend_begun = true;
        } else if (may_fill(site)) {
            rowtrend_fill(&row->trend, site->store, row->series, start_ms, row->sample.at_ms);
            row->trend_begun = true;
            row->moves_block_ms = 0;
        }
    }
    return live_moves(site->live, row);
}

struct trend_view rowtrend_then(struct store *store, int64_t series, int64_t start_ms,
                                const struct sample *before, const struct sample *then) {
    struct trend t = {0};

    trend_add(&t, before);
    trend_add(&t, then);
    rowtrend_fill(&t, store, series, start_ms < then->at_ms ? start_ms : 0, then->at_ms);
    return trend_look(&t);
}
