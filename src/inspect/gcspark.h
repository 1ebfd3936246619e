/* gcspark.h - the line at the bottom of the terminal while a program runs.
 *
 * The terminal's scrolling region ends above it, so that what the program writes, also by itself
 * and without newlines, scrolls there and never meets the line. Everything is escape sequences in a
 * buffer: whoever writes to the terminal writes them there.
 */
#pragma once
#include "inspect/gcstats.h"

enum { GCSPARK_CELLS = 512 };

struct gcspark {
    unsigned rows, columns; /* of the region that is set; 0: none is */
    bool utf8, colour;
};

/* What to write for a terminal of that size (0: it cannot be drawn on): the region is set where it
 * was not, and the line drawn. */
void gcspark_draw(struct gcspark *s, const struct gcstats *stats, unsigned rows, unsigned columns,
                  struct buf *out);

/* Gives the terminal back as it was, the line wiped. */
void gcspark_end(struct gcspark *s, struct buf *out);

/* The text of the line alone, at most so many columns. */
void gcspark_line(const struct gcstats *stats, bool utf8, unsigned columns, struct buf *out);
