/* app.h - the program behind the screen, without a terminal: keys in, cells out.
 *
 * top.c gives it time, keys and a size, and shows its canvas. Each screen draws itself
 * (overview.c, detail.c, timeline.c, help.c) with the lines around it from frame.c.
 */
#pragma once
#include "tui/canvas.h"
#include "tui/keys.h"
#include "tui/moment.h"
#include "tui/proctree.h"
#include "tui/spark.h"
#include "tui/view.h"

enum {
    APP_ROWS_MIN = 10, /* below this it only says so */
    APP_COLS_MIN = 40,
    DETAIL_COLUMNS_MAX = 400,
};

enum app_screen { APP_OVERVIEW, APP_DETAIL, APP_EVENTS };

/* What a container's charts are made of, in the order of detail_history. */
enum detail_line {
    DETAIL_USAGE,
    DETAIL_ANON,
    DETAIL_SHMEM,
    DETAIL_KERNEL,
    DETAIL_SLAB,
    DETAIL_SOCK,
    DETAIL_ACTIVE,
    DETAIL_INACTIVE,
    DETAIL_LIMIT,
    DETAIL_HIGH,
    DETAIL_PSI,
    DETAIL_REFAULTS,
    DETAIL_SWAPINS,
    DETAIL_MINOR,
    DETAIL_MAJOR,
    DETAIL_N,
};

struct detail {
    uint64_t id;
    char key[300], name[300]; /* by which it is found when it was made anew */
    size_t key_n, name_n;
    bool failed; /* its history could not be read */
    uint64_t value[DETAIL_N][DETAIL_COLUMNS_MAX];
    size_t n;                           /* columns in `value` */
    int64_t from_ms, to_ms, fetched_ms; /* of `value`; when it was asked for */
    const struct tui_process *process;  /* the source's */
    size_t processes;
    struct proctree tree;
    int32_t pid; /* selected */
    size_t cursor, top;
    char trouble[200]; /* why there are no processes */
};

struct events {
    const struct tui_event *event; /* the source's */
    size_t n;
    size_t *shown, shown_n, room;
    size_t cursor, top;
    char trouble[200];
};

struct app {
    const struct tui_source *source;
    struct top_options options;
    struct canvas canvas;
    enum app_screen screen, below; /* below: where back leads from a container */
    bool help, editing, quit, redraw;
    size_t help_top;
    char edit_before[FILTER_TEXT_MAX]; /* the filter as it was before editing */
    size_t edit_before_n;
    struct view view;
    struct sparks sparks;
    struct detail detail;
    struct events events;
    struct moment moment;
    int64_t now_ms, started_ms;
    char message[200]; /* what the last key had to say */
    char failure[400]; /* of the last refresh; empty: none */
};

int app_init(struct app *a, const struct tui_source *source, const struct top_options *options,
             int64_t now_ms);
void app_done(struct app *a);

/* Asks the source, when something may have changed. A failure is kept, to be shown; returned too.
 */
int app_refresh(struct app *a, int64_t now_ms, struct err *err);

/* Opens the row that is meant. 0; -errno with a text. */
int app_open(struct app *a, const struct top_target *target, struct err *err);

/* A character or one of KEYS_. True when the source must be asked (app_refresh). */
bool app_key(struct app *a, uint32_t key);

/* On the canvas, which has the terminal's size. */
void app_draw(struct app *a);

/* --- of the screens -------------------------------------------------------------------------- */

void app_say(struct app *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The moment that is shown, and since when there is anything to be shown. */
int64_t app_at(const struct app *a);
int64_t app_oldest(const struct app *a);
int64_t app_window(const struct app *a); /* that is shown: no longer than what there is */

void frame_draw(struct app *a, const char *title); /* the first line and the last */
void frame_small(struct app *a);
void help_draw(struct app *a);

void overview_draw(struct app *a);
size_t overview_height(const struct app *a); /* lines of its list */

void detail_open(struct app *a, const struct tui_row *row);
const struct tui_row *detail_row(const struct app *a); /* NULL: not there at this moment */
void detail_update(struct app *a);                     /* after a refresh */
void detail_move(struct app *a, ptrdiff_t rows);
void detail_draw(struct app *a);
void detail_done(struct detail *d);
void process_draw(struct app *a, int y, int height); /* the tree of detail */

void timeline_update(struct app *a);
void timeline_move(struct app *a, ptrdiff_t rows);
void timeline_draw(struct app *a);
const struct tui_event *timeline_selected(const struct app *a);
void timeline_done(struct events *e);
char timeline_letter(enum tui_event_kind kind);

/* "state" and how loudly. */
unsigned overview_state_style(enum state state);
