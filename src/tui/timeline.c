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
};

const char *timeline_word(enum tui_event_kind kind) {
    return kinds[kind].word;
}

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

static void draw_event(struct app *a, int y, const struct tui_event *event) {
    struct canvas *c = &a->canvas;
    int name = c->cols >= 120 ? 40 : c->cols >= 70 ? 20 : 12, x = 43 + name;
    struct buf text;

    buf_init(&text, 256);
    units_add_clock(&text, event->at_ms, true);
    canvas_text(c, y, 0, 19, buf_str(&text), STYLE_NORMAL);
    buf_clear(&text);
    if (a->now_ms >= event->at_ms)
        units_add_duration(
            &text, (uint64_t)(app_at(a) > event->at_ms ? app_at(a) - event->at_ms : 0) / 1000);
    canvas_right(c, y, 20, 7, buf_str(&text), STYLE_DIM);
    buf_done(&text);
    canvas_put(c, y, 29, (unsigned char)kinds[event->kind].letter, kinds[event->kind].letter,
               kinds[event->kind].style);
    canvas_text(c, y, 31, 8, str_of(kinds[event->kind].word), kinds[event->kind].style);
    canvas_name(c, y, 40, name, event->name, STYLE_BOLD);
    if (event->kills > 1)
        x += canvas_format(c, y, x, c->cols - x, STYLE_NORMAL, "%llu kills  ",
                           (unsigned long long)event->kills);
    canvas_name(c, y, x, c->cols - x, event->detail, STYLE_NORMAL);
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

void timeline_draw(struct app *a) {
    struct events *e = &a->events;
    struct canvas *c = &a->canvas;
    int name = c->cols >= 120 ? 40 : c->cols >= 70 ? 20 : 12;
    size_t height = (size_t)(c->rows - LIST_TOP - 1);

    frame_draw(a, "events");
    canvas_format(c, 1, 0, c->cols, STYLE_DIM,
                  "%zu events, the newest first; Enter opens the container at that moment",
                  e->shown_n);
    canvas_text(c, 2, 0, 19, STR("TIME (UTC)"), STYLE_BOLD);
    canvas_right(c, 2, 20, 7, STR("BEFORE"), STYLE_BOLD);
    canvas_text(c, 2, 29, 10, STR("WHAT"), STYLE_BOLD);
    canvas_text(c, 2, 40, name, STR("NAME"), STYLE_BOLD);
    canvas_text(c, 2, 43 + name, c->cols, STR("DETAIL"), STYLE_BOLD);
    if (e->cursor < e->top)
        e->top = e->cursor;
    if (e->cursor >= e->top + height)
        e->top = e->cursor + 1 - height;
    if (e->shown_n == 0)
        draw_empty(a);
    for (size_t i = 0; i < height && e->top + i < e->shown_n; i++) {
        draw_event(a, LIST_TOP + (int)i, &e->event[e->shown[e->top + i]]);
        if (e->top + i == e->cursor)
            canvas_select(c, LIST_TOP + (int)i, 19);
    }
}
