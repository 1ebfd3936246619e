#include "model/metric.h"

#include <assert.h>

static const struct metric_info infos[METRIC_N] = {
#define METRIC(id, key, exported, unit, kind, source, help)                                        \
    [METRIC_##id] = {key, exported, METRIC_##unit, METRIC_##kind, source, help},
#include "model/metric.def"
#undef METRIC
};

const struct metric_info *metric_info(enum metric m) {
    assert(m < METRIC_N);
    return &infos[m];
}

const char *metric_unit_name(enum metric_unit unit) {
    static const char *const names[] = {
        [METRIC_BYTES] = "bytes",    [METRIC_COUNT] = "count", [METRIC_US] = "seconds",
        [METRIC_CENTIPCT] = "ratio", [METRIC_FLAG] = "flag",
    };

    return names[unit];
}

void metric_add_exported(struct buf *out, enum metric m) {
    const struct metric_info *info = metric_info(m);
    struct str name = str_of(info->exported);

    buf_add(out, STR("plimsoll_"));
    if (info->unit == METRIC_US && str_drop(&name, STR("_us_total"))) {
        buf_add(out, name);
        buf_add(out, STR("_seconds_total"));
        return;
    }
    buf_add(out, name);
    if (info->unit == METRIC_CENTIPCT)
        buf_add(out, STR("_ratio"));
}
