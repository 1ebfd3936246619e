/* frame.c - the first line and the last of every screen: which moment this is, and which keys help.
 */
#include "tui/app.h"

#include "base/text.h"
#include "tui/units.h"

static void add_moment(struct app *a, struct buf *b) {
    int64_t at = app_at(a);

    if (a->moment.at_ms) {
        buf_add(b, a->moment.playing ? STR("REPLAY ") : STR("PAST "));
        units_add_clock(b, at, true);
        buf_add(b, STR("Z, "));
        units_add_duration(b, (uint64_t)(a->now_ms > at ? a->now_ms - at : 0) / 1000);
        buf_add(b, STR(" ago"));
        return;
    }
    buf_add(b, a->moment.stopped ? STR("PAUSED ") : STR("live "));
    units_add_clock(b, at, false);
    buf_add_char(b, 'Z');
}

static void draw_title(struct app *a, const char *title) {
    const struct tui_host *host = a->source->host(a->source->ctx);
    struct canvas *c = &a->canvas;
    struct buf right;
    int used;

    buf_init(&right, 256);
    add_moment(a, &right);
    if (c->cols >= 60) {
        buf_add(&right, STR("  window "));
        units_add_duration(&right, (uint64_t)app_window(a) / 1000);
        buf_add(&right, host && host->agent ? STR("  agent") : STR("  kernel"));
    }
    canvas_fill(c, 0, STYLE_HEAD);
    used = canvas_text(c, 0, 1, c->cols, STR("plimsoll "), STYLE_HEAD);
    used += canvas_text(c, 0, 1 + used, c->cols, str_of(title), STYLE_HEAD);
    if (host && host->name.n > 0 && c->cols >= 60)
        canvas_name(c, 0, 3 + used, c->cols - used - (int)right.n - 6, host->name, STYLE_HEAD);
    canvas_right(c, 0, 0, c->cols - 1, buf_str(&right), STYLE_HEAD);
    buf_done(&right);
}

static void draw_hints(struct app *a, int y) {
    struct canvas *c = &a->canvas;
    int x = 1;

    for (size_t i = 0; i < keys_n; i++) {
        const struct key_row *k = &keys_table[i];
        int need = k->hint ? (int)(str_of(k->names).n + str_of(k->hint).n) + 3 : 0;

        if (!k->hint || x + need > c->cols)
            continue;
        x += canvas_text(c, y, x, c->cols, str_of(k->names), STYLE_KEY) + 1;
        x += canvas_text(c, y, x, c->cols, str_of(k->hint), STYLE_DIM) + 2;
    }
    if (x + 10 <= c->cols) {
        x += canvas_text(c, y, x, c->cols, STR("[ ]"), STYLE_KEY) + 1;
        canvas_text(c, y, x, c->cols, STR("time"), STYLE_DIM);
    }
}

void frame_draw(struct app *a, const char *title) {
    struct canvas *c = &a->canvas;
    int y = c->rows - 1, x;

    draw_title(a, title);
    if (a->editing) {
        x = 1 + canvas_text(c, y, 1, c->cols, STR("/"), STYLE_KEY);
        x += canvas_name(c, y, x, c->cols - x - 2,
                         (struct str){a->view.filter.text, a->view.filter.n}, STYLE_BOLD);
        canvas_put(c, y, x, ' ', ' ', STYLE_NORMAL | STYLE_REVERSE);
        if (x + 32 < c->cols)
            canvas_right(c, y, x + 2, c->cols - x - 3,
                         a->message[0] ? str_of(a->message)
                                       : STR("Enter keeps it, Esc takes it back"),
                         STYLE_DIM);
    } else if (a->message[0]) {
        canvas_name(c, y, 1, c->cols - 2, str_of(a->message), STYLE_BOLD);
    } else if (a->failure[0]) {
        canvas_name(c, y, 1, c->cols - 2, str_of(a->failure), STYLE_BAD);
    } else {
        draw_hints(a, y);
    }
}

void frame_small(struct app *a) {
    canvas_format(&a->canvas, 0, 0, a->canvas.cols, STYLE_BOLD, "too small: needs %dx%d",
                  APP_COLS_MIN, APP_ROWS_MIN);
    canvas_text(&a->canvas, 1, 0, a->canvas.cols, STR("q quits"), STYLE_NORMAL);
}
