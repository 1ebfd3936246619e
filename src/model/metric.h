/* metric.h - the metrics of metric.def as an enum and a table. */
#pragma once
#include "base/buf.h"

enum metric {
#define METRIC(id, key, exported, unit, kind, source, help) METRIC_##id,
#include "model/metric.def"
#undef METRIC
    METRIC_N,
};

enum metric_unit { METRIC_BYTES, METRIC_COUNT, METRIC_US, METRIC_CENTIPCT, METRIC_FLAG };
enum metric_kind { METRIC_GAUGE, METRIC_COUNTER, METRIC_BOUND };

struct metric_info {
    const char *key, *exported;
    enum metric_unit unit;
    enum metric_kind kind;
    const char *source, *help;
};

const struct metric_info *metric_info(enum metric m);

/* "bytes", "count", "seconds", "ratio", "flag": the units in which it is exported. */
const char *metric_unit_name(enum metric_unit unit);

/* The whole name as it is exported, in Prometheus' units: "plimsoll_cpu_seconds_total" of
 * "cpu_us_total", a share of one with "_ratio" behind. */
void metric_add_exported(struct buf *out, enum metric m);
