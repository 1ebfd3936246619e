#include "model/sample.h"

void sample_add_json(struct json *j, const struct sample *s, enum metric m) {
    const struct metric_info *info = metric_info(m);

    json_key(j, info->key);
    if (!s || !sample_has(s, m) || (info->kind == METRIC_BOUND && s->value[m] == SAMPLE_NONE))
        json_unknown(j);
    else if (info->unit == METRIC_CENTIPCT)
        json_centi(j, s->value[m]);
    else if (info->unit == METRIC_FLAG)
        json_bool(j, s->value[m] != 0);
    else
        json_u64(j, s->value[m]);
}
