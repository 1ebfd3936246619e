/* units.h - what the screen writes of times, durations and rates. Pure. */
#pragma once
#include "base/buf.h"
#include "model/sample.h"

/* "14:03:22"; with the date in front of it: "2026-11-21 14:03:22". UTC. */
void units_add_clock(struct buf *b, int64_t ms, bool date);

/* "45s", "12m", "2h13m", "3d4h", "60d", ">1y": at most 6 columns. */
void units_add_duration(struct buf *b, uint64_t s);

/* "+41.2M", "-1.50K", "0B" */
void units_add_signed(struct buf *b, int64_t bytes);

/* A count in at most 5 columns: "9999", "12K", "3M". */
void units_add_count(struct buf *b, uint64_t n);

/* The metric in its unit for people, or "-". */
void units_add_metric(struct buf *b, const struct sample *s, enum metric m);
