#include "cmd/doctorview.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/table.h"
#include "base/text.h"

enum {
    HELD_LEAST = 16 << 20, /* bytes: less is not worth a word */
    HELD_SHARE = 4,        /* nor is less than this part of RSS */
    INDENT = 6,
    OUTPUT_MAX = 64 << 20,
};

bool doctor_held(const struct rt_figures *f, uint64_t rss, uint64_t *out) {
    const uint32_t needed = 1U << RT_HEAP_COMMITTED | 1U << RT_HEAP_USED;
    uint64_t used = f->value[RT_HEAP_USED], committed = f->value[RT_HEAP_COMMITTED];

    if ((f->have & needed) != needed || committed < used || committed > rss)
        return false;
    *out = committed - used;
    return true;
}

bool doctor_holds_much(uint64_t held, uint64_t rss) {
    return held >= HELD_LEAST && held >= rss / HELD_SHARE;
}

bool doctor_exceeds(const struct doctor_target *t) {
    uint64_t sum;

    return t->limit != 0 && doctor_sum(t, &sum) && sum > t->limit;
}

bool doctor_sum(const struct doctor_target *t, uint64_t *out) {
    uint64_t sum = 0;
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        if (t->process[i].aware.have_bound) {
            n++;
            if (t->process[i].aware.bound < UINT64_MAX - sum)
                sum += t->process[i].aware.bound;
        }
    *out = sum;
    return n > 1;
}

void doctor_done(struct doctor *d) {
    for (size_t i = 0; i < d->n; i++)
        free(d->target[i].process);
    free(d->target);
    *d = (struct doctor){.target = NULL};
}

/* --- text ------------------------------------------------------------------------------------- */

/* Words of a line that is broken at the terminal's width, each further line indented. */
static void add_wrapped(struct buf *out, struct str text, size_t column, size_t indent,
                        size_t width) {
    struct str word;
    bool first = true;

    while (str_word(&text, &word)) {
        size_t n = text_columns(word);

        if (!first && width > 0 && column + 1 + n > width) {
            buf_add_char(out, '\n');
            buf_add_fill(out, ' ', indent);
            column = indent;
        } else if (!first) {
            buf_add_char(out, ' ');
            column++;
        }
        buf_add(out, word);
        column += n;
        first = false;
    }
    buf_add_char(out, '\n');
}

/* How a row begins: a word of five columns, never by colour alone. */
static void add_mark(struct buf *out, enum aware_word word, bool colour) {
    static const char *const words[] = {
        [AWARE_FITS] = "ok   ",    [AWARE_TOO_BIG] = "BAD  ",  [AWARE_TOO_SMALL] = "BAD  ",
        [AWARE_UNBOUND] = "-    ", [AWARE_NO_LIMIT] = "-    ", [AWARE_UNKNOWN] = "?    ",
    };
    bool red = colour && aware_is_bad(word);

    buf_add(out, red ? STR("\033[31m") : STR(""));
    buf_add(out, str_of(words[word]));
    buf_add(out, red ? STR("\033[0m") : STR(""));
}

/* The command that works: Go without pprof is asked through its memory alone, and when it is idle
 * it wakes once a minute. */
static void add_gc(const struct doctor_process *p, struct buf *line) {
    buf_add_format(line, "`plimsoll gc %s%d`", p->no_port ? "--inject --timeout 70s " : "", p->pid);
    if (p->id.kind == RT_GO && !p->no_port)
        buf_add(line, STR(" (with --inject where no pprof answers on its ports)"));
}

static void add_held(const struct doctor_process *p, struct buf *line) {
    buf_add(line, STR("held by the runtime, not leaked: "));
    num_add_iec(line, p->held);
    buf_add(line, STR(" of its "));
    num_add_iec(line, p->rss);
    buf_add_format(line, " resident are %s; ",
                   p->id.kind == RT_GO ? "free memory, or objects since the last collection"
                                       : "free heap");
    add_gc(p, line);
    buf_add(line, STR(" asks it to give back"));
}

/* Its last collection knows nothing of what was dropped since. */
static void add_marked(const struct doctor_process *p, struct buf *line) {
    num_add_iec(line, p->marked);
    buf_add(line, STR(" of its "));
    num_add_iec(line, p->rss);
    buf_add(line,
            STR(" resident were in use at its last collection; what has been dropped since is "
                "held by the runtime, not leaked: "));
    add_gc(p, line);
    buf_add(line, STR(" tells how much that is"));
}

static void print_process(const struct doctor_process *p, const struct cmd_context *context,
                          size_t width, struct buf *line, struct buf *out) {
    bool ascii = context->terminal && !context->utf8;

    add_mark(out, p->aware.word, context->colour);
    buf_clear(line);
    buf_add_format(line, "%d ", p->pid);
    text_add_visible(line, str_of(p->comm), ascii);
    buf_add(line, STR(": "));
    text_add_visible(line, str_of(p->aware.says), ascii);
    if (p->aware.have_bound) {
        buf_add(line, STR(" ("));
        text_add_visible(line, str_of(p->aware.bound_from), ascii);
        buf_add_char(line, ')');
    }
    add_wrapped(out, buf_str(line), INDENT - 1, INDENT, width);
    if (p->holds_much || doctor_holds_much(p->marked, p->rss)) {
        buf_clear(line);
        if (p->holds_much)
            add_held(p, line);
        else
            add_marked(p, line);
        buf_add_fill(out, ' ', INDENT);
        add_wrapped(out, buf_str(line), INDENT, INDENT, width);
    }
    if (p->aware.mend[0]) {
        buf_clear(line);
        buf_add(line, aware_is_bad(p->aware.word) ? STR("mend: ") : STR("better: "));
        text_add_visible(line, str_of(p->aware.mend), ascii);
        buf_add_fill(out, ' ', INDENT);
        add_wrapped(out, buf_str(line), INDENT, INDENT + 2, width);
    }
}

/* Programs without a heap of their own are told of once: the largest of them. */
static bool is_plain(const struct doctor_process *p) {
    return (p->id.kind == RT_NATIVE || p->id.kind == RT_STATIC || p->id.kind == RT_UNKNOWN ||
            p->id.kind == RT_PYTHON) &&
           !aware_is_bad(p->aware.word) && !p->holds_much;
}

static void print_target(const struct doctor_target *t, const struct cmd_context *context,
                         size_t width, struct buf *line, struct buf *out) {
    bool ascii = context->terminal && !context->utf8;
    size_t plain = 0, more = 0;
    uint64_t sum;

    text_add_visible(out, t->name, ascii);
    buf_add(out, t->limit ? STR(": limit ") : STR(": no limit"));
    if (t->limit)
        num_add_iec(out, t->limit);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < t->n; i++) {
        if (is_plain(&t->process[i]) && plain++ > 0)
            more++;
        else
            print_process(&t->process[i], context, width, line, out);
    }
    if (more > 0)
        buf_add_format(out, "%*s%zu more without a heap of their own\n", INDENT - 1, "", more);
    if (doctor_exceeds(t) && doctor_sum(t, &sum)) {
        buf_clear(line);
        add_mark(out, AWARE_TOO_BIG, context->colour);
        buf_add(line, STR("together their heaps may take "));
        num_add_iec(line, sum);
        buf_add(line, STR(" of "));
        num_add_iec(line, t->limit);
        add_wrapped(out, buf_str(line), INDENT - 1, INDENT, width);
    }
    if (t->n == 0 && t->unread == 0)
        buf_add_format(out, "%*sno processes\n", INDENT - 1, "");
    if (t->unread > 0)
        buf_add_format(out, "%*s%zu may not be looked into without %s\n", INDENT - 1, "", t->unread,
                       geteuid() == 0 ? "CAP_SYS_PTRACE over them" : "root");
}

int doctor_print_text(const struct doctor *d, const struct cmd_context *context, size_t width,
                      struct buf *out) {
    struct buf line;
    int r;

    buf_init(&line, 65536);
    for (size_t i = 0; i < d->n; i++) {
        if (i > 0)
            buf_add_char(out, '\n');
        print_target(&d->target[i], context, width, &line, out);
    }
    r = buf_error(&line) ? buf_error(&line) : buf_error(out);
    buf_done(&line);
    return r;
}

/* --- tab-separated ---------------------------------------------------------------------------- */

static void add_number(struct table *t, bool have, uint64_t value) {
    if (!have) {
        table_unknown(t);
        return;
    }
    buf_add_u64(table_cell(t), value);
    table_next(t);
}

static void add_text(struct table *t, struct str text) {
    if (text.n == 0) {
        table_unknown(t);
        return;
    }
    text_add_visible(table_cell(t), text, false);
    table_next(t);
}

int doctor_print_plain(const struct doctor *d, struct buf *out) {
    static const struct table_column columns[] = {
        {.head = "TARGET"}, {.head = "PID"},   {.head = "COMM"},       {.head = "RUNTIME"},
        {.head = "WORD"},   {.head = "BOUND"}, {.head = "BOUND_FROM"}, {.head = "LIMIT"},
        {.head = "RSS"},    {.head = "HELD"},  {.head = "MEND"},       {.head = "SAYS"},
    };
    struct table_layout layout = {.plain = true, .head = true};
    struct table t;
    int r;

    table_init(&t, columns, ARRAY_N(columns), OUTPUT_MAX);
    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_target *target = &d->target[i];

        for (size_t k = 0; k < target->n; k++) {
            const struct doctor_process *p = &target->process[k];

            add_text(&t, target->name);
            add_number(&t, true, (uint64_t)p->pid);
            add_text(&t, str_of(p->comm));
            rt_add_id(table_cell(&t), &p->id);
            table_next(&t);
            add_text(&t, str_of(aware_word_name(p->aware.word)));
            add_number(&t, p->aware.have_bound, p->aware.bound);
            add_text(&t, str_of(p->aware.bound_from));
            add_number(&t, target->limit != 0, target->limit);
            add_number(&t, p->have_rss, p->rss);
            add_number(&t, p->have_held, p->held);
            add_text(&t, str_of(p->aware.mend));
            add_text(&t, str_of(p->aware.says));
        }
    }
    r = table_print(&t, &layout, out);
    table_done(&t);
    return r;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void json_process(struct json *j, const struct doctor_process *p) {
    struct buf id;

    buf_init(&id, 256);
    rt_add_id(&id, &p->id);
    json_begin_object(j);
    json_key_u64(j, "pid", (uint64_t)p->pid);
    json_key_str(j, "comm", str_of(p->comm));
    json_key_maybe_str(j, "runtime", buf_str(&id));
    json_key_str(j, "word", str_of(aware_word_name(p->aware.word)));
    json_key(j, "knows_cgroups");
    json_bool(j, p->aware.knows_cgroups);
    json_key_maybe(j, "bound", p->aware.have_bound, p->aware.bound);
    json_key_maybe_str(j, "bound_from", str_of(p->aware.bound_from));
    json_key_maybe(j, "rss", p->have_rss, p->rss);
    json_key_maybe(j, "held", p->have_held, p->held);
    json_key(j, "held_not_leaked");
    json_bool(j, p->holds_much);
    json_key_str(j, "says", str_of(p->aware.says));
    json_key_maybe_str(j, "mend", str_of(p->aware.mend));
    json_end(j);
    buf_done(&id);
}

static void json_target(struct json *j, const struct doctor_target *t) {
    uint64_t sum = 0;
    bool have_sum = doctor_sum(t, &sum);

    json_begin_object(j);
    json_key_str(j, "name", t->name);
    json_key_maybe_str(j, "cgroup", t->path);
    json_key_maybe_str(j, "engine", str_of(t->engine));
    json_key_maybe(j, "limit", t->limit != 0, t->limit);
    json_key_maybe(j, "machine", t->machine != 0, t->machine);
    json_key_maybe(j, "bounds_sum", have_sum, sum);
    json_key_u64(j, "unread", t->unread);
    json_key(j, "processes");
    json_begin_array(j);
    for (size_t i = 0; i < t->n; i++)
        json_process(j, &t->process[i]);
    json_end(j);
    json_end(j);
}

int doctor_print_json(const struct doctor *d, int64_t at_ms, struct buf *out) {
    struct json j;

    json_start(&j, out);
    json_begin_object(&j);
    json_key(&j, "ts");
    json_time_ms(&j, at_ms);
    json_key_u64(&j, "too_big", d->bad);
    json_key(&j, "targets");
    json_begin_array(&j);
    for (size_t i = 0; i < d->n; i++)
        json_target(&j, &d->target[i]);
    json_end(&j);
    json_end(&j);
    buf_add_char(out, '\n');
    return buf_error(out);
}
