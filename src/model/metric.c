#include "model/metric.h"

#include <assert.h>

static const struct metric_info infos[METRIC_N] = {
#define METRIC(id, key, exported, unit, kind, help)                                                \
    [METRIC_##id] = {key, exported, METRIC_##unit, METRIC_##kind, help},
#include "model/metric.def"
#undef METRIC
};

const struct metric_info *metric_info(enum metric m) {
    assert(m < METRIC_N);
    return &infos[m];
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
