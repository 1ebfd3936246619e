/* prompage.h - the pages that Prometheus scrapes: our own names, and cAdvisor's.
 *
 * Made in pieces, so that a thousand containers need no buffer of their size: families in turn,
 * inside of each the targets by uid. A target that goes while its page is made is not in what
 * follows, one that comes is in the next page; no timestamps are written, so a dead container is
 * stale at the next scrape. What is counted over restarts has labels without the id, so that it is
 * one series, and the OOM kills of what is gone stay for an hour. Label values are valid UTF-8
 * without control characters (an ESC is written as \x1b). The text format 0.0.4.
 */
#pragma once
#include "series/live.h"

enum {
    PROMPAGE_PLIMSOLL = 1 << 0,
    PROMPAGE_CADVISOR = 1 << 1,
    PROMPAGE_FAILCNT = 1 << 2, /* container_memory_failcnt: a counter without _total */
};

#define PROMPAGE_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct prompage;

int prompage_new(struct live *l, unsigned what, struct prompage **out); /* 0 or -ENOMEM */
void prompage_free(struct prompage *p);

/* The next piece, at most `size` (at least 4096); 0 at the end. Never blocks. */
size_t prompage_read(struct prompage *p, char *buf, size_t size);

/* A value as text, in the unit that metric_add_exported names: microseconds become seconds,
 * hundredths of a percent a ratio. */
void prom_add_value(struct buf *out, enum metric m, uint64_t value);
double prom_value(enum metric m, uint64_t value);
/* The metric of an exported name (with "plimsoll_"), or METRIC_N. */
enum metric prom_metric(struct str name);

/* The labels of a row in the order of their names, for whoever needs them one by one (remote write,
 * the JSON API). "host" rows have id="/" and no name. */
typedef int prom_label_fn(void *ctx, const char *name, struct str value);
int prom_labels(const struct wire_target *t, prom_label_fn *take, void *ctx);

/* A label value, escaped. */
void prom_add_escaped(struct buf *out, struct str value);
