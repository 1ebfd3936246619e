/* view.h - which rows are listed, in which order, and which one is selected.
 *
 * The selection stays with its target when rows move. Pure, but for memory.
 */
#pragma once
#include "tui/listing.h"
#include "tui/top.h"

enum view_group { VIEW_FLAT, VIEW_POD, VIEW_COMPOSE, VIEW_SLICE, VIEW_GROUP_N };

/* A line is a row of the source, or the head of the rows that follow. */
struct view_line {
    bool head;
    uint32_t row;   /* head: the first of its rows */
    uint32_t count; /* head: how many */
    uint64_t used;  /* head: their sum */
};

struct view {
    enum top_sort sort;
    bool reverse;
    enum view_group group;
    struct filter filter;
    struct view_line *line;
    size_t n, room;   /* lines */
    size_t rows, all; /* how many are shown, and how many are of the listing */
    enum listing_of of;
    unsigned states[STATE_N]; /* of all */
    bool have_selected;       /* by id */
    uint64_t selected;
    size_t cursor, top; /* line of the selection, and the first that is drawn */
};

void view_init(struct view *v, enum top_sort sort);
void view_done(struct view *v);

/* After each refresh, and when the order or filter has changed. 0 or -ENOMEM. */
int view_update(struct view *v, const struct tui_source *source);

/* Moves the selection by rows; heads are passed over. */
void view_move(struct view *v, const struct tui_source *source, ptrdiff_t rows);

/* Chooses `top` so that the cursor is among `height` lines. */
void view_scroll(struct view *v, size_t height);

/* NULL: nothing is listed. */
const struct tui_row *view_selected(const struct view *v, const struct tui_source *source);

void view_sort_step(struct view *v, int step);

/* The text rows are grouped by. */
struct str view_group_of(const struct tui_row *row, enum view_group group);
extern const char *const view_group_names[VIEW_GROUP_N];
