/* cmd_gc.c - asks runtimes to collect garbage and to give memory back, and measures what came of
 * it.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/table.h"
#include "base/text.h"
#include "cmd/opt.h"
#include "cmd/scope.h"
#include "kern/proccmdline.h"
#include "kern/procstat.h"
#include "runtime/collect.h"

enum {
    TIMEOUT_MS = 15000,
    TIMEOUT_LEAST_MS = 100,
    SMALL = 16 << 20, /* of a group, what is smaller and has no collector is left out */
    OUTPUT_MAX = 64 << 20,
    COMMAND_COLUMNS = 40, /* in the table */
    GROWN = 1 << 20,      /* worth a sentence */
};

struct options {
    bool inject;
    uint64_t timeout_ms;
};

static int set_inject(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->inject = true;
    return 0;
}

static int set_timeout(void *into, struct str value, struct err *err) {
    return opt_timeout_ms(value, TIMEOUT_LEAST_MS, &((struct options *)into)->timeout_ms, err);
}

static void defaults(void *options) {
    ((struct options *)options)->timeout_ms = TIMEOUT_MS;
}

struct gc {
    struct cmd_context *context;
    const struct options *options;
    struct host host;
    struct cgfs fs;
    bool have_fs, by_group;
    struct scope scope;
    struct pidlist pids;
    struct table table;
    struct buf out, notes;
    size_t width; /* of the terminal; 0: there is none */
    unsigned collected, refused, failed, small;
};

static const char *outcome_word(enum rt_outcome o) {
    return o == RT_COLLECTED ? "collected" : o == RT_REFUSED ? "refused" : "failed";
}

/* --- as people read it ------------------------------------------------------------------------ */

static const struct table_column columns[] = {
    {"PID", TABLE_RIGHT, 0, TABLE_WHOLE},    {"COMMAND", TABLE_LEFT, 0, TABLE_CUT_END},
    {"RUNTIME", TABLE_LEFT, 3, TABLE_WHOLE}, {"BEFORE", TABLE_RIGHT, 0, TABLE_WHOLE},
    {"AFTER", TABLE_RIGHT, 0, TABLE_WHOLE},  {"FREED", TABLE_RIGHT, 2, TABLE_WHOLE},
    {"TOOK", TABLE_RIGHT, 4, TABLE_WHOLE},   {"SETTLED", TABLE_RIGHT, 5, TABLE_WHOLE},
    {"HOW", TABLE_LEFT, 1, TABLE_WHOLE}, /* for programs; people read it below the table */
};

static void cell_size(struct table *t, bool have, uint64_t value, bool plain) {
    if (!have) {
        table_unknown(t);
        return;
    }
    if (plain)
        buf_add_u64(table_cell(t), value);
    else
        num_add_iec(table_cell(t), value);
    table_next(t);
}

/* Negative when memory has grown. */
static void cell_freed(struct table *t, const struct collect_report *r, bool plain) {
    bool grew = r->rss_after > r->rss_before;

    if (r->result.outcome != RT_COLLECTED || !r->have_before || !r->have_after) {
        table_unknown(t);
        return;
    }
    if (grew)
        buf_add_char(table_cell(t), '-');
    cell_size(t, true, grew ? r->rss_after - r->rss_before : r->rss_before - r->rss_after, plain);
}

static void cell_ms(struct table *t, bool have, int64_t us) {
    if (!have) {
        table_unknown(t);
        return;
    }
    buf_add_format(table_cell(t), "%ldms", us / 1000);
    table_next(t);
}

static void cell_text(struct gc *g, struct str text) {
    if (text.n == 0) {
        table_unknown(&g->table);
        return;
    }
    text_add_visible(table_cell(&g->table), text, g->context->terminal && !g->context->utf8);
    table_next(&g->table);
}

/* A command line can be longer than any terminal is wide. */
static void cell_command(struct gc *g, struct str command) {
    struct str head;
    struct buf seen;

    if (g->context->plain || command.n == 0) {
        cell_text(g, command);
        return;
    }
    buf_init(&seen, OUTPUT_MAX);
    text_add_visible(&seen, command, g->context->terminal && !g->context->utf8);
    head = text_head(buf_str(&seen), COMMAND_COLUMNS);
    if (head.n < seen.n)
        head = text_head(head, COMMAND_COLUMNS - 1);
    buf_add(table_cell(&g->table), head);
    if (head.n < seen.n)
        buf_add_char(table_cell(&g->table), '+');
    table_next(&g->table);
    buf_done(&seen);
}

static void add_row(struct gc *g, int32_t pid, struct str command, const struct collect_report *r) {
    bool done = r->result.outcome == RT_COLLECTED, plain = g->context->plain;
    struct table *t = &g->table;
    struct buf id;

    buf_add_format(table_cell(t), "%d", pid);
    table_next(t);
    cell_command(g, command);
    buf_init(&id, 256);
    rt_add_id(&id, &r->id);
    cell_text(g, buf_str(&id));
    buf_done(&id);
    cell_size(t, r->have_before, r->rss_before, plain);
    cell_size(t, done && r->have_after, r->rss_after, plain);
    cell_freed(t, r, plain);
    cell_ms(t, done, r->took_us);
    cell_ms(t, done && r->have_after, r->settled_us);
    if (plain)
        cell_text(g, str_of(done ? r->result.how : outcome_word(r->result.outcome)));
}

/* At blanks, when the terminal's width is known; `used` columns of the first line are taken. */
static void add_wrapped(struct buf *out, struct str text, size_t used, size_t width) {
    struct str word;

    for (bool first = true; str_word(&text, &word); first = false) {
        size_t wide = text_columns(word);

        if (!first && width > 0 && used + 1 + wide > width) {
            buf_add(out, STR("\n    "));
            used = 4;
        } else if (!first) {
            buf_add_char(out, ' ');
            used++;
        }
        buf_add(out, word);
        used += wide;
    }
    buf_add_char(out, '\n');
}

/* `used`: columns that stand before it. What is to be typed is not wrapped. */
static void add_line(struct gc *g, size_t used, const char *before, const char *text, bool wrap) {
    struct buf seen;

    if (!text[0])
        return;
    buf_init(&seen, OUTPUT_MAX);
    text_add_visible(&seen, str_of(text), g->context->terminal && !g->context->utf8);
    buf_add(&g->notes, str_of(before));
    add_wrapped(&g->notes, buf_str(&seen), used + strlen(before), wrap ? g->width : 0);
    buf_done(&seen);
}

/* Below the table: how, or why not; what it could not free, and what would work. */
static void add_note(struct gc *g, int32_t pid, const struct collect_report *report) {
    const struct rt_result *r = &report->result;
    bool done = r->outcome == RT_COLLECTED;
    size_t at = g->notes.n;

    buf_add_format(&g->notes, "%d ", pid);
    buf_add(&g->notes, str_of(outcome_word(r->outcome)));
    add_line(g, g->notes.n - at, ": ",
             done        ? r->how
             : r->why[0] ? r->why
                         : "without a reason",
             true);
    if (done && report->have_before && report->have_after &&
        report->rss_after > report->rss_before + GROWN)
        add_line(g, 0, "    ",
                 "its memory has grown: what lives was copied, or it went on working meanwhile",
                 true);
    if (done)
        add_line(g, 0, "    ", r->why, true);
    add_line(g, 0, "    try: ", r->next, false);
}

/* --- as programs read it ---------------------------------------------------------------------- */

static void json_line(struct gc *g, int32_t pid, struct str command,
                      const struct collect_report *r) {
    bool done = r->result.outcome == RT_COLLECTED;
    struct buf id;
    struct json j;

    buf_init(&id, 256);
    rt_add_id(&id, &r->id);
    json_start(&j, &g->out);
    json_begin_object(&j);
    json_key(&j, "pid");
    json_i64(&j, pid);
    json_key_str(&j, "command", command);
    json_key_maybe_str(&j, "runtime", buf_str(&id));
    json_key_str(&j, "outcome", str_of(outcome_word(r->result.outcome)));
    json_key_maybe_str(&j, "how", str_of(r->result.how));
    json_key_maybe_str(&j, "why", str_of(r->result.why));
    json_key_maybe_str(&j, "next", str_of(r->result.next));
    json_key_maybe(&j, "rss_before", r->have_before, r->rss_before);
    json_key_maybe(&j, "rss_after", done && r->have_after, r->rss_after);
    json_key_maybe(&j, "anon_before", r->have_before, r->anon_before);
    json_key_maybe(&j, "anon_after", done && r->have_after, r->anon_after);
    json_key_maybe(&j, "took_ms", done, (uint64_t)(r->took_us / 1000));
    json_key_maybe(&j, "settled_ms", done && r->have_after, (uint64_t)(r->settled_us / 1000));
    json_end(&j);
    buf_add_char(&g->out, '\n');
    buf_done(&id);
}

/* --- the work --------------------------------------------------------------------------------- */

/* Its command line, else its name in brackets. */
static void read_command(const struct gc *g, int32_t pid, struct buf *out) {
    char text[PROCCMDLINE_MAX];
    struct str line = {text, 0};
    struct procstat stat;

    if (procstat_read(g->host.proc, pid, &stat) < 0)
        return;
    if (proccmdline_read(g->host.proc, pid, text, sizeof(text), &line) < 0)
        line.n = 0;
    proccmdline_add_joined(out, line, procstat_comm(&stat));
}

static void count(struct gc *g, enum rt_outcome outcome) {
    switch (outcome) {
    case RT_COLLECTED:
        g->collected++;
        break;
    case RT_REFUSED:
        g->refused++;
        break;
    case RT_FAILED:
        g->failed++;
        break;
    }
}

/* In a group there are shells and helpers too: nobody asks about those. */
static bool is_small(const struct gc *g, const struct collect_report *r) {
    bool collects = r->id.kind == RT_GO || r->id.kind == RT_JVM || r->id.kind == RT_NODE ||
                    r->id.kind == RT_PYTHON || r->id.kind == RT_OPENJ9;

    return g->by_group && !collects && r->result.outcome != RT_COLLECTED &&
           (!r->have_before || r->anon_before < SMALL);
}

static void tell(struct gc *g, int32_t pid, struct str command, const struct collect_report *r) {
    count(g, r->result.outcome);
    if (g->context->json) {
        json_line(g, pid, command, r);
        return;
    }
    add_row(g, pid, command, r);
    add_note(g, pid, r);
}

static int ask_one(struct gc *g, int32_t pid, struct err *err) {
    struct rt_ask ask = {
        .inject = g->options->inject,
        .deadline_us = clock_mono_us() + (int64_t)g->options->timeout_ms * 1000,
    };
    struct collect_report report;
    struct buf command;
    int r;

    buf_init(&command, 2 * PROCCMDLINE_MAX);
    read_command(g, pid, &command); /* before: its name may be gone with it */
    r = collect_run(&g->host, pid, &ask, &report, err);
    if (r == 0 && is_small(g, &report))
        g->small++;
    else if (r == 0)
        tell(g, pid, buf_str(&command), &report);
    buf_done(&command);
    return r;
}

/* One after the other: two collections at once would only make both slower. A process of a group
 * that ends meanwhile is no failure. */
static int ask_all(struct gc *g, struct err *err) {
    int r = scope_pids(&g->scope, &g->host, false, &g->pids, err);

    if (r < 0)
        return r;
    pidlist_sort(&g->pids);
    for (size_t i = 0; i < g->pids.n; i++) {
        if (g->by_group && g->pids.pid[i] == (int32_t)getpid())
            continue;
        r = ask_one(g, g->pids.pid[i], err);
        if (r < 0 && !g->by_group)
            return r;
        if (r < 0 && r != -ESRCH && r != -ENODATA) {
            cmd_warn("%s", err->text);
            g->failed++;
        }
    }
    return 0;
}

static int print(struct gc *g) {
    struct table_layout layout = {.plain = g->context->plain, .head = true, .width = g->width};

    if (!g->context->json) {
        (void)table_print(&g->table, &layout, &g->out);
        if (g->small > 0 && !g->context->plain)
            buf_add_format(&g->notes, "%u small processes without a collector were left out\n",
                           g->small);
        if (!g->context->plain)
            buf_add(&g->out, buf_str(&g->notes));
    }
    return cmd_write(&g->out, NULL);
}

static int open_all(struct gc *g, struct err *err) {
    struct err no_groups;
    int r = host_open(NULL, &g->host, err);

    if (r < 0)
        return r;
    g->have_fs = cgfs_open(&g->host, &g->fs, &no_groups) == 0;
    r = scope_find(g->context, &g->host, g->have_fs ? &g->fs : NULL, str_of(g->context->args[0]),
                   &g->scope, err);
    g->by_group = g->scope.has_group;
    return r;
}

static void close_all(struct gc *g) {
    scope_done(&g->scope);
    pidlist_done(&g->pids);
    table_done(&g->table);
    buf_done(&g->out);
    buf_done(&g->notes);
    if (g->have_fs)
        cgfs_done(&g->fs);
    host_done(&g->host);
}

static int run(struct cmd_context *context, void *options) {
    struct gc g = {.context = context, .options = options, .scope.dir = -1};
    size_t rows = 0;
    struct err err;
    int r, status;

    if (context->nargs != 1)
        return cmd_usage(context->cmd, "gc takes one PID or TARGET, not %zu", context->nargs);
    if (context->args[0][0] == '-')
        return cmd_usage(context->cmd,
                         "'%s' is no process: pids begin at 1; a container, unit or control group "
                         "is given by its name",
                         context->args[0]);
    cmd_terminal_size(&g.width, &rows);
    table_init(&g.table, columns, ARRAY_N(columns) - !context->plain, OUTPUT_MAX);
    buf_init(&g.out, OUTPUT_MAX);
    buf_init(&g.notes, OUTPUT_MAX);
    r = open_all(&g, &err);
    if (r == 0)
        r = ask_all(&g, &err);
    if (r < 0) {
        status = cmd_fail(&err);
    } else if (g.collected + g.refused + g.failed == 0) {
        status = cmd_failf("'%s' has no process that could collect", context->args[0]);
    } else {
        status = print(&g);
        if (status == EXIT_DONE && (g.collected == 0 || g.failed > 0))
            status = EXIT_FAILED;
    }
    close_all(&g);
    return status;
}

static const struct opt opts[] = {
    {"inject", 'i', NULL, "also by writing into its memory and by calls in its name", set_inject},
    {"timeout", 't', "TIME", "for each process, at most (default 15s)", set_timeout},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_gc = {
    .name = "gc",
    .brief = "make a runtime collect garbage and give memory back; shows before and after",
    .synopsis = "PID|TARGET [--inject] [--timeout TIME]",
    .about =
        "Java by the attach protocol, Go by its pprof listener, Node by its inspector: they are\n"
        "asked as their own tools ask them. With --inject also Go without pprof, Python and\n"
        "malloc of glibc. A process that would be harmed is refused, with what would work.\n\n"
        "  plimsoll gc web\n"
        "  plimsoll gc 4711 --inject\n",
    .opts = opts,
    .output_opts = true,
    .acts = true,
    .options_size = sizeof(struct options),
    .defaults = defaults,
    .run = run,
};
