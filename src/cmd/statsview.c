#include "cmd/statsview.h"

#include "base/mem.h"
#include "base/text.h"

enum { TABLE_MAX = 64 << 20 };

/* The columns of our own table: on paper and, where they differ, in tab-separated text. */
enum column {
    COLUMN_ID,
    COLUMN_NAME,
    COLUMN_CPU,
    COLUMN_USED,
    COLUMN_LIMIT,
    COLUMN_USED_PCT,
    COLUMN_LIMIT_FROM,
    COLUMN_USAGE,
    COLUMN_SWAP,
    COLUMN_PSI,
    COLUMN_OOM,
    COLUMN_STATE,
    COLUMN_NET,
    COLUMN_BLOCK,
    COLUMN_PIDS,
    COLUMN_LANG, /* wide only */
    COLUMN_TEXT_N,
    COLUMN_NET_TX = COLUMN_TEXT_N, /* plain: COLUMN_NET and COLUMN_BLOCK are what came in */
    COLUMN_BLOCK_WRITE,
    COLUMN_PLAIN_N,
};

static const struct table_column text_columns_of[COLUMN_TEXT_N] = {
    [COLUMN_ID] = {"CONTAINER ID", TABLE_LEFT, 9, TABLE_WHOLE},
    [COLUMN_NAME] = {"NAME", TABLE_LEFT, 0, TABLE_CUT_PATH},
    [COLUMN_CPU] = {"CPU %", TABLE_RIGHT, 3, TABLE_WHOLE},
    [COLUMN_USED] = {"USED", TABLE_RIGHT, 0, TABLE_WHOLE},
    [COLUMN_LIMIT] = {"LIMIT", TABLE_RIGHT, 0, TABLE_WHOLE},
    [COLUMN_USED_PCT] = {"USED %", TABLE_RIGHT, 0, TABLE_WHOLE},
    [COLUMN_LIMIT_FROM] = {"LIMIT FROM", TABLE_LEFT, 8, TABLE_CUT_PATH},
    [COLUMN_USAGE] = {"USAGE", TABLE_RIGHT, 6, TABLE_WHOLE},
    [COLUMN_SWAP] = {"SWAP", TABLE_RIGHT, 5, TABLE_WHOLE},
    [COLUMN_PSI] = {"PSI %", TABLE_RIGHT, 4, TABLE_WHOLE},
    [COLUMN_OOM] = {"OOM", TABLE_RIGHT, 2, TABLE_WHOLE},
    [COLUMN_STATE] = {"STATE", TABLE_LEFT, 0, TABLE_WHOLE},
    [COLUMN_NET] = {"NET I/O", TABLE_RIGHT, 10, TABLE_WHOLE},
    [COLUMN_BLOCK] = {"BLOCK I/O", TABLE_RIGHT, 11, TABLE_WHOLE},
    [COLUMN_PIDS] = {"PIDS", TABLE_RIGHT, 7, TABLE_WHOLE},
    [COLUMN_LANG] = {"LANG", TABLE_LEFT, 1, TABLE_WHOLE},
};

static const struct {
    enum column column;
    const char *head;
} plain_list[COLUMN_PLAIN_N] = {
    {COLUMN_ID, "CONTAINER ID"},
    {COLUMN_NAME, "NAME"},
    {COLUMN_CPU, "CPU %"},
    {COLUMN_USED, "USED"},
    {COLUMN_LIMIT, "LIMIT"},
    {COLUMN_USED_PCT, "USED %"},
    {COLUMN_LIMIT_FROM, "LIMIT FROM"},
    {COLUMN_USAGE, "USAGE"},
    {COLUMN_SWAP, "SWAP"},
    {COLUMN_PSI, "PSI %"},
    {COLUMN_OOM, "OOM"},
    {COLUMN_STATE, "STATE"},
    {COLUMN_NET, "NET RX"},
    {COLUMN_NET_TX, "NET TX"},
    {COLUMN_BLOCK, "BLOCK READ"},
    {COLUMN_BLOCK_WRITE, "BLOCK WRITE"},
    {COLUMN_PIDS, "PIDS"},
    {COLUMN_LANG, "LANG"},
};

static const struct table_column docker_columns[] = {
    {"CONTAINER ID", TABLE_LEFT, 0, TABLE_WHOLE}, {"NAME", TABLE_LEFT, 0, TABLE_WHOLE},
    {"CPU %", TABLE_LEFT, 0, TABLE_WHOLE},        {"MEM USAGE / LIMIT", TABLE_LEFT, 0, TABLE_WHOLE},
    {"MEM %", TABLE_LEFT, 0, TABLE_WHOLE},        {"NET I/O", TABLE_LEFT, 0, TABLE_WHOLE},
    {"BLOCK I/O", TABLE_LEFT, 0, TABLE_WHOLE},    {"PIDS", TABLE_LEFT, 0, TABLE_WHOLE},
};

/* With what the view says about how it is to be shown. */
static struct stats_row view_row(const struct stats_view *v, const struct stats_rows *rows,
                                 size_t i) {
    struct stats_row r = rows->at(rows->ctx, i);

    r.no_trunc = v->no_trunc;
    r.ascii = v->ascii;
    r.plain = v->format == STATS_PLAIN;
    r.wide = v->wide;
    return r;
}

/* A container inside of a container is shown as OUTER/INNER: its memory is in both rows. */
static void add_name(struct buf *out, const struct stats_row *r) {
    const struct target *t = r->target;

    if (t->inside && target_is_container(t)) {
        row_add_visible(out, session_name(t->inside), r);
        buf_add_char(out, '/');
    }
    row_add_visible(out, session_name(t), r);
}

static void add_id(struct buf *out, const struct stats_row *r) {
    struct str id = str_of(r->target->id);

    if (!r->target->id || r->target->kind == TARGET_SERVICE || r->target->kind == TARGET_SESSION)
        row_add_dash(out);
    else
        row_add_visible(out, r->no_trunc || r->plain ? id : str_head(id, 12), r);
}

static void add_used(struct buf *out, const struct stats_row *r) {
    row_add_bytes(out, r, METRIC_USED);
    if (!r->plain && row_kernel_unsplit(r))
        buf_add_char(out, '*');
}

static void add_lang(struct buf *out, const struct stats_row *r) {
    row_add_visible(out, r->lang.n > 0 ? r->lang : STR("-"), r);
}

/* What deserves a second look: the state and the figures behind it, and kills. */
static enum table_mark mark_of(const struct stats_row *r, size_t column) {
    enum state state = r->state;

    switch (column) {
    case COLUMN_USED_PCT:
        return state == STATE_FULL ? TABLE_BAD : state == STATE_HIGH ? TABLE_WARN : TABLE_UNMARKED;
    case COLUMN_SWAP:
        return state == STATE_SWAPPING ? TABLE_WARN : TABLE_UNMARKED;
    case COLUMN_PSI:
        return state == STATE_STALLED || state == STATE_THRASHING ? TABLE_WARN : TABLE_UNMARKED;
    case COLUMN_OOM:
        return row_has(r, METRIC_OOM_KILLS) && row_value(r, METRIC_OOM_KILLS) > 0 ? TABLE_WARN
                                                                                  : TABLE_UNMARKED;
    case COLUMN_STATE:
        return state >= STATE_THROTTLED ? TABLE_BAD
               : state >= STATE_HIGH    ? TABLE_WARN
                                        : TABLE_UNMARKED;
    default:
        return TABLE_UNMARKED;
    }
}

static void text_cell(struct buf *out, const struct stats_row *r, size_t column) {
    switch (column) {
    case COLUMN_ID:
        add_id(out, r);
        break;
    case COLUMN_NAME:
        add_name(out, r);
        break;
    case COLUMN_CPU:
        row_add_centi(out, r->have_cpu, r->cpu_centi);
        break;
    case COLUMN_USED:
        add_used(out, r);
        break;
    case COLUMN_LIMIT:
        row_add_bytes(out, r, METRIC_LIMIT);
        if (!r->plain && row_has(r, METRIC_LIMIT) && !r->limit.certain)
            buf_add_char(out, '?');
        break;
    case COLUMN_USED_PCT:
        row_add_used_pct(out, r);
        break;
    case COLUMN_LIMIT_FROM:
        if (row_has(r, METRIC_LIMIT))
            row_add_visible(out, row_limit_from(r, true), r);
        else
            row_add_dash(out);
        break;
    case COLUMN_USAGE:
        row_add_bytes(out, r, METRIC_USAGE);
        break;
    case COLUMN_SWAP:
        row_add_bytes(out, r, METRIC_SWAP);
        break;
    case COLUMN_PSI:
        row_add_centi(out, row_has(r, METRIC_PSI_SOME),
                      row_has(r, METRIC_PSI_SOME) ? row_value(r, METRIC_PSI_SOME) : 0);
        break;
    case COLUMN_OOM:
        row_add_count(out, r, METRIC_OOM_KILLS);
        break;
    case COLUMN_STATE:
        buf_add(out, str_of(state_name(r->state)));
        break;
    case COLUMN_NET:
        if (r->plain)
            row_add_bytes(out, r, METRIC_NET_RX);
        else
            row_add_pair(out, r, METRIC_NET_RX, METRIC_NET_TX);
        break;
    case COLUMN_BLOCK:
        if (r->plain)
            row_add_bytes(out, r, METRIC_BLK_READ);
        else
            row_add_pair(out, r, METRIC_BLK_READ, METRIC_BLK_WRITE);
        break;
    case COLUMN_NET_TX:
        row_add_bytes(out, r, METRIC_NET_TX);
        break;
    case COLUMN_BLOCK_WRITE:
        row_add_bytes(out, r, METRIC_BLK_WRITE);
        break;
    case COLUMN_LANG:
        add_lang(out, r);
        break;
    default:
        row_add_count(out, r, METRIC_PIDS);
    }
}

static void add_part(const struct template_part *part, const struct stats_row *r, struct buf *field,
                     struct buf *out) {
    if (part->field < 0) {
        buf_add(out, part->text);
        return;
    }
    buf_clear(field);
    stats_add_field(field, r, part->field);
    template_add_field(out, part->function, buf_str(field), r->ascii);
}

static void print_template(const struct template *t, const struct stats_row *r, struct buf *field,
                           struct buf *out) {
    for (size_t i = 0; i < t->parts; i++)
        add_part(&t->part[i], r, field, out);
    buf_add_char(out, '\n');
}

/* "table" templates: a tab in the text between fields parts the columns. */
static void print_template_table(struct stats_view *v, const struct stats_rows *rows,
                                 struct buf *out) {
    static const struct table_layout layout = {.gap = 3, .minimum = 10};
    struct table_column column[TEMPLATE_PARTS + 1] = {{.head = ""}};
    struct buf field;
    struct table table;
    size_t columns = 1;

    for (size_t i = 0; i < v->template.parts; i++)
        if (v->template.part[i].field < 0)
            for (size_t at = 0; at < v->template.part[i].text.n && columns < 40; at++)
                columns += v->template.part[i].text.p[at] == '\t';
    for (size_t c = 0; c < columns; c++)
        column[c] = (struct table_column){.head = "", .align = TABLE_LEFT};
    buf_init(&field, 1 << 20);
    table_init(&table, column, columns, TABLE_MAX);
    for (size_t line = 0; line <= rows->n; line++) { /* the heads are the first line */
        struct stats_row r = line ? view_row(v, rows, line - 1) : (struct stats_row){0};
        size_t cell = 0;

        for (size_t i = 0; i < v->template.parts; i++) {
            const struct template_part *part = &v->template.part[i];
            struct str rest = part->text, head;

            while (part->field < 0 && str_cut(&rest, '\t', &head) && cell + 1 < columns) {
                buf_add(table_cell(&table), head);
                table_next(&table);
                cell++;
            }
            if (part->field < 0)
                buf_add(table_cell(&table), rest);
            else if (line == 0)
                buf_add(table_cell(&table), str_of(stats_field_heads[part->field]));
            else
                add_part(part, &r, &field, table_cell(&table));
        }
        for (; cell < columns; cell++)
            table_next(&table);
    }
    (void)table_print(&table, &layout, out);
    table_done(&table);
    buf_done(&field);
}

static void print_table(struct stats_view *v, const struct stats_rows *rows, size_t width,
                        struct buf *out) {
    struct table_layout layout = {
        .plain = v->format == STATS_PLAIN, .head = true, .width = v->no_trunc ? 0 : width};
    bool starred = false, guessed = false;

    table_clear(&v->table);
    for (size_t i = 0; i < rows->n; i++) {
        struct stats_row r = view_row(v, rows, i);

        for (size_t c = 0; c < v->table.columns; c++) {
            size_t column = layout.plain ? plain_list[c].column : c;

            text_cell(table_cell(&v->table), &r, column);
            table_mark(&v->table, mark_of(&r, column));
            table_next(&v->table);
        }
        starred |= row_kernel_unsplit(&r);
        guessed |= row_has(&r, METRIC_LIMIT) && !r.limit.certain;
    }
    (void)table_print(&v->table, &layout, out);
    if (layout.plain)
        return;
    if (starred)
        buf_add(out, STR("* much of it is kernel memory, part of which may be reclaimable: cgroup "
                         "v1 does not tell how much\n"));
    if (guessed)
        buf_add(out, STR("? at most: a group outside of this cgroup namespace may have a tighter "
                         "limit\n"));
}

static void print_docker(struct stats_view *v, const struct stats_rows *rows, struct buf *out) {
    static const int field_of[] = {FIELD_ID,       FIELD_NAME,   FIELD_CPU_PERC, FIELD_MEM_USAGE,
                                   FIELD_MEM_PERC, FIELD_NET_IO, FIELD_BLOCK_IO, FIELD_PIDS};
    static const struct table_layout layout = {.head = true, .gap = 3, .minimum = 10};
    struct buf field;

    buf_init(&field, 1 << 20);
    table_clear(&v->table);
    for (size_t i = 0; i < rows->n; i++) {
        struct stats_row r = view_row(v, rows, i);

        for (size_t c = 0; c < ARRAY_N(field_of); c++) {
            buf_clear(&field);
            stats_add_field(&field, &r, field_of[c]);
            text_add_visible(table_cell(&v->table), buf_str(&field), v->ascii);
            table_next(&v->table);
        }
    }
    (void)table_print(&v->table, &layout, out);
    buf_done(&field);
}

unsigned stats_view_wants(const struct stats_view *v) {
    unsigned wants = TICK_PIDS; /* never nothing: 0 would mean that no sampler is needed */

    switch (v->format) {
    case STATS_JSON:
        return TICK_ALL;
    case STATS_TEXT:
    case STATS_PLAIN:
        return TICK_ALL & ~(unsigned)(TICK_PEAK | TICK_KERNEL);
    case STATS_DOCKER:
        return TICK_CPU | TICK_PIDS | TICK_IO | TICK_NET;
    case STATS_TEMPLATE:
        break;
    }
    if (v->template.whole)
        return TICK_CPU | TICK_PIDS | TICK_IO | TICK_NET;
    for (size_t i = 0; i < v->template.parts; i++)
        if (v->template.part[i].field >= 0)
            wants |= stats_field_wants(v->template.part[i].field);
    return wants;
}

static const struct table_column *plain_columns(void) {
    static struct table_column columns[COLUMN_PLAIN_N];

    for (size_t c = 0; c < COLUMN_PLAIN_N; c++)
        columns[c] = (struct table_column){.head = plain_list[c].head};
    return columns;
}

void stats_view_init(struct stats_view *v) {
    if (v->format == STATS_DOCKER)
        table_init(&v->table, docker_columns, ARRAY_N(docker_columns), TABLE_MAX);
    else if (v->format == STATS_PLAIN)
        table_init(&v->table, plain_columns(), COLUMN_PLAIN_N - !v->wide, TABLE_MAX);
    else
        table_init(&v->table, text_columns_of, COLUMN_TEXT_N - !v->wide, TABLE_MAX);
}

void stats_view_done(struct stats_view *v) {
    table_done(&v->table);
    template_done(&v->template);
}

void stats_view_print(struct stats_view *v, const struct stats_rows *rows, size_t width,
                      struct buf *out) {
    struct buf field;

    switch (v->format) {
    case STATS_TEXT:
    case STATS_PLAIN:
        print_table(v, rows, width, out);
        return;
    case STATS_DOCKER:
        print_docker(v, rows, out);
        return;
    case STATS_JSON:
    case STATS_TEMPLATE:
        break;
    }
    if (v->format == STATS_TEMPLATE && v->template.table && !v->template.whole) {
        print_template_table(v, rows, out);
        return;
    }
    buf_init(&field, 1 << 20);
    for (size_t i = 0; i < rows->n; i++) {
        struct stats_row r = view_row(v, rows, i);

        if (v->format == STATS_JSON)
            row_add_json(out, &r);
        else if (v->template.whole)
            stats_add_docker_json(out, &r);
        else
            print_template(&v->template, &r, &field, out);
    }
    buf_done(&field);
}
