/* cmd_map.c - what a process's memory is backed by: heap, stacks, files, memfds ...; and, with
 * --diff, which of them grew between two moments.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/table.h"
#include "base/text.h"
#include "cmd/opt.h"
#include "kern/proccmdline.h"
#include "kern/procfile.h"
#include "kern/procstat.h"
#include "sampler/mapgroups.h"

enum { OUTPUT_MAX = 1 << 30, COLUMNS_MAX = 24 };

enum key {
    KEY_ADDRESS,
    KEY_PERMS,
    KEY_GROWTH,
    KEY_SIZE,
    KEY_RSS,
    KEY_PSS,
    KEY_USS,
    KEY_DIRTY,
    KEY_SWAP,
    KEY_LAZYFREE,
    KEY_LOCKED,
    KEY_MAPS,
    KEY_BACKING,
    KEY_N,
};

static const struct {
    const char *head, *key;
    unsigned char weight; /* see base/table.h */
} keys[KEY_N] = {
    [KEY_ADDRESS] = {"ADDRESS", "address", 4},
    [KEY_PERMS] = {"PERMS", "perms", 5},
    [KEY_GROWTH] = {"GROWTH", "growth", 0},
    [KEY_SIZE] = {"SIZE", "size", 7},
    [KEY_RSS] = {"RSS", "rss", 0},
    [KEY_PSS] = {"PSS", "pss", 2},
    [KEY_USS] = {"USS", "uss", 1},
    [KEY_DIRTY] = {"DIRTY", "private_dirty", 8},
    [KEY_SWAP] = {"SWAP", "swap", 3},
    [KEY_LAZYFREE] = {"LAZYFREE", "lazyfree", 9},
    [KEY_LOCKED] = {"LOCKED", "locked", 10},
    [KEY_MAPS] = {"MAPS", "mappings", 6},
    [KEY_BACKING] = {"BACKING", "backing", 0},
};

struct options {
    bool each, have_sort, reverse;
    enum key sort;
    int64_t diff_us; /* 0: one look */
};

static int set_each(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->each = true;
    return 0;
}

static int set_diff(void *into, struct str value, struct err *err) {
    return opt_interval_us(value, &((struct options *)into)->diff_us, err);
}

static int set_sort(void *into, struct str value, struct err *err) {
    struct options *o = into;
    bool reverse = str_skip(&value, STR("-"));

    if (str_eq(value, STR("dirty")))
        value = str_of(keys[KEY_DIRTY].key);
    for (unsigned i = 0; i < KEY_N; i++) {
        if (i == KEY_PERMS || !str_eq(value, str_of(keys[i].key)))
            continue;
        o->sort = (enum key)i;
        o->reverse = reverse;
        o->have_sort = true;
        return 0;
    }
    return err_set(err, -EINVAL,
                   "cannot sort by '%.*s'; known are address, growth, size, rss, pss, uss, dirty, "
                   "swap, lazyfree, locked, mappings, backing",
                   STR_ARG(value));
}

/* One or two looks at a process. */
struct map {
    struct cmd_context *context;
    const struct options *options;
    struct host host;
    int32_t pid;
    struct procstat stat;
    char command[PROCCMDLINE_MAX];
    struct str cmdline;
    struct mapgroups before, after;
    struct mapgrowth *row; /* with one look `before` of each is NULL */
    size_t rows;
    int64_t passed_us; /* between the looks */
};

static int say_why(const struct map *m, int r, struct err *err) {
    if (r == -EACCES || r == -EPERM)
        return err_set(
            err, r,
            "permission denied to read the mappings of process %d (try: as root, or with "
            "CAP_SYS_PTRACE)",
            m->pid);
    if (procfile_gone(r))
        return err_set(err, r, "process %d has ended", m->pid);
    return err_set(err, r, "cannot read the mappings of process %d:", m->pid);
}

static int look(struct map *m, struct mapgroups *g, struct err *err) {
    struct procstat now;
    int r = mapgroups_read(g, m->host.proc, m->pid, m->options->each);
    int alive = procstat_read(m->host.proc, m->pid, &now);

    if (alive == 0 && now.start_ticks != m->stat.start_ticks)
        alive = -ESRCH; /* another one with the same pid */
    if (alive < 0)
        return say_why(m, alive, err);
    if (now.kernel_thread)
        return err_set(err, -EINVAL, "process %d is a kernel thread: it has no mappings", m->pid);
    if (now.state == 'Z' || now.state == 'X')
        return err_set(err, -EINVAL,
                       "process %d is a zombie: its memory is freed, its parent %d has yet to ask "
                       "for its exit code",
                       m->pid, now.ppid);
    return r < 0 ? say_why(m, r, err) : 0;
}

static void pause_us(int64_t us) {
    struct timespec t = {us / 1000000, us % 1000000 * 1000};

    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
}

static int pair(struct map *m) {
    if (m->options->diff_us)
        return mapgroups_diff(&m->before, &m->after, &m->row, &m->rows);
    m->row = calloc(m->after.n + 1, sizeof(*m->row));
    if (!m->row)
        return -ENOMEM;
    m->rows = m->after.n;
    for (size_t i = 0; i < m->rows; i++)
        m->row[i].after = &m->after.group[i];
    return 0;
}

static int read_all(struct map *m, struct err *err) {
    int64_t first_us;
    int r = procstat_read(m->host.proc, m->pid, &m->stat);

    if (r < 0)
        return procfile_gone(r) ? err_set(err, r, "there is no process %d", m->pid)
                                : err_set(err, r, "cannot read process %d:", m->pid);
    if (proccmdline_read(m->host.proc, m->pid, m->command, sizeof(m->command), &m->cmdline) < 0)
        m->cmdline = STR("");
    if (m->options->diff_us) {
        r = look(m, &m->before, err);
        if (r < 0)
            return r;
        first_us = clock_mono_us();
        pause_us(m->options->diff_us);
        m->passed_us = clock_mono_us() - first_us;
    }
    r = look(m, &m->after, err);
    if (r < 0)
        return r;
    r = pair(m);
    return r < 0 ? err_set(err, r, "out of memory") : 0;
}

static const struct mapgroup *shown(const struct mapgrowth *row) {
    return row->after ? row->after : row->before;
}

static struct str name_of(const struct map *m, const struct mapgrowth *row) {
    return mapgroups_name(row->after ? &m->after : &m->before, shown(row));
}

/* A figure of a row: false when unknown. Groups that are gone have none but their growth. */
static bool figure(const struct mapgrowth *row, enum key key, int64_t *out) {
    static const int fields[KEY_N] = {
        [KEY_RSS] = SMAPS_RSS,   [KEY_PSS] = SMAPS_PSS,           [KEY_DIRTY] = SMAPS_PRIVATE_DIRTY,
        [KEY_SWAP] = SMAPS_SWAP, [KEY_LAZYFREE] = SMAPS_LAZYFREE, [KEY_LOCKED] = SMAPS_LOCKED,
    };
    const struct mapgroup *g = row->after;
    uint64_t value = 0;
    bool known = true;

    if (key == KEY_GROWTH)
        return mapgrowth_cost(row, out);
    if (!g)
        return false;
    if (key == KEY_ADDRESS)
        value = g->start;
    else if (key == KEY_SIZE)
        value = g->size;
    else if (key == KEY_MAPS)
        value = g->mappings;
    else if (key == KEY_USS)
        known = smaps_uss(&g->sum, &value);
    else if ((known = smaps_have(&g->sum, (enum smaps_field)fields[key])))
        value = g->sum.value[fields[key]];
    *out = value > INT64_MAX ? INT64_MAX : (int64_t)value;
    return known;
}

static int compare_names(const struct map *m, const struct mapgrowth *a,
                         const struct mapgrowth *b) {
    struct str x = name_of(m, a), y = name_of(m, b);
    size_t n = x.n < y.n ? x.n : y.n;
    int r = n ? memcmp(x.p, y.p, n) : 0;

    return r ? r : (x.n > y.n) - (x.n < y.n);
}

/* Figures descend, names and addresses ascend, what is unknown comes last. */
static int compare(const void *a, const void *b, void *ctx) {
    const struct map *m = ctx;
    const struct mapgrowth *x = a, *y = b;
    int64_t v = 0, w = 0;
    int r = 0;

    if (m->options->sort == KEY_BACKING) {
        r = compare_names(m, x, y);
    } else {
        bool have_v = figure(x, m->options->sort, &v), have_w = figure(y, m->options->sort, &w);

        if (have_v != have_w)
            return have_v ? -1 : 1;
        r = (v < w) - (v > w);
        if (m->options->sort == KEY_ADDRESS)
            r = -r;
    }
    if (m->options->reverse)
        r = -r;
    return r ? r : (shown(x)->start > shown(y)->start) - (shown(x)->start < shown(y)->start);
}

static void add_signed(struct buf *b, int64_t value, bool plain) {
    uint64_t size = value < 0 ? (uint64_t)-value : (uint64_t)value;

    if (value != 0)
        buf_add_char(b, value < 0 ? '-' : '+');
    if (plain)
        buf_add_u64(b, size);
    else
        num_add_iec(b, size);
}

static void add_backing(const struct map *m, const struct mapgrowth *row, struct buf *b) {
    text_add_visible(b, name_of(m, row), m->context->terminal && !m->context->utf8);
    if (shown(row)->deleted)
        buf_add(b, STR(" (deleted)"));
    if (m->options->diff_us && !row->before)
        buf_add(b, STR(" (new)"));
    if (m->options->diff_us && !row->after)
        buf_add(b, STR(" (gone)"));
}

static void add_cell(const struct map *m, const struct mapgrowth *row, enum key key,
                     struct table *t) {
    struct buf *b = table_cell(t);
    int64_t value;

    if (key == KEY_BACKING) {
        add_backing(m, row, b);
    } else if (key == KEY_ADDRESS) {
        buf_add_format(b, "%012llx-%012llx", (unsigned long long)shown(row)->start,
                       (unsigned long long)shown(row)->end);
    } else if (key == KEY_PERMS) {
        buf_add(b, str_of(shown(row)->perms));
    } else if (!figure(row, key, &value)) {
        table_unknown(t);
        return;
    } else if (key == KEY_GROWTH) {
        add_signed(b, value, m->context->plain);
    } else if (key == KEY_MAPS || m->context->plain) {
        buf_add_u64(b, (uint64_t)value);
    } else {
        num_add_iec(b, (uint64_t)value);
    }
    table_next(t);
}

static size_t choose_columns(const struct map *m, enum key column[static KEY_N]) {
    size_t n = 0;

    for (unsigned key = 0; key < KEY_N; key++) {
        if ((key == KEY_ADDRESS || key == KEY_PERMS) && !m->options->each)
            continue;
        if (key == KEY_GROWTH && !m->options->diff_us)
            continue;
        if (key == KEY_MAPS && m->options->each)
            continue;
        column[n++] = (enum key)key;
    }
    return n;
}

static int print_rows(const struct map *m, const enum key *column, size_t n, size_t width,
                      struct buf *out) {
    struct table_column head[KEY_N];
    struct table_layout layout = {
        .plain = m->context->plain, .head = true, .gap = 2, .width = width};
    struct mapgrowth total = {&m->before.total, &m->after.total};
    struct table t;
    int r;

    for (size_t i = 0; i < n; i++)
        head[i] = (struct table_column){
            .head = keys[column[i]].head,
            .align = column[i] == KEY_BACKING || column[i] == KEY_ADDRESS || column[i] == KEY_PERMS
                         ? TABLE_LEFT
                         : TABLE_RIGHT,
            .weight = keys[column[i]].weight,
            .cut = column[i] == KEY_BACKING ? TABLE_CUT_PATH : TABLE_WHOLE};
    table_init(&t, head, n, OUTPUT_MAX);
    for (size_t i = 0; i < m->rows; i++)
        for (size_t c = 0; c < n; c++)
            add_cell(m, &m->row[i], column[c], &t);
    for (size_t c = 0; !m->context->plain && c < n; c++) {
        if (column[c] == KEY_ADDRESS || column[c] == KEY_PERMS) {
            table_next(&t);
        } else if (column[c] == KEY_BACKING) {
            buf_add_format(table_cell(&t), "total of %zu mappings", m->after.total.mappings);
            table_next(&t);
        } else {
            add_cell(m, &total, column[c], &t);
        }
    }
    r = table_print(&t, &layout, out);
    table_done(&t);
    return r;
}

/* "4711: command", as much of it as a line of the terminal takes. */
static int print_title(const struct map *m, size_t width, struct buf *out) {
    bool ascii = m->context->terminal && !m->context->utf8;
    struct buf joined, line;
    int r;

    buf_init(&joined, 2 * PROCCMDLINE_MAX);
    buf_init(&line, OUTPUT_MAX);
    proccmdline_add_joined(&joined, m->cmdline, procstat_comm(&m->stat));
    buf_add_format(&line, "%d: ", m->pid);
    text_add_visible(&line, buf_str(&joined), ascii);
    buf_add(out, width ? text_head(buf_str(&line), width) : buf_str(&line));
    buf_add_char(out, '\n');
    r = buf_error(&joined) ? buf_error(&joined) : buf_error(&line);
    buf_done(&joined);
    buf_done(&line);
    return r;
}

static int print_text(const struct map *m, struct buf *out) {
    size_t width = 0, height;
    enum key column[KEY_N];
    size_t n = choose_columns(m, column);
    int r = 0;

    if (m->context->terminal)
        cmd_terminal_size(&width, &height);
    if (!m->context->plain)
        r = print_title(m, width, out);
    return r < 0 ? r : print_rows(m, column, n, width, out);
}

static void json_figure(struct json *j, const struct mapgrowth *row, enum key key) {
    int64_t value = 0;
    bool known = figure(row, key, &value);

    json_key(j, keys[key].key);
    if (known)
        json_i64(j, value);
    else
        json_unknown(j);
}

static void json_figures(const struct map *m, struct json *j, const struct mapgrowth *row) {
    static const enum key all[] = {KEY_SIZE, KEY_RSS,      KEY_PSS,    KEY_USS, KEY_DIRTY,
                                   KEY_SWAP, KEY_LAZYFREE, KEY_LOCKED, KEY_MAPS};

    for (size_t i = 0; i < ARRAY_N(all); i++)
        json_figure(j, row, all[i]);
    if (m->options->diff_us)
        json_figure(j, row, KEY_GROWTH);
}

static void json_address(struct json *j, const char *key, uint64_t address) {
    char text[24];

    snprintf(text, sizeof(text), "%llx", (unsigned long long)address);
    json_key_str(j, key, str_of(text));
}

static void json_row(const struct map *m, struct json *j, const struct mapgrowth *row) {
    const struct mapgroup *g = shown(row);

    json_begin_object(j);
    json_key_str(j, "kind", str_of(mapgroup_kind_name(g->kind)));
    json_key_str(j, "backing", name_of(m, row));
    json_key(j, "deleted");
    json_bool(j, g->deleted);
    if (m->options->each) {
        json_address(j, "start", g->start);
        json_address(j, "end", g->end);
        json_key_str(j, "perms", str_of(g->perms));
        json_key_u64(j, "offset", g->offset);
        json_key_u64(j, "inode", g->inode);
    }
    json_figures(m, j, row);
    if (m->options->diff_us) {
        json_key(j, "change");
        if (row->before && row->after)
            json_unknown(j);
        else
            json_str(j, row->after ? STR("new") : STR("gone"));
    }
    json_end(j);
}

static void print_json(const struct map *m, struct buf *out) {
    struct mapgrowth total = {&m->before.total, &m->after.total};
    struct buf joined;
    struct json j;

    buf_init(&joined, 2 * PROCCMDLINE_MAX);
    proccmdline_add_joined(&joined, m->cmdline, procstat_comm(&m->stat));
    json_start(&j, out);
    json_begin_object(&j);
    json_key(&j, "ts");
    json_time_ms(&j, clock_wall_ms());
    json_key_u64(&j, "pid", (uint64_t)m->pid);
    json_key_str(&j, "comm", procstat_comm(&m->stat));
    json_key_str(&j, "command", buf_str(&joined));
    json_key_maybe(&j, "diff_ms", m->options->diff_us > 0, (uint64_t)m->passed_us / 1000);
    json_key(&j, m->options->each ? "mappings" : "groups");
    json_begin_array(&j);
    for (size_t i = 0; i < m->rows; i++)
        json_row(m, &j, &m->row[i]);
    json_end(&j);
    json_key(&j, "total");
    json_begin_object(&j);
    json_figures(m, &j, &total);
    json_end(&j);
    json_end(&j);
    buf_add_char(out, '\n');
    buf_done(&joined);
}

static int print(struct map *m) {
    struct buf out;
    struct err err;
    int r = 0, status;

    qsort_r(m->row, m->rows, sizeof(*m->row), compare, m);
    buf_init(&out, OUTPUT_MAX);
    if (m->context->json)
        print_json(m, &out);
    else
        r = print_text(m, &out);
    if (r < 0) {
        err_set(&err, r, "cannot print the mappings of process %d:", m->pid);
        status = cmd_fail(&err);
    } else {
        status = cmd_write(&out, NULL);
    }
    buf_done(&out);
    return status;
}

static int run_on(struct map *m) {
    struct err err;
    int status;

    if (host_open(m->context->root, &m->host, &err) < 0)
        return cmd_fail(&err);
    status = read_all(m, &err) < 0 ? cmd_fail(&err) : print(m);
    free(m->row);
    mapgroups_done(&m->before);
    mapgroups_done(&m->after);
    host_done(&m->host);
    return status;
}

static int run(struct cmd_context *context, void *options) {
    struct options *o = options;
    struct map m = {.context = context, .options = o};
    uint64_t pid;

    if (context->nargs != 1)
        return cmd_usage(context->cmd, "map needs one PID");
    if (str_to_u64(str_of(context->args[0]), &pid) < 0 || pid == 0 || pid > INT32_MAX)
        return cmd_usage(context->cmd, "'%s' is not a pid", context->args[0]);
    if (o->have_sort && o->sort == KEY_GROWTH && !o->diff_us)
        return cmd_usage(context->cmd, "--sort growth needs --diff");
    if (!o->have_sort)
        o->sort = o->diff_us ? KEY_GROWTH : o->each ? KEY_ADDRESS : KEY_RSS;
    m.pid = (int32_t)pid;
    return run_on(&m);
}

static const struct opt opts[] = {
    {"diff", 'd', "SECONDS", "look twice, and show what grew in between, the most first", set_diff},
    {"sort", 's', "KEY", "order by this column, -KEY reverses (default: rss, growth with --diff)",
     set_sort},
    {"each", 'e', NULL, "single mappings with their addresses instead of groups", set_each},
    {"all", 'a', NULL, "the same as --each", set_each},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_map = {
    .name = "map",
    .brief = "what the memory of a process is backed by, and which part of it grows",
    .synopsis = "PID [--diff SECONDS] [--sort KEY] [--each]",
    .about = "Mappings are added up by what backs them: the heap, stacks, anonymous memory, each\n"
             "file (also those that are deleted), memfd, shared memory. GROWTH is that of RSS and\n"
             "swap together.\n\n"
             "  plimsoll map 4711\n"
             "  plimsoll map 4711 --diff 10\n",
    .opts = opts,
    .output_opts = true,
    .options_size = sizeof(struct options),
    .run = run,
};
