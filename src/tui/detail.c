/* detail.c - one container: its limit, what it is made of now and over time, and its processes. */
#include "tui/app.h"

#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "tui/bar.h"
#include "tui/chart.h"
#include "tui/units.h"

enum {
    BLOCK_TOP = 4,
    PARTS_WIDTH = 29, /* of the list of parts; wider with bars */
    PARTS_WIDE = 46,
    PARTS_HEIGHT = PART_N + 2,
    LABEL_WIDTH = 17,
    LANES = 6, /* psi, refaults, minor and major faults, events, times */
    CHART_COLS_MIN = 72,
    KEEP_MS = 2000, /* history is asked for again after this, or a column's time if longer */
};

static const enum metric metrics[DETAIL_N] = {
    METRIC_USAGE,
    METRIC_ANON,
    METRIC_SHMEM,
    METRIC_KERNEL,
    METRIC_SLAB_RECLAIMABLE,
    METRIC_SOCK,
    METRIC_ACTIVE_FILE,
    METRIC_INACTIVE_FILE,
    METRIC_LIMIT,
    METRIC_HIGH,
    METRIC_PSI_SOME,
    METRIC_REFAULT_FILE,
    METRIC_REFAULT_ANON,
    METRIC_FAULTS,
    METRIC_MAJOR_FAULTS,
};

static void keep(struct str s, char *place, size_t size, size_t *n_out) {
    *n_out = s.n < size ? s.n : size;
    memcpy(place, s.p ? s.p : "", *n_out);
}

void detail_open(struct app *a, const struct tui_row *row) {
    struct detail *d = &a->detail;

    d->id = row->id;
    keep(row->key, d->key, sizeof(d->key), &d->key_n);
    keep(row->name, d->name, sizeof(d->name), &d->name_n);
    d->n = d->cursor = d->top = d->processes = d->tree.n = 0;
    d->fetched_ms = 0;
    d->pid = 0;
    a->screen = APP_DETAIL;
    detail_update(a);
}

void detail_done(struct detail *d) {
    proctree_done(&d->tree);
}

const struct tui_row *detail_row(const struct app *a) {
    const struct detail *d = &a->detail;
    const struct tui_row *found = NULL;

    for (size_t i = 0; i < a->source->rows(a->source->ctx); i++) {
        const struct tui_row *row = a->source->row(a->source->ctx, i);

        if (row->id == d->id)
            return row;
        if (d->key_n > 0 ? str_eq(row->key, (struct str){d->key, d->key_n})
                         : str_eq(row->name, (struct str){d->name, d->name_n}))
            found = row;
    }
    return found;
}

static void ask_processes(struct app *a, const struct tui_row *row) {
    struct detail *d = &a->detail;
    struct err err = {0};

    d->trouble[0] = 0;
    if (a->moment.stopped) { /* those of now are none of what stands still */
        if (d->tree.n == 0)
            (void)snprintf(d->trouble, sizeof(d->trouble), "paused; Space goes on and reads them");
        return;
    }
    d->processes = 0;
    if (row && a->source->processes(a->source->ctx, row, &d->process, &d->processes, &err) < 0) {
        d->processes = 0;
        (void)snprintf(d->trouble, sizeof(d->trouble), "%.199s", err.text);
    }
    if (proctree_build(&d->tree, d->process, d->processes) < 0)
        (void)snprintf(d->trouble, sizeof(d->trouble), "out of memory");
    if (d->cursor >= d->tree.n)
        d->cursor = d->tree.n ? d->tree.n - 1 : 0;
    for (size_t i = 0; d->pid && i < d->tree.n; i++)
        if (d->process[d->tree.node[i].index].pid == d->pid)
            d->cursor = i;
}

void detail_update(struct app *a) {
    const struct tui_row *row = detail_row(a);

    if (row)
        a->detail.id = row->id;
    ask_processes(a, row);
}

void detail_move(struct app *a, ptrdiff_t rows) {
    struct detail *d = &a->detail;
    ptrdiff_t at = (ptrdiff_t)d->cursor + rows, last = (ptrdiff_t)d->tree.n - 1;

    d->cursor = at < 0 || last < 0 ? 0 : at > last ? (size_t)last : (size_t)at;
    d->pid = d->tree.n ? d->process[d->tree.node[d->cursor].index].pid : 0;
}

/* --- history ---------------------------------------------------------------------------------- */

/* Of a column: whole seconds, since there is at most a value a second. */
static int64_t step_of(const struct app *a, size_t n) {
    int64_t step = app_window(a) / (int64_t)n;

    return step < 1 ? 1 : step < 60000 ? (step + 999) / 1000 * 1000 : step;
}

static void combine(struct detail *d, size_t k) {
    uint64_t *refaults = &d->value[DETAIL_REFAULTS][k], *minor = &d->value[DETAIL_MINOR][k];
    uint64_t swapins = d->value[DETAIL_SWAPINS][k], major = d->value[DETAIL_MAJOR][k];

    if (*refaults != TUI_UNKNOWN && swapins != TUI_UNKNOWN) /* both are read again */
        *refaults += swapins;
    if (*minor != TUI_UNKNOWN && major != TUI_UNKNOWN) /* the kernel counts all of them */
        *minor -= major < *minor ? major : *minor;
}

static void ask_history(struct app *a, const struct tui_row *row, size_t n) {
    struct detail *d = &a->detail;
    int64_t end = app_at(a), step = step_of(a, n);
    int64_t to = (end / step + 1) * step, from = to - step * (int64_t)n;
    int64_t fresh = step > KEEP_MS ? step : KEEP_MS;

    if (d->n == n && d->to_ms - d->from_ms == to - from && end < d->to_ms + step &&
        end >= d->to_ms - step && a->now_ms - d->fetched_ms < (fresh < 10000 ? fresh : 10000) &&
        a->now_ms >= d->fetched_ms)
        return;
    d->n = n;
    d->from_ms = from;
    d->to_ms = to;
    d->fetched_ms = a->now_ms;
    for (unsigned i = 0; i < DETAIL_N; i++) {
        if (a->source->history(a->source->ctx, row, metrics[i], from, to, n, d->value[i]) < 0)
            for (size_t k = 0; k < n; k++)
                d->value[i][k] = TUI_UNKNOWN;
        if (metric_info(metrics[i])->kind == METRIC_COUNTER)
            chart_rate(d->value[i], n, step);
    }
    for (size_t k = 0; k < n; k++)
        combine(d, k);
}

static struct chart_column column_of(const struct detail *d, size_t i) {
    struct sample s = {.have = 0};
    struct chart_column column = {.limit = d->value[DETAIL_LIMIT][i],
                                  .high = d->value[DETAIL_HIGH][i]};

    for (unsigned k = 0; k <= DETAIL_INACTIVE; k++)
        if (d->value[k][i] != TUI_UNKNOWN)
            sample_set(&s, metrics[k], d->value[k][i]);
    column.known = parts_of(&s, &column.parts);
    return column;
}

/* --- the right half: the chart and its lanes -------------------------------------------------- */

static void label(struct app *a, int y, int x, uint64_t bytes) {
    struct buf text;

    buf_init(&text, 64);
    num_add_iec(&text, bytes);
    canvas_right(&a->canvas, y, x, LABEL_WIDTH - 1, buf_str(&text), STYLE_DIM);
    buf_done(&text);
}

static void draw_stack(struct app *a, struct chart_area area, int x) {
    static struct chart_column column[DETAIL_COLUMNS_MAX]; /* one thread */
    const struct detail *d = &a->detail;
    uint64_t scale, limit = TUI_UNKNOWN;

    for (size_t i = 0; i < d->n; i++) {
        column[i] = column_of(d, i);
        limit = column[i].limit != TUI_UNKNOWN ? column[i].limit : limit;
    }
    scale = chart_scale(column, d->n);
    chart_stack(&a->canvas, area, column, scale);
    if (scale <= 1)
        canvas_text(&a->canvas, area.y + area.height / 2, area.x, area.width,
                    STR("nothing is known of this window yet"), STYLE_DIM);
    label(a, area.y, x, scale); /* the limit's own label may replace it */
    label(a, area.y + area.height - 1, x, 0);
    if (limit < scale && area.height > 3) {
        int y = area.y + area.height - 1 - (int)((double)limit / (double)scale * area.height);

        canvas_text(&a->canvas, y, x, LABEL_WIDTH, STR("                "), STYLE_NORMAL);
        label(a, y, x, limit);
        canvas_right(&a->canvas, y, x, 6, STR("limit"), STYLE_LIMIT);
    }
}

static void draw_lane(struct app *a, int y, int x, struct chart_area area, const char *name,
                      enum detail_line line, unsigned style) {
    const struct detail *d = &a->detail;
    uint64_t top = chart_top(d->value[line], d->n);
    bool known = false;
    struct buf text;

    for (size_t i = 0; i < d->n; i++)
        known = known || d->value[line][i] != TUI_UNKNOWN;
    canvas_text(&a->canvas, y, x, LABEL_WIDTH, str_of(name), STYLE_DIM);
    buf_init(&text, 64);
    if (!known) {
        buf_add_char(&text, '-');
    } else if (line == DETAIL_PSI) {
        num_add_centi(&text, top, 1);
        buf_add_char(&text, '%');
    } else {
        units_add_count(&text, top);
        buf_add(&text, STR("/s"));
    }
    canvas_right(&a->canvas, y, x, LABEL_WIDTH - 1, buf_str(&text), STYLE_NORMAL);
    buf_done(&text);
    /* a tenth of all time is the least that fills a lane */
    chart_lane(&a->canvas, y, area.x, d->value[line], d->n,
               line == DETAIL_PSI && top < 1000 ? 1000 : top, style);
}

static void draw_marks(struct app *a, int y, int x, struct chart_area area,
                       const struct tui_row *row) {
    const struct detail *d = &a->detail;
    const struct tui_event *event;
    struct err err = {0};
    size_t n = 0, seen = 0;

    if (!row || a->source->events(a->source->ctx, row, &event, &n, &err) < 0)
        n = 0;
    for (size_t i = n; i-- > 0;) { /* newer ones are drawn above older ones, kills above all */
        int64_t at = event[i].at_ms - d->from_ms;
        size_t column;
        const struct cell *there;

        if (at < 0 || event[i].at_ms >= d->to_ms || event[i].kind >= TUI_EVENT_N)
            continue;
        column = (size_t)(at / ((d->to_ms - d->from_ms) / (int64_t)d->n));
        seen++;
        if (column >= d->n)
            continue;
        there = &a->canvas.cell[(size_t)y * (size_t)a->canvas.cols + (size_t)area.x + column];
        if (there->code[0] != 'X')
            canvas_put(&a->canvas, y, area.x + (int)column,
                       (unsigned char)timeline_letter(event[i].kind),
                       timeline_letter(event[i].kind),
                       event[i].kind == TUI_EVENT_OOM ? STYLE_BAD : STYLE_BOLD);
    }
    canvas_text(&a->canvas, y, x, LABEL_WIDTH, STR("events"), STYLE_DIM);
    canvas_format(&a->canvas, y, x + 8, 4, STYLE_NORMAL, "%4zu", seen);
    if (seen == 0)
        canvas_text(&a->canvas, y, area.x, area.width, STR("none in this window"), STYLE_DIM);
}

static void draw_times(struct app *a, int y, struct chart_area area) {
    const struct detail *d = &a->detail;
    bool date = d->to_ms - d->from_ms > INT64_C(86400000) && area.width >= 42;
    struct buf text;

    buf_init(&text, 64);
    units_add_clock(&text, d->from_ms, date);
    canvas_text(&a->canvas, y, area.x, area.width, buf_str(&text), STYLE_DIM);
    buf_clear(&text);
    units_add_clock(&text, app_at(a), date);
    canvas_right(&a->canvas, y, area.x, area.width, buf_str(&text), STYLE_DIM);
    buf_done(&text);
}

static void draw_chart(struct app *a, int y, int x, int height, const struct tui_row *row) {
    struct chart_area area = {y, x + LABEL_WIDTH, height - LANES, a->canvas.cols - x - LABEL_WIDTH};

    if (area.width > DETAIL_COLUMNS_MAX)
        area.width = DETAIL_COLUMNS_MAX;
    if (!row || area.width < 10 || area.height < 2)
        return;
    ask_history(a, row, (size_t)area.width);
    draw_stack(a, area, x);
    y += area.height;
    draw_lane(a, y, x, area, "psi", DETAIL_PSI, STYLE_WARN);
    draw_lane(a, y + 1, x, area, "refaults", DETAIL_REFAULTS, STYLE_SPARK);
    draw_lane(a, y + 2, x, area, "minflt", DETAIL_MINOR, STYLE_SPARK);
    draw_lane(a, y + 3, x, area, "majflt", DETAIL_MAJOR, STYLE_WARN);
    draw_marks(a, y + 4, x, area, row);
    draw_times(a, y + 5, area);
}

/* --- the left half: parts --------------------------------------------------------------------- */

static void draw_part(struct app *a, int y, int width, const struct parts *parts, unsigned p,
                      uint64_t usage) {
    struct canvas *c = &a->canvas;
    uint64_t bytes = parts->bytes[p];
    struct buf text;

    chart_sign(c, y, 1, p);
    canvas_text(c, y, 3, 13, str_of(part_name(p)), STYLE_NORMAL);
    buf_init(&text, 64);
    num_add_iec(&text, bytes);
    canvas_right(c, y, 16, 7, buf_str(&text), bytes ? STYLE_NORMAL : STYLE_DIM);
    buf_clear(&text);
    if (usage > 0)
        buf_add_format(&text, "%u%%", (unsigned)((num_centi_pct(bytes, usage) + 50) / 100));
    canvas_right(c, y, 23, 5, buf_str(&text), STYLE_DIM);
    buf_done(&text);
    if (width > PARTS_WIDTH && usage > 0)
        bar_part(c, y, 29, width - 31, bytes, usage, STYLE_PART + p);
}

static void draw_parts(struct app *a, int y, int width, const struct sample *s) {
    struct canvas *c = &a->canvas;
    struct parts parts;
    uint64_t usage, reclaimable = 0;

    if (!s || !parts_of(s, &parts)) {
        canvas_text(c, y, 1, width, STR("usage is not known"), STYLE_DIM);
        return;
    }
    usage = s->value[METRIC_USAGE];
    for (unsigned p = 0; p < PART_N; p++) {
        draw_part(a, y + (int)p, width, &parts, p, usage);
        reclaimable += part_is_reclaimable(p) ? parts.bytes[p] : 0;
    }
    label(a, y + PART_N, 16 + 7 - LABEL_WIDTH + 1, usage);
    canvas_text(c, y + PART_N, 3, 13, STR("= usage"), STYLE_BOLD);
    canvas_text(c, y + PART_N + 1, 3, 13, STR("reclaimable"), STYLE_DIM);
    label(a, y + PART_N + 1, 16 + 7 - LABEL_WIDTH + 1, reclaimable);
}

/* --- the lines above -------------------------------------------------------------------------- */

static int word(struct app *a, int y, int x, const char *name, struct str value, unsigned style) {
    struct canvas *c = &a->canvas;

    int need = (int)(str_of(name).n + value.n) + 1;

    if (value.n == 0 || (need > c->cols - x && c->cols - x < 24))
        return x;
    if (name[0])
        x += canvas_text(c, y, x, c->cols - x, str_of(name), STYLE_DIM) + 1;
    return x + canvas_name(c, y, x, c->cols - x, value, style) + 2;
}

static void draw_names(struct app *a, int y, const struct tui_row *row) {
    struct canvas *c = &a->canvas;
    const char *state = state_name(row->state);
    int x = 1 + canvas_name(c, y, 1, c->cols / 2, row->name, STYLE_BOLD) + 2;

    x = word(a, y, x, "state", str_of(state), overview_state_style(row->state));
    x = word(a, y, x, "", row->runtime, STYLE_NORMAL);
    x = word(a, y, x, "image", row->image, STYLE_NORMAL);
    x = word(a, y, x, "pod", row->pod, STYLE_NORMAL);
    x = word(a, y, x, "compose", row->compose, STYLE_NORMAL);
    (void)word(a, y, x, "group", row->path, STYLE_DIM);
}

static void draw_limit(struct app *a, int y, const struct tui_row *row) {
    const struct sample *s = row->sample;
    struct canvas *c = &a->canvas;
    int width = c->cols >= 100 ? c->cols / 3 : c->cols / 4, x = width + 3;
    struct buf text;

    bar_draw(c, y, 1, width, s);
    buf_init(&text, 512);
    units_add_metric(&text, s, METRIC_USED);
    buf_add(&text, STR(" of "));
    units_add_metric(&text, s, METRIC_LIMIT);
    if (s && sample_has(s, METRIC_USED) && sample_has(s, METRIC_LIMIT) && s->value[METRIC_LIMIT]) {
        buf_add(&text, STR(" ("));
        num_add_centi(&text, num_centi_pct(s->value[METRIC_USED], s->value[METRIC_LIMIT]), 1);
        buf_add(&text, STR("%)"));
    }
    x = word(a, y, x, "used", buf_str(&text), STYLE_BOLD);
    buf_clear(&text);
    if (row->trend.word == TREND_STEADY) {
        buf_add(&text, STR("steady"));
    } else if (row->trend.word != TREND_UNKNOWN) {
        units_add_signed(&text, row->trend.bytes_per_h);
        buf_add(&text, STR("/h"));
    }
    x = word(a, y, x, "trend", buf_str(&text), STYLE_NORMAL);
    buf_clear(&text);
    if (row->have_time_to_limit)
        units_add_duration(&text, row->time_to_limit_s);
    x = word(a, y, x, "full in", buf_str(&text), STYLE_WARN);
    (void)word(a, y, x, "limit from", row->limit_from, STYLE_NORMAL);
    buf_done(&text);
}

static void draw_figures(struct app *a, int y, const struct tui_row *row) {
    static const struct {
        const char *name;
        enum metric m, second;
    } figure[] = {
        {"psi some/full", METRIC_PSI_SOME, METRIC_PSI_FULL},
        {"swap", METRIC_SWAP, METRIC_N},
        {"peak", METRIC_PEAK, METRIC_N},
        {"high", METRIC_HIGH, METRIC_N},
        {"limit hits", METRIC_FAILCNT, METRIC_N},
        {"pids", METRIC_PIDS, METRIC_N},
        {"dirty", METRIC_DIRTY, METRIC_N},
        {"mapped", METRIC_MAPPED, METRIC_N},
        {"locked", METRIC_UNEVICTABLE, METRIC_N},
    };
    int x = 1;
    struct buf text;

    buf_init(&text, 128);
    if (row->have_kills)
        buf_add_u64(&text, row->kills);
    x = word(a, y, x, "oom kills", buf_str(&text), row->kills ? STYLE_WARN : STYLE_NORMAL);
    buf_clear(&text);
    if (row->have_restarts)
        buf_add_u64(&text, row->restarts);
    x = word(a, y, x, "restarts", buf_str(&text), STYLE_NORMAL);
    for (size_t i = 0; i < sizeof(figure) / sizeof(figure[0]); i++) {
        if (!row->sample || !sample_has(row->sample, figure[i].m))
            continue;
        buf_clear(&text);
        units_add_metric(&text, row->sample, figure[i].m);
        if (figure[i].second < METRIC_N) {
            buf_add_char(&text, '/');
            units_add_metric(&text, row->sample, figure[i].second);
        }
        if (x + (int)(str_of(figure[i].name).n + text.n) + 1 <= a->canvas.cols)
            x = word(a, y, x, figure[i].name, buf_str(&text), STYLE_NORMAL);
    }
    buf_done(&text);
}

static void draw_gone(struct app *a) {
    struct canvas *c = &a->canvas;
    int x = 1 + canvas_name(c, 2, 1, c->cols / 2, (struct str){a->detail.name, a->detail.name_n},
                            STYLE_BOLD);

    canvas_text(c, 2, x, c->cols - x - 1,
                a->failure[0] ? STR(" is not known of at this moment")
                              : STR(" is not there at this moment"),
                STYLE_NORMAL);
    canvas_text(c, 4, 1, c->cols - 2, STR("[ and ] go to other moments, Esc back to the list"),
                STYLE_DIM);
}

void detail_draw(struct app *a) {
    const struct tui_row *row = detail_row(a);
    struct canvas *c = &a->canvas;
    int room = c->rows - 1 - BLOCK_TOP, wide = c->cols >= 120 ? PARTS_WIDE : PARTS_WIDTH;
    int processes = room * 2 / 5, wanted = (int)a->detail.tree.n + 1, block;

    frame_draw(a, "container");
    if (!row) {
        draw_gone(a);
        return;
    }
    processes = wanted < processes ? wanted : processes;
    block = room - (processes > 3 ? processes : 3);
    draw_names(a, 1, row);
    draw_limit(a, 2, row);
    draw_figures(a, 3, row);
    if (block >= PARTS_HEIGHT) {
        draw_parts(a, BLOCK_TOP, wide, row->sample);
        if (c->cols >= CHART_COLS_MIN)
            draw_chart(a, BLOCK_TOP, wide, block, row);
    } else {
        block = 0;
    }
    process_draw(a, BLOCK_TOP + block, room - block);
}
