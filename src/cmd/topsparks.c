#include "cmd/topsparks.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "cmd/statspast.h"
#include "cmd/tophistory.h"

enum { KEPT_LEAST_US = 2000000, KEPT_MOST_US = 10000000, POINTS_MAX = 100000 };

enum { UNUSED_US = 60000000, VALUE_BYTES = 40 }; /* a number in a list, as jansson keeps it */

static void forget(struct topspark *e) {
    json_decref(e->answer);
    *e = (struct topspark){.n = 0};
}

static size_t size_of(const json_t *answer) {
    json_t *all = json_object_get(answer, "series"), *list;
    const char *key;
    size_t bytes = 0;

    json_object_foreach(all, key, list) bytes += json_array_size(list) * VALUE_BYTES;
    return bytes;
}

/* What nobody looks at any more; and of the rest, what was not looked at for longest. */
static void drop_old(struct topsparks *t, const struct topspark *now, int64_t now_us) {
    for (;;) {
        struct topspark *oldest = NULL;
        size_t bytes = 0;

        for (size_t i = 0; i < TOPSPARKS_KEPT; i++) {
            struct topspark *e = &t->kept[i];

            if (e != now && e->n > 0 && now_us - e->used_us > UNUSED_US)
                forget(e);
            bytes += e->bytes;
            if (e != now && e->bytes > 0 && (!oldest || e->used_us < oldest->used_us))
                oldest = e;
        }
        if (bytes <= TOPSPARKS_BYTES || !oldest)
            return;
        forget(oldest);
    }
}

/* The API's unit of a metric in ours. */
static double scale_of(enum metric m) {
    switch (metric_info(m)->unit) {
    case METRIC_US:
        return 1e6;
    case METRIC_CENTIPCT:
        return 1e4;
    case METRIC_BYTES:
    case METRIC_COUNT:
    case METRIC_FLAG:
        break;
    }
    return 1;
}

struct values {
    const json_t *list;
    double scale;
};

static uint64_t value_at(const void *ctx, size_t i) {
    const struct values *v = ctx;
    uint64_t value;

    return statspast_number(json_array_get(v->list, i), v->scale, &value) ? value : UINT64_MAX;
}

int topsparks_read(const json_t *answer, const struct topsparks_query *q, uint64_t *out) {
    const json_t *all = json_object_get(answer, "series");
    json_int_t from_ms = json_integer_value(json_object_get(answer, "from_ms"));
    json_int_t step_ms = json_integer_value(json_object_get(answer, "step_ms"));
    struct values values = {.scale = scale_of(q->metric)};
    char key[32];

    snprintf(key, sizeof(key), "%llu", (unsigned long long)q->series);
    values.list = json_object_get(all, key);
    if (!json_is_object(all) || step_ms <= 0 || from_ms < 0)
        return -EBADMSG;
    if (!json_is_array(values.list))
        return -ENODATA;
    if (json_array_size(values.list) > POINTS_MAX || from_ms > INT64_MAX / 4 ||
        step_ms > INT64_MAX / 4 / POINTS_MAX)
        return -EBADMSG;
    const struct topsteps steps = {&values, value_at, json_array_size(values.list), from_ms,
                                   step_ms};

    topsteps_read(&steps, q->from_ms, q->to_ms, q->n, out);
    return 0;
}

/* So long an answer about now is new enough. */
static int64_t lasts_us(const struct topsparks_query *q) {
    int64_t step_us = (q->to_ms - q->from_ms) * 1000 / (int64_t)q->n / 2;

    return step_us < KEPT_LEAST_US  ? KEPT_LEAST_US
           : step_us > KEPT_MOST_US ? KEPT_MOST_US
                                    : step_us;
}

static bool is_new(const struct topspark *e, const struct topsparks_query *q, int64_t now_us) {
    if (e->asked_us == 0 || (e->series != 0 && e->series != q->series))
        return false;
    if (e->failed)
        return now_us - e->asked_us < KEPT_LEAST_US;
    if (!q->now)
        return e->to_ms == q->to_ms;
    return now_us - e->asked_us < lasts_us(q) && e->to_ms <= q->to_ms &&
           (q->to_ms - e->to_ms) * 1000 < 2 * lasts_us(q);
}

static void ask_anew(struct topspark *e, const struct topsparks_query *q, int64_t now_us,
                     topsparks_ask *ask, void *ctx) {
    json_t *answer = NULL;

    e->failed = ask(ctx, q, e->many ? STR("") : q->key, &answer) < 0;
    if (!e->failed || !q->now || (e->series != 0 && e->series != q->series)) {
        json_decref(e->answer);
        e->answer = e->failed ? NULL : answer;
        e->bytes = size_of(e->answer);
        e->series = e->many ? 0 : q->series;
        e->to_ms = q->to_ms;
    }
    e->asked_us = now_us;
    e->first = q->series;
    e->many = false;
}

/* The entry for that question, or the one that was not used for longest, made empty. */
static struct topspark *entry_of(struct topsparks *t, const struct topsparks_query *q) {
    struct topspark *oldest = &t->kept[0];

    for (size_t i = 0; i < TOPSPARKS_KEPT; i++) {
        struct topspark *e = &t->kept[i];

        if (e->n == q->n && e->metric == q->metric && e->span_ms == q->to_ms - q->from_ms)
            return e;
        if (e->used_us < oldest->used_us)
            oldest = e;
    }
    forget(oldest);
    *oldest = (struct topspark){.metric = q->metric, .n = q->n, .span_ms = q->to_ms - q->from_ms};
    return oldest;
}

int topsparks_get(struct topsparks *t, const struct topsparks_query *q, int64_t now_us,
                  topsparks_ask *ask, void *ctx, uint64_t *out) {
    struct topspark *e;

    if (q->n == 0 || q->to_ms <= q->from_ms || q->series == 0)
        return -ENODATA;
    e = entry_of(t, q);
    e->many = e->first != 0 && e->first != q->series ? true : e->many;
    e->used_us = now_us;
    if (!is_new(e, q, now_us)) {
        ask_anew(e, q, now_us, ask, ctx);
        drop_old(t, e, now_us);
    }
    return e->answer ? topsparks_read(e->answer, q, out) : -ENODATA;
}

void topsparks_done(struct topsparks *t) {
    for (size_t i = 0; i < TOPSPARKS_KEPT; i++)
        json_decref(t->kept[i].answer);
    *t = (struct topsparks){.kept = {{.n = 0}}};
}
