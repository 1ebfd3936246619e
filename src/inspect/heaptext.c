/* heaptext.c - a report for people: who it is, figures, sentences, then what there is most of. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/table.h"
#include "base/text.h"
#include "inspect/heapprint.h"

enum {
    TABLE_MAX = 128 << 20,
    STACKS = 8, /* that are shown whole, of goroutines and of Node */
    FRAMES = 6, /* of each */
    AMOUNT = 7, /* columns */
    NAME = 160, /* columns of a name; JSON has it whole */
};

struct printer {
    const struct heapprint *how;
    const struct heapreport *r;
    struct buf *out;
    int error;
};

static bool ascii(const struct printer *p) {
    return p->how->context->terminal && !p->how->context->utf8;
}

static void visible(const struct printer *p, struct buf *out, struct str text) {
    text_add_visible(out, text, ascii(p));
}

static void visible_name(const struct printer *p, struct buf *out, struct str name) {
    struct str head = text_head(name, NAME);

    visible(p, out, head);
    if (head.n < name.n)
        buf_add(out, STR("..."));
}

/* --- numbers ---------------------------------------------------------------------------------- */

static uint64_t size_of(int64_t value) {
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

static void add_amount(struct buf *b, uint64_t value, enum heap_unit unit) {
    if (unit == HEAP_BYTES)
        num_add_iec(b, value);
    else if (unit == HEAP_COUNT)
        buf_add_u64(b, value);
    else if (value < 1000)
        buf_add_format(b, "%lluus", (unsigned long long)value);
    else if (value < 10000000)
        buf_add_format(b, "%.1fms", (double)value / 1e3);
    else
        buf_add_format(b, "%.1fs", (double)value / 1e6);
}

static void add_signed(struct buf *b, int64_t value, enum heap_unit unit, bool sign) {
    if (value < 0 || (sign && value > 0))
        buf_add_char(b, value < 0 ? '-' : '+');
    add_amount(b, size_of(value), unit);
}

/* So much a second; what is slower than one a second, an hour. */
static void add_rate(struct buf *b, int64_t growth, int64_t passed_ms, enum heap_unit unit) {
    double second = (double)growth * 1000 / (double)passed_ms, hour = second * 3600;
    bool slow = second > -1 && second < 1;
    double rate = slow ? hour : second;

    if (rate > 9e18 || rate < -9e18)
        buf_add_char(b, '-');
    else
        add_signed(b, (int64_t)rate, unit, true);
    buf_add(b, slow ? STR("/h") : STR("/s"));
}

static void cell(struct table *t, int64_t value, enum heap_unit unit, bool sign) {
    add_signed(table_cell(t), value, unit, sign);
    table_next(t);
}

static void cell_share(struct table *t, uint64_t part, uint64_t whole) {
    if (whole == 0) {
        table_unknown(t);
        return;
    }
    num_add_centi(table_cell(t), num_centi_pct(part, whole), 1);
    buf_add_char(table_cell(t), '%');
    table_next(t);
}

static void cell_text(const struct printer *p, struct table *t, struct str text) {
    if (text.n == 0)
        buf_add(table_cell(t), STR("(no name)"));
    else
        visible_name(p, table_cell(t), text);
    table_next(t);
}

static void cell_rate(const struct printer *p, struct table *t, int64_t growth,
                      enum heap_unit unit) {
    if (p->r->passed_ms <= 0)
        table_unknown(t);
    else {
        if (growth == 0)
            buf_add_char(table_cell(t), '0');
        else
            add_rate(table_cell(t), growth, p->r->passed_ms, unit);
        table_next(t);
    }
}

static void print_table(struct printer *p, struct table *t) {
    struct table_layout layout = {.head = true, .gap = 2, .width = p->how->width};
    int r = table_print(t, &layout, p->out);

    if (r < 0)
        p->error = r;
    table_done(t);
}

static size_t shown(const struct printer *p, size_t n) {
    return p->how->top && n > p->how->top ? p->how->top : n;
}

/* "CLASSES: 20 of 512, by growth" */
static void add_heading(struct printer *p, const char *what, size_t n, const char *how) {
    size_t some = shown(p, n);

    buf_add_format(p->out, "\n%s: ", what);
    if (n == 0)
        buf_add(p->out, STR("none"));
    else if (some < n)
        buf_add_format(p->out, "%zu of %zu", some, n);
    else
        buf_add_format(p->out, "%zu", n);
    if (how && how[0])
        buf_add_format(p->out, ", %s", how);
    buf_add_char(p->out, '\n');
}

/* --- who -------------------------------------------------------------------------------------- */

static void add_seconds(struct buf *b, int64_t ms) {
    if (ms < 120000)
        buf_add_format(b, "%.1f s", (double)ms / 1e3);
    else if (ms < 7200000)
        buf_add_format(b, "%.1f min", (double)ms / 6e4);
    else
        buf_add_format(b, "%.1f h", (double)ms / 3.6e6);
}

static void add_process(struct printer *p) {
    const struct heapreport *r = p->r;
    struct buf line;

    buf_init(&line, 64 << 10);
    buf_add_format(&line, "%d: ", r->pid);
    visible(p, &line, buf_str(&r->command));
    buf_add(p->out, p->how->width ? text_head(buf_str(&line), p->how->width) : buf_str(&line));
    buf_done(&line);
    buf_add_char(p->out, '\n');
    visible(p, p->out, r->runtime.n ? buf_str(&r->runtime) : STR("runtime not known"));
    if (r->after.have_rss) {
        buf_add(p->out, STR(", RSS "));
        if (r->is_diff && r->before.have_rss) {
            num_add_iec(p->out, r->before.rss);
            buf_add(p->out, STR(" -> "));
        }
        num_add_iec(p->out, r->after.rss);
    }
    if (r->passed_ms > 0) {
        buf_add(p->out, STR(", "));
        add_seconds(p->out, r->passed_ms);
        buf_add(p->out, STR(" between the looks"));
    }
    buf_add_char(p->out, '\n');
}

static void add_file(struct printer *p, const struct heaplook *l) {
    const struct profile *any = l->heap ? l->heap : l->tally ? l->tally : l->goroutines;

    visible(p, p->out, str_of(l->file));
    if (l->at_ms > 0) {
        buf_add(p->out, STR(", of "));
        clock_add_rfc3339(p->out, l->at_ms);
    }
    if (any && profile_comment(any).n > 0) {
        buf_add(p->out, STR(": "));
        visible(p, p->out, profile_comment(any));
    }
    buf_add_char(p->out, '\n');
}

static void add_head(struct printer *p) {
    if (p->r->pid) {
        add_process(p);
        return;
    }
    if (p->r->is_diff) {
        buf_add(p->out, STR("from "));
        add_file(p, &p->r->before);
        buf_add(p->out, STR("to   "));
    }
    add_file(p, &p->r->after);
    if (p->r->passed_ms > 0) {
        add_seconds(p->out, p->r->passed_ms);
        buf_add(p->out, STR(" between them\n"));
    }
}

/* --- figures and sentences -------------------------------------------------------------------- */

static void add_figures(struct printer *p) {
    static const struct table_column now[] = {{"FIGURE", TABLE_LEFT, 0, TABLE_WHOLE},
                                              {"VALUE", TABLE_RIGHT, 0, TABLE_WHOLE},
                                              {"MEANING", TABLE_LEFT, 0, TABLE_CUT_END}};
    static const struct table_column twice[] = {
        {"FIGURE", TABLE_LEFT, 0, TABLE_WHOLE}, {"BEFORE", TABLE_RIGHT, 2, TABLE_WHOLE},
        {"AFTER", TABLE_RIGHT, 0, TABLE_WHOLE}, {"GROWTH", TABLE_RIGHT, 0, TABLE_WHOLE},
        {"RATE", TABLE_RIGHT, 3, TABLE_WHOLE},  {"MEANING", TABLE_LEFT, 4, TABLE_CUT_END}};
    const struct heapview *v = &p->r->after.view;
    struct table t;

    if (v->figures == 0)
        return;
    buf_add_char(p->out, '\n');
    table_init(&t, p->r->is_diff ? twice : now, p->r->is_diff ? ARRAY_N(twice) : ARRAY_N(now),
               1 << 20);
    for (unsigned i = 0; i < v->figures; i++) {
        const struct heap_figure *f = &v->figure[i];
        int64_t after = f->value > INT64_MAX ? INT64_MAX : (int64_t)f->value;
        uint64_t before;

        cell_text(p, &t, str_of(f->key));
        if (p->r->is_diff && heapview_value(&p->r->before.view, f->key, &before)) {
            int64_t old = before > INT64_MAX ? INT64_MAX : (int64_t)before;

            cell(&t, old, f->unit, false);
            cell(&t, after, f->unit, false);
            cell(&t, after - old, f->unit, true);
            cell_rate(p, &t, after - old, f->unit);
        } else {
            if (p->r->is_diff)
                table_unknown(&t);
            cell(&t, after, f->unit, false);
            if (p->r->is_diff) {
                table_unknown(&t);
                table_unknown(&t);
            }
        }
        cell_text(p, &t, str_of(f->says));
    }
    print_table(p, &t);
}

/* A sentence a paragraph, broken between words at the width of the terminal. */
static void add_wrapped(struct printer *p, struct str text) {
    size_t width = p->how->width > 20 ? p->how->width : 100, column = 2;
    struct str word;

    buf_add(p->out, STR("- "));
    for (bool first = true; str_word(&text, &word); first = false) {
        struct buf b;

        buf_init(&b, 4096);
        visible(p, &b, word);
        if (!first && column + 1 + text_columns(buf_str(&b)) > width) {
            buf_add(p->out, STR("\n  "));
            column = 2;
        } else if (!first) {
            buf_add_char(p->out, ' ');
            column++;
        }
        buf_add(p->out, buf_str(&b));
        column += text_columns(buf_str(&b));
        buf_done(&b);
    }
    buf_add_char(p->out, '\n');
}

static void add_notes(struct printer *p) {
    const struct heapview *v = &p->r->after.view;

    if (v->notes > 0)
        buf_add_char(p->out, '\n');
    for (unsigned i = 0; i < v->notes; i++)
        add_wrapped(p, str_of(v->note[i]));
}

/* --- types ------------------------------------------------------------------------------------ */

static void add_types_now(struct printer *p) {
    static const struct table_column columns[] = {{"BYTES", TABLE_RIGHT, 0, TABLE_WHOLE},
                                                  {"SHARE", TABLE_RIGHT, 2, TABLE_WHOLE},
                                                  {"COUNT", TABLE_RIGHT, 0, TABLE_WHOLE},
                                                  {"NAME", TABLE_LEFT, 0, TABLE_CUT_END}};
    const struct heapreport *r = p->r;
    int64_t total = 0;
    struct table t;

    for (size_t i = 0; i < r->rows; i++)
        total = profile_sum(total, r->row[i].bytes);
    table_init(&t, columns, ARRAY_N(columns), TABLE_MAX);
    for (size_t i = 0; i < shown(p, r->rows); i++) {
        const struct heaprow *row = &r->row[i];

        if (row->have_bytes) {
            cell(&t, row->bytes, HEAP_BYTES, false);
            cell_share(&t, row->bytes > 0 ? (uint64_t)row->bytes : 0,
                       total > 0 ? (uint64_t)total : 0);
        } else {
            table_unknown(&t);
            table_unknown(&t);
        }
        cell(&t, row->count, HEAP_COUNT, false);
        cell_text(p, &t, row->name);
    }
    print_table(p, &t);
}

static size_t changed_rows(const struct heapreport *r) {
    size_t n = 0;

    for (size_t i = 0; i < r->rows; i++)
        n += heaprow_changed(&r->row[i]);
    return n;
}

static void add_types_growth(struct printer *p) {
    static const struct table_column columns[] = {
        {"GROWTH", TABLE_RIGHT, 0, TABLE_WHOLE}, {"RATE", TABLE_RIGHT, 3, TABLE_WHOLE},
        {"BYTES", TABLE_RIGHT, 1, TABLE_WHOLE},  {"COUNT GROWTH", TABLE_RIGHT, 0, TABLE_WHOLE},
        {"COUNT", TABLE_RIGHT, 2, TABLE_WHOLE},  {"NAME", TABLE_LEFT, 0, TABLE_CUT_END}};
    const struct heapreport *r = p->r;
    struct table t;

    table_init(&t, columns, ARRAY_N(columns), TABLE_MAX);
    for (size_t i = 0, left = shown(p, changed_rows(r)); left > 0; i++) {
        const struct heaprow *row = &r->row[i];
        int64_t bytes = heapreport_growth(row->bytes_before, row->bytes);
        int64_t count = heapreport_growth(row->count_before, row->count);

        if (!heaprow_changed(row))
            continue;
        left--;
        if (row->have_bytes) {
            cell(&t, bytes, HEAP_BYTES, true);
            cell_rate(p, &t, bytes, HEAP_BYTES);
            cell(&t, row->bytes, HEAP_BYTES, false);
        } else {
            table_unknown(&t);
            cell_rate(p, &t, count, HEAP_COUNT);
            table_unknown(&t);
        }
        cell(&t, count, HEAP_COUNT, true);
        cell(&t, row->count, HEAP_COUNT, false);
        cell_text(p, &t, row->name);
    }
    print_table(p, &t);
}

static void add_types(struct printer *p) {
    const struct heapview *v = &p->r->after.view;
    const char *what = v->types_are ? v->types_are : "types";
    char title[64];

    if (p->r->rows == 0)
        return;
    if (p->r->is_diff) {
        char how[64];

        snprintf(how, sizeof(how), "of %zu%s", p->r->rows,
                 changed_rows(p->r) > 0 ? "; what changed most first" : "");
        snprintf(title, sizeof(title), "%s that changed", what);
        add_heading(p, title, changed_rows(p->r), how);
        if (changed_rows(p->r) > 0)
            add_types_growth(p);
    } else {
        add_heading(p, what, p->r->rows, v->types_how);
        add_types_now(p);
    }
}

/* --- functions -------------------------------------------------------------------------------- */

static enum heap_unit unit_of(struct str unit) {
    return str_eq(unit, STR("bytes")) ? HEAP_BYTES : HEAP_COUNT;
}

static void add_function_heading(struct printer *p, struct str type, size_t n, bool diff) {
    struct buf heading;

    buf_init(&heading, 4096);
    buf_add(&heading, STR("functions by "));
    buf_add(&heading, diff ? STR("growth of ") : STR(""));
    visible(p, &heading, type);
    buf_add_char(&heading, '\0');
    add_heading(p, heading.p ? heading.p : "functions", n, "");
    buf_done(&heading);
}

static void add_functions(struct printer *p, const struct profile *of, unsigned type, bool diff) {
    static const struct table_column now[] = {{"FLAT", TABLE_RIGHT, 0, TABLE_WHOLE},
                                              {"SHARE", TABLE_RIGHT, 3, TABLE_WHOLE},
                                              {"CUM", TABLE_RIGHT, 0, TABLE_WHOLE},
                                              {"FUNCTION", TABLE_LEFT, 0, TABLE_CUT_END}};
    static const struct table_column growth[] = {{"FLAT", TABLE_RIGHT, 0, TABLE_WHOLE},
                                                 {"RATE", TABLE_RIGHT, 2, TABLE_WHOLE},
                                                 {"CUM", TABLE_RIGHT, 0, TABLE_WHOLE},
                                                 {"FUNCTION", TABLE_LEFT, 0, TABLE_CUT_END}};
    enum heap_unit unit = unit_of(profile_type(of, type).unit);
    uint64_t total = size_of(profile_total(of, type));
    auto_free struct profile_top *top = NULL;
    struct table t;
    size_t n;

    p->error = profile_top(of, type, &top, &n);
    if (p->error < 0)
        return;
    add_function_heading(p, profile_type(of, type).type, n, diff);
    if (n == 0)
        return;
    table_init(&t, diff ? growth : now, ARRAY_N(now), TABLE_MAX);
    for (size_t i = 0; i < shown(p, n); i++) {
        cell(&t, top[i].flat, unit, diff);
        if (diff)
            cell_rate(p, &t, top[i].flat, unit);
        else
            cell_share(&t, size_of(top[i].flat), total);
        cell(&t, top[i].cum, unit, diff);
        cell_text(p, &t, top[i].function);
    }
    print_table(p, &t);
}

static void add_profile(struct printer *p) {
    const struct profile *of = p->r->is_diff ? p->r->heap_growth : p->r->after.heap;
    int allocated;

    if (!of)
        return;
    if (profile_cut(of) > 0)
        buf_add_format(p->out, "\nstacks deeper than %d frames, cut off at their roots: %zu\n",
                       PROFILE_DEPTH, profile_cut(of));
    add_functions(p, of, profile_default(of), p->r->is_diff);
    allocated = profile_type_of(of, STR("alloc_space"));
    if (allocated >= 0 && (unsigned)allocated != profile_default(of))
        add_functions(p, of, (unsigned)allocated, p->r->is_diff);
}

/* --- stacks ----------------------------------------------------------------------------------- */

/* A line of a stack: its amount (before the first frame only) and a frame. */
static void add_stack_line(struct printer *p, struct str amount, const struct profile *of,
                           const struct profile_sample *s, size_t f) {
    struct buf line;

    buf_init(&line, 64 << 10);
    buf_add_fill(&line, ' ', amount.n < AMOUNT ? AMOUNT - amount.n : 0);
    buf_add(&line, amount);
    buf_add(&line, STR("  "));
    if (s->frames == 0) {
        buf_add(&line, STR("(no stack)"));
    } else {
        struct profile_frame frame = profile_frame(of, s->frame[f]);

        visible_name(p, &line, frame.function);
        if (frame.file.n) {
            buf_add(&line, STR("  "));
            visible(p, &line, frame.file);
            if (frame.line > 0)
                buf_add_format(&line, ":%lld", (long long)frame.line);
        }
    }
    buf_add(p->out, p->how->width ? text_head(buf_str(&line), p->how->width) : buf_str(&line));
    buf_add_char(p->out, '\n');
    buf_done(&line);
}

static void add_stack(struct printer *p, struct str amount, const struct profile *of, size_t i) {
    struct profile_sample s = profile_sample(of, i);

    add_stack_line(p, amount, of, &s, 0);
    for (size_t f = 1; f < s.frames && f < FRAMES; f++)
        add_stack_line(p, STR(""), of, &s, f);
    if (s.frames > FRAMES)
        buf_add_format(p->out, "%*s  ... %zu more\n", AMOUNT, "", s.frames - FRAMES);
}

/* The heaviest stacks of a profile, each with its first frames. */
static void add_stacks(struct printer *p, const struct profile *of, const char *what, bool diff) {
    unsigned type = profile_default(of);
    enum heap_unit unit = unit_of(profile_type(of, type).unit);
    size_t n = profile_samples(of),
           some = p->how->top && p->how->top < STACKS ? p->how->top : STACKS;
    auto_free struct heapstack *rank = NULL;

    p->error = heapreport_stacks(of, type, &rank);
    if (p->error < 0)
        return;
    buf_add_format(p->out, "\n%s: ", what);
    add_signed(p->out, profile_total(of, type), unit, diff);
    buf_add_format(p->out, " in %zu stack%s%s\n", n, n == 1 ? "" : "s",
                   n > some ? ", the largest:" : "");
    for (size_t i = 0; i < n && i < some; i++) {
        struct buf amount;

        buf_init(&amount, 64);
        add_signed(&amount, rank[i].value, unit, diff);
        add_stack(p, buf_str(&amount), of, rank[i].sample);
        buf_done(&amount);
    }
}

static void add_goroutines(struct printer *p) {
    const struct profile *of = p->r->is_diff ? p->r->goroutines_growth : p->r->after.goroutines;

    if (of)
        add_stacks(p, of, p->r->is_diff ? "goroutine growth" : "goroutines", p->r->is_diff);
}

static void add_heap_stacks(struct printer *p) {
    const struct profile *of = p->r->is_diff ? p->r->heap_growth : p->r->after.heap;

    /* Go's stacks are long, and its functions say enough. */
    if (of && profile_type_of(of, STR("alloc_space")) < 0 && profile_samples(of) > 0)
        add_stacks(p, of, p->r->is_diff ? "stacks that grew" : "stacks", p->r->is_diff);
}

/* Whether there is anything but figures that could have grown. */
static bool has_growth(const struct heapreport *r) {
    return r->rows > 0 || r->heap_growth || r->goroutines_growth;
}

static void say_same(const struct heapreport *r, struct buf *out) {
    buf_add(out, STR("\nnothing grew: every type and stack has as much as before"));
    if (r->pid && r->after.heap && str_starts(buf_str(&r->runtime), STR("go")))
        buf_add(out, STR(" (Go's heap profile tells of its last collection; --live collects)"));
    buf_add_char(out, '\n');
}

int heapprint_text(const struct heapprint *how, const struct heapreport *r, struct buf *out) {
    struct printer p = {.how = how, .r = r, .out = out};
    static void (*const parts[])(struct printer *) = {
        add_head, add_figures, add_notes, add_types, add_profile, add_heap_stacks, add_goroutines};
    enum { ALWAYS = 3 };
    bool same = r->is_diff && has_growth(r) && !heapreport_changed(r);

    for (size_t i = 0; i < (same ? ALWAYS : ARRAY_N(parts)) && p.error == 0; i++)
        parts[i](&p);
    if (same)
        say_same(r, out);
    return p.error ? p.error : buf_error(out);
}
