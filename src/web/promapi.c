/* /api/v1/query, query_range, series, labels, label/NAME/values: Prometheus' HTTP API for plain
 * selectors over the metrics that are exported, so that its clients can read the history here.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "export/prompage.h"
#include "web/past.h"
#include "web/selector.h"

enum {
    LABELS = 24,
    SELECTORS = 8,
    STEPS_MAX = 11000, /* points of a series, as in Prometheus */
    LOOKBACK_MS = 15000,
    FINE_SPAN_MS = 2 * 3600 * 1000, /* up to here every sample is looked at */
    PAGE = 2000,
    BACK_MS = 5 * 60 * 1000, /* labels and series of so long ago, where no start is given */
};

enum mode { MODE_NOW, MODE_THEN, MODE_RANGE, MODE_SERIES };

struct label {
    const char *name;
    struct str value;
};

struct labels_of {
    struct label label[LABELS];
    size_t n;
    struct buf *text;
};

struct query {
    struct site *site;
    struct json j;
    bool begun;
    enum mode mode;
    struct selector selector[SELECTORS];
    size_t selectors;
    int64_t from_ms, to_ms, step_ms; /* MODE_NOW, MODE_THEN: at to_ms */
    int64_t after;                   /* MODE_NOW: uid */
    uint64_t era;
    struct past past;
    char name[METRIC_N][96];
    struct buf label_text;
    uint64_t allowed[SELECTORS]; /* the metrics whose names each selector allows */
};

static void query_done(void *ctx) {
    struct query *q = ctx;

    for (size_t i = 0; i < q->selectors; i++)
        selector_done(&q->selector[i]);
    past_done(&q->past);
    buf_done(&q->label_text);
    free(q);
}

__attribute__((format(printf, 3, 4))) static void prom_error(struct answer *a, const char *type,
                                                             const char *format, ...) {
    char text[500];
    struct json j;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    answer_error(a, strcmp(type, "bad_data") == 0 ? 400 : 422, "%s", text);
    buf_clear(&a->piece);
    json_start(&j, &a->piece);
    json_begin_object(&j);
    json_key_str(&j, "status", STR("error"));
    json_key_str(&j, "errorType", str_of(type));
    json_key_str(&j, "error", str_of(text));
    json_end(&j);
    buf_add_char(&a->piece, '\n');
}

/* --- labels -------------------------------------------------------------------------------------
 */

static int keep_label(void *ctx, const char *name, struct str value) {
    struct labels_of *l = ctx;

    if (l->n == LABELS || value.n == 0)
        return 0;
    /* The text may still move: where it is comes at the end. */
    l->label[l->n++] = (struct label){name, {NULL, value.n}};
    buf_add(l->text, value);
    return 0;
}

/* Valid until the next one. */
static struct labels_of labels_of(struct query *q, const struct wire_target *t) {
    struct labels_of l = {.text = &q->label_text};
    const char *at;

    buf_clear(l.text);
    (void)prom_labels(t, keep_label, &l);
    if (buf_error(l.text) < 0)
        l.n = 0;
    at = l.text->p;
    for (size_t i = 0; i < l.n; i++) {
        l.label[i].value.p = at;
        at += l.label[i].value.n;
    }
    return l;
}

static struct str value_of(const struct labels_of *l, struct str name) {
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(str_of(l->label[i].name), name))
            return l->label[i].value;
    return STR("");
}

/* Whether the labels, without the name of the metric, are what the selector wants. */
static bool wants(struct selector *s, const struct labels_of *l) {
    for (unsigned i = 0; i < s->n; i++) {
        struct str label = s->m[i].label;

        if (!str_eq(label, STR("__name__")) && !selector_allows(s, label, value_of(l, label)))
            return false;
    }
    return true;
}

/* The metrics of such a target that any of the selectors wants, as bits. */
static uint64_t wanted(struct query *q, const struct labels_of *l) {
    uint64_t metrics = 0;

    for (size_t i = 0; i < q->selectors; i++)
        if (wants(&q->selector[i], l))
            metrics |= q->allowed[i];
    return metrics;
}

static void add_labels(struct query *q, enum metric m, const struct labels_of *l) {
    json_begin_object(&q->j);
    json_key_str(&q->j, "__name__", str_of(q->name[m]));
    for (size_t i = 0; i < l->n; i++)
        json_key_str(&q->j, l->label[i].name, l->label[i].value);
    json_end(&q->j);
}

/* --- values -------------------------------------------------------------------------------------
 */

/* [SECONDS,"VALUE"], with the comma in front that the writer does not know of. */
static void add_pair(struct buf *out, bool first, enum metric m, int64_t at_ms, uint64_t value) {
    if (!first)
        buf_add_char(out, ',');
    buf_add_format(out, "[%lld.%03d,\"", (long long)(at_ms / 1000), (int)(at_ms % 1000));
    prom_add_value(out, m, value);
    buf_add(out, STR("\"]"));
}

static bool has_value(const struct sample *s, enum metric m) {
    return sample_has(s, m) && s->value[m] != SAMPLE_NONE;
}

static void add_sample(struct query *q, struct buf *out, const struct labels_of *l,
                       uint64_t metrics, const struct sample *s) {
    for (enum metric m = 0; m < METRIC_N; m++) {
        if (!(metrics >> m & 1) || !has_value(s, m))
            continue;
        json_begin_object(&q->j);
        json_key(&q->j, "metric");
        add_labels(q, m, l);
        json_key(&q->j, "value");
        json_begin_array(&q->j);
        buf_add_format(out, "%lld.%03d", (long long)(q->to_ms / 1000), (int)(q->to_ms % 1000));
        buf_add(out, STR(",\""));
        prom_add_value(out, m, s->value[m]);
        buf_add_char(out, '"');
        json_end(&q->j);
        json_end(&q->j);
    }
}

/* Points of a series, one after the other, a page at a time. */
struct walk {
    struct query *q;
    int64_t series, from_ms, step_ms;
    enum metric metric;
    struct store_points page;
    size_t i;
    bool end;
};

static bool next_point(struct walk *w, struct store_point *out) {
    while (w->i == w->page.n) {
        int r;

        if (w->end)
            return false;
        store_points_done(&w->page);
        w->page = (struct store_points){0};
        w->i = 0;
        r = store_range(w->q->site->store, w->series, w->metric, w->from_ms, w->q->to_ms,
                        w->step_ms, PAGE, &w->page);
        w->end = r < 0 || !w->page.cut || w->page.n == 0;
        if (r < 0)
            w->page.n = 0;
        else if (w->page.n > 0)
            w->from_ms = w->page.p[w->page.n - 1].at_ms + (w->step_ms > 0 ? w->step_ms : 1);
    }
    *out = w->page.p[w->i++];
    return true;
}

static void begin_curve(struct query *q, enum metric m, const struct labels_of *l) {
    json_begin_object(&q->j);
    json_key(&q->j, "metric");
    add_labels(q, m, l);
    json_key(&q->j, "values");
    json_begin_array(&q->j);
}

/* Every sample is looked at: at each step the last one that is not too old. */
static bool add_fine(struct walk *w, struct buf *out, const struct labels_of *l) {
    struct query *q = w->q;
    struct store_point next, last = {0};
    bool have_next, have_last = false, begun = false;

    w->from_ms = q->from_ms - LOOKBACK_MS;
    have_next = next_point(w, &next);
    for (int64_t t = q->from_ms; t <= q->to_ms; t += q->step_ms) {
        while (have_next && next.at_ms <= t) {
            last = next;
            have_last = true;
            have_next = next_point(w, &next);
        }
        if (!have_last || t - last.at_ms > LOOKBACK_MS || last.value == SAMPLE_NONE)
            continue;
        if (!begun)
            begin_curve(q, w->metric, l);
        add_pair(out, !begun, w->metric, t, last.value);
        begun = true;
    }
    return begun;
}

/* Of each step the last value of the step before it: from the store's rolled-up levels. */
static bool add_coarse(struct walk *w, struct buf *out, const struct labels_of *l) {
    struct query *q = w->q;
    struct store_point next;
    bool have_next, begun = false;

    w->step_ms = q->step_ms;
    w->from_ms = (q->from_ms / q->step_ms - 1) * q->step_ms;
    if (w->from_ms < 0)
        w->from_ms = 0;
    have_next = next_point(w, &next);
    for (int64_t t = q->from_ms; t <= q->to_ms; t += q->step_ms) {
        int64_t before = (t / q->step_ms - 1) * q->step_ms;

        while (have_next && next.at_ms < before)
            have_next = next_point(w, &next);
        if (!have_next || next.at_ms != before || next.value == SAMPLE_NONE)
            continue;
        if (!begun)
            begin_curve(q, w->metric, l);
        add_pair(out, !begun, w->metric, t, next.value);
        begun = true;
    }
    return begun;
}

static void add_curves(struct query *q, struct buf *out, const struct labels_of *l,
                       uint64_t metrics, int64_t series) {
    bool fine = q->to_ms - q->from_ms <= FINE_SPAN_MS;

    for (enum metric m = 0; m < METRIC_N; m++) {
        struct walk w = {.q = q, .series = series, .metric = m};
        bool any;

        if (!(metrics >> m & 1))
            continue;
        any = fine ? add_fine(&w, out, l) : add_coarse(&w, out, l);
        store_points_done(&w.page);
        if (any) {
            json_end(&q->j);
            json_end(&q->j);
        }
    }
}

static void add_names(struct query *q, const struct labels_of *l, uint64_t metrics) {
    for (enum metric m = 0; m < METRIC_N; m++)
        if (metrics >> m & 1)
            add_labels(q, m, l);
}

/* --- targets ------------------------------------------------------------------------------------
 */

static bool next_now(struct query *q, struct buf *out) {
    const struct live_row *row =
        q->era == q->site->era ? live_after(q->site->live, q->after) : NULL;

    if (!row)
        return false;
    q->after = row->uid;

    struct labels_of l = labels_of(q, &row->t);
    uint64_t metrics = wanted(q, &l);

    if (q->mode == MODE_SERIES)
        add_names(q, &l, metrics & row->sample.have);
    else
        add_sample(q, out, &l, metrics, &row->sample);
    return true;
}

static bool next_then(struct query *q, struct buf *out) {
    const struct past_target *target;
    struct identity i;
    struct sample sample;

    if (q->past.next == q->past.n)
        return false;
    target = &q->past.target[q->past.next++];
    if (identity_parse(target->identity, &i) < 0)
        return true;

    struct labels_of l = labels_of(q, &i.t);
    uint64_t metrics = wanted(q, &l);

    if (!metrics)
        ;
    else if (q->mode == MODE_RANGE)
        add_curves(q, out, &l, metrics, target->series);
    else if (q->mode == MODE_SERIES)
        add_names(q, &l, metrics);
    else if (store_at(q->site->store, target->series, q->to_ms, &sample) == 0)
        add_sample(q, out, &l, metrics, &sample);
    identity_done(&i);
    return true;
}

static bool from_past(const struct query *q) {
    return q->mode == MODE_THEN || q->mode == MODE_RANGE || q->past.text.max > 0;
}

static void begin(struct query *q, struct buf *out) {
    json_start(&q->j, out);
    json_begin_object(&q->j);
    json_key_str(&q->j, "status", STR("success"));
    json_key(&q->j, "data");
    if (q->mode != MODE_SERIES) {
        json_begin_object(&q->j);
        json_key_str(&q->j, "resultType", q->mode == MODE_RANGE ? STR("matrix") : STR("vector"));
        json_key(&q->j, "result");
    }
    json_begin_array(&q->j);
    q->begun = true;
}

static int more(struct answer *a, struct buf *out) {
    struct query *q = a->ctx;

    if (!q->begun)
        begin(q, out);
    while (out->n < ANSWER_PIECE)
        if (!(from_past(q) ? next_then(q, out) : next_now(q, out))) {
            while (q->j.depth > 0)
                json_end(&q->j);
            buf_add_char(out, '\n');
            return ANSWER_END;
        }
    return ANSWER_MORE;
}

/* --- requests -----------------------------------------------------------------------------------
 */

/* The metrics whose exported names the selector allows. */
static uint64_t names_allowed(struct query *q, struct selector *s) {
    uint64_t metrics = 0;

    for (enum metric m = 0; m < METRIC_N; m++)
        if (selector_allows(s, STR("__name__"), str_of(q->name[m])))
            metrics |= UINT64_C(1) << m;
    return metrics;
}

static void make_names(struct query *q) {
    struct buf name;

    buf_init(&name, 200);
    for (enum metric m = 0; m < METRIC_N; m++) {
        buf_clear(&name);
        metric_add_exported(&name, m);
        (void)str_copy(buf_str(&name), q->name[m], sizeof(q->name[m]));
    }
    buf_done(&name);
}

/* Takes the selectors of all arguments of that name. False: the answer is an error. */
static bool take_selectors(struct query *q, const struct request *rq, const char *key,
                           struct answer *a) {
    struct err err = {.text = ""};

    for (size_t i = 0; i < rq->args; i++) {
        if (!str_eq(rq->arg[i].key, str_of(key)))
            continue;
        if (q->selectors == SELECTORS) {
            prom_error(a, "bad_data", "more than %d selectors", SELECTORS);
            return false;
        }
        if (selector_parse(rq->arg[i].value, &q->selector[q->selectors], &err) < 0) {
            prom_error(a, "bad_data", "invalid parameter \"%s\": %s", key, err.text);
            return false;
        }
        q->allowed[q->selectors] = names_allowed(q, &q->selector[q->selectors]);
        q->selectors++;
    }
    return true;
}

/* The same with Prometheus' form of errors. */
static bool take_time(const struct request *rq, const char *key, int64_t *out, struct answer *a) {
    struct str text;

    if (request_time(rq, key, out, a))
        return true;
    (void)request_arg(rq, key, &text);
    prom_error(a, "bad_data",
               "invalid parameter \"%s\": cannot parse \"%.*s\" to a valid timestamp", key,
               STR_ARG(str_head(text, 60)));
    return false;
}

/* NULL: the answer is an error. */
static struct query *query_new(struct site *site, const struct request *rq, const char *key,
                               enum mode mode, struct answer *a) {
    struct query *q = calloc(1, sizeof(*q));

    if (!q) {
        prom_error(a, "internal", "no memory");
        return NULL;
    }
    *q = (struct query){
        .site = site, .mode = mode, .after = -1, .era = site->era, .to_ms = rq->now_ms};
    buf_init(&q->label_text, 2 * WIRE_MESSAGE);
    make_names(q);
    if (!take_selectors(q, rq, key, a)) {
        query_done(q);
        return NULL;
    }
    return q;
}

static void answer_with(struct answer *a, struct query *q) {
    a->ctx = q;
    a->done = query_done;
    a->more = more;
}

/* Lists the targets of the past. False: the answer is an error, and the query is gone. */
static bool look_back(struct query *q, int64_t from_ms, int64_t to_ms, struct answer *a) {
    if (!q->site->store) {
        prom_error(a, "execution", "there is no history here");
    } else if (past_list(&q->past, q->site, from_ms, to_ms, NULL, a)) {
        return true;
    } else {
        prom_error(a, "execution", "the history cannot be read");
    }
    query_done(q);
    return false;
}

void promapi_query(struct site *site, const struct request *rq, struct answer *a) {
    struct query *q = query_new(site, rq, "query", MODE_NOW, a);
    struct str text;

    if (!q)
        return;
    if (q->selectors != 1) {
        prom_error(a, "bad_data", "invalid parameter \"query\": exactly one is needed");
        query_done(q);
        return;
    }
    if (!take_time(rq, "time", &q->to_ms, a)) {
        query_done(q);
        return;
    }
    /* What is known now is as good as the store's for a moment that just passed. */
    if (request_arg(rq, "time", &text) && q->to_ms < site->told_ms) {
        q->mode = MODE_THEN;
        if (!look_back(q, q->to_ms - PAST_SLACK_MS, q->to_ms, a))
            return;
    }
    answer_with(a, q);
}

/* False: the answer is an error. */
static bool take_range(struct query *q, const struct request *rq, struct answer *a) {
    struct str text;

    if (!request_arg(rq, "start", &text) || !request_arg(rq, "end", &text) ||
        !request_arg(rq, "step", &text)) {
        prom_error(a, "bad_data", "start, end and step are needed");
        return false;
    }
    if (!take_time(rq, "start", &q->from_ms, a) || !take_time(rq, "end", &q->to_ms, a))
        return false;
    if (!request_span(rq, "step", &q->step_ms, a)) {
        prom_error(a, "bad_data", "invalid parameter \"step\": no positive duration");
        return false;
    }
    if (q->to_ms < q->from_ms) {
        prom_error(a, "bad_data",
                   "invalid parameter \"end\": end timestamp must not be before start time");
        return false;
    }
    if ((q->to_ms - q->from_ms) / q->step_ms > STEPS_MAX) {
        prom_error(
            a, "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries: try a larger step");
        return false;
    }
    return true;
}

void promapi_query_range(struct site *site, const struct request *rq, struct answer *a) {
    struct query *q = query_new(site, rq, "query", MODE_RANGE, a);

    if (!q)
        return;
    if (q->selectors != 1) {
        prom_error(a, "bad_data", "invalid parameter \"query\": exactly one is needed");
        query_done(q);
    } else if (!take_range(q, rq, a)) {
        query_done(q);
    } else if (look_back(q, q->from_ms - LOOKBACK_MS, q->to_ms, a)) {
        answer_with(a, q);
    }
}

/* start and end of series, labels and values. False: the answer is an error, the query is gone. */
static bool take_span(struct query *q, const struct request *rq, struct answer *a) {
    struct str text;
    bool given = request_arg(rq, "start", &text) || request_arg(rq, "end", &text);

    if (!take_time(rq, "end", &q->to_ms, a)) {
        query_done(q);
        return false;
    }
    q->from_ms = q->to_ms > BACK_MS ? q->to_ms - BACK_MS : 0;
    if (!take_time(rq, "start", &q->from_ms, a)) {
        query_done(q);
        return false;
    }
    return !given || !q->site->store || look_back(q, q->from_ms, q->to_ms, a);
}

void promapi_series(struct site *site, const struct request *rq, struct answer *a) {
    struct query *q = query_new(site, rq, "match[]", MODE_SERIES, a);

    if (!q)
        return;
    if (q->selectors == 0) {
        prom_error(a, "bad_data", "no match[] parameter provided");
        query_done(q);
        return;
    }
    if (take_span(q, rq, a))
        answer_with(a, q);
}

/* --- names and values of labels -----------------------------------------------------------------
 */

/* Texts one behind the other, each with its NUL, and where they begin. */
struct texts {
    struct buf text;
    size_t *at;
    size_t n, room;
    bool no_memory;
};

static void texts_add(struct texts *t, struct str s) {
    if (t->n == t->room) {
        size_t room = t->room ? 2 * t->room : 64;
        size_t *grown = realloc(t->at, room * sizeof(*grown));

        if (!grown) {
            t->no_memory = true;
            return;
        }
        t->at = grown;
        t->room = room;
    }
    t->at[t->n++] = t->text.n;
    buf_add(&t->text, s);
    buf_add_char(&t->text, '\0');
}

static int compare(const void *a, const void *b, void *text) {
    return strcmp((const char *)text + *(const size_t *)a, (const char *)text + *(const size_t *)b);
}

/* Sorted, each once. */
static void answer_texts(struct answer *a, struct texts *t) {
    const char *last = NULL;
    struct json j;

    if (t->no_memory || buf_error(&t->text) < 0) {
        prom_error(a, "execution", "too many values");
        return;
    }
    if (t->n > 0)
        qsort_r(t->at, t->n, sizeof(t->at[0]), compare, t->text.p);
    json_start(&j, &a->piece);
    json_begin_object(&j);
    json_key_str(&j, "status", STR("success"));
    json_key(&j, "data");
    json_begin_array(&j);
    for (size_t i = 0; i < t->n; i++) {
        const char *text = t->text.p + t->at[i];

        if (!last || strcmp(last, text) != 0)
            json_str(&j, str_of(text));
        last = text;
    }
    json_end(&j);
    json_end(&j);
    buf_add_char(&a->piece, '\n');
}

/* What one target has to say: the names of its labels, or the values of one. */
static void take_labels(struct query *q, struct texts *t, const struct wire_target *target,
                        uint64_t have, const struct str *name) {
    struct labels_of l = labels_of(q, target);
    uint64_t metrics = q->selectors > 0 ? wanted(q, &l) & have : have;

    if (!metrics)
        return;
    if (!name) {
        texts_add(t, STR("__name__"));
        for (size_t i = 0; i < l.n; i++)
            texts_add(t, str_of(l.label[i].name));
    } else if (str_eq(*name, STR("__name__"))) {
        for (enum metric m = 0; m < METRIC_N; m++)
            if (metrics >> m & 1)
                texts_add(t, str_of(q->name[m]));
    } else if (value_of(&l, *name).n > 0) {
        texts_add(t, value_of(&l, *name));
    }
}

static void answer_labels(struct query *q, const struct str *name, struct answer *a) {
    const uint64_t all = (UINT64_C(1) << (METRIC_N - 1) << 1) - 1;
    struct texts t = {.n = 0};
    struct live_row *row;

    buf_init(&t.text, ANSWER_PIECE_MAX / 2);
    if (from_past(q)) {
        for (size_t i = 0; i < q->past.n; i++) {
            struct identity id;

            if (identity_parse(q->past.target[i].identity, &id) < 0)
                continue;
            take_labels(q, &t, &id.t, all, name);
            identity_done(&id);
        }
    } else {
        for (int64_t uid = -1; (row = live_after(q->site->live, uid)); uid = row->uid)
            take_labels(q, &t, &row->t, row->sample.have, name);
    }
    answer_texts(a, &t);
    buf_done(&t.text);
    free(t.at);
    query_done(q);
}

void promapi_labels(struct site *site, const struct request *rq, struct answer *a) {
    struct query *q = query_new(site, rq, "match[]", MODE_SERIES, a);

    if (q && take_span(q, rq, a))
        answer_labels(q, NULL, a);
}

static bool is_label_name(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.n > 0;
}

void promapi_values(struct site *site, const struct request *rq, struct answer *a) {
    struct str name = rq->path;
    struct query *q;

    (void)str_skip(&name, STR("/api/v1/label/"));
    if (!str_drop(&name, STR("/values")) || name.n == 0 || str_find(name, '/') >= 0) {
        answer_error(a, 404, "there is no page '%.*s'", STR_ARG(str_head(rq->path, 200)));
        return;
    }
    if (!is_label_name(name)) {
        prom_error(a, "bad_data", "invalid label name: \"%.*s\"", STR_ARG(str_head(name, 60)));
        return;
    }
    q = query_new(site, rq, "match[]", MODE_SERIES, a);
    if (q && take_span(q, rq, a))
        answer_labels(q, &name, a);
}
