#include "tui/app.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "tui/rowfind.h"
#include "tui/units.h"

int app_init(struct app *a, const struct tui_source *source, const struct top_options *options,
             int64_t now_ms) {
    memset(a, 0, sizeof(*a));
    a->source = source;
    a->options = *options;
    a->now_ms = a->started_ms = now_ms;
    a->moment.window_ms = MOMENT_WINDOW_MS;
    a->moment.at_ms = options->at_ms;
    canvas_init(&a->canvas, options->ascii);
    view_init(&a->view, options->sort < TOP_SORT_N ? options->sort : TOP_SORT_NAME);
    return sparks_init(&a->sparks);
}

void app_done(struct app *a) {
    canvas_done(&a->canvas);
    view_done(&a->view);
    sparks_done(&a->sparks);
    detail_done(&a->detail);
    timeline_done(&a->events);
}

void app_say(struct app *a, const char *format, ...) {
    va_list args;

    va_start(args, format);
    vsnprintf(a->message, sizeof(a->message), format, args);
    va_end(args);
}

int64_t app_at(const struct app *a) {
    const struct tui_host *host = a->source->host(a->source->ctx);

    if (a->moment.at_ms)
        return a->moment.at_ms;
    return host && host->at_ms > 0 ? host->at_ms : a->now_ms;
}

int64_t app_oldest(const struct app *a) {
    const struct tui_host *host = a->source->host(a->source->ctx);

    return host && host->oldest_ms > 0 ? host->oldest_ms : a->started_ms;
}

int64_t app_window(const struct app *a) {
    return moment_window(&a->moment, app_at(a), app_oldest(a));
}

static void update_screen(struct app *a) {
    if (a->screen == APP_DETAIL)
        detail_update(a);
    if (a->screen == APP_EVENTS)
        timeline_update(a);
}

int app_refresh(struct app *a, int64_t now_ms, struct err *err) {
    int r;

    a->now_ms = now_ms;
    if (a->moment.stopped)
        return 0;
    r = a->source->refresh(a->source->ctx, a->moment.at_ms, err);
    a->failure[0] = 0;
    if (r < 0)
        (void)snprintf(a->failure, sizeof(a->failure), "%s", err->text);
    if (view_update(&a->view, a->source) < 0)
        return err_set(err, -ENOMEM, "cannot list the rows:");
    update_screen(a);
    return r;
}

/* Now a word means what the kernel's groups say; at another moment a row of then, whatever it means
 * now. NULL: with a text. */
static const struct tui_row *find_target(const struct app *a, const struct top_target *t,
                                         struct err *err) {
    bool now = a->moment.at_ms == 0;
    const struct tui_row *meant =
        t->path ? rowfind_path(a->source, str_of(t->path), t->is_process) : NULL;
    const struct tui_row *row = NULL;
    int r;

    if (now && t->why && t->why->code == -ENOTUNIQ) {
        (void)err_set(err, t->why->code, "%s", t->why->text);
        return NULL;
    }
    if (now && meant)
        return meant;
    r = rowfind_word(a->source, t->word, &row, err);
    if (r != -ENOENT)
        return row;
    if (now && t->path)
        (void)err_set(err, r, "'%.*s' is in the group '%s', which is not listed here",
                      STR_ARG(str_head(t->word, 80)), t->path);
    else if (now && t->why)
        (void)err_set(err, r, "%s", t->why->text);
    return meant;
}

int app_open(struct app *a, const struct top_target *target, struct err *err) {
    const struct tui_row *row = find_target(a, target, err);

    if (!row)
        return err->code;
    a->view.have_selected = true;
    a->view.selected = row->id;
    (void)view_update(&a->view, a->source);
    a->below = APP_OVERVIEW;
    detail_open(a, row);
    return 0;
}

/* --- the filter's line ------------------------------------------------------------------------ */

static void change_filter(struct app *a, struct str text) {
    filter_parse(&a->view.filter, text);
    (void)view_update(&a->view, a->source);
    if (a->screen == APP_EVENTS)
        timeline_update(a);
    if (a->view.filter.complaint)
        app_say(a, "%s", a->view.filter.complaint);
}

static void begin_filter(struct app *a) {
    a->help = false;
    if (a->screen == APP_DETAIL)
        a->screen = APP_OVERVIEW;
    a->editing = true;
    a->edit_before_n = a->view.filter.n;
    memcpy(a->edit_before, a->view.filter.text, a->view.filter.n);
}

static void add_to_filter(struct app *a, uint32_t key) {
    char text[FILTER_TEXT_MAX];
    struct filter *f = &a->view.filter;
    struct cell cell = {{key}, 1, 0};
    struct canvas one = {.rows = 1, .cols = 1, .cell = &cell};
    struct buf utf8;

    buf_init(&utf8, 16);
    canvas_row(&one, 0, &utf8); /* blanks at the end are cut off */
    memcpy(text, f->text, f->n);
    if (key == ' ')
        buf_add_char(&utf8, ' ');
    if (f->n + utf8.n <= sizeof(text)) {
        memcpy(text + f->n, utf8.p, utf8.n);
        change_filter(a, (struct str){text, f->n + utf8.n});
    }
    buf_done(&utf8);
}

static bool is_character(uint32_t key) {
    return (key >= ' ' && key < 0x7f) || (key >= 0xa0 && key < KEYS_UP);
}

static void edit_key(struct app *a, uint32_t key) {
    char text[FILTER_TEXT_MAX];
    size_t n = a->view.filter.n;

    memcpy(text, a->view.filter.text, n);
    switch (key) {
    case KEYS_ENTER:
        a->editing = false;
        if (a->view.filter.complaint)
            app_say(a, "%s", a->view.filter.complaint);
        break;
    case KEYS_ESC:
        a->editing = false;
        change_filter(a, (struct str){a->edit_before, a->edit_before_n});
        break;
    case KEYS_BACKSPACE:
        while (n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
            n--;
        change_filter(a, (struct str){text, n > 0 ? n - 1 : 0});
        break;
    case 'u' & 0x1f:
        change_filter(a, STR(""));
        break;
    default:
        if (is_character(key))
            add_to_filter(a, key);
    }
}

/* --- keys ------------------------------------------------------------------------------------- */

static void move(struct app *a, ptrdiff_t rows) {
    if (a->help) {
        ptrdiff_t at = (ptrdiff_t)a->help_top + rows;

        a->help_top = at < 0 ? 0 : (size_t)at; /* help_draw keeps it below its end */
    } else if (a->screen == APP_DETAIL) {
        detail_move(a, rows);
    } else if (a->screen == APP_EVENTS) {
        timeline_move(a, rows);
    } else {
        view_move(&a->view, a->source, rows);
    }
}

static void back(struct app *a, bool may_quit) {
    if (a->help) {
        a->help = false;
    } else if (a->screen == APP_DETAIL) {
        a->screen = a->below;
        update_screen(a);
    } else if (a->screen == APP_EVENTS) {
        a->screen = APP_OVERVIEW;
    } else if (may_quit) {
        a->quit = true;
    } else if (a->view.filter.n > 0) {
        change_filter(a, STR(""));
    }
}

/* An event is looked at where it happened, when it happened. */
static bool open_event(struct app *a) {
    const struct tui_event *event = timeline_selected(a);
    const struct tui_host *host = a->source->host(a->source->ctx);
    const struct tui_row *row = event ? rowfind_name(a->source, event->name) : NULL;

    if (!event)
        return false;
    if (!row) {
        a->detail.name_n = event->name.n < sizeof(a->detail.name) ? event->name.n : 0;
        memcpy(a->detail.name, event->name.p ? event->name.p : "", a->detail.name_n);
        a->detail.key_n = 0;
        a->detail.id = UINT64_MAX;
    }
    if (row)
        detail_open(a, row);
    a->below = APP_EVENTS;
    a->screen = APP_DETAIL;
    if (host && host->agent) {
        a->moment.at_ms = event->at_ms;
        a->moment.playing = a->moment.stopped = false;
        return true;
    }
    return false;
}

static bool open_selected(struct app *a) {
    const struct tui_row *row = view_selected(&a->view, a->source);

    if (a->help || a->screen == APP_DETAIL)
        return false;
    if (a->screen == APP_EVENTS)
        return open_event(a);
    a->below = APP_OVERVIEW;
    if (row)
        detail_open(a, row);
    return false;
}

/* The one beside it in the list; where the list is shown, that is a move. */
static void open_beside(struct app *a, ptrdiff_t rows) {
    const struct tui_row *row;

    if (a->help || a->screen == APP_EVENTS)
        return;
    view_move(&a->view, a->source, rows);
    row = view_selected(&a->view, a->source);
    if (a->screen == APP_DETAIL && row)
        detail_open(a, row);
}

static void sort_key(struct app *a, enum action action) {
    if (a->screen != APP_OVERVIEW)
        return;
    if (action == ACTION_SORT_TURN)
        a->view.reverse = !a->view.reverse;
    else if (action == ACTION_GROUP)
        a->view.group = (a->view.group + 1) % VIEW_GROUP_N;
    else
        view_sort_step(&a->view, action == ACTION_SORT_LEFT ? -1 : 1);
    (void)view_update(&a->view, a->source);
    app_say(a, "sorted by %s%s, grouped by %s", top_sort_names[a->view.sort],
            a->view.reverse ? ", the other way round" : "", view_group_names[a->view.group]);
}

static bool shift(struct app *a, int eighths) {
    const char *said = moment_shift(&a->moment, a->source->host(a->source->ctx), a->now_ms,
                                    app_window(a), eighths);

    if (said)
        app_say(a, "%s", said);
    return true;
}

static bool zoom(struct app *a, int direction) {
    struct buf text;

    moment_zoom(&a->moment, app_window(a), direction);
    buf_init(&text, 64);
    units_add_duration(&text, (uint64_t)a->moment.window_ms / 1000);
    if (app_window(a) < a->moment.window_ms)
        buf_add(&text, STR(", of which less is known yet"));
    app_say(a, "window %.*s", STR_ARG(buf_str(&text)));
    buf_done(&text);
    sparks_forget(&a->sparks);
    a->detail.fetched_ms = 0;
    update_screen(a);
    return false;
}

static bool now(struct app *a) {
    a->moment.at_ms = 0;
    a->moment.playing = a->moment.stopped = false;
    return true;
}

static bool pause_or_play(struct app *a) {
    moment_pause(&a->moment);
    return true;
}

static void toggle_events(struct app *a) {
    a->help = false;
    a->screen = a->screen == APP_EVENTS ? APP_OVERVIEW : APP_EVENTS;
    a->events.cursor = a->events.top = 0;
    update_screen(a);
}

/* By how many rows an action moves the selection; 0 for all others. */
static ptrdiff_t rows_of(const struct app *a, enum action action) {
    static const ptrdiff_t far = INT32_MAX;
    ptrdiff_t page = a->canvas.rows > 12 ? a->canvas.rows - 8 : 4;

    if (action == ACTION_DOWN || action == ACTION_UP)
        return action == ACTION_DOWN ? 1 : -1;
    if (action == ACTION_PAGE_DOWN || action == ACTION_PAGE_UP)
        return action == ACTION_PAGE_DOWN ? page : -page;
    if (action == ACTION_LAST || action == ACTION_FIRST)
        return action == ACTION_LAST ? far : -far;
    return 0;
}

/* By how many eighths of the window an action moves the moment; 0 for all others. */
static int eighths_of(enum action action) {
    if (action == ACTION_EARLIER || action == ACTION_LATER)
        return action == ACTION_LATER ? 1 : -1;
    if (action == ACTION_WINDOW_EARLIER || action == ACTION_WINDOW_LATER)
        return action == ACTION_WINDOW_LATER ? 8 : -8;
    return 0;
}

static void leave_all(struct app *a) {
    a->help = false;
    a->screen = APP_OVERVIEW;
}

static void show_help(struct app *a) {
    a->help = !a->help;
    a->help_top = 0;
}

static bool act(struct app *a, enum action action) {
    if (rows_of(a, action) != 0)
        move(a, rows_of(a, action));
    else if (eighths_of(action) != 0)
        return shift(a, eighths_of(action));
    else if (action == ACTION_OPEN)
        return open_selected(a);
    else if (action == ACTION_BACK || action == ACTION_QUIT)
        back(a, action == ACTION_QUIT);
    else if (action == ACTION_NEXT || action == ACTION_PREVIOUS)
        open_beside(a, action == ACTION_NEXT ? 1 : -1);
    else if (action == ACTION_FILTER)
        begin_filter(a);
    else if (action >= ACTION_SORT_NEXT && action <= ACTION_GROUP)
        sort_key(a, action);
    else if (action == ACTION_EVENTS)
        toggle_events(a);
    else if (action == ACTION_OVERVIEW)
        leave_all(a);
    else if (action == ACTION_ZOOM_IN || action == ACTION_ZOOM_OUT)
        return zoom(a, action == ACTION_ZOOM_IN ? -1 : 1);
    else if (action == ACTION_PAUSE)
        return pause_or_play(a);
    else if (action == ACTION_NOW)
        return now(a);
    else if (action == ACTION_HELP)
        show_help(a);
    else if (action == ACTION_REDRAW)
        a->redraw = true;
    return false;
}

bool app_key(struct app *a, uint32_t key) {
    a->message[0] = 0;
    if (a->editing) {
        edit_key(a, key);
        return false;
    }
    return act(a, keys_action(key));
}

void app_draw(struct app *a) {
    canvas_clear(&a->canvas);
    if (a->canvas.rows < APP_ROWS_MIN || a->canvas.cols < APP_COLS_MIN)
        frame_small(a);
    else if (a->help)
        help_draw(a);
    else if (a->screen == APP_DETAIL)
        detail_draw(a);
    else if (a->screen == APP_EVENTS)
        timeline_draw(a);
    else
        overview_draw(a);
}
