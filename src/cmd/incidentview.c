#include "cmd/incidentview.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/table.h"
#include "base/text.h"

enum { TABLE_MAX = 64 << 20, BLOCKS = 40, ROWS = 10 };

static void add_time(struct buf *out, int64_t us) {
    if (us < 1000)
        buf_add_format(out, "%" PRId64 "us", us);
    else if (us < 1000000)
        buf_add_format(out, "%" PRId64 "ms", us / 1000);
    else if (us < 120 * INT64_C(1000000))
        buf_add_format(out, "%" PRId64 ".%" PRId64 "s", us / 1000000, us % 1000000 / 100000);
    else
        buf_add_format(out, "%" PRId64 "m%02" PRId64 "s", us / 60000000, us / 1000000 % 60);
}

static const struct audit *end_of(const struct incident *i) {
    return i->last ? &i->last->a : &i->first->a;
}

/* Used bytes before and after: of a kill what its victim had. */
static bool bytes_before(const struct incident *i, uint64_t *out) {
    const struct audit *a = end_of(i)->have_before ? end_of(i) : &i->first->a;

    if (a->have_before)
        *out = a->before;
    else if (facts_has(&i->first->a.facts, FACT_USED))
        *out = i->first->a.facts.value[FACT_USED];
    return a->have_before || facts_has(&i->first->a.facts, FACT_USED);
}

static bool bytes_after(const struct incident *i, uint64_t *out) {
    const struct audit *a = end_of(i);
    bool of_hang =
        i->last && i->last != i->first && a->kind == AUDIT_HANG && facts_has(&a->facts, FACT_USED);

    if (of_hang)
        *out = a->facts.value[FACT_USED];
    else if (a->have_after && !i->first->oom)
        *out = a->after;
    return of_hang || (a->have_after && !i->first->oom);
}

/* --- a table ---------------------------------------------------------------------------------- */

static void add_bytes(struct table *t, const struct incidentview *v, bool have, uint64_t bytes) {
    if (!have) {
        table_unknown(t);
        return;
    }
    if (v->plain)
        buf_add_u64(table_cell(t), bytes);
    else
        num_add_iec(table_cell(t), bytes);
    table_next(t);
}

/* What was not done, and what is not over, is to be seen. */
static enum table_mark mark_of(const struct incident *i) {
    enum outcome outcome = i->last ? i->last->a.report.outcome : OUTCOME_NONE;

    if (i->first->oom || !i->last)
        return TABLE_BAD;
    if (i->first->a.kind == AUDIT_BEGIN || i->first->a.kind == AUDIT_END)
        return outcome == OUTCOME_FAILED || outcome == OUTCOME_REFUSED ? TABLE_WARN
                                                                       : TABLE_UNMARKED;
    return i->first->a.kind == AUDIT_HANG ? TABLE_WARN : TABLE_UNMARKED;
}

static void add_name(struct buf *out, const struct incidentview *v, const struct audit *a) {
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a story has a record */
    const char *name = a->name[0] ? a->name : a->path;

    if (name[0] == '\0')
        buf_add_char(out, '-');
    text_add_visible(out, str_of(name), v->ascii);
}

static void add_row(struct table *t, const struct incidentview *v, const struct incident *i) {
    const struct audit *a = &i->first->a;
    uint64_t before = 0, after = 0;
    int64_t us;
    bool have;

    clock_add_rfc3339(table_cell(t), a->at_ms);
    table_next(t);
    add_name(table_cell(t), v, a);
    table_next(t);
    buf_add(table_cell(t), str_of(incident_kind(i)));
    table_next(t);
    incident_add_what(table_cell(t), i);
    table_next(t);
    incident_add_done(table_cell(t), i);
    table_mark(t, mark_of(i));
    table_next(t);
    have = bytes_before(i, &before);
    add_bytes(t, v, have, before);
    have = bytes_after(i, &after);
    add_bytes(t, v, have, after);
    if (incident_took_us(i, &us)) {
        add_time(table_cell(t), us);
        table_next(t);
    } else {
        table_unknown(t);
    }
    text_add_visible(table_cell(t), str_of(a->id), v->ascii);
    table_next(t);
}

int incidentview_table(const struct incidentview *v, const struct incident *i, size_t n,
                       struct buf *out) {
    static const struct table_column columns[] = {
        {"TIME", TABLE_LEFT, 0, TABLE_WHOLE},   {"TARGET", TABLE_LEFT, 0, TABLE_CUT_PATH},
        {"KIND", TABLE_LEFT, 3, TABLE_WHOLE},   {"WHAT", TABLE_LEFT, 0, TABLE_CUT_END},
        {"DONE", TABLE_LEFT, 0, TABLE_CUT_END}, {"BEFORE", TABLE_RIGHT, 1, TABLE_WHOLE},
        {"AFTER", TABLE_RIGHT, 1, TABLE_WHOLE}, {"TOOK", TABLE_RIGHT, 2, TABLE_WHOLE},
        {"ID", TABLE_LEFT, 4, TABLE_WHOLE},
    };
    const struct table_layout layout = {
        .plain = v->plain, .head = true, .width = v->width, .colour = v->colour};
    struct table t;
    int r;

    table_init(&t, columns, ARRAY_N(columns), TABLE_MAX);
    for (size_t k = 0; k < n; k++)
        add_row(&t, v, &i[k]);
    r = table_print(&t, &layout, out);
    table_done(&t);
    return r;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void key_words(struct json *j, const char *key, const struct incident *i,
                      void (*add)(struct buf *out, const struct incident *i)) {
    struct buf words;

    buf_init(&words, 1 << 16);
    add(&words, i);
    json_key_maybe_str(j, key, str_eq(buf_str(&words), STR("-")) ? STR("") : buf_str(&words));
    buf_done(&words);
}

static const char *outcome_of(const struct incident *i) {
    if (i->first->oom || i->first->a.kind == AUDIT_MARK)
        return "";
    if (i->first->a.kind == AUDIT_HANG)
        return i->last ? "over" : "";
    return i->last ? outcome_name(i->last->a.report.outcome) : "";
}

static void add_incident(struct json *j, const struct incident *i) {
    const struct audit *a = &i->first->a, *b = end_of(i);
    uint64_t before = 0, after = 0;
    bool have_before = bytes_before(i, &before), have_after = bytes_after(i, &after);
    int64_t us = 0;
    bool timed = incident_took_us(i, &us);

    json_begin_object(j);
    json_key_str(j, "id", str_of(a->id));
    json_key(j, "at_ms");
    json_i64(j, a->at_ms);
    json_key(j, "ts");
    json_time_ms(j, a->at_ms);
    json_key_str(j, "kind", str_of(incident_kind(i)));
    json_key_maybe_str(j, "name", str_of(a->name));
    json_key_maybe_str(j, "target", str_of(a->path));
    json_key_maybe_str(j, "by", str_of(a->by));
    json_key_maybe_str(j, "guard", str_of(a->guard));
    json_key(j, "dry_run");
    json_bool(j, a->dry_run);
    key_words(j, "what", i, incident_add_what);
    key_words(j, "done", i, incident_add_done);
    json_key_maybe_str(j, "outcome", str_of(outcome_of(i)));
    json_key_maybe_str(j, "text", str_of(b->report.text));
    json_key_maybe_str(j, "next", str_of(b->report.next));
    json_key_maybe_str(j, "file", str_of(b->report.file));
    json_key_maybe(j, "pid", b->report.pid > 0, (uint64_t)b->report.pid);
    json_key_maybe(j, "kills", i->first->oom, i->first->kills);
    json_key_maybe(j, "before", have_before, before);
    json_key_maybe(j, "after", have_after, after);
    json_key(j, "freed");
    if (have_before && have_after)
        json_i64(j, (int64_t)(before - after));
    else
        json_unknown(j);
    json_key_centi(j, "took_ms", timed, (uint64_t)us / 10);
    json_end(j);
}

static void add_sources(struct json *j, const struct incidentview *v,
                        const struct incidentlist *l) {
    json_key_maybe_str(j, "file", v->file ? str_of(v->file) : STR(""));
    json_key(j, "agent");
    json_bool(j, v->agent);
    json_key_u64(j, "damaged_lines", l->damaged);
    json_key(j, "cut");
    json_bool(j, l->cut);
}

int incidentview_json(const struct incidentview *v, const struct incidentlist *l,
                      const struct incident *i, size_t n, struct buf *out) {
    struct json j;

    json_start(&j, out);
    json_begin_object(&j);
    json_key(&j, "incidents");
    json_begin_array(&j);
    for (size_t k = 0; k < n; k++)
        add_incident(&j, &i[k]);
    json_end(&j);
    add_sources(&j, v, l);
    json_end(&j);
    buf_add_char(out, '\n');
    return buf_error(out);
}

static void add_record(struct json *j, const struct incident_record *r) {
    const struct incident kill = {r, r};

    if (r->oom) {
        add_incident(j, &kill);
        return;
    }
    json_begin_object(j);
    json_key_str(j, "kind", str_of(audit_kind_name(r->a.kind)));
    audit_add_members(j, &r->a, NULL);
    json_end(j);
}

void incidentview_record(const struct incidentview *v, const struct incident_record *r,
                         struct buf *out) {
    struct json j;

    if (v->json) {
        json_start(&j, out);
        add_record(&j, r);
        buf_add_char(out, '\n');
        return;
    }
    clock_add_rfc3339(out, r->a.at_ms);
    buf_add(out, v->plain ? STR("\t") : STR("  "));
    add_name(out, v, &r->a);
    buf_add(out, v->plain ? STR("\t") : STR("  "));
    incident_add_line(out, r);
    buf_add_char(out, '\n');
}

/* --- a story ---------------------------------------------------------------------------------- */

struct story {
    const struct incident_record *first, *last;
    char next[REPORT_NEXT];
    bool hung;
};

static struct story look(const struct incidentview_story *s) {
    struct story x = {.first = NULL};

    for (size_t i = 0; i < s->list->n; i++) {
        const struct incident_record *r = &s->list->record[i];

        if (!s->in[i])
            continue;
        x.first = x.first ? x.first : r;
        x.last = r;
        if (!r->oom && r->a.kind == AUDIT_HANG)
            x.hung = r->a.up;
        if (r->a.report.next[0])
            memcpy(x.next, r->a.report.next, sizeof(x.next));
    }
    return x;
}

static bool point_at(const json_t *points, size_t i, int64_t *ms, uint64_t *used) {
    const json_t *p = json_array_get(points, i);
    const json_t *value = json_array_get(p, json_array_size(p) > 3 ? 3 : 1);

    *ms = json_integer_value(json_array_get(p, 0));
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *used = (uint64_t)json_integer_value(value);
    return true;
}

/* The greatest value of the points in each of `parts` equal shares of them. */
static bool most_in(const json_t *points, size_t part, size_t parts, int64_t *ms, uint64_t *out) {
    size_t n = json_array_size(points);
    bool any = false;

    for (size_t i = part * n / parts; i < (part + 1) * n / parts; i++) {
        uint64_t used;
        int64_t at_ms;

        if (!point_at(points, i, &at_ms, &used))
            continue;
        *out = any && *out > used ? *out : used;
        *ms = any ? *ms : at_ms;
        any = true;
    }
    return any;
}

static void add_blocks(struct buf *out, const json_t *points, uint64_t top) {
    size_t n = json_array_size(points), columns = n < BLOCKS ? n : BLOCKS;

    for (size_t c = 0; c < columns; c++) {
        uint64_t used;
        int64_t ms;

        if (!most_in(points, c, columns, &ms, &used)) {
            buf_add_char(out, ' ');
            continue;
        }
        buf_add_format(out, "\xe2\x96%c", (char)(0x81 + (top > 0 ? used * 7 / top : 0)));
    }
}

static void add_minutes(struct buf *out, const json_t *points) {
    size_t n = json_array_size(points), rows = n < ROWS ? n : ROWS;

    for (size_t i = 0; i < rows; i++) {
        uint64_t used;
        int64_t ms;

        if (!most_in(points, i, rows, &ms, &used))
            continue;
        buf_add(out, STR("  "));
        clock_add_rfc3339(out, ms);
        buf_add(out, STR("  "));
        num_add_iec(out, used);
        buf_add_char(out, '\n');
    }
}

/* Used in the minutes before and during it. */
static void add_history(const struct incidentview *v, const struct incidentview_story *s,
                        struct buf *out) {
    uint64_t least = UINT64_MAX, most = 0;
    size_t n = json_array_size(s->points);

    for (size_t i = 0; i < n; i++) {
        uint64_t used;
        int64_t ms;

        if (!point_at(s->points, i, &ms, &used))
            continue;
        least = used < least ? used : least;
        most = used > most ? used : most;
    }
    buf_add(out, STR("\nUsed in the minutes before and during it"));
    if (least == UINT64_MAX) {
        buf_add(out, s->points ? STR(": nothing was recorded\n")
                               : STR(": no agent that would know it\n"));
        return;
    }
    buf_add(out, STR(": least "));
    num_add_iec(out, least);
    buf_add(out, STR(", most "));
    num_add_iec(out, most);
    buf_add_char(out, '\n');
    if (v->ascii || v->plain || v->width == 0) {
        add_minutes(out, s->points);
        return;
    }
    buf_add(out, STR("  "));
    add_blocks(out, s->points, most);
    buf_add_char(out, '\n');
}

static void add_next(const struct incidentview *v, const struct story *x, struct buf *out) {
    struct buf name;

    buf_init(&name, 4096);
    add_name(&name, v, &x->first->a);
    buf_add(out, STR("\nNext: "));
    if (x->next[0])
        text_add_visible(out, str_of(x->next), v->ascii);
    else if (x->hung)
        buf_add_format(out, "plimsoll rescue %.*s", STR_ARG(buf_str(&name)));
    else {
        buf_add(out, STR("plimsoll top --at "));
        clock_add_rfc3339(out, x->first->a.at_ms);
        buf_add(out, STR(" shows what was there then"));
    }
    buf_add_char(out, '\n');
    buf_done(&name);
}

static void add_span(const struct story *x, bool over, struct buf *out) {
    clock_add_rfc3339(out, x->first->a.at_ms);
    if (!over) {
        buf_add(out, STR(", and it is not over as far as is known\n"));
        return;
    }
    if (x->last != x->first) {
        buf_add(out, STR(" to "));
        clock_add_rfc3339(out, x->last->a.at_ms);
        buf_add(out, STR(" ("));
        add_time(out, (x->last->a.at_ms - x->first->a.at_ms) * 1000);
        buf_add_char(out, ')');
    }
    buf_add_char(out, '\n');
}

static void print_text(const struct incidentview *v, const struct incidentview_story *s,
                       const struct story *x, struct buf *out) {
    bool dumps = false;

    add_name(out, v, &x->first->a);
    buf_add(out, STR("  "));
    text_add_visible(out, str_of(x->first->a.path), v->ascii);
    buf_add_char(out, '\n');
    add_span(x, s->over, out);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < s->list->n; i++) {
        const struct incident_record *r = &s->list->record[i];

        if (!s->in[i])
            continue;
        buf_add(out, str_eq(s->id, str_of(r->a.id)) ? STR("> ") : STR("  "));
        clock_add_rfc3339(out, r->a.at_ms);
        buf_add(out, STR("  "));
        incident_add_line(out, r);
        buf_add_char(out, '\n');
    }
    add_history(v, s, out);
    for (size_t i = 0; i < s->list->n; i++) {
        const struct action_report *r = &s->list->record[i].a.report;

        if (!s->in[i] || !r->file[0])
            continue;
        buf_add(out, dumps ? STR("  ") : STR("\nWritten down:\n  "));
        text_add_visible(out, str_of(r->file), v->ascii);
        buf_add_char(out, '\n');
        dumps = true;
    }
    add_next(v, x, out);
}

static void print_json(const struct incidentview *v, const struct incidentview_story *s,
                       const struct story *x, struct buf *out) {
    struct json j;

    json_start(&j, out);
    json_begin_object(&j);
    json_key_str(&j, "id", s->id);
    json_key_maybe_str(&j, "name", str_of(x->first->a.name));
    json_key_maybe_str(&j, "target", str_of(x->first->a.path));
    json_key(&j, "from_ms");
    json_i64(&j, x->first->a.at_ms); /* NOLINT(clang-analyzer-core.NullDereference) */
    json_key(&j, "to_ms");
    if (s->over)
        json_i64(&j, x->last->a.at_ms);
    else
        json_unknown(&j);
    json_key(&j, "records");
    json_begin_array(&j);
    for (size_t i = 0; i < s->list->n; i++)
        if (s->in[i])
            add_record(&j, &s->list->record[i]);
    json_end(&j);
    json_key(&j, "used");
    if (s->points) {
        json_begin_array(&j);
        for (size_t i = 0; i < json_array_size(s->points); i++) {
            uint64_t used;
            int64_t ms;

            if (!point_at(s->points, i, &ms, &used))
                continue;
            json_begin_array(&j);
            json_i64(&j, ms);
            json_u64(&j, used);
            json_end(&j);
        }
        json_end(&j);
    } else {
        json_unknown(&j);
    }
    add_sources(&j, v, s->list);
    json_end(&j);
    buf_add_char(out, '\n');
}

int incidentview_story(const struct incidentview *v, const struct incidentview_story *s,
                       struct buf *out) {
    const struct story x = look(s);

    if (v->json)
        print_json(v, s, &x, out);
    else
        print_text(v, s, &x, out);
    return buf_error(out);
}
