#include "cmd/toprows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/statspast.h"
#include "discover/enginejson.h"

enum { POD_MAX = 4096, DUPLICATES_SHIFT = 48 };

static struct str text_at(const json_t *row, const char *key) {
    const json_t *value = json_object_get(row, key);

    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : STR("");
}

static bool number_at(const json_t *row, const char *key, double scale, uint64_t *out) {
    return statspast_number(json_object_get(row, key), scale, out);
}

/* A number that may have changed: what is not told stays as it is. */
static void change_number(const json_t *row, const char *key, double scale, bool *have,
                          uint64_t *out) {
    const json_t *value = json_object_get(row, key);

    if (value)
        *have = statspast_number(value, scale, out);
}

static struct str parent_of(struct str path) {
    ptrdiff_t at = str_rfind(path, '/');

    return at > 0 ? str_head(path, (size_t)at) : STR("/");
}

static struct str pod_of(struct toprow *x) {
    struct str namespace = text_at(x->whole, "namespace"), pod = text_at(x->whole, "pod");

    buf_clear(&x->pod);
    if (pod.n == 0 || namespace.n == 0)
        return pod;
    buf_add(&x->pod, namespace);
    buf_add_char(&x->pod, '/');
    buf_add(&x->pod, pod);
    return buf_error(&x->pod) == 0 ? buf_str(&x->pod) : pod;
}

static bool is_machine(const json_t *row) {
    return str_eq(text_at(row, "kind"), STR("group")) && str_eq(text_at(row, "cgroup"), STR("/")) &&
           str_eq(text_at(row, "name"), STR("host"));
}

static enum trend_word trend_word(struct str word) {
    if (str_eq(word, STR("growing")))
        return TREND_GROWING;
    if (str_eq(word, STR("shrinking")))
        return TREND_SHRINKING;
    return str_eq(word, STR("steady")) ? TREND_STEADY : TREND_UNKNOWN;
}

static void take_trend(const json_t *row, struct tui_row *out) {
    struct trend_view *v = &out->trend;
    uint64_t window;

    if (json_object_get(row, "trend")) {
        v->word = trend_word(text_at(row, "trend"));
        v->bytes_per_h = json_integer_value(json_object_get(row, "trend_bytes_per_h"));
        v->window_s = number_at(row, "trend_window_s", 1, &window) && window < UINT32_MAX
                          ? (uint32_t)window
                          : 0;
        if (v->word == TREND_UNKNOWN)
            v->bytes_per_h = 0;
    }
    change_number(row, "refaults_per_s", 1, &v->have_refaults, &v->refaults_per_s);
    change_number(row, "time_to_limit_s", 1, &out->have_time_to_limit, &out->time_to_limit_s);
}

static void take_sample(struct toprow *x, const json_t *row, int64_t at_ms) {
    struct sample *s = &x->sample;
    bool own_limit = json_object_get(row, metric_info(METRIC_OWN_LIMIT)->key);

    for (enum metric m = 0; m < METRIC_N; m++)
        if (json_object_get(row, metric_info(m)->key))
            statspast_metric(row, m, s);
    /* null is "none", since the kernel always tells it */
    if (own_limit && !sample_has(s, METRIC_OWN_LIMIT) && sample_has(s, METRIC_USAGE))
        sample_set(s, METRIC_OWN_LIMIT, SAMPLE_NONE);
    s->at_ms = at_ms;
    x->have_sample = s->have != 0;
}

/* Of the past only what this instance counted is told. */
static void take_kills(struct toprow *x, const json_t *row) {
    const struct sample *s = &x->sample;
    struct tui_row *out = &x->row;

    change_number(row, "oom_kills_total", 1, &x->have_total, &x->total);
    out->have_kills = x->have_total || sample_has(s, METRIC_OOM_KILLS);
    out->kills = x->have_total ? x->total : out->have_kills ? s->value[METRIC_OOM_KILLS] : 0;
}

/* What may be in any tick. */
static void take_numbers(struct toprow *x, const json_t *row, int64_t at_ms) {
    struct tui_row *out = &x->row;
    json_t *limit_from = json_object_get(row, "limit_from");

    take_sample(x, row, at_ms);
    if (limit_from) {
        json_decref(x->later);
        x->later = json_incref(limit_from);
        out->limit_from = text_at(row, "limit_from");
    }
    if (json_object_get(row, "state"))
        out->state = statspast_state(text_at(row, "state").p);
    take_trend(row, out);
    change_number(row, "cpu_pct", 100, &out->have_cpu, &out->cpu_centi);
    change_number(row, "restarts", 1, &out->have_restarts, &out->restarts);
    take_kills(x, row);
}

/* The same number for the same logical target, now and in the past, though not for two at once. */
static uint64_t id_of(const struct toprows *t, const struct toprow *x) {
    uint64_t id, twins = 0;

    if (!number_at(x->whole, "series", 1, &id) || id == 0)
        return x->uid | TOPROWS_NO_SERIES;
    id &= TOPROWS_SERIES;
    for (size_t i = 0; i < t->n; i++)
        if (t->row[i] != x && (t->row[i]->row.id & (TOPROWS_SERIES | TOPROWS_NO_SERIES)) == id)
            twins = (t->row[i]->row.id >> DUPLICATES_SHIFT) + 1;
    return twins << DUPLICATES_SHIFT | id;
}

static void take_whole(struct toprow *x, json_t *row, int64_t at_ms) {
    json_decref(x->whole);
    json_decref(x->later);
    x->whole = json_incref(row);
    x->later = NULL;
    x->have_uid = number_at(row, "uid", 1, &x->uid);
    x->is_machine = is_machine(row);
    x->sample = (struct sample){.have = 0};
    x->have_total = false;
    enginejson_labels(&x->labels, json_object_get(row, "labels"));
    x->row = (struct tui_row){
        .id = x->row.id,
        .key = text_at(row, "key"),
        .name = text_at(row, "name"),
        .runtime = text_at(row, "runtime"),
        .kind = text_at(row, "kind"),
        .image = text_at(row, "image"),
        .path = text_at(row, "cgroup"),
        .pod = pod_of(x),
        .compose = text_at(row, "compose"),
        .labels = str_of(x->labels),
        .slice = parent_of(text_at(row, "cgroup")),
        .v1 = str_eq(text_at(row, "version"), STR("v1")),
        .is_inside = text_at(row, "inside").n > 0,
    };
    take_numbers(x, row, at_ms);
}

static void toprow_free(struct toprow *x) {
    json_decref(x->whole);
    json_decref(x->later);
    buf_done(&x->pod);
    free(x->labels);
    free(x);
}

static int add(struct toprows *t, json_t *row) {
    struct toprow *x;

    if (t->n == t->room) {
        size_t room = t->room ? 2 * t->room : 64;
        struct toprow **rows = reallocarray(t->row, room, sizeof(struct toprow *));

        if (t->n == TOPROWS_MAX)
            return -EBADMSG;
        if (!rows)
            return -ENOMEM;
        t->row = rows;
        t->room = room;
    }
    x = calloc(1, sizeof(*x));
    if (!x)
        return -ENOMEM;
    buf_init(&x->pod, POD_MAX);
    take_whole(x, row, t->at_ms);
    t->row[t->n++] = x;
    x->row.id = id_of(t, x);
    if (x->is_machine)
        t->machine = x;
    return 0;
}

static void empty(struct toprows *t) {
    for (size_t i = 0; i < t->n; i++)
        toprow_free(t->row[i]);
    t->n = 0;
    t->machine = NULL;
}

void toprows_done(struct toprows *t) {
    empty(t);
    free(t->row);
    *t = (struct toprows){.row = NULL};
}

int toprows_load(struct toprows *t, const json_t *answer) {
    const json_t *list = json_object_get(answer, "targets");
    int r = json_is_array(list) ? 0 : -EBADMSG;

    empty(t);
    t->at_ms = json_integer_value(json_object_get(answer, "at_ms"));
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
        json_t *row = json_array_get(list, i);

        r = json_is_object(row) ? add(t, row) : -EBADMSG;
    }
    if (r < 0)
        empty(t);
    return r;
}

/* A tick tells them in the same order as they came. */
static struct toprow *find(struct toprows *t, uint64_t uid) {
    for (size_t i = 0; i < t->n; i++) {
        size_t at = (t->hint + i) % t->n;

        if (t->row[at]->have_uid && t->row[at]->uid == uid) {
            t->hint = at + 1;
            return t->row[at];
        }
    }
    return NULL;
}

static void forget(struct toprows *t, uint64_t uid) {
    for (size_t i = 0; i < t->n; i++)
        if (t->row[i]->have_uid && t->row[i]->uid == uid) {
            if (t->machine == t->row[i])
                t->machine = NULL;
            toprow_free(t->row[i]);
            memmove(&t->row[i], &t->row[i + 1], (t->n - i - 1) * sizeof(struct toprow *));
            t->n--;
            return;
        }
}

static int apply_row(struct toprows *t, json_t *row) {
    struct toprow *x;
    uint64_t uid;

    if (!json_is_object(row) || !number_at(row, "uid", 1, &uid))
        return -EBADMSG;
    x = find(t, uid);
    if (json_object_get(row, "cgroup")) { /* a whole one */
        if (!x)
            return add(t, row);
        take_whole(x, row, t->at_ms);
        return 0;
    }
    if (x)
        take_numbers(x, row, t->at_ms);
    return 0;
}

int toprows_apply(struct toprows *t, const json_t *tick) {
    const json_t *list = json_object_get(tick, "targets"), *gone = json_object_get(tick, "gone");
    uint64_t uid;
    int r = json_is_array(list) ? 0 : -EBADMSG;

    t->at_ms = json_integer_value(json_object_get(tick, "at_ms"));
    for (size_t i = 0; i < json_array_size(gone); i++)
        if (statspast_number(json_array_get(gone, i), 1, &uid))
            forget(t, uid);
    for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
        r = apply_row(t, json_array_get(list, i));
    return r;
}

size_t toprows_count(const struct toprows *t) {
    return t->n - (t->machine != NULL);
}

const struct tui_row *toprows_at(struct toprows *t, size_t i) {
    for (size_t k = 0; t->machine && k <= i; k++)
        if (t->row[k] == t->machine) {
            i++;
            break;
        }
    struct toprow *x = t->row[i];

    x->row.sample = x->have_sample ? &x->sample : NULL;
    return &x->row;
}
