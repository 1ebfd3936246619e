#include "cmd/psview.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "cmd/opt.h"

enum shape {
    SHAPE_PID,
    SHAPE_USER,
    SHAPE_SIZE,
    SHAPE_PSS,
    SHAPE_COUNT,
    SHAPE_NUMBER,
    SHAPE_LETTER,
    SHAPE_COMM,
    SHAPE_TEXT,
    SHAPE_TIME
};

#define NO_FIELD PROC_N /* the pid is always known */

/* `weight`: which go first on a narrow terminal (base/table.h). */
static const struct column {
    const char *head, *key;
    enum proc_field field;
    enum shape shape;
    unsigned char weight;
} columns[] = {
    {"PID", "pid", NO_FIELD, SHAPE_PID, 0},
    {"USER", "user", PROC_UID, SHAPE_USER, 4},
    {"VIRT", "virt", PROC_VIRT, SHAPE_SIZE, 9},
    {"RES", "res", PROC_RES, SHAPE_SIZE, 0},
    {"SHR", "shr", PROC_SHR, SHAPE_SIZE, 7},
    {"DATA", "data", PROC_DATA, SHAPE_SIZE, 10},
    {"CODE", "code", PROC_CODE, SHAPE_SIZE, 11},
    {"SWAP", "swap", PROC_SWAP, SHAPE_SIZE, 2},
    {"PSS", "pss", PROC_PSS, SHAPE_PSS, 0},
    {"USS", "uss", PROC_USS, SHAPE_PSS, 1},
    {"THREADS", "threads", PROC_THREADS, SHAPE_COUNT, 6},
    {"FDS", "fds", PROC_FDS, SHAPE_COUNT, 8},
    {"STATE", "state", PROC_STATE, SHAPE_LETTER, 5},
    {"RUNTIME", "runtime", PROC_RUNTIME, SHAPE_TEXT, 5},
    {"COMMAND", "command", PROC_COMMAND, SHAPE_TEXT, 0},
    {"PPID", "ppid", PROC_PPID, SHAPE_NUMBER, 3},
    {"COMM", "comm", PROC_COMM, SHAPE_COMM, 3},
    {"ANON", "anon", PROC_ANON, SHAPE_SIZE, 3},
    {"FILE", "file", PROC_FILE, SHAPE_SIZE, 3},
    {"SHMEM", "shmem", PROC_SHMEM, SHAPE_SIZE, 3},
    {"LAZYFREE", "lazyfree", PROC_LAZYFREE, SHAPE_PSS, 3},
    {"OOM", "oom_score", PROC_OOM_SCORE, SHAPE_NUMBER, 3},
    {"START", "start_ms", PROC_START, SHAPE_TIME, 3},
    {"CGROUP", "cgroup", PROC_CGROUP, SHAPE_TEXT, 3},
};

enum { DEFAULT_COLUMNS = 15, COLUMNS = ARRAY_N(columns) };

void psview_default_columns(struct psview_columns *out) {
    for (unsigned i = 0; i < DEFAULT_COLUMNS; i++)
        out->column[i] = (unsigned char)i;
    out->n = DEFAULT_COLUMNS;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool same_word(struct str s, const char *word) {
    size_t n = strlen(word);

    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (lower(s.p[i]) != lower(word[i]))
            return false;
    return true;
}

/* By its head or its JSON key. */
static int find_column(struct str name, unsigned char *out, struct err *err) {
    const char *known[COLUMNS];
    const char *near;

    for (unsigned i = 0; i < COLUMNS; i++) {
        known[i] = columns[i].key;
        if (same_word(name, columns[i].head) || same_word(name, columns[i].key)) {
            *out = (unsigned char)i;
            return 0;
        }
    }
    near = opt_suggest(name, known, COLUMNS);
    if (near)
        return err_set(err, -EINVAL, "unknown column '%.*s', did you mean '%s'?", STR_ARG(name),
                       near);
    return err_set(
        err, -EINVAL,
        "unknown column '%.*s'; known are pid, user, virt, res, shr, data, code, swap, "
        "pss, uss, threads, fds, state, runtime, command, ppid, comm, anon, file, shmem, "
        "lazyfree, oom, start, cgroup",
        STR_ARG(name));
}

int psview_parse_columns(struct str text, struct psview_columns *out, struct err *err) {
    struct psview_columns found = {.n = 0};
    struct str name;
    bool more = true;

    while (more) {
        int r;

        more = str_cut(&text, ',', &name);
        if (!more)
            name = text;
        if (found.n == PSVIEW_COLUMNS_MAX)
            return err_set(err, -EINVAL, "more than %d columns", PSVIEW_COLUMNS_MAX);
        r = find_column(str_trim(name), &found.column[found.n++], err);
        if (r < 0)
            return r;
    }
    *out = found;
    return 0;
}

int psview_parse_sort(struct str text, struct psview_sort *out, struct err *err) {
    struct psview_sort found = {.reverse = str_skip(&text, STR("-"))};
    int r = find_column(text, &found.column, err);

    if (r == 0)
        *out = found;
    return r;
}

static uint32_t bit_of(unsigned char column) {
    return columns[column].field == NO_FIELD ? 0 : PROC_BIT(columns[column].field);
}

uint32_t psview_want(const struct psview_columns *chosen, const struct psview_sort *sort) {
    uint32_t want = PROC_BIT(PROC_RES) | bit_of(sort->column);

    for (size_t i = 0; i < chosen->n; i++)
        want |= bit_of(chosen->column[i]);
    return want;
}

uint32_t psview_want_json(void) {
    return (PROC_BIT(PROC_N) - 1) | PROC_BIT(PROC_RUNTIME);
}

static struct str user_of(const struct psview *v, const struct proc_row *row, char number[12]) {
    struct str name;

    if (passwd_name(v->users, row->uid, &name))
        return name;
    snprintf(number, 12, "%u", row->uid);
    return str_of(number);
}

static struct str long_text(const struct psview *v, enum proc_field field,
                            const struct proc_row *row) {
    return procs_text(v->procs, field == PROC_COMMAND   ? row->command
                                : field == PROC_RUNTIME ? row->runtime
                                                        : row->cgroup);
}

/* Rows in their order. */
struct order {
    const struct psview *v;
    const struct column *column;
    bool reverse;
};

static struct str text_of(const struct order *o, const struct proc_row *row, char number[12]) {
    switch (o->column->shape) {
    case SHAPE_USER:
        return user_of(o->v, row, number);
    case SHAPE_COMM:
        return procs_comm(row);
    case SHAPE_TEXT:
        return long_text(o->v, o->column->field, row);
    case SHAPE_LETTER:
    case SHAPE_PID:
    case SHAPE_SIZE:
    case SHAPE_PSS:
    case SHAPE_COUNT:
    case SHAPE_NUMBER:
    case SHAPE_TIME:
        break;
    }
    return (struct str){&row->state, 1};
}

static bool number_of(const struct proc_row *row, enum proc_field field, int64_t *out) {
    uint64_t value;

    switch ((int)field) {
    case NO_FIELD:
        *out = row->pid;
        return true;
    case PROC_PPID:
        *out = row->ppid;
        break;
    case PROC_OOM_SCORE:
        *out = row->oom_score;
        break;
    case PROC_START:
        *out = row->start_ms;
        break;
    default:
        if (!proc_value(row, field, &value))
            return false;
        *out = value > INT64_MAX ? INT64_MAX : (int64_t)value;
        return true;
    }
    return proc_has(row, field);
}

static int compare_text(struct str a, struct str b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n ? memcmp(a.p, b.p, n) : 0;

    return r ? r : (a.n > b.n) - (a.n < b.n);
}

/* Names and pids ascend, figures descend; what is unknown comes last either way. */
static int compare(const void *a, const void *b, void *ctx) {
    const struct order *o = ctx;
    const struct proc_row *x = *(const struct proc_row *const *)a;
    const struct proc_row *y = *(const struct proc_row *const *)b;
    enum proc_field field = o->column->field;
    int r = 0;

    if (field != NO_FIELD && proc_has(x, field) != proc_has(y, field))
        return proc_has(x, field) ? -1 : 1;
    if (o->column->shape == SHAPE_TEXT || o->column->shape == SHAPE_COMM ||
        o->column->shape == SHAPE_USER || o->column->shape == SHAPE_LETTER) {
        char number[2][12];

        r = compare_text(text_of(o, x, number[0]), text_of(o, y, number[1]));
    } else {
        int64_t m = 0, n = 0;

        if (number_of(x, field, &m) && number_of(y, field, &n))
            r = o->column->shape == SHAPE_PID ? (m > n) - (m < n) : (m < n) - (m > n);
    }
    if (o->reverse)
        r = -r;
    return r ? r : (x->pid > y->pid) - (x->pid < y->pid);
}

static const struct proc_row **sorted(const struct psview *v) {
    struct order o = {v, &columns[v->sort.column], v->sort.reverse};
    const struct proc_row **row = calloc(v->procs->n + 1, sizeof(*row));

    if (!row)
        return NULL;
    for (size_t i = 0; i < v->procs->n; i++)
        row[i] = &v->procs->row[i];
    qsort_r(row, v->procs->n, sizeof(*row), compare, &o);
    return row;
}

struct sum {
    uint64_t value[PROC_N];
    size_t known[PROC_N];
    uint64_t repeated; /* RES - PSS of those whose PSS is known: pages counted more than once */
    bool estimated;    /* some PSS is */
};

static struct sum sum_up(const struct procs *p) {
    struct sum s = {.estimated = p->pss_estimated > 0};

    for (size_t i = 0; i < p->n; i++) {
        const struct proc_row *row = &p->row[i];

        for (unsigned f = 0; f < PROC_N; f++) {
            uint64_t value;

            if (!proc_value(row, (enum proc_field)f, &value))
                continue;
            s.value[f] += value;
            s.known[f]++;
        }
        if (proc_has(row, PROC_PSS) && proc_has(row, PROC_RES) && row->res > row->pss)
            s.repeated += row->res - row->pss;
    }
    return s;
}

static void add_size(const struct psview *v, struct buf *b, uint64_t bytes) {
    if (v->plain)
        buf_add_u64(b, bytes);
    else
        num_add_iec(b, bytes);
}

static void add_cell(const struct psview *v, const struct column *c, const struct proc_row *row,
                     struct buf *b) {
    int64_t number = 0;
    char digits[12];

    switch (c->shape) {
    case SHAPE_SIZE:
    case SHAPE_PSS:
    case SHAPE_COUNT:
    case SHAPE_PID:
    case SHAPE_NUMBER:
    case SHAPE_TIME:
        (void)number_of(row, c->field, &number);
        if (c->shape == SHAPE_PSS && row->pss_estimated)
            buf_add_char(b, '~');
        if (c->shape == SHAPE_SIZE || c->shape == SHAPE_PSS)
            add_size(v, b, (uint64_t)number);
        else if (c->shape == SHAPE_TIME)
            clock_add_rfc3339(b, number);
        else
            buf_add_format(b, "%lld", (long long)number);
        break;
    case SHAPE_USER:
        text_add_visible(b, user_of(v, row, digits), v->ascii);
        break;
    case SHAPE_LETTER:
        text_add_visible(b, (struct str){&row->state, 1}, v->ascii);
        break;
    case SHAPE_COMM:
        text_add_visible(b, procs_comm(row), v->ascii);
        break;
    case SHAPE_TEXT:
        text_add_visible(b, long_text(v, c->field, row), v->ascii);
        break;
    }
}

static bool is_left(enum shape shape) {
    return shape == SHAPE_USER || shape == SHAPE_LETTER || shape == SHAPE_COMM ||
           shape == SHAPE_TEXT;
}

static void set_heads(const struct psview *v, struct table_column head[static PSVIEW_COLUMNS_MAX]) {
    for (size_t i = 0; i < v->columns.n; i++) {
        const struct column *c = &columns[v->columns.column[i]];

        head[i] = (struct table_column){.head = c->head,
                                        .align = is_left(c->shape) ? TABLE_LEFT : TABLE_RIGHT,
                                        .weight = c->weight,
                                        .cut = c->shape != SHAPE_TEXT     ? TABLE_WHOLE
                                               : c->field == PROC_RUNTIME ? TABLE_WHOLE
                                               : c->field == PROC_COMMAND ? TABLE_CUT_END
                                                                          : TABLE_CUT_PATH};
    }
}

static int print_rows(const struct psview *v, size_t most, struct buf *out) {
    struct table_column head[PSVIEW_COLUMNS_MAX];
    struct table_layout layout = {.plain = v->plain, .head = true, .gap = 2, .width = v->width};
    auto_free const struct proc_row **row = sorted(v);
    struct table t;
    int r;

    if (!row)
        return -ENOMEM;
    set_heads(v, head);
    table_init(&t, head, v->columns.n, 512 << 20);
    for (size_t i = 0; i < v->procs->n && i < most; i++)
        for (size_t c = 0; c < v->columns.n; c++) {
            const struct column *column = &columns[v->columns.column[c]];

            if (column->field != NO_FIELD && !proc_has(row[i], column->field)) {
                table_unknown(&t);
                continue;
            }
            add_cell(v, column, row[i], table_cell(&t));
            table_next(&t);
        }
    r = table_print(&t, &layout, out);
    table_done(&t);
    return r;
}

static void add_bound(struct buf *out, const struct psview *v, const struct sum *s,
                      enum proc_field field, bool estimated) {
    buf_add_format(out, "%s%s", s->known[field] < v->procs->n ? "at least " : "",
                   estimated ? "~" : "");
    num_add_iec(out, s->value[field]);
}

/* ", PSS at least ~12.0M" */
static void add_sum_of(struct buf *out, const char *name, const struct psview *v,
                       const struct sum *s, enum proc_field field, bool estimated) {
    if (s->known[field] == 0)
        return;
    buf_add_format(out, ", %s ", name);
    add_bound(out, v, s, field, estimated);
}

static void add_amount(struct buf *out, const char *text, uint64_t bytes, const char *rest) {
    buf_add(out, str_of(text));
    num_add_iec(out, bytes);
    buf_add(out, str_of(rest));
}

/* How the PSS came about, when it is not simply exact. */
static void add_measured(struct buf *out, const struct psview *v) {
    const struct procs *p = v->procs;
    size_t late = p->pss_unknown - p->pss_denied;

    if (p->pss_estimated > 0 || late > 0) {
        buf_add_format(out, "; PSS of %zu measured %s", p->pss_measured, v->past ? "then" : "now");
        if (p->pss_estimated > 0)
            buf_add_format(out, ", %zu estimated (~)", p->pss_estimated);
        if (late > 0)
            buf_add_format(out, ", %zu unknown", late);
        if (p->options.pss != PROCS_PSS_EXACT && p->unread == 0)
            buf_add(out, STR("; --pss reads all"));
    }
    if (p->pss_denied > 0)
        buf_add_format(out, "; PSS of %zu may not be read", p->pss_denied);
}

static void add_sum_line(const struct psview *v, const struct sum *s, struct buf *out) {
    size_t n = v->procs->n;

    if (n == 0) {
        buf_add(out, STR("no processes\n"));
        return;
    }
    buf_add_format(out, "%zu process%s", n, n == 1 ? "" : "es");
    if (s->known[PROC_RES] > 0) {
        buf_add(out, STR(": RES "));
        add_bound(out, v, s, PROC_RES, false);
        add_sum_of(out, "PSS", v, s, PROC_PSS, s->estimated);
        add_sum_of(out, "USS", v, s, PROC_USS, s->estimated);
        if (s->value[PROC_SWAP] > 0)
            add_sum_of(out, "SWAP", v, s, PROC_SWAP, false);
        add_measured(out, v);
    }
    if (v->procs->unread > 0)
        buf_add_format(out, "; %zu could not be read", v->procs->unread);
    buf_add_char(out, '\n');
}

static void add_why(const struct psview *v, const struct sum *s, struct buf *out) {
    const char *whose = v->group.have      ? "the group's"
                        : v->whole_machine ? "the machine's"
                                           : "their";
    bool all = s->known[PROC_PSS] == v->procs->n;

    buf_add_format(out,
                   "the sum of RES is not %s memory: a page shared by several processes counts "
                   "once for each",
                   whose);
    if (s->repeated > 0)
        add_amount(out,
                   !all           ? ", here at least "
                   : s->estimated ? ", here about "
                                  : ", here ",
                   s->repeated, " too much (RES - PSS)");
    buf_add_char(out, '\n');
}

static void add_lazyfree(const struct sum *s, struct buf *out) {
    if (s->value[PROC_LAZYFREE] > 0)
        add_amount(
            out, "", s->value[PROC_LAZYFREE],
            " of RES is freed already and stays only until the kernel needs it (lazyfree)\n");
}

/* What the kernel charges, and what of it no process's figures show. */
static void add_group(const struct psview *v, struct buf *out) {
    const struct psview_group *g = &v->group;

    text_add_visible(out, g->name, v->ascii);
    add_amount(out, ": ", g->usage, " charged to the group");
    if (g->have_used)
        add_amount(out, ", ", g->used, " used (cannot be reclaimed)");
    if (g->have_cache && g->have_shmem) {
        add_amount(out, "; charged even where no process maps it: page cache ", g->cache, "");
        add_amount(out, ", tmpfs and shared memory ", g->shmem, "");
        if (g->have_kernel)
            add_amount(out, ", kernel memory ", g->kernel, "");
    }
    buf_add_char(out, '\n');
}

static void add_explanation(const struct psview *v, struct buf *out) {
    struct sum s = sum_up(v->procs);

    add_sum_line(v, &s, out);
    if (v->procs->n > 1 && s.known[PROC_RES] > 0)
        add_why(v, &s, out);
    add_lazyfree(&s, out);
    if (v->group.have)
        add_group(v, out);
    else if (v->whole_machine && v->machine_used > 0)
        add_amount(out, "machine: ", v->machine_used,
                   " used (MemTotal - MemAvailable), kernel memory and tmpfs included\n");
}

/* Where a line has to be broken to fit: at the last blank that does, else at the first one; the
 * whole line if it has none. */
static size_t break_at(struct str line, size_t width) {
    struct str head = text_head(line, width);
    ptrdiff_t blank;

    if (head.n == line.n)
        return line.n;
    blank = str_rfind(str_head(line, head.n + 1), ' ');
    if (blank <= 0)
        blank = str_find(line, ' ');
    return blank <= 0 ? line.n : (size_t)blank;
}

static void add_wrapped(struct buf *out, struct str text, size_t width) {
    struct str line;

    while (str_cut(&text, '\n', &line))
        while (line.n > 0) {
            size_t n = break_at(line, width);

            buf_add(out, str_head(line, n));
            buf_add_char(out, '\n');
            line = str_from(line, n + 1);
        }
}

/* The lines below the table. */
static int explain(const struct psview *v, struct buf *out) {
    struct buf text;
    int r;

    if (v->plain)
        return 0;
    buf_init(&text, 1 << 20);
    add_explanation(v, &text);
    if (v->width > 0)
        add_wrapped(out, buf_str(&text), v->width);
    else
        buf_add(out, buf_str(&text));
    r = buf_error(&text);
    buf_done(&text);
    return r;
}

/* Rows of the terminal that a text takes, long lines being broken. */
static size_t screen_rows(struct str text, size_t width) {
    struct str line;
    size_t rows = 0;

    while (str_cut(&text, '\n', &line)) {
        size_t columns_used = text_columns(line);

        rows += columns_used > width ? (columns_used + width - 1) / width : 1;
    }
    return rows;
}

int psview_print_text(const struct psview *v, struct buf *out) {
    size_t most = SIZE_MAX;
    struct buf below;
    int r;

    buf_init(&below, 1 << 20);
    r = explain(v, &below);
    if (v->height > 0) {
        size_t taken = 2 + screen_rows(buf_str(&below), v->width ? v->width : 80);

        most = v->height > taken ? v->height - taken : 1; /* the heads and the cursor's line */
    }
    if (r == 0)
        r = print_rows(v, most, out);
    if (r == 0)
        buf_add(out, buf_str(&below));
    if (r == 0 && buf_error(&below))
        r = buf_error(&below);
    buf_done(&below);
    return r;
}

static void json_number(struct json *j, const char *key, bool have, int64_t value) {
    json_key(j, key);
    if (have)
        json_i64(j, value);
    else
        json_unknown(j);
}

static void json_text(struct json *j, const char *key, bool have, struct str value) {
    json_key(j, key);
    if (have)
        json_str(j, value);
    else
        json_unknown(j);
}

static void json_value(struct json *j, const struct proc_row *row, enum proc_field field,
                       const char *key) {
    uint64_t value = 0;
    bool have = proc_value(row, field, &value);

    json_key_maybe(j, key, have, value);
}

static void json_sizes(struct json *j, const struct proc_row *row) {
    for (size_t i = 0; i < PROC_NUMBERS; i++)
        json_value(j, row, proc_numbers[i].field, proc_numbers[i].key);
}

static void json_row(const struct psview *v, struct json *j, const struct proc_row *row) {
    char digits[12];

    json_begin_object(j);
    json_number(j, "pid", true, row->pid);
    json_number(j, "ppid", proc_has(row, PROC_PPID), row->ppid);
    json_text(j, "user", proc_has(row, PROC_UID),
              proc_has(row, PROC_UID) ? user_of(v, row, digits) : STR(""));
    json_number(j, "uid", proc_has(row, PROC_UID), row->uid);
    json_text(j, "comm", proc_has(row, PROC_COMM), procs_comm(row));
    json_text(j, "command", proc_has(row, PROC_COMMAND), procs_text(v->procs, row->command));
    json_text(j, "state", proc_has(row, PROC_STATE), (struct str){&row->state, 1});
    json_sizes(j, row);
    json_key(j, "pss_estimated");
    json_bool(j, row->pss_estimated);
    json_number(j, "oom_score", proc_has(row, PROC_OOM_SCORE), row->oom_score);
    json_number(j, "start_ms", proc_has(row, PROC_START), row->start_ms);
    json_text(j, "cgroup", proc_has(row, PROC_CGROUP), procs_text(v->procs, row->cgroup));
    json_text(j, "runtime", proc_has(row, PROC_RUNTIME), procs_text(v->procs, row->runtime));
    json_end(j);
    buf_add_char(j->out, '\n');
}

/* A sum is known when all its parts are. */
static void json_sum(struct json *j, const struct psview *v, const struct sum *s,
                     enum proc_field field, const char *key) {
    json_key_maybe(j, key, s->known[field] == v->procs->n, s->value[field]);
}

static void json_total(const struct psview *v, int64_t at_ms, struct json *j) {
    struct sum s = sum_up(v->procs);
    const struct procs *p = v->procs;

    json_begin_object(j);
    json_key(j, "total");
    json_begin_object(j);
    json_key(j, "ts");
    json_time_ms(j, at_ms);
    json_key_u64(j, "processes", p->n);
    json_sum(j, v, &s, PROC_RES, "res");
    json_sum(j, v, &s, PROC_SWAP, "swap");
    json_sum(j, v, &s, PROC_PSS, "pss");
    json_sum(j, v, &s, PROC_USS, "uss");
    json_key_maybe(j, "pss_known", s.known[PROC_PSS] > 0, s.value[PROC_PSS]);
    json_key_u64(j, "pss_measured", p->pss_measured);
    json_key_u64(j, "pss_estimated", p->pss_estimated);
    json_key_u64(j, "pss_unknown", p->pss_unknown);
    json_key_maybe(j, "cgroup_usage", v->group.have, v->group.usage);
    json_key_maybe(j, "cgroup_used", v->group.have && v->group.have_used, v->group.used);
    json_end(j);
    json_end(j);
    buf_add_char(j->out, '\n');
}

int psview_print_json(const struct psview *v, int64_t at_ms, struct buf *out) {
    auto_free const struct proc_row **row = sorted(v);

    if (!row)
        return -ENOMEM;
    for (size_t i = 0; i < v->procs->n; i++) {
        struct json j;

        json_start(&j, out);
        json_row(v, &j, row[i]);
    }
    struct json j;

    json_start(&j, out);
    json_total(v, at_ms, &j);
    return 0;
}
