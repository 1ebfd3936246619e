/* /api/v1/about: what the numbers are, the words and marks, and how this agent is set up. */
#include <sys/utsname.h>

#include "model/parts.h"
#include "model/state.h"
#include "web/site.h"

static void key_time(struct json *j, const char *key, int64_t ms) {
    json_key_maybe(j, key, ms > 0, (uint64_t)ms);
}

static void add_agent(struct json *j, const struct site *site, const struct request *rq) {
    struct store_health health = {0};
    struct utsname host;

    if (site->store)
        store_health(site->store, &health);
    json_key_str(j, "version", str_of(site->version));
    json_key(j, "host");
    if (uname(&host) == 0)
        json_str(j, str_of(host.nodename));
    else
        json_unknown(j);
    key_time(j, "now_ms", rq->now_ms);
    key_time(j, "started_ms", site->live->started_ms);
    key_time(j, "interval_ms", site->interval_ms);
    json_key(j, "history");
    json_bool(j, site->store);
    key_time(j, "oldest_ms", health.oldest_ms);
    json_key(j, "commands");
    json_bool(j, rq->commands);
}

static void add_words(struct json *j) {
    json_key(j, "marks");
    json_begin_object(j);
    json_key_u64(j, "high_pct", STATE_HIGH_CENTI / 100);
    json_key_u64(j, "alert_pct", STATE_FULL_CENTI / 100);
    json_end(j);
    json_key(j, "states");
    json_begin_array(j);
    for (unsigned state = STATE_N - 1; state > STATE_UNKNOWN; state--)
        json_str(j, str_of(state_name(state)));
    json_end(j);
    json_key(j, "parts");
    json_begin_array(j);
    for (unsigned part = 0; part < PART_N; part++)
        json_str(j, str_of(part_name(part)));
    json_end(j);
}

static void add_metric(struct json *j, enum metric m) {
    static const char *const kind[] = {
        [METRIC_GAUGE] = "gauge", [METRIC_COUNTER] = "counter", [METRIC_BOUND] = "bound"};
    const struct metric_info *info = metric_info(m);
    struct buf name;

    buf_init(&name, 200);
    metric_add_exported(&name, m);
    json_key(j, info->key);
    json_begin_object(j);
    json_key_str(j, "name", buf_str(&name));
    json_key_str(j, "unit", str_of(metric_unit_name(info->unit)));
    json_key_str(j, "kind", str_of(kind[info->kind]));
    json_key_str(j, "source", str_of(info->source));
    json_key_str(j, "help", str_of(info->help));
    json_end(j);
    buf_done(&name);
}

void api_about(struct site *site, const struct request *rq, struct answer *a) {
    struct json j;

    json_start(&j, &a->piece);
    json_begin_object(&j);
    add_agent(&j, site, rq);
    add_words(&j);
    json_key(&j, "metrics");
    json_begin_object(&j);
    for (enum metric m = 0; m < METRIC_N; m++)
        add_metric(&j, m);
    json_end(&j);
    json_end(&j);
    buf_add_char(&a->piece, '\n');
}
