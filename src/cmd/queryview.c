#include "cmd/queryview.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/table.h"
#include "base/text.h"
#include "model/metric.h"

enum { GRAPH_COLUMNS = 24, TABLE_MAX = 256 << 20 };

void queryview_expression(struct str typed, struct buf *out) {
    struct str rest = str_trim(typed), name = rest;
    ptrdiff_t brace = str_find(rest, '{');

    if (brace >= 0)
        name = str_trim(str_head(rest, (size_t)brace));
    for (unsigned m = 0; m < METRIC_N; m++)
        if (str_eq(name, str_of(metric_info(m)->key))) {
            metric_add_exported(out, m);
            if (brace >= 0)
                buf_add(out, str_from(rest, (size_t)brace));
            return;
        }
    buf_add(out, rest);
}

/* A point of an answer: [seconds, "value"]. */
struct point {
    int64_t at_ms;
    double value; /* may be NaN */
    const char *text;
};

static bool read_point(const json_t *pair, struct point *out) {
    const json_t *at = json_array_get(pair, 0);
    const char *text = json_string_value(json_array_get(pair, 1));
    char *end;

    if (!json_is_number(at) || !text || !*text)
        return false;
    out->at_ms = (int64_t)(json_number_value(at) * 1000 + 0.5);
    out->text = text;
    out->value = strtod(text, &end);
    return *end == '\0';
}

/* One series: its points, of which an instant has one. */
struct series {
    const json_t *labels, *points;
    size_t n;
    struct point last;
    double least, most; /* of finite values */
    bool finite;
};

static const json_t *points_of(const json_t *item, bool range) {
    return json_object_get(item, range ? "values" : "value");
}

static bool read_series(const json_t *item, bool range, struct series *s) {
    struct point p;

    *s = (struct series){.labels = json_object_get(item, "metric"),
                         .points = points_of(item, range)};
    if (!json_is_object(s->labels) || !json_is_array(s->points))
        return false;
    s->n = range ? json_array_size(s->points) : 1;
    for (size_t i = 0; i < s->n; i++) {
        if (!read_point(range ? json_array_get(s->points, i) : s->points, &p))
            return false;
        s->last = p;
        if (!isfinite(p.value))
            continue;
        s->least = s->finite && s->least < p.value ? s->least : p.value;
        s->most = s->finite && s->most > p.value ? s->most : p.value;
        s->finite = true;
    }
    return s->n > 0;
}

static struct point point_at(const struct series *s, bool range, size_t i) {
    struct point p = s->last;

    (void)read_point(range ? json_array_get(s->points, i) : s->points, &p);
    return p;
}

static struct str label(const struct series *s, const char *name) {
    const json_t *value = json_object_get(s->labels, name);

    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : STR("");
}

/* --- words ------------------------------------------------------------------------------------ */

static bool is_bytes(const struct series *s) {
    return str_ends(label(s, "__name__"), STR("_bytes"));
}

static void add_value(struct buf *b, const struct queryview *v, bool bytes, struct point p) {
    if (bytes && !v->plain && p.value >= 0 && p.value < 1e19)
        num_add_iec(b, (uint64_t)p.value);
    else
        text_add_visible(b, str_of(p.text), v->ascii);
}

/* A bound of a series: formatted as its values are. */
static void add_bound(struct buf *b, const struct queryview *v, const struct series *s,
                      double value) {
    char text[40];

    snprintf(text, sizeof(text), "%.15g", value);
    add_value(b, v, is_bytes(s), (struct point){.value = value, .text = text});
}

/* What has a column of its own, or says nothing that the name does not. */
static bool is_shown_apart(const char *key) {
    static const char *const apart[] = {"__name__", "name", "id"};

    for (size_t i = 0; i < ARRAY_N(apart); i++)
        if (strcmp(key, apart[i]) == 0)
            return true;
    return false;
}

static void add_labels(struct buf *b, const struct queryview *v, const struct series *s) {
    const char *key;
    const json_t *value;
    size_t n = 0;

    for (void *at = json_object_iter((json_t *)(uintptr_t)s->labels); at;
         at = json_object_iter_next((json_t *)(uintptr_t)s->labels, at)) {
        key = json_object_iter_key(at);
        value = json_object_iter_value(at);
        if (is_shown_apart(key) || !json_is_string(value) || json_string_length(value) == 0)
            continue;
        buf_add(b, n++ ? STR(", ") : STR(""));
        text_add_visible(b, str_of(key), v->ascii);
        buf_add_char(b, '=');
        text_add_visible(b, (struct str){json_string_value(value), json_string_length(value)},
                         v->ascii);
    }
    if (n == 0)
        buf_add_char(b, '-');
}

static void add_text(struct buf *b, const struct queryview *v, struct str s) {
    if (s.n == 0)
        buf_add_char(b, '-');
    else
        text_add_visible(b, s, v->ascii);
}

/* Blocks from the least to the greatest value; each column shows the greatest of its points. */
static void add_graph(struct buf *b, const struct series *s) {
    size_t columns = s->n < GRAPH_COLUMNS ? s->n : GRAPH_COLUMNS;
    double span = s->most - s->least;

    for (size_t c = 0; c < columns; c++) {
        double most = NAN;
        unsigned level = 0;

        for (size_t i = c * s->n / columns; i < (c + 1) * s->n / columns; i++) {
            struct point p = point_at(s, true, i);

            if (isfinite(p.value) && !(most >= p.value))
                most = p.value;
        }
        if (isnan(most)) {
            buf_add_char(b, ' ');
            continue;
        }
        if (span > 0)
            level = (unsigned)((most - s->least) / span * 7 + 0.5);
        buf_add_format(b, "\xe2\x96%c", (char)(0x81 + level)); /* U+2581 to U+2588 */
    }
}

/* --- tables ----------------------------------------------------------------------------------- */

enum column { NAME, METRIC_NAME, LABELS, LAST, LEAST, MOST, POINTS, GRAPH, COLUMNS };

static void add_cells(struct table *t, const struct queryview *v, const struct series *s,
                      size_t columns) {
    add_text(table_cell(t), v, label(s, "name").n ? label(s, "name") : label(s, "id"));
    table_next(t);
    add_text(table_cell(t), v, label(s, "__name__"));
    table_next(t);
    add_labels(table_cell(t), v, s);
    table_next(t);
    add_value(table_cell(t), v, is_bytes(s), s->last);
    table_next(t);
    if (columns <= LEAST)
        return;
    if (s->finite)
        add_bound(table_cell(t), v, s, s->least);
    table_next(t);
    if (s->finite)
        add_bound(table_cell(t), v, s, s->most);
    table_next(t);
    buf_add_u64(table_cell(t), s->n);
    table_next(t);
    if (columns <= GRAPH)
        return;
    add_graph(table_cell(t), s);
    table_next(t);
}

static int print_table(const struct queryview *v, const struct series *s, size_t n, bool range,
                       struct buf *out) {
    static const struct table_column head[2][COLUMNS] = {
        {{"NAME", TABLE_LEFT, 0, TABLE_CUT_PATH},
         {"METRIC", TABLE_LEFT, 2, TABLE_CUT_END},
         {"LABELS", TABLE_LEFT, 3, TABLE_CUT_END},
         {"VALUE", TABLE_RIGHT, 0, TABLE_WHOLE}},
        {{"NAME", TABLE_LEFT, 0, TABLE_CUT_PATH},
         {"METRIC", TABLE_LEFT, 4, TABLE_CUT_END},
         {"LABELS", TABLE_LEFT, 5, TABLE_CUT_END},
         {"LAST", TABLE_RIGHT, 0, TABLE_WHOLE},
         {"MIN", TABLE_RIGHT, 2, TABLE_WHOLE},
         {"MAX", TABLE_RIGHT, 2, TABLE_WHOLE},
         {"POINTS", TABLE_RIGHT, 3, TABLE_WHOLE},
         {"GRAPH", TABLE_LEFT, 1, TABLE_WHOLE}},
    };
    struct table_layout layout = {.plain = v->plain, .head = true, .width = v->width};
    size_t columns = !range ? LEAST : v->graph ? COLUMNS : GRAPH;
    struct table t;
    int r;

    table_init(&t, head[range], columns, TABLE_MAX);
    for (size_t i = 0; i < n; i++)
        add_cells(&t, v, &s[i], columns);
    r = table_print(&t, &layout, out);
    table_done(&t);
    return r;
}

/* name TIME VALUE, a line a point. */
static int print_points(const struct queryview *v, const struct series *s, size_t n,
                        struct buf *out) {
    static const struct table_column head[] = {{"NAME", TABLE_LEFT, 0, TABLE_CUT_PATH},
                                               {"METRIC", TABLE_LEFT, 2, TABLE_CUT_END},
                                               {"LABELS", TABLE_LEFT, 3, TABLE_CUT_END},
                                               {"TIME", TABLE_LEFT, 0, TABLE_WHOLE},
                                               {"VALUE", TABLE_RIGHT, 0, TABLE_WHOLE}};
    struct table_layout layout = {.plain = v->plain, .head = true, .width = v->width};
    struct table t;
    int r;

    table_init(&t, head, ARRAY_N(head), TABLE_MAX);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < s[i].n; k++) {
            struct point p = point_at(&s[i], true, k);

            add_text(table_cell(&t), v,
                     label(&s[i], "name").n ? label(&s[i], "name") : label(&s[i], "id"));
            table_next(&t);
            add_text(table_cell(&t), v, label(&s[i], "__name__"));
            table_next(&t);
            add_labels(table_cell(&t), v, &s[i]);
            table_next(&t);
            clock_add_rfc3339(table_cell(&t), p.at_ms);
            table_next(&t);
            add_value(table_cell(&t), v, is_bytes(&s[i]), p);
            table_next(&t);
        }
    r = table_print(&t, &layout, out);
    table_done(&t);
    return r;
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* JSON has no NaN. */
static json_t *json_of(struct point p) {
    if (!isfinite(p.value))
        return json_null();
    if (p.value > -9e15 && p.value < 9e15 && p.value == (double)(int64_t)p.value)
        return json_integer((json_int_t)p.value);
    return json_real(p.value);
}

static json_t *object_of(const struct series *s, bool range) {
    json_t *labels = json_deep_copy(s->labels), *points;

    if (!range)
        return json_pack("{s:o, s:I, s:o}", "metric", labels, "at_ms", (json_int_t)s->last.at_ms,
                         "value", json_of(s->last));
    points = json_array();
    for (size_t i = 0; i < s->n; i++) {
        struct point p = point_at(s, true, i);

        if (json_array_append_new(points, json_pack("[I, o]", (json_int_t)p.at_ms, json_of(p))) < 0)
            break;
    }
    return json_pack("{s:o, s:o}", "metric", labels, "points", points);
}

static int print_json(const struct series *s, size_t n, bool range, struct buf *out) {
    for (size_t i = 0; i < n; i++) {
        json_t *object = object_of(&s[i], range);
        auto_free char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

        json_decref(object);
        if (!text)
            return -ENOMEM;
        buf_add(out, str_of(text));
        buf_add_char(out, '\n');
    }
    return buf_error(out);
}

/* --- all of it -------------------------------------------------------------------------------- */

static int print(const struct queryview *v, const struct series *s, size_t n, bool range,
                 struct buf *out) {
    int r;

    if (v->json)
        return print_json(s, n, range, out);
    if (range && v->plain)
        return print_points(v, s, n, out);
    r = print_table(v, s, n, range, out);
    if (r == 0 && range && v->points) {
        buf_add_char(out, '\n');
        r = print_points(v, s, n, out);
    }
    return r;
}

int queryview_print(const struct queryview *v, const json_t *answer, struct buf *out, size_t *n_out,
                    struct err *err) {
    const json_t *data = json_object_get(answer, "data"), *list = json_object_get(data, "result");
    const char *type = json_string_value(json_object_get(data, "resultType"));
    bool range = type && strcmp(type, "matrix") == 0;
    size_t n = json_array_size(list), taken = 0;
    auto_free struct series *s = calloc(n + 1, sizeof(*s));
    int r;

    if (!s)
        return err_set(err, -ENOMEM, "out of memory");
    if (!json_is_array(list) || !type || (!range && strcmp(type, "vector") != 0))
        return err_set(err, -EBADMSG, "the agent's answer is not one to a query");
    for (size_t i = 0; i < n; i++) {
        if (!read_series(json_array_get(list, i), range, &s[taken]))
            return err_set(err, -EBADMSG, "the agent's answer has a series without points");
        taken++;
    }
    r = print(v, s, taken, range, out);
    if (r < 0)
        return err_set(err, r, "cannot print the answer:");
    *n_out = taken;
    return 0;
}
