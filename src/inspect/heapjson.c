/* heapjson.c - a report as one JSON document, and as tab-separated rows. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "inspect/heapprint.h"

static size_t shown(const struct heapprint *how, size_t n) {
    return how->top && n > how->top ? how->top : n;
}

static const struct profile *heap_of(const struct heapreport *r) {
    return r->is_diff ? r->heap_growth : r->after.heap;
}

static const struct profile *goroutines_of(const struct heapreport *r) {
    return r->is_diff ? r->goroutines_growth : r->after.goroutines;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void key_i64(struct json *j, const char *key, bool have, int64_t value) {
    json_key(j, key);
    if (have)
        json_i64(j, value);
    else
        json_unknown(j);
}

static int64_t clamp(uint64_t value) {
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

/* A figure: a number, or with a diff {before, after, growth}. */
static void json_figures(struct json *j, const struct heapreport *r) {
    const struct heapview *v = &r->after.view;

    json_key(j, "figures");
    json_begin_object(j);
    for (unsigned i = 0; i < v->figures; i++) {
        uint64_t before = 0;
        bool have = r->is_diff && heapview_value(&r->before.view, v->figure[i].key, &before);

        if (!r->is_diff) {
            json_key_u64(j, v->figure[i].key, v->figure[i].value);
            continue;
        }
        json_key(j, v->figure[i].key);
        json_begin_object(j);
        json_key_maybe(j, "before", have, before);
        json_key_u64(j, "after", v->figure[i].value);
        key_i64(j, "growth", have, clamp(v->figure[i].value) - clamp(before));
        json_end(j);
    }
    json_end(j);
}

static void json_row(struct json *j, const struct heapreport *r, const struct heaprow *row) {
    bool bytes = row->have_bytes, diff = r->is_diff;

    json_begin_object(j);
    json_key_str(j, "name", row->name);
    key_i64(j, "count", true, row->count);
    key_i64(j, "bytes", bytes, row->bytes);
    if (diff) {
        key_i64(j, "count_before", true, row->count_before);
        key_i64(j, "bytes_before", bytes, row->bytes_before);
        key_i64(j, "count_growth", true, heapreport_growth(row->count_before, row->count));
        key_i64(j, "bytes_growth", bytes, heapreport_growth(row->bytes_before, row->bytes));
    }
    json_end(j);
}

static void json_types(struct json *j, const struct heapprint *how, const struct heapreport *r) {
    json_key(j, "types");
    if (!r->after.tally) {
        json_unknown(j);
        return;
    }
    json_begin_array(j);
    for (size_t i = 0; i < shown(how, r->rows); i++)
        json_row(j, r, &r->row[i]);
    json_end(j);
}

static int json_top(struct json *j, const struct heapprint *how, const struct profile *p,
                    unsigned type) {
    auto_free struct profile_top *top = NULL;
    size_t n;
    int r = profile_top(p, type, &top, &n);

    if (r < 0)
        return r;
    json_begin_array(j);
    for (size_t i = 0; i < shown(how, n); i++) {
        json_begin_object(j);
        json_key_str(j, "function", top[i].function);
        json_key_maybe_str(j, "file", top[i].file);
        key_i64(j, "flat", true, top[i].flat);
        key_i64(j, "cum", true, top[i].cum);
        json_end(j);
    }
    json_end(j);
    return 0;
}

static int json_profile(struct json *j, const struct heapprint *how, const struct heapreport *r) {
    const struct profile *p = heap_of(r);
    int allocated, code;

    json_key(j, "profile");
    if (!p) {
        json_unknown(j);
        return 0;
    }
    json_begin_object(j);
    json_key(j, "types");
    json_begin_array(j);
    for (unsigned i = 0; i < profile_types(p); i++) {
        json_begin_object(j);
        json_key_str(j, "type", profile_type(p, i).type);
        json_key_str(j, "unit", profile_type(p, i).unit);
        key_i64(j, "total", true, profile_total(p, i));
        json_end(j);
    }
    json_end(j);
    json_key_str(j, "type", profile_type(p, profile_default(p)).type);
    json_key(j, "top");
    code = json_top(j, how, p, profile_default(p));
    allocated = profile_type_of(p, STR("alloc_space"));
    if (code == 0 && allocated >= 0) {
        json_key(j, "top_alloc");
        code = json_top(j, how, p, (unsigned)allocated);
    }
    if (code == 0)
        json_end(j);
    return code;
}

static int json_goroutines(struct json *j, const struct heapprint *how,
                           const struct heapreport *r) {
    const struct profile *p = goroutines_of(r);
    auto_free struct heapstack *rank = NULL;
    int code;

    json_key(j, "goroutines");
    if (!p) {
        json_unknown(j);
        return 0;
    }
    code = heapreport_stacks(p, 0, &rank);
    if (code < 0)
        return code;
    json_begin_array(j);
    for (size_t i = 0; i < shown(how, profile_samples(p)); i++) {
        struct profile_sample s = profile_sample(p, rank[i].sample);

        json_begin_object(j);
        key_i64(j, r->is_diff ? "growth" : "count", true, s.value[0]);
        json_key(j, "stack");
        json_begin_array(j);
        for (size_t f = 0; f < s.frames; f++)
            json_str(j, profile_frame(p, s.frame[f]).function);
        json_end(j);
        json_end(j);
    }
    json_end(j);
    return 0;
}

static void json_subject(struct json *j, const struct heapreport *r) {
    const struct heaplook *before = r->is_diff ? &r->before : NULL;

    json_key(j, "ts");
    json_time_ms(j, clock_wall_ms());
    key_i64(j, "pid", r->pid > 0, r->pid);
    json_key_maybe_str(j, "command", buf_str(&r->command));
    json_key_maybe_str(j, "runtime", buf_str(&r->runtime));
    json_key_maybe_str(j, "file", str_of(r->after.file));
    json_key_maybe(j, "rss", r->after.have_rss, r->after.rss);
    if (!before)
        return;
    json_key_maybe_str(j, "file_before", str_of(before->file));
    json_key_maybe(j, "rss_before", before->have_rss, before->rss);
    key_i64(j, "rss_growth", before->have_rss && r->after.have_rss,
            clamp(r->after.rss) - clamp(before->rss));
    key_i64(j, "diff_ms", r->passed_ms > 0, r->passed_ms);
}

int heapprint_json(const struct heapprint *how, const struct heapreport *r, struct buf *out) {
    struct json j;
    int code;

    json_start(&j, out);
    json_begin_object(&j);
    json_subject(&j, r);
    json_figures(&j, r);
    json_key(&j, "notes");
    json_begin_array(&j);
    for (unsigned i = 0; i < r->after.view.notes; i++)
        json_str(&j, str_of(r->after.view.note[i]));
    json_end(&j);
    json_key_maybe_str(&j, "types_are", str_of(r->after.view.types_are));
    json_key_maybe_str(&j, "types_how", str_of(r->after.view.types_how));
    json_types(&j, how, r);
    code = json_profile(&j, how, r);
    if (code == 0)
        code = json_goroutines(&j, how, r);
    if (code < 0)
        return code;
    json_end(&j);
    buf_add_char(out, '\n');
    return buf_error(out);
}

/* --- tab-separated: what a row is stands first -------------------------------------------------
 */

static void tab_i64(struct buf *out, bool have, int64_t value) {
    if (have)
        buf_add_format(out, "\t%lld", (long long)value);
    else
        buf_add(out, STR("\t-"));
}

static void end_name(struct buf *out, struct str name) {
    buf_add_char(out, '\t');
    text_add_visible(out, name, false);
    buf_add_char(out, '\n');
}

static void plain_figures(const struct heapreport *r, struct buf *out) {
    const struct heapview *v = &r->after.view;

    for (unsigned i = 0; i < v->figures; i++) {
        uint64_t before = 0;
        bool have = r->is_diff && heapview_value(&r->before.view, v->figure[i].key, &before);

        buf_add(out, STR("figure\t"));
        buf_add_u64(out, v->figure[i].value);
        if (r->is_diff)
            tab_i64(out, have, clamp(v->figure[i].value) - clamp(before));
        end_name(out, str_of(v->figure[i].key));
    }
    for (unsigned i = 0; i < v->notes; i++) {
        buf_add(out, STR("note"));
        end_name(out, str_of(v->note[i]));
    }
}

static void plain_types(const struct heapprint *how, const struct heapreport *r, struct buf *out) {
    for (size_t i = 0; i < shown(how, r->rows); i++) {
        const struct heaprow *row = &r->row[i];

        buf_add(out, STR("type"));
        tab_i64(out, row->have_bytes, row->bytes);
        tab_i64(out, true, row->count);
        if (r->is_diff) {
            tab_i64(out, row->have_bytes, heapreport_growth(row->bytes_before, row->bytes));
            tab_i64(out, true, heapreport_growth(row->count_before, row->count));
        }
        end_name(out, row->name);
    }
}

static int plain_functions(const struct heapprint *how, const struct profile *p, unsigned type,
                           struct buf *out) {
    auto_free struct profile_top *top = NULL;
    size_t n;
    int r = profile_top(p, type, &top, &n);

    for (size_t i = 0; r == 0 && i < shown(how, n); i++) {
        text_add_visible(out, profile_type(p, type).type, false);
        tab_i64(out, true, top[i].flat);
        tab_i64(out, true, top[i].cum);
        end_name(out, top[i].function);
    }
    return r;
}

static int plain_goroutines(const struct heapprint *how, const struct profile *p, struct buf *out) {
    auto_free struct heapstack *rank = NULL;
    int r = heapreport_stacks(p, 0, &rank);

    for (size_t i = 0; r == 0 && i < shown(how, profile_samples(p)); i++) {
        struct profile_sample s = profile_sample(p, rank[i].sample);

        buf_add(out, STR("goroutines"));
        tab_i64(out, true, s.value[0]);
        buf_add_char(out, '\t');
        for (size_t f = 0; f < s.frames; f++) {
            text_add_visible(out, profile_frame(p, s.frame[f]).function, false);
            buf_add_char(out, f + 1 < s.frames ? ';' : '\n');
        }
        if (s.frames == 0)
            buf_add_char(out, '\n');
    }
    return r;
}

int heapprint_plain(const struct heapprint *how, const struct heapreport *r, struct buf *out) {
    const struct profile *p = heap_of(r);
    int code = 0, allocated;

    plain_figures(r, out);
    plain_types(how, r, out);
    if (p) {
        code = plain_functions(how, p, profile_default(p), out);
        allocated = profile_type_of(p, STR("alloc_space"));
        if (code == 0 && allocated >= 0 && (unsigned)allocated != profile_default(p))
            code = plain_functions(how, p, (unsigned)allocated, out);
    }
    if (code == 0 && goroutines_of(r))
        code = plain_goroutines(how, goroutines_of(r), out);
    return code < 0 ? code : buf_error(out);
}
