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

/* The columns that the hint takes, two blanks behind it included. */
static int hint(struct canvas *c, int y, int x, const char *names, const char *word) {
    int start = x;

    x += canvas_text(c, y, x, c->cols, str_of(names), STYLE_KEY) + 1;
    x += canvas_text(c, y, x, c->cols, str_of(word), STYLE_DIM) + 2;
    return x - start;
}

static int hint_width(const char *names, const char *word) {
    return (int)(str_of(names).n + str_of(word).n) + 3;
}

static bool is_last_resort(enum action action) {
    return action == ACTION_HELP || action == ACTION_QUIT;
}

static bool does_something(const struct app *a, enum action action) {
    if (action == ACTION_OPEN)
        return !a->help && a->screen != APP_DETAIL;
    return a->screen == APP_OVERVIEW || action < ACTION_SORT_NEXT || action > ACTION_GROUP;
}

/* How to get help and out is told first; then what else there is room for. */
static void draw_hints(struct app *a, int y) {
    struct canvas *c = &a->canvas;
    int x = 1;

    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < keys_n; i++) {
            const struct key_row *k = &keys_table[i];

            if (k->hint && does_something(a, k->action) &&
                is_last_resort(k->action) == (round == 0) &&
                x + hint_width(k->names, k->hint) - 2 <= c->cols)
                x += hint(c, y, x, k->names, k->hint);
        }
    if (x + hint_width("[ ]", "time") - 2 <= c->cols)
        hint(c, y, x, "[ ]", "time");
}

/* What the last key had to say goes before what fails, but does not hide it. */
static void draw_words(struct app *a, int y) {
    struct canvas *c = &a->canvas;
    int x = 1;

    if (a->message[0])
        x += 2 + canvas_name(c, y, x, a->failure[0] ? c->cols / 2 - 2 : c->cols - 2,
                             str_of(a->message), STYLE_BOLD);
    if (a->failure[0])
        canvas_name(c, y, x, c->cols - 1 - x, str_of(a->failure), STYLE_BAD);
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
    } else if (a->message[0] || a->failure[0]) {
        draw_words(a, y);
    } else {
        draw_hints(a, y);
    }
}

void frame_small(struct app *a) {
    canvas_text(&a->canvas, 0, 0, a->canvas.cols, STR("too small"), STYLE_BOLD);
    canvas_format(&a->canvas, 1, 0, a->canvas.cols, STYLE_NORMAL, "needs %dx%d", APP_COLS_MIN,
                  APP_ROWS_MIN);
    canvas_text(&a->canvas, 2, 0, a->canvas.cols, STR("q quits"), STYLE_NORMAL);
}
