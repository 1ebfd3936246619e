/* /api/v1/sparks: one metric of every target over the last hours, a value a step. One answer for a
 * whole list of targets, made in pieces that each take a few milliseconds at most. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "export/prompage.h"
#include "web/past.h"

enum {
    SPARKS_BACK_MS = 2 * 3600 * 1000,
    SPARKS_POINTS = 120,
    SPARKS_POINTS_MAX = 2000,
    SPARKS_PIECE_US = 2000, /* then others have their turn */
};

struct sparks {
    struct site *site;
    struct json j;
    bool begun;
    enum metric metric;
    int64_t from_ms, to_ms, step_ms;
    size_t steps;
    int64_t *series;
    size_t n, room, next;
    struct store_points points; /* memory that is kept from target to target */
};

static void sparks_done(void *ctx) {
    struct sparks *s = ctx;

    store_points_done(&s->points);
    free(s->series);
    free(s);
}

static void key_i64(struct json *j, const char *key, int64_t value) {
    json_key(j, key);
    json_i64(j, value);
}

static void begin(struct sparks *s, struct buf *out) {
    struct buf name;

    buf_init(&name, 200);
    metric_add_exported(&name, s->metric);
    json_start(&s->j, out);
    json_begin_object(&s->j);
    json_key_str(&s->j, "metric", buf_str(&name));
    json_key_str(&s->j, "unit", str_of(metric_unit_name(metric_info(s->metric)->unit)));
    key_i64(&s->j, "from_ms", s->from_ms);
    key_i64(&s->j, "to_ms", s->to_ms);
    key_i64(&s->j, "step_ms", s->step_ms);
    json_key(&s->j, "series");
    json_begin_object(&s->j);
    s->begun = true;
    buf_done(&name);
}

static void add_values(const struct sparks *s, struct buf *out) {
    const struct store_point *p = s->points.p, *end = p + s->points.n;
    bool bound = metric_info(s->metric)->kind == METRIC_BOUND;

    for (size_t i = 0; i < s->steps; i++) {
        int64_t at_ms = s->from_ms + (int64_t)i * s->step_ms;

        if (i > 0)
            buf_add_char(out, ',');
        while (p < end && p->at_ms < at_ms)
            p++;
        if (p < end && p->at_ms < at_ms + s->step_ms && !(bound && p->mean == SAMPLE_NONE))
            prom_add_value(out, s->metric, p->mean);
        else
            buf_add(out, STR("null"));
    }
}

/* One that has no value in all that time is left out. */
static int add_series(struct sparks *s, struct buf *out, int64_t series) {
    char key[32];
    int r = store_range(s->site->store, series, s->metric, s->from_ms, s->to_ms, s->step_ms,
                        s->steps + 1, &s->points);

    if (r < 0 || s->points.n == 0)
        return r == -ENOENT ? 0 : r;
    snprintf(key, sizeof(key), "%lld", (long long)series);
    json_key(&s->j, key);
    json_begin_array(&s->j);
    add_values(s, out);
    json_end(&s->j);
    return 0;
}

static int more(struct answer *a, struct buf *out) {
    int64_t until_us = clock_mono_us() + SPARKS_PIECE_US;
    struct sparks *s = a->ctx;

    if (!s->begun)
        begin(s, out);
    while (s->next < s->n && out->n < ANSWER_PIECE && clock_mono_us() < until_us) {
        int r = add_series(s, out, s->series[s->next++]);

        if (r < 0)
            return r;
    }
    if (s->next < s->n) {
        if (out->n == 0)
            buf_add_char(out, '\n'); /* a piece is never empty */
        return ANSWER_MORE;
    }
    json_end(&s->j);
    json_end(&s->j);
    buf_add_char(out, '\n');
    return ANSWER_END;
}

/* --- which ------------------------------------------------------------------------------------ */

struct choice {
    struct sparks *sparks;
    const struct request *rq;
    bool all, by_name;
    int error;
};

/* A key needs no names to be compared. */
static bool is_key(struct str word) {
    return str_find(word, ':') > 0 && word.p[0] != '/';
}

static bool is_chosen(const struct choice *c, const struct store_target *t) {
    bool chosen = c->all;
    struct identity i;

    for (size_t arg = 0; arg < c->rq->args && !chosen; arg++)
        chosen =
            str_eq(c->rq->arg[arg].key, STR("target")) && str_eq(c->rq->arg[arg].value, t->key);
    if (chosen || !c->by_name || identity_parse(t->identity, &i) < 0)
        return chosen;
    for (size_t arg = 0; arg < c->rq->args && !chosen; arg++)
        chosen = str_eq(c->rq->arg[arg].key, STR("target")) &&
                 past_matches(&i.t, t->key, c->rq->arg[arg].value);
    identity_done(&i);
    return chosen;
}

static int choose(void *ctx, const struct store_target *t) {
    struct choice *c = ctx;
    struct sparks *s = c->sparks;

    if (!is_chosen(c, t))
        return 0;
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 256;
        int64_t *grown = reallocarray(s->series, room, sizeof(*grown));

        if (!grown)
            return c->error = -ENOMEM;
        s->series = grown;
        s->room = room;
    }
    s->series[s->n++] = t->series;
    return s->n == PAST_MAX;
}

/* False: the answer is an error. */
static bool choose_all(struct sparks *s, const struct request *rq, struct answer *a) {
    struct choice c = {.sparks = s, .rq = rq, .all = true};
    int r;

    for (size_t arg = 0; arg < rq->args; arg++)
        if (str_eq(rq->arg[arg].key, STR("target"))) {
            c.all = false;
            c.by_name |= !is_key(rq->arg[arg].value);
        }
    r = store_targets(s->site->store, s->from_ms, s->to_ms, choose, &c);
    if (r < 0 || c.error < 0) {
        answer_error(a, 503, "cannot read the history: %s", strerror(c.error < 0 ? -c.error : -r));
        return false;
    }
    if (s->n == 0 && !c.all) {
        answer_error(a, 404, "no target was called so then");
        return false;
    }
    return true;
}

/* --- what ------------------------------------------------------------------------------------- */

/* Whole seconds, minutes or hours, so that what is added up already can be used. */
static int64_t round_step(int64_t step_ms) {
    const int64_t unit = step_ms > 3600 * 1000 ? 3600 * 1000
                         : step_ms > 60 * 1000 ? 60 * 1000
                                               : 1000;

    return (step_ms + unit - 1) / unit * unit;
}

/* False: the answer is an error. */
static bool prepare(struct sparks *s, const struct request *rq, struct answer *a) {
    uint64_t points = SPARKS_POINTS;
    struct str name = STR("used");

    s->to_ms = rq->now_ms;
    (void)request_arg(rq, "metric", &name);
    s->metric = request_metric(name);
    if (s->metric == METRIC_N) {
        answer_error(a, 400, "there is no metric '%.*s'", STR_ARG(str_head(name, 100)));
        return false;
    }
    if (!request_time(rq, "to", &s->to_ms, a) ||
        !request_number(rq, "points", SPARKS_POINTS_MAX, &points, a))
        return false;
    s->from_ms = s->to_ms > SPARKS_BACK_MS ? s->to_ms - SPARKS_BACK_MS : 0;
    if (!request_time(rq, "from", &s->from_ms, a))
        return false;
    if (s->from_ms < 0 || s->from_ms > s->to_ms || points == 0) {
        answer_error(a, 400,
                     points == 0 ? "'points' is 0: ask for 1 or more" : "'from' is after 'to'");
        return false;
    }
    if (!s->site->store) {
        answer_error(a, 404, "there is no history here");
        return false;
    }
    s->step_ms = round_step((s->to_ms - s->from_ms) / (int64_t)points);
    if (s->step_ms == 0)
        s->step_ms = 1000;
    s->from_ms -= s->from_ms % s->step_ms;
    s->steps = (size_t)((s->to_ms - s->from_ms) / s->step_ms) + 1;
    return choose_all(s, rq, a);
}

void api_sparks(struct site *site, const struct request *rq, struct answer *a) {
    struct sparks *s = calloc(1, sizeof(*s));

    if (!s) {
        answer_error(a, 503, "no memory");
        return;
    }
    s->site = site;
    if (!prepare(s, rq, a)) {
        sparks_done(s);
        return;
    }
    a->ctx = s;
    a->done = sparks_done;
    a->more = more;
}
