#include "web/request.h"

#include <errno.h>

#include "base/num.h"
#include "base/when.h"
#include "export/prompage.h"

bool request_arg(const struct request *rq, const char *key, struct str *out) {
    for (size_t i = 0; i < rq->args; i++)
        if (str_eq(rq->arg[i].key, str_of(key))) {
            *out = rq->arg[i].value;
            return true;
        }
    return false;
}

bool request_wants(const struct request *rq, const char *key, struct str value) {
    bool any = false;

    for (size_t i = 0; i < rq->args; i++) {
        if (!str_eq(rq->arg[i].key, str_of(key)))
            continue;
        any = true;
        if (str_eq(rq->arg[i].value, value))
            return true;
    }
    return !any;
}

bool request_time(const struct request *rq, const char *key, int64_t *out, struct answer *a) {
    struct str text;
    int r;

    if (!request_arg(rq, key, &text))
        return true;
    r = when_parse(text, rq->now_ms, out);
    if (r == 0)
        return true;
    if (r == -ERANGE) {
        answer_error(a, 400, "'%s' is %s: '%.*s'", key,
                     str_starts(text, STR("-")) ? "too far back" : "in no calendar",
                     STR_ARG(str_head(text, 60)));
        return false;
    }
    answer_error(a, 400, "'%s' is no time, but '%.*s': ms, seconds, RFC 3339, HH:MM or -10m", key,
                 STR_ARG(str_head(text, 60)));
    return false;
}

bool request_span(const struct request *rq, const char *key, int64_t *out, struct answer *a) {
    struct str text;
    uint64_t ms;

    if (!request_arg(rq, key, &text))
        return true;
    if (num_parse_ms(text, &ms) == 0 && ms > 0 && ms <= INT64_C(1) << 45) {
        *out = (int64_t)ms;
        return true;
    }
    answer_error(a, 400, "'%s' is no span, but '%.*s': 15s, 5m, 1h", key,
                 STR_ARG(str_head(text, 60)));
    return false;
}

bool request_number(const struct request *rq, const char *key, uint64_t max, uint64_t *out,
                    struct answer *a) {
    struct str text;
    uint64_t value;

    if (!request_arg(rq, key, &text))
        return true;
    if (str_to_u64(text, &value) == 0 && value <= max) {
        *out = value;
        return true;
    }
    answer_error(a, 400, "'%s' is no number up to %llu, but '%.*s'", key, (unsigned long long)max,
                 STR_ARG(str_head(text, 60)));
    return false;
}

enum metric request_metric(struct str name) {
    for (enum metric m = 0; m < METRIC_N; m++)
        if (str_eq(name, str_of(metric_info(m)->key)))
            return m;
    return prom_metric(name);
}
