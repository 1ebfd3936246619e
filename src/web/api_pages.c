/* /api, /healthz, /metrics, and the log for the remote writer. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "export/prompage.h"
#include "web/row.h"

enum { LOG_BYTES = 512 << 10, AWAY_MS = 5000 };

#define PAGES                                                                                      \
    "/                    the page, for a browser\n"                                               \
    "/metrics             for Prometheus\n"                                                        \
    "/metrics/cadvisor    the same under cAdvisor's names\n"                                       \
    "/healthz             how the agent fares\n"                                                   \
    "/api/v1/targets      everything that is watched, now or ?at=TIME\n"                           \
    "/api/v1/series       ?target=NAME&metric=used&from=-1h\n"                                     \
    "/api/v1/processes    ?target=NAME\n"                                                          \
    "/api/v1/incidents    OOM kills, and what guards saw and did\n"                                \
    "/api/v1/events       ... and what began, ended, began again or got another limit\n"           \
    "/api/v1/sparks       one metric of every target, coarse: ?metric=used&from=-2h&points=120\n"  \
    "/api/v1/about        what each metric is, marks, words, and how this agent is set up\n"       \
    "/api/v1/stream       changes as server-sent events\n"                                         \
    "/api/v1/act          POST {\"target\": NAME, \"action\": \"gc\"}: a guard does it now "       \
    "(token)\n"                                                                                    \
    "/api/v1/query, query_range, series, labels, label/NAME/values\n"                              \
    "                     as Prometheus has them, for plain selectors:\n"                          \
    "                     plimsoll_memory_used_bytes{name=\"web\"}\n"

void api_landing(struct site *site, const struct request *rq, struct answer *a) {
    (void)rq;
    a->type = "text/plain; charset=utf-8";
    buf_add(&a->piece, STR("Plimsoll "));
    buf_add(&a->piece, str_of(site->version));
    buf_add(&a->piece, STR(": memory of every container, service and process group.\n\n"));
    buf_add(&a->piece, STR(PAGES));
}

static void add_store(struct json *j, const struct store_health *h) {
    json_key(j, "store");
    json_begin_object(j);
    json_key(j, "broken");
    json_bool(j, h->broken);
    json_key_maybe_str(j, "text", str_of(h->text));
    json_key_maybe_str(j, "notice", str_of(h->notice));
    json_key_u64(j, "errors", h->errors);
    json_key_u64(j, "dropped", h->dropped);
    json_key_u64(j, "damaged", h->damaged);
    json_key_u64(j, "pending_bytes", h->pending_bytes);
    json_key_u64(j, "disk_bytes", h->disk_bytes);
    json_key_u64(j, "memory_bytes", h->memory_bytes);
    json_key_maybe(j, "oldest_ms", h->oldest_ms > 0, (uint64_t)h->oldest_ms);
    json_end(j);
}

static void add_collector(struct json *j, const struct site *site, int64_t now_ms, bool away) {
    static const char *const key[WIRE_SELF_N] = {
        [WIRE_SELF_CPU_US] = "cpu_us",
        [WIRE_SELF_RSS] = "rss",
        [WIRE_SELF_TICKS] = "ticks",
        [WIRE_SELF_TICK_US] = "tick_us",
        [WIRE_SELF_TICKS_LATE] = "ticks_late",
        [WIRE_SELF_SAMPLES] = "samples",
        [WIRE_SELF_TARGETS] = "targets",
        [WIRE_SELF_FAST] = "fast",
        [WIRE_SELF_DROPPED] = "dropped",
        [WIRE_SELF_FRONT_STARTS] = "front_starts",
        [WIRE_SELF_NO_WATCHES] = "no_watches",
        [WIRE_SELF_DENIED] = "denied",
        [WIRE_SELF_SHORT_OF_FDS] = "short_of_fds",
        [WIRE_SELF_GUARDS] = "guards",
        [WIRE_SELF_GUARDED] = "guarded",
        [WIRE_SELF_GUARD_FAILED] = "guard_failed",
        [WIRE_SELF_GUARD_STARTS] = "guard_starts",
        [WIRE_SELF_GUARD_CPU_US] = "guard_cpu_us",
        [WIRE_SELF_GUARD_RSS] = "guard_rss",
    };
    const struct live *l = site->live;

    json_key(j, "collector");
    json_begin_object(j);
    json_key(j, "away");
    json_bool(j, away);
    json_key_maybe(j, "started_ms", l->started_ms > 0, (uint64_t)l->started_ms);
    json_key_maybe(j, "last_tick_ms", l->at_ms > 0, (uint64_t)l->at_ms);
    json_key_maybe(j, "age_ms", l->at_ms > 0 && now_ms >= l->at_ms, (uint64_t)(now_ms - l->at_ms));
    for (unsigned i = 0; i < WIRE_SELF_N; i++)
        if (key[i])
            json_key_maybe(j, key[i], l->have_wire_self, l->wire_self[i]);
    json_end(j);
}

/* This process. */
static void add_front(struct json *j, const uint64_t self[LIVE_SELF_N]) {
    json_key(j, "front");
    json_begin_object(j);
    json_key_u64(j, "cpu_us", self[LIVE_SELF_CPU_US]);
    json_key_u64(j, "rss", self[LIVE_SELF_RSS]);
    json_key_u64(j, "requests", self[LIVE_SELF_REQUESTS]);
    json_key_u64(j, "refused", self[LIVE_SELF_REFUSED]);
    json_key_u64(j, "streams", self[LIVE_SELF_STREAMS]);
    json_end(j);
}

void api_healthz(struct site *site, const struct request *rq, struct answer *a) {
    struct store_health health = {0};
    int64_t late_ms = rq->now_ms - site->live->at_ms;
    bool away = site->live->at_ms == 0 || late_ms > 3 * site->interval_ms + AWAY_MS;
    struct json j;

    if (site->store)
        store_health(site->store, &health);
    a->status = away ? 503 : 200;
    json_start(&j, &a->piece);
    json_begin_object(&j);
    json_key_str(&j, "status", away || health.broken ? STR("degraded") : STR("ok"));
    json_key_str(&j, "version", str_of(site->version));
    if (site->store) {
        add_store(&j, &health);
    } else {
        json_key(&j, "store");
        json_unknown(&j);
    }
    add_collector(&j, site, rq->now_ms, away);
    add_front(&j, site->live->self);
    json_end(&j);
    buf_add_char(&a->piece, '\n');
}

static int more_metrics(struct answer *a, struct buf *out) {
    char *room = buf_room(out, ANSWER_PIECE);
    size_t n;

    if (!room)
        return -ENOMEM;
    n = prompage_read(a->ctx, room, ANSWER_PIECE);
    buf_grow(out, n);
    return n > 0 ? ANSWER_MORE : ANSWER_END;
}

static void metrics_done(void *page) {
    prompage_free(page);
}

static void metrics(struct site *site, unsigned what, struct answer *a) {
    struct prompage *page = NULL;

    if (prompage_new(site->live, what, &page) < 0) {
        answer_error(a, 503, "no memory");
        return;
    }
    a->type = PROMPAGE_TYPE;
    a->ctx = page;
    a->done = metrics_done;
    a->more = more_metrics;
}

void api_metrics(struct site *site, const struct request *rq, struct answer *a) {
    (void)rq;
    metrics(site, PROMPAGE_PLIMSOLL | (site->cadvisor_names ? PROMPAGE_CADVISOR : 0), a);
}

void api_metrics_cadvisor(struct site *site, const struct request *rq, struct answer *a) {
    (void)rq;
    metrics(site, PROMPAGE_CADVISOR | PROMPAGE_FAILCNT, a);
}

void api_log(struct site *site, const struct request *rq, struct answer *a) {
    uint64_t after = 0;
    int r;

    if (!rq->local || !site->store) {
        answer_error(a, 404, "there is no such page");
        return;
    }
    if (!request_number(rq, "after", INT64_MAX, &after, a))
        return;
    a->type = "application/octet-stream";
    r = store_log_read(site->store, (int64_t)after, LOG_BYTES, &a->piece);
    if (r < 0)
        answer_error(a, 503, "cannot read the log: %s", strerror(-r));
}
