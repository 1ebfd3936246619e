#include "cmd/statspast.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/when.h"
#include "discover/enginejson.h"

static const char *text_of(const json_t *row, const char *key) {
    return json_string_value(json_object_get(row, key));
}

static struct str str_at(const json_t *row, const char *key) {
    return str_of(text_of(row, key));
}

/* Of a word, as target_kind_name and such write it; `otherwise` when it is none of them. */
static int word_of(const char *text, const char *(*name)(int), int n, int otherwise) {
    for (int i = 0; text && i < n; i++)
        if (strcmp(text, name(i)) == 0)
            return i;
    return otherwise;
}

static const char *kind_word(int i) {
    return target_kind_name((enum target_kind)i);
}

static const char *runtime_word(int i) {
    return runtime_name((enum runtime)i);
}

static const char *state_word(int i) {
    return state_name((enum state)i);
}

enum state statspast_state(const char *word) {
    return (enum state)word_of(word, state_word, STATE_N, STATE_UNKNOWN);
}

static void read_target(const json_t *row, struct past_row *out) {
    const char *path = text_of(row, "cgroup"), *name = text_of(row, "name");
    const char *inside = text_of(row, "inside");

    out->labels = NULL;
    enginejson_labels(&out->labels, json_object_get(row, "labels"));
    out->inside = (struct target){.name = inside ? inside : "", .kind = TARGET_CONTAINER};
    out->target = (struct target){
        .path = str_of(path ? path : ""),
        .name = name ? name : "",
        .id = text_of(row, "id"),
        .image = text_of(row, "image"),
        .pod = text_of(row, "pod"),
        .namespace = text_of(row, "namespace"),
        .container = text_of(row, "container"),
        .labels = out->labels,
        .inside = inside ? &out->inside : NULL,
        .start_ms = json_integer_value(json_object_get(row, "start_ms")),
        .init_pid = (int32_t)json_integer_value(json_object_get(row, "init_pid")),
        .slot = TARGET_NO_SLOT,
        .kind =
            (enum target_kind)word_of(text_of(row, "kind"), kind_word, TARGET_KIND_N, TARGET_GROUP),
        .runtime =
            (enum runtime)word_of(text_of(row, "runtime"), runtime_word, RUNTIME_N, RUNTIME_NONE),
    };
}

bool statspast_number(const json_t *value, double scale, uint64_t *out) {
    double number = json_number_value(value) * scale + 0.5;

    if (json_is_integer(value) && scale == 1 && json_integer_value(value) >= 0) {
        *out = (uint64_t)json_integer_value(value);
        return true;
    }
    if (!json_is_number(value) || !(number >= 0 && number < 9e18))
        return false;
    *out = (uint64_t)number;
    return true;
}

void statspast_metric(const json_t *row, enum metric m, struct sample *s) {
    const struct metric_info *info = metric_info(m);
    const json_t *value = json_object_get(row, info->key);
    uint64_t number;

    s->have &= ~(UINT64_C(1) << m);
    if (info->unit == METRIC_FLAG && json_is_boolean(value))
        sample_set(s, m, json_is_true(value));
    else if (info->unit != METRIC_FLAG &&
             statspast_number(value, info->unit == METRIC_CENTIPCT ? 100 : 1, &number))
        sample_set(s, m, number);
}

static void read_sample(const json_t *row, int64_t at_ms, struct sample *s) {
    int64_t ts;

    *s = (struct sample){.at_ms = at_ms};
    if (when_parse(str_at(row, "ts"), at_ms, &ts) == 0)
        s->at_ms = ts;
    for (unsigned m = 0; m < METRIC_N; m++)
        statspast_metric(row, (enum metric)m, s);
    if (!sample_has(s, METRIC_OWN_LIMIT) && sample_has(s, METRIC_USAGE))
        sample_set(s, METRIC_OWN_LIMIT, SAMPLE_NONE);
}

static struct tick_limit limit_of(const json_t *row) {
    struct tick_limit limit = {.path = str_at(row, "limit_from"),
                               .certain = json_is_true(json_object_get(row, "limit_certain"))};

    limit.from = str_eq(limit.path, STR("host"))      ? LIMIT_HOST
                 : str_eq(limit.path, STR("outside")) ? LIMIT_OUTSIDE
                                                      : LIMIT_LEVEL;
    return limit;
}

static void read_row(const json_t *row, int64_t at_ms, struct past_row *out) {
    read_target(row, out);
    read_sample(row, at_ms, &out->sample);
    out->row = (struct stats_row){
        .limit = limit_of(row),
        .state = statspast_state(text_of(row, "state")),
        .v1 = str_eq(str_at(row, "version"), STR("v1")),
        .io_counted = true, /* nobody recorded whether: what is missing is unknown */
    };
    out->row.have_cpu = statspast_number(json_object_get(row, "cpu_pct"), 100, &out->row.cpu_centi);
    if (out->row.limit.from == LIMIT_HOST && sample_has(&out->sample, METRIC_LIMIT))
        out->row.host_memory = out->sample.value[METRIC_LIMIT];
}

static bool have_already(const struct statspast *p, const struct past_row *row) {
    for (size_t i = 0; i < p->n; i++)
        if (str_eq(p->row[i].target.path, row->target.path) &&
            str_eq(str_of(p->row[i].target.id), str_of(row->target.id)))
            return true;
    return false;
}

static int make_room(struct statspast *p, size_t more) {
    struct past_row *row;

    if (!p->answers)
        p->answers = json_array();
    if (!p->answers)
        return -ENOMEM;
    if (p->n + more <= p->room)
        return 0;
    row = reallocarray(p->row, p->n + more, sizeof(*row));
    if (!row)
        return -ENOMEM;
    p->row = row;
    p->room = p->n + more;
    return 0;
}

/* The agent has a row for the machine itself, which is no group. */
static bool is_machine(const struct past_row *row) {
    return row->target.kind == TARGET_GROUP && str_eq(row->target.path, STR("/")) &&
           strcmp(row->target.name, "host") == 0;
}

static bool is_wanted(const struct past_row *row, enum statspast_scope scope) {
    switch (scope) {
    case STATSPAST_CONTAINERS:
        return target_is_container(&row->target);
    case STATSPAST_ALL:
        return !is_machine(row);
    case STATSPAST_EVERY:
        break;
    }
    return true;
}

int statspast_add(struct statspast *p, json_t *answer, enum statspast_scope scope) {
    const json_t *list = json_object_get(answer, "targets");
    int64_t at_ms = json_integer_value(json_object_get(answer, "at_ms"));
    size_t before = p->n;
    int r;

    if (!json_is_array(list))
        return -EBADMSG;
    r = make_room(p, json_array_size(list));
    if (r < 0 || json_array_append(p->answers, answer) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct past_row *row = &p->row[p->n];

        if (!json_is_object(json_array_get(list, i)))
            return -EBADMSG;
        read_row(json_array_get(list, i), at_ms, row);
        if (is_wanted(row, scope) && (before == 0 || !have_already(p, row)))
            p->n++;
        else
            free(take_ptr(&row->labels));
    }
    return 0;
}

void statspast_done(struct statspast *p) {
    for (size_t i = 0; i < p->n; i++)
        free(p->row[i].labels);
    free(p->row);
    json_decref(p->answers);
    *p = (struct statspast){.row = NULL};
}

static int compare(const void *a, const void *b, void *ctx) {
    const struct past_row *x = a, *y = b;
    enum stats_sort key = *(const enum stats_sort *)ctx;
    uint64_t m, n;

    if (key == SORT_NAME)
        return stats_compare_names(&x->target, &y->target);
    m = key == SORT_CPU ? (x->row.have_cpu ? x->row.cpu_centi + 1 : 0)
                        : stats_sort_value(key, &x->sample);
    n = key == SORT_CPU ? (y->row.have_cpu ? y->row.cpu_centi + 1 : 0)
                        : stats_sort_value(key, &y->sample);
    return m != n ? (m < n ? 1 : -1) : stats_compare_names(&x->target, &y->target);
}

void statspast_sort(struct statspast *p, enum stats_sort key) {
    if (p->n > 1)
        qsort_r(p->row, p->n, sizeof(*p->row), compare, &key);
}

struct stats_row statspast_row(const void *ctx, size_t i) {
    struct past_row *past = &((const struct statspast *)ctx)->row[i];
    struct stats_row row = past->row;

    /* sorting has moved them */
    if (past->target.inside)
        past->target.inside = &past->inside;
    row.target = &past->target;
    row.sample = &past->sample;
    return row;
}
