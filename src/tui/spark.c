#include "tui/spark.h"

#include <errno.h>
#include <stdlib.h>

int sparks_init(struct sparks *s) {
    s->slot = calloc(SPARK_SLOTS, sizeof(*s->slot));
    return s->slot ? 0 : -ENOMEM;
}

void sparks_done(struct sparks *s) {
    free(s->slot);
    s->slot = NULL;
}

void sparks_forget(struct sparks *s) {
    for (size_t i = 0; i < SPARK_SLOTS; i++)
        s->slot[i].n = 0;
}

static struct spark *slot_of(struct sparks *s, uint64_t id) {
    struct spark *oldest = &s->slot[0];

    for (size_t i = 0; i < SPARK_SLOTS; i++) {
        if (s->slot[i].n > 0 && s->slot[i].id == id)
            return &s->slot[i];
        if (s->slot[i].n == 0 ? oldest->n > 0
                              : oldest->n > 0 && s->slot[i].used_ms < oldest->used_ms)
            oldest = &s->slot[i];
    }
    oldest->n = 0;
    return oldest;
}

/* Columns begin at multiples of their length, so that they do not change as time goes on. */
const uint64_t *sparks_of(struct sparks *s, const struct tui_source *source,
                          const struct tui_row *row, int64_t end_ms, int64_t window_ms, size_t n,
                          int64_t now_ms) {
    struct spark *spark = slot_of(s, row->id);
    int64_t step, to, from;

    if (n > SPARK_COLUMNS_MAX)
        n = SPARK_COLUMNS_MAX;
    step = window_ms / (int64_t)n > 0 ? window_ms / (int64_t)n : 1;
    to = (end_ms / step + 1) * step;
    from = to - step * (int64_t)n;
    if (spark->n != n || to - from != spark->to_ms - spark->from_ms ||
        end_ms < spark->to_ms - step || end_ms >= spark->to_ms + step ||
        now_ms - spark->used_ms >= SPARK_KEEP_MS || now_ms < spark->used_ms) {
        if (source->history(source->ctx, row, METRIC_USED, from, to, n, spark->value) < 0)
            for (size_t i = 0; i < n; i++)
                spark->value[i] = TUI_UNKNOWN;
        spark->id = row->id;
        spark->n = n;
        spark->from_ms = from;
        spark->to_ms = to;
        spark->used_ms = now_ms;
    }
    return spark->value;
}
