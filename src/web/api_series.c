/* /api/v1/series: what one or several metrics of a target were over a span of time. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "export/prompage.h"
#include "web/past.h"

enum { SERIES_PAGE = 1000, SERIES_BACK_MS = 3600000, SERIES_MATCHES = 8 };

struct curves {
    struct site *site;
    struct json j;
    bool begun, single;
    enum metric metric[REQUEST_METRICS];
    size_t metrics, next;
    bool in_metric;
    int64_t series, from_ms, to_ms, step_ms;
    int64_t at_ms; /* up to here the metric was told */
    struct buf name, key;
};

static void curves_done(void *ctx) {
    struct curves *c = ctx;

    buf_done(&c->name);
    buf_done(&c->key);
    free(c);
}

static void add_span(struct curves *c) {
    json_key_u64(&c->j, "step_ms", (uint64_t)c->step_ms);
    json_key(&c->j, "from_ms");
    json_i64(&c->j, c->from_ms);
    json_key(&c->j, "to_ms");
    json_i64(&c->j, c->to_ms);
}

static void begin(struct curves *c, struct buf *out) {
    json_start(&c->j, out);
    json_begin_object(&c->j);
    json_key_str(&c->j, "target", buf_str(&c->name));
    json_key_str(&c->j, "key", buf_str(&c->key));
    if (c->single) {
        json_key_u64(&c->j, "series", (uint64_t)c->series);
    } else {
        add_span(c);
        json_key(&c->j, "series");
        json_begin_array(&c->j);
    }
    c->begun = true;
}

static void begin_metric(struct curves *c) {
    enum metric m = c->metric[c->next];
    struct buf name;

    buf_init(&name, 200);
    metric_add_exported(&name, m);
    if (!c->single)
        json_begin_object(&c->j);
    json_key_str(&c->j, "metric", buf_str(&name));
    json_key_str(&c->j, "unit", str_of(metric_unit_name(metric_info(m)->unit)));
    if (c->single)
        add_span(c);
    json_key(&c->j, "points");
    json_begin_array(&c->j);
    buf_done(&name);
    c->in_metric = true;
    c->at_ms = c->from_ms;
}

static void end_metric(struct curves *c) {
    json_end(&c->j);
    if (!c->single)
        json_end(&c->j);
    c->in_metric = false;
    c->next++;
}

/* Values are written as numbers by themselves: the writer knows whole numbers only. */
static void add_number(struct buf *out, enum metric m, uint64_t value) {
    if (metric_info(m)->kind == METRIC_BOUND && value == SAMPLE_NONE)
        buf_add(out, STR("null"));
    else
        prom_add_value(out, m, value);
}

static void add_point(struct curves *c, struct buf *out, const struct store_point *p) {
    enum metric m = c->metric[c->next];

    json_begin_array(&c->j);
    json_i64(&c->j, p->at_ms);
    buf_add_char(out, ',');
    add_number(out, m, p->value);
    if (c->step_ms > 0) {
        const uint64_t more[] = {p->min, p->max, p->mean};

        for (size_t i = 0; i < ARRAY_N(more); i++) {
            buf_add_char(out, ',');
            add_number(out, m, more[i]);
        }
    }
    json_end(&c->j);
}

/* A page of points. 1: there are more; 0; -errno. */
static int add_points(struct curves *c, struct buf *out) {
    struct store_points points = {0};
    int r;

    if (c->at_ms > c->to_ms)
        return 0;
    r = store_range(c->site->store, c->series, c->metric[c->next], c->at_ms, c->to_ms, c->step_ms,
                    SERIES_PAGE, &points);
    for (size_t i = 0; r >= 0 && i < points.n; i++)
        add_point(c, out, &points.p[i]);
    if (r >= 0)
        r = points.cut && points.n > 0;
    if (r == 1)
        c->at_ms = points.p[points.n - 1].at_ms + (c->step_ms > 0 ? c->step_ms : 1);
    store_points_done(&points);
    return r == -ENOENT ? 0 : r;
}

static int more(struct answer *a, struct buf *out) {
    struct curves *c = a->ctx;
    int r;

    if (!c->begun)
        begin(c, out);
    while (out->n < ANSWER_PIECE && c->next < c->metrics) {
        if (!c->in_metric)
            begin_metric(c);
        r = add_points(c, out);
        if (r < 0)
            return r;
        if (r == 0)
            end_metric(c);
    }
    if (c->next < c->metrics)
        return ANSWER_MORE;
    if (!c->single)
        json_end(&c->j);
    json_end(&c->j);
    buf_add_char(out, '\n');
    return ANSWER_END;
}

/* The target is one that lives. 1; 0: none of that name; -1: the answer is an error. */
static int find_live(struct curves *c, struct str word, struct answer *a) {
    struct live_row *row[SERIES_MATCHES];
    size_t n = live_resolve(c->site->live, word, row, SERIES_MATCHES);

    /* Instances of one logical target are one. */
    for (size_t i = 1; i < n && i < SERIES_MATCHES; i++)
        if (row[i]->series != row[0]->series) {
            answer_error(a, 400, "%zu targets are called '%.*s': name one by its id or path", n,
                         STR_ARG(str_head(word, 200)));
            return -1;
        }
    if (n == 0)
        return 0;
    c->series = row[0]->series;
    buf_add(&c->name, row_name(&row[0]->t));
    live_add_key(&c->key, &row[0]->t);
    return 1;
}

/* False: the answer is an error. */
static bool find_past(struct curves *c, struct str word, struct answer *a) {
    struct past past = {0};
    struct identity i;

    if (!past_list(&past, c->site, c->from_ms, c->to_ms, &word, a)) {
        past_done(&past);
        return false;
    }
    if (past.n > 1) {
        answer_error(a, 400, "%zu targets were called '%.*s' then: name one by its key", past.n,
                     STR_ARG(str_head(word, 200)));
        past_done(&past);
        return false;
    }
    c->series = past.target[0].series;
    buf_add(&c->key, past.target[0].key);
    if (identity_parse(past.target[0].identity, &i) == 0) {
        buf_add(&c->name, row_name(&i.t));
        identity_done(&i);
    }
    past_done(&past);
    return true;
}

/* False: the answer is an error. */
static bool take_metrics(struct curves *c, const struct request *rq, struct answer *a) {
    for (size_t i = 0; i < rq->args; i++) {
        enum metric m;

        if (!str_eq(rq->arg[i].key, STR("metric")))
            continue;
        m = request_metric(rq->arg[i].value);
        if (m == METRIC_N || c->metrics == REQUEST_METRICS) {
            answer_error(a, 400,
                         m == METRIC_N ? "there is no metric '%.*s'"
                                       : "too many metrics from '%.*s' on",
                         STR_ARG(str_head(rq->arg[i].value, 100)));
            return false;
        }
        c->metric[c->metrics++] = m;
    }
    if (c->metrics == 0)
        answer_error(a, 400, "which metric? metric=plimsoll_memory_used_bytes, metric=used");
    return c->metrics > 0;
}

/* False: the answer is an error. */
static bool prepare(struct curves *c, const struct request *rq, struct answer *a) {
    struct str word;
    int found;

    if (!request_arg(rq, "target", &word)) {
        answer_error(a, 400, "which target? target=NAME");
        return false;
    }
    c->to_ms = rq->now_ms;
    if (!take_metrics(c, rq, a) || !request_time(rq, "to", &c->to_ms, a))
        return false;
    c->from_ms = c->to_ms > SERIES_BACK_MS ? c->to_ms - SERIES_BACK_MS : 0;
    if (!request_time(rq, "from", &c->from_ms, a) || !request_span(rq, "step", &c->step_ms, a))
        return false;
    if (c->from_ms > c->to_ms) {
        answer_error(a, 400, "'from' is after 'to'");
        return false;
    }
    if (!c->site->store) {
        answer_error(a, 404, "there is no history here");
        return false;
    }
    found = find_live(c, word, a);
    return found > 0 || (found == 0 && find_past(c, word, a));
}

void api_series(struct site *site, const struct request *rq, struct answer *a) {
    struct str match;
    struct curves *c;

    if (request_arg(rq, "match[]", &match)) {
        promapi_series(site, rq, a);
        return;
    }
    c = calloc(1, sizeof(*c));
    if (!c) {
        answer_error(a, 503, "no memory");
        return;
    }
    c->site = site;
    buf_init(&c->name, WIRE_MESSAGE);
    buf_init(&c->key, WIRE_MESSAGE);
    if (!prepare(c, rq, a)) {
        curves_done(c);
        return;
    }
    c->single = c->metrics == 1;
    a->ctx = c;
    a->done = curves_done;
    a->more = more;
}
