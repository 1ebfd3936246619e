/* canvas.h - what is to be seen on the screen, as cells: every view draws here, screen.c shows it.
 *
 * Knows no curses, so that views are tested without a terminal. Drawing outside is legal and draws
 * nothing.
 */
#pragma once
#include "base/buf.h"
#include "model/parts.h"

/* How a cell is to be seen. No meaning is carried by the style alone. */
enum style {
    STYLE_NORMAL,
    STYLE_DIM,
    STYLE_BOLD,
    STYLE_HEAD, /* title and column heads */
    STYLE_KEY,  /* keys in hints */
    STYLE_GOOD,
    STYLE_WARN,
    STYLE_BAD,
    STYLE_SPARK,
    STYLE_USED,
    STYLE_RECLAIM,
    STYLE_LIMIT,
    STYLE_HIGH,
    STYLE_PART, /* the first of PART_N */
    STYLE_N = STYLE_PART + PART_N,
    STYLE_SELECTED = 0x40, /* or'ed to any: of the row that is chosen */
    STYLE_REVERSE = 0x80,  /* or'ed to any */
};

struct cell {
    uint32_t code[3]; /* a character and marks that combine with it; 0: nothing more */
    uint8_t columns;  /* 1, 2, or 0: the right half of the one before */
    uint8_t style;
};

struct canvas {
    int rows, cols;
    bool ascii; /* only ASCII may be drawn */
    struct cell *cell;
    struct buf text; /* scratch */
};

void canvas_init(struct canvas *c, bool ascii);
void canvas_done(struct canvas *c);
int canvas_resize(struct canvas *c, int rows, int cols); /* and clears; 0 or -ENOMEM */
void canvas_clear(struct canvas *c);

/* One character of one column; `plain` is drawn instead where there is only ASCII. */
void canvas_put(struct canvas *c, int y, int x, uint32_t code, char plain, unsigned style);

/* Text of ours in at most `width` columns, cut with a '+'; the columns it took. */
int canvas_text(struct canvas *c, int y, int x, int width, struct str text, unsigned style);

/* The same for bytes of others, escaped first. */
int canvas_name(struct canvas *c, int y, int x, int width, struct str raw, unsigned style);

int canvas_format(struct canvas *c, int y, int x, int width, unsigned style, const char *format,
                  ...) __attribute__((format(printf, 6, 7)));

/* Text of ours that ends at column x + width. */
void canvas_right(struct canvas *c, int y, int x, int width, struct str text, unsigned style);

/* Marks a row as the chosen one; its first `strong` columns are seen as such without colours. */
void canvas_select(struct canvas *c, int y, int strong);

/* Gives a row one style. */
void canvas_fill(struct canvas *c, int y, unsigned style);

/* The row as UTF-8 without blanks at its end, appended. */
void canvas_row(const struct canvas *c, int y, struct buf *out);
