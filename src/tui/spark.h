/* spark.h - the sparklines of the rows that are seen, asked for at most every few seconds. */
#pragma once
#include "tui/source.h"

enum { SPARK_COLUMNS_MAX = 48, SPARK_SLOTS = 128, SPARK_KEEP_MS = 5000 };

struct sparks {
    struct spark {
        uint64_t id;
        size_t n; /* 0: a free slot */
        int64_t from_ms, to_ms;
        int64_t used_ms; /* when it was asked for: the oldest makes room */
        uint64_t value[SPARK_COLUMNS_MAX];
    } * slot; /* SPARK_SLOTS */
};

int sparks_init(struct sparks *s); /* 0 or -ENOMEM */
void sparks_done(struct sparks *s);
void sparks_forget(struct sparks *s);

/* `used` of the row over the window up to `end_ms` as n values; valid until the next call. */
const uint64_t *sparks_of(struct sparks *s, const struct tui_source *source,
                          const struct tui_row *row, int64_t end_ms, int64_t window_ms, size_t n,
                          int64_t now_ms);
