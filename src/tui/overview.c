/* overview.c - the machine, and one row a container. */
#include "tui/app.h"

#include "base/mem.h"
#include "base/num.h"
#include "tui/bar.h"
#include "tui/chart.h"
#include "tui/units.h"

enum { LIST_TOP = 4, NICE = 9, LEGEND_ROWS_MIN = 20, TEXT_MAX = 256 };

/* A cell is drawn at y, x in `width` columns. */
typedef void draw_cell(struct app *a, int y, int x, int width, const struct tui_row *row);

unsigned overview_state_style(enum state state) {
    if (state >= STATE_THRASHING)
        return STYLE_BAD;
    if (state >= STATE_HIGH || state == STATE_GROWING)
        return STYLE_WARN;
    return state == STATE_UNKNOWN ? STYLE_DIM : STYLE_GOOD;
}

static void draw_name(struct app *a, int y, int x, int width, const struct tui_row *row) {
    canvas_name(&a->canvas, y, x, width, row->name, STYLE_BOLD);
}

static void draw_runtime(struct app *a, int y, int x, int width, const struct tui_row *row) {
    static const struct {
        struct str word, brief;
    } brief[] = {{STR("containerd"), STR("ctrd")},      {STR("kubernetes"), STR("k8s")},
                 {STR("libvirt"), STR("libvrt")},       {STR("plimsoll"), STR("run")},
                 {STR("buildkit"), STR("buildk")},      {STR("systemd"), STR("sysd")},
                 {STR("systemd-nspawn"), STR("nspawn")}};
    struct str word = row->runtime.n > 0 ? row->runtime : row->kind;

    for (size_t i = 0; i < ARRAY_N(brief); i++)
        if (str_eq(word, brief[i].word))
            word = brief[i].brief;
    canvas_name(&a->canvas, y, x, width, word, STYLE_DIM);
}

static void draw_spark(struct app *a, int y, int x, int width, const struct tui_row *row) {
    int64_t end = app_at(a);
    size_t n = width < SPARK_COLUMNS_MAX ? (size_t)width : SPARK_COLUMNS_MAX;
    const uint64_t *value = sparks_of(&a->sparks, a->source, row, end,
                                      moment_window(&a->moment, end, app_oldest(a)), n, a->now_ms);

    chart_spark(&a->canvas, y, x, value, n, STYLE_SPARK);
}

static void draw_bar(struct app *a, int y, int x, int width, const struct tui_row *row) {
    bar_draw(&a->canvas, y, x, width, row->sample);
}

static void draw_used(struct app *a, int y, int x, int width, const struct tui_row *row) {
    struct buf used, limit;

    (void)width;
    buf_init(&used, TEXT_MAX);
    buf_init(&limit, TEXT_MAX);
    units_add_metric(&used, row->sample, METRIC_USED);
    if (row->sample && state_kernel_unsplit(row->sample, row->v1))
        buf_add_char(&used, '*');
    units_add_metric(&limit, row->sample, METRIC_LIMIT);
    canvas_right(&a->canvas, y, x, 6, buf_str(&used), STYLE_NORMAL);
    canvas_text(&a->canvas, y, x + 6, 1, STR("/"), STYLE_DIM);
    canvas_right(&a->canvas, y, x + 7, 6, buf_str(&limit), STYLE_DIM);
    buf_done(&used);
    buf_done(&limit);
}

/* Text that is made by `add` at the right of the cell. */
static void right(struct app *a, int y, int x, int width, struct buf *text, unsigned style) {
    if (text->n == 0)
        buf_add_char(text, '-');
    canvas_right(&a->canvas, y, x, width, buf_str(text),
                 text->n == 1 && text->p[0] == '-' ? STYLE_DIM : style);
    buf_done(text);
}

static void draw_pct(struct app *a, int y, int x, int width, const struct tui_row *row) {
    const struct sample *s = row->sample;
    struct buf text;

    buf_init(&text, TEXT_MAX);
    if (s && sample_has(s, METRIC_USED) && sample_has(s, METRIC_LIMIT) && s->value[METRIC_LIMIT])
        num_add_centi(&text, num_centi_pct(s->value[METRIC_USED], s->value[METRIC_LIMIT]), 1);
    right(a, y, x, width, &text, STYLE_NORMAL);
}

static void draw_trend(struct app *a, int y, int x, int width, const struct tui_row *row) {
    struct buf text;

    buf_init(&text, TEXT_MAX);
    if (row->trend.word == TREND_STEADY) /* a slope that is none is no number to act on */
        buf_add(&text, STR("steady"));
    else if (row->trend.word != TREND_UNKNOWN)
        units_add_signed(&text, row->trend.bytes_per_h);
    right(a, y, x, width, &text, row->trend.word == TREND_STEADY ? STYLE_DIM : STYLE_NORMAL);
}

static void draw_time(struct app *a, int y, int x, int width, const struct tui_row *row) {
    struct buf text;

    buf_init(&text, TEXT_MAX);
    if (row->have_time_to_limit)
        units_add_duration(&text, row->time_to_limit_s);
    right(a, y, x, width, &text, row->time_to_limit_s < 3600 ? STYLE_WARN : STYLE_NORMAL);
}

static void draw_metric(struct app *a, int y, int x, int width, const struct sample *s,
                        enum metric m) {
    struct buf text;

    buf_init(&text, TEXT_MAX);
    units_add_metric(&text, s, m);
    right(a, y, x, width, &text, s && s->value[m] == 0 ? STYLE_DIM : STYLE_NORMAL);
}

static void draw_swap(struct app *a, int y, int x, int width, const struct tui_row *row) {
    draw_metric(a, y, x, width, row->sample, METRIC_SWAP);
}

static void draw_psi(struct app *a, int y, int x, int width, const struct tui_row *row) {
    draw_metric(a, y, x, width, row->sample, METRIC_PSI_SOME);
}

static void draw_cpu(struct app *a, int y, int x, int width, const struct tui_row *row) {
    struct buf text;

    buf_init(&text, TEXT_MAX);
    if (row->have_cpu)
        num_add_centi(&text, row->cpu_centi, 1);
    right(a, y, x, width, &text, row->cpu_centi ? STYLE_NORMAL : STYLE_DIM);
}

static void draw_count(struct app *a, int y, int x, int width, bool have, uint64_t n) {
    struct buf text;

    buf_init(&text, TEXT_MAX);
    if (have)
        units_add_count(&text, n);
    right(a, y, x, width, &text, n > 0 ? STYLE_WARN : STYLE_DIM);
}

static void draw_oom(struct app *a, int y, int x, int width, const struct tui_row *row) {
    draw_count(a, y, x, width, row->have_kills, row->kills);
}

static void draw_restarts(struct app *a, int y, int x, int width, const struct tui_row *row) {
    draw_count(a, y, x, width, row->have_restarts, row->restarts);
}

static void draw_state(struct app *a, int y, int x, int width, const struct tui_row *row) {
    canvas_text(&a->canvas, y, x, width, str_of(state_name(row->state)),
                overview_state_style(row->state));
}

/* `drop`: the highest goes first where it is narrow, 0 never, and those from NICE on as soon as
 * others would have less than is comfortable; `grow`: its share of what is left. */
static const struct column {
    const char *head;
    enum top_sort sort; /* TOP_SORT_N: not by this */
    int least, comfortable, most, grow, drop;
    bool right;
    draw_cell *draw;
} columns[] = {
    {"NAME", TOP_SORT_NAME, 14, 18, 44, 2, 0, false, draw_name},
    {"RUNTIME", TOP_SORT_RUNTIME, 7, 7, 7, 0, 8, false, draw_runtime},
    {"USED", TOP_SORT_N, 6, 10, SPARK_COLUMNS_MAX, 1, 6, false, draw_spark},
    {"USED OF LIMIT", TOP_SORT_PCT, 10, 16, 60, 2, 2, false, draw_bar},
    {"  USED/ LIMIT", TOP_SORT_USED, 13, 13, 13, 0, 1, false, draw_used},
    {"USED%", TOP_SORT_PCT, 6, 6, 6, 0, 10, true, draw_pct},
    {"TREND/h", TOP_SORT_TREND, 7, 7, 7, 0, 3, true, draw_trend},
    {"FULL IN", TOP_SORT_TIME, 7, 7, 7, 0, 5, true, draw_time},
    {"PSI%", TOP_SORT_PSI, 5, 5, 5, 0, 7, true, draw_psi},
    {"SWAP", TOP_SORT_SWAP, 6, 6, 6, 0, 11, true, draw_swap},
    {"CPU%", TOP_SORT_CPU, 6, 6, 6, 0, 12, true, draw_cpu},
    {"OOM", TOP_SORT_OOM, 4, 4, 4, 0, 4, true, draw_oom},
    {"RESTARTS", TOP_SORT_RESTARTS, 8, 8, 8, 0, 9, true, draw_restarts},
    {"STATE", TOP_SORT_STATE, 11, 11, 11, 0, 0, false, draw_state},
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static int total(const int *width) {
    int sum = -1;

    for (int i = 0; i < COLUMNS; i++)
        if (width[i] > 0)
            sum += width[i] + 1;
    return sum;
}

/* Of those that are left; there is always one that may go, or the terminal is too small. */
static int next_to_drop(const int *width) {
    int worst = 0;

    for (int i = 1; i < COLUMNS; i++)
        if (width[i] > 0 && (width[worst] == 0 || columns[i].drop > columns[worst].drop))
            worst = i;
    return worst;
}

/* Drops columns until the rest fits, then gives away what is left. */
static void fit(int cols, int *width) {
    int left;

    for (int i = 0; i < COLUMNS; i++)
        width[i] = columns[i].comfortable;
    while (total(width) > cols && columns[next_to_drop(width)].drop >= NICE)
        width[next_to_drop(width)] = 0;
    for (int i = 0; total(width) > cols && i < COLUMNS; i++)
        width[i] = width[i] ? columns[i].least : 0;
    while (total(width) > cols)
        width[next_to_drop(width)] = 0;
    left = cols - total(width);
    for (bool given = true; left > 0 && given;) {
        given = false;
        for (int i = 0; i < COLUMNS; i++)
            for (int n = columns[i].grow; n > 0 && left > 0; n--)
                if (width[i] > 0 && width[i] < columns[i].most) {
                    width[i]++;
                    left--;
                    given = true;
                }
    }
}

/* "USED, 2h", or "2h" where it is narrow. */
static void add_span(struct app *a, int width, struct buf *text) {
    buf_add(text, STR(", "));
    if (width < 9)
        buf_clear(text);
    units_add_duration(text, (uint64_t)app_window(a) / 1000);
}

static void draw_heads(struct app *a, int y, const int *width) {
    struct canvas *c = &a->canvas;
    struct buf text;
    int x = 0;

    buf_init(&text, TEXT_MAX);
    for (int i = 0; i < COLUMNS; i++) {
        bool sorted = columns[i].sort == a->view.sort && columns[i].draw != draw_bar;

        if (width[i] == 0)
            continue;
        buf_clear(&text);
        buf_add(&text, str_of(columns[i].head));
        if (columns[i].draw == draw_bar && width[i] < (int)text.n) {
            buf_clear(&text);
            buf_add(&text, STR("OF LIMIT"));
        }
        if (columns[i].draw == draw_spark)
            add_span(a, width[i], &text);
        if (columns[i].right)
            canvas_right(c, y, x, width[i], buf_str(&text), STYLE_BOLD);
        else
            canvas_text(c, y, x, width[i], buf_str(&text), STYLE_BOLD);
        for (int k = 0; sorted && k < width[i]; k++)
            c->cell[(size_t)y * (size_t)c->cols + (size_t)(x + k)].style |= STYLE_REVERSE;
        x += width[i] + 1;
    }
    buf_done(&text);
}

static void draw_group(struct app *a, int y, const struct view_line *line) {
    const struct tui_row *row = a->source->row(a->source->ctx, line->row);
    struct str group = view_group_of(row, a->view.group);
    struct canvas *c = &a->canvas;
    struct buf sum;
    int x = 0;

    buf_init(&sum, TEXT_MAX);
    buf_add_format(&sum, "  %u %s, used ", line->count, line->count == 1 ? "row" : "rows");
    num_add_iec(&sum, line->used);
    if (group.n > 0)
        x = canvas_name(c, y, 0, c->cols - 28, group, STYLE_KEY);
    else
        x = canvas_format(c, y, 0, c->cols - 28, STYLE_KEY, "in no %s",
                          view_group_names[a->view.group]);
    canvas_text(c, y, x, c->cols - x, buf_str(&sum), STYLE_DIM);
    buf_done(&sum);
}

static void draw_row(struct app *a, int y, const struct tui_row *row, const int *width) {
    int x = 0;

    for (int i = 0; i < COLUMNS; i++) {
        if (width[i] == 0)
            continue;
        columns[i].draw(a, y, x, width[i], row);
        x += width[i] + 1;
    }
}

/* --- the machine ------------------------------------------------------------------------------ */

struct strip {
    struct app *a;
    int y, x;
};

/* A label and its value, if both fit. */
static void piece(struct strip *s, const char *label, struct buf *value) {
    struct canvas *c = &s->a->canvas;
    struct str name = str_of(label);

    if (s->x + (int)(name.n + value->n) + 1 <= c->cols) {
        s->x += canvas_text(c, s->y, s->x, c->cols, name, STYLE_DIM) + 1;
        s->x += canvas_text(c, s->y, s->x, c->cols, buf_str(value), STYLE_NORMAL) + 2;
    }
    buf_done(value);
}

static void metrics_piece(struct strip *s, const char *label, const struct sample *sample,
                          enum metric first, const char *between, enum metric second) {
    struct buf value;

    if (!sample_has(sample, first))
        return;
    buf_init(&value, TEXT_MAX);
    units_add_metric(&value, sample, first);
    if (second < METRIC_N && sample_has(sample, second)) {
        buf_add(&value, str_of(between));
        units_add_metric(&value, sample, second);
    }
    piece(s, label, &value);
}

static void available_piece(struct strip *s, const struct sample *sample) {
    struct buf value;

    if (!sample_has(sample, METRIC_USED) || !sample_has(sample, METRIC_LIMIT) ||
        sample->value[METRIC_LIMIT] < sample->value[METRIC_USED])
        return;
    buf_init(&value, TEXT_MAX);
    num_add_iec(&value, sample->value[METRIC_LIMIT] - sample->value[METRIC_USED]);
    piece(s, "avail", &value);
}

static void cost_piece(struct strip *s, const struct tui_host *host) {
    struct buf value;

    if (!host->have_cost)
        return;
    buf_init(&value, TEXT_MAX);
    num_add_centi(&value, host->cost_cpu_centi, 1);
    buf_add(&value, STR("% "));
    num_add_iec(&value, host->cost_rss);
    piece(s, host->agent ? "agent costs" : "this costs", &value);
}

static void draw_host(struct app *a, int y) {
    const struct tui_host *host = a->source->host(a->source->ctx);
    const struct sample *s = host ? host->sample : NULL;
    int width = a->canvas.cols >= 120 ? 30 : a->canvas.cols >= 80 ? 12 : 0;
    struct strip strip = {a, y, 0};

    if (!host)
        return;
    strip.x = canvas_text(&a->canvas, y, 0, a->canvas.cols, STR("machine"), STYLE_BOLD) + 1;
    if (s && width > 0) {
        bar_draw(&a->canvas, y, strip.x, width, s);
        strip.x += width + 1;
    }
    if (s) {
        metrics_piece(&strip, "used", s, METRIC_USED, " of ", METRIC_LIMIT);
        available_piece(&strip, s);
        metrics_piece(&strip, "psi", s, METRIC_PSI_SOME, " ", METRIC_PSI_FULL);
        if (!sample_has(s, METRIC_SWAP_LIMIT) || s->value[METRIC_SWAP_LIMIT] > 0)
            metrics_piece(&strip, "swap", s, METRIC_SWAP, " of ", METRIC_SWAP_LIMIT);
    }
    cost_piece(&strip, host);
}

/* "6 containers, 2 match /web  1 at-limit  2 growing" */
static void draw_summary(struct app *a, int y) {
    const unsigned *count = a->view.states;
    size_t n = a->view.all;
    struct canvas *c = &a->canvas;
    int x;

    x = canvas_format(c, y, 0, c->cols, STYLE_NORMAL, "%zu %s", n, listing_word(a->view.of, n));
    if (a->view.filter.n > 0) {
        x += canvas_format(c, y, x, c->cols - x, STYLE_KEY, ", %zu match /", a->view.rows);
        x += canvas_name(c, y, x, c->cols - x, (struct str){a->view.filter.text, a->view.filter.n},
                         STYLE_KEY);
    }
    for (unsigned state = STATE_N; state-- > STATE_UNKNOWN + 1;)
        if (count[state] > 0 && x + 16 < c->cols)
            x += canvas_format(c, y, x, c->cols - x, overview_state_style(state), "  %u %s",
                               count[state], state_name(state));
}

static void draw_empty(struct app *a, int y) {
    const struct tui_host *host = a->source->host(a->source->ctx);
    struct canvas *c = &a->canvas;

    if (a->failure[0])
        canvas_name(c, y, 2, c->cols - 4, str_of(a->failure), STYLE_BAD);
    else if (filter_names_kinds(&a->view.filter) && !(host && host->agent))
        canvas_text(c, y, 2, c->cols - 4,
                    STR("nothing matches the filter; groups and slices are listed with an agent"),
                    STYLE_NORMAL);
    else if (a->view.all > 0)
        canvas_text(c, y, 2, c->cols - 4, STR("nothing matches the filter; Esc takes it away"),
                    STYLE_NORMAL);
    else
        canvas_text(c, y, 2, c->cols - 4,
                    STR("no containers here; `plimsoll stats --all` lists every group"),
                    STYLE_NORMAL);
}

static bool has_legend(const struct app *a) {
    return a->canvas.rows >= LEGEND_ROWS_MIN;
}

size_t overview_height(const struct app *a) {
    int height = a->canvas.rows - LIST_TOP - 1 - has_legend(a);

    return height > 0 ? (size_t)height : 0;
}

void overview_draw(struct app *a) {
    size_t height = overview_height(a);
    int width[COLUMNS];

    frame_draw(a, "top");
    draw_host(a, 1);
    draw_summary(a, 2);
    fit(a->canvas.cols, width);
    draw_heads(a, 3, width);
    view_scroll(&a->view, height);
    if (a->view.n == 0)
        draw_empty(a, LIST_TOP + 1);
    for (size_t i = 0; i < height && a->view.top + i < a->view.n; i++) {
        const struct view_line *line = &a->view.line[a->view.top + i];
        int y = LIST_TOP + (int)i;

        if (line->head) {
            draw_group(a, y, line);
            continue;
        }
        draw_row(a, y, a->source->row(a->source->ctx, line->row), width);
        if (a->view.top + i == a->view.cursor)
            canvas_select(&a->canvas, y, width[0]);
    }
    if (has_legend(a))
        bar_legend(&a->canvas, a->canvas.rows - 2, 0, a->canvas.cols);
}
