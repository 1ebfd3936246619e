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
