/* timeline.c - what happened to all containers, the newest first. */
#include "tui/app.h"

#include <stdio.h>
#include <stdlib.h>

#include "tui/units.h"

enum { LIST_TOP = 3 };

static const struct {
    const char *word;
    char letter;
    unsigned style;
} kinds[TUI_EVENT_N] = {
    [TUI_EVENT_OOM] = {"OOM kill", 'X', STYLE_BAD},
    [TUI_EVENT_START] = {"start", 'S', STYLE_GOOD},
    [TUI_EVENT_END] = {"end", 'E', STYLE_DIM},
    [TUI_EVENT_RESTART] = {"restart", 'R', STYLE_WARN},
    [TUI_EVENT_LIMIT] = {"limit", 'L', STYLE_KEY},
    [TUI_EVENT_OTHER] = {"", '*', STYLE_KEY},
};

char timeline_letter(enum tui_event_kind kind) {
    return kinds[kind].letter;
}

void timeline_done(struct events *e) {
    free(e->shown);
    *e = (struct events){.event = NULL};
}

void timeline_update(struct app *a) {
    struct events *e = &a->events;
    struct err err = {0};

    e->shown_n = 0;
    e->trouble[0] = 0;
    if (a->source->events(a->source->ctx, NULL, &e->event, &e->n, &err) < 0) {
        e->n = 0;
        (void)snprintf(e->trouble, sizeof(e->trouble), "%.199s", err.text);
    }
    if (e->n > e->room) {
        size_t *shown = realloc(e->shown, e->n * sizeof(*shown));

        if (!shown) {
            e->n = 0;
            return;
        }
        e->shown = shown;
        e->room = e->n;
    }
    for (size_t i = 0; i < e->n; i++)
        if (e->event[i].kind < TUI_EVENT_N && filter_match_name(&a->view.filter, e->event[i].name))
            e->shown[e->shown_n++] = i;
    if (e->cursor >= e->shown_n)
        e->cursor = e->shown_n ? e->shown_n - 1 : 0;
}

void timeline_move(struct app *a, ptrdiff_t rows) {
    struct events *e = &a->events;
    ptrdiff_t at = (ptrdiff_t)e->cursor + rows, last = (ptrdiff_t)e->shown_n - 1;

    e->cursor = at < 0 || last < 0 ? 0 : at > last ? (size_t)last : (size_t)at;
}

const struct tui_event *timeline_selected(const struct app *a) {
    const struct events *e = &a->events;

    return e->shown_n > 0 ? &e->event[e->shown[e->cursor]] : NULL;
}

/* Where the columns of an event begin. */
struct places {
    int ago, what, name, detail; /* ago 0: there is no room for it, nor for the date */
};

static struct places places_of(const struct canvas *c) {
    int name = c->cols >= 120 ? 40 : 20;

    if (c->cols < 70)
        return (struct places){0, 9, 20, 41};
    return (struct places){20, 29, 40, 43 + name};
}

static void draw_event(struct app *a, int y, const struct tui_event *event) {
    struct canvas *c = &a->canvas;
    struct places at = places_of(c);
    int64_t ago = app_at(a) - event->at_ms;
    struct buf text;

    buf_init(&text, 256);
    units_add_clock(&text, event->at_ms, at.ago > 0);
    canvas_text(c, y, 0, 19, buf_str(&text), STYLE_NORMAL);
    buf_clear(&text);
    units_add_duration(&text, (uint64_t)(ago > 0 ? ago : 0) / 1000);
    if (at.ago > 0)
        canvas_right(c, y, at.ago, 7, buf_str(&text), STYLE_DIM);
    buf_done(&text);
    canvas_put(c, y, at.what, (unsigned char)kinds[event->kind].letter, kinds[event->kind].letter,
               kinds[event->kind].style);
    canvas_name(c, y, at.what + 2, 8,
                event->word.n > 0 ? event->word : str_of(kinds[event->kind].word),
                kinds[event->kind].style);
    canvas_name(c, y, at.name, at.detail - at.name - 1, event->name, STYLE_BOLD);
    if (event->kills > 1)
        at.detail += canvas_format(c, y, at.detail, c->cols - at.detail, STYLE_NORMAL,
                                   "%llu kills  ", (unsigned long long)event->kills);
    canvas_name(c, y, at.detail, c->cols - at.detail, event->detail, STYLE_NORMAL);
}

static void draw_heads(struct canvas *c, int y) {
    struct places at = places_of(c);

    canvas_text(c, y, 0, at.what, at.ago ? STR("TIME (UTC)") : STR("UTC"), STYLE_BOLD);
    if (at.ago > 0)
        canvas_right(c, y, at.ago, 7, STR("AGO"), STYLE_BOLD);
    canvas_text(c, y, at.what, 10, STR("WHAT"), STYLE_BOLD);
    canvas_text(c, y, at.name, at.detail - at.name, STR("NAME"), STYLE_BOLD);
    canvas_text(c, y, at.detail, c->cols, STR("DETAIL"), STYLE_BOLD);
}

static void draw_empty(struct app *a) {
    const struct tui_host *host = a->source->host(a->source->ctx);
    const char *why = a->events.trouble[0] ? a->events.trouble
                      : a->events.n > 0    ? "no event matches the filter"
                      : host && host->agent
                          ? "nothing has happened that is known"
                          : "nothing has happened since this began; the agent keeps more";

    canvas_name(&a->canvas, LIST_TOP + 1, 2, a->canvas.cols - 4, str_of(why), STYLE_NORMAL);
}

static void draw_summary(struct app *a) {
    const struct tui_host *host = a->source->host(a->source->ctx);
    struct canvas *c = &a->canvas;
    size_t n = a->events.shown_n;
    int x;

    if (a->view.filter.n == 0) {
        x = canvas_format(c, 1, 0, c->cols, STYLE_NORMAL, "%zu %s", n, n == 1 ? "event" : "events");
    } else {
        x = canvas_format(c, 1, 0, c->cols, STYLE_NORMAL, "%zu of the last %zu events: ", n,
                          a->events.n);
        x += canvas_text(c, 1, x, c->cols - x, STR("/"), STYLE_KEY);
        x += canvas_name(c, 1, x, c->cols - x, (struct str){a->view.filter.text, a->view.filter.n},
                         STYLE_KEY);
        if (filter_has_more_than_names(&a->view.filter))
            x += canvas_text(c, 1, x, c->cols - x, STR("  of these, words of names count here"),
                             STYLE_WARN);
    }
    canvas_text(c, 1, x, c->cols - x,
                host && host->agent ? STR("  Enter goes there and then")
                                    : STR("  Enter opens the container"),
                STYLE_DIM);
}

void timeline_draw(struct app *a) {
    struct events *e = &a->events;
    struct canvas *c = &a->canvas;
    size_t height = (size_t)(c->rows - LIST_TOP - 1);

    frame_draw(a, "events");
    draw_summary(a);
    draw_heads(c, 2);
    if (e->cursor < e->top)
        e->top = e->cursor;
    if (e->cursor >= e->top + height)
        e->top = e->cursor + 1 - height;
    if (e->top + height > e->shown_n)
        e->top = e->shown_n > height ? e->shown_n - height : 0;
    if (e->shown_n == 0)
        draw_empty(a);
    for (size_t i = 0; i < height && e->top + i < e->shown_n; i++) {
        draw_event(a, LIST_TOP + (int)i, &e->event[e->shown[e->top + i]]);
        if (e->top + i == e->cursor)
            canvas_select(c, LIST_TOP + (int)i, 19);
    }
}
