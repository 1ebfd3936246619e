/* bar.h - the limit bar: how full a target is, with its load line.
 *
 *   [####::::  |  !]   '#' used, ':' what can be reclaimed, '|' memory.high, '!' the alert mark at
 *                      STATE_FULL_CENTI of the limit; with UTF-8 in blocks
 *
 * Its length is the limit. Pure.
 */
#pragma once
#include "tui/canvas.h"

/* In `width` columns, its ends included; nothing is drawn when used or limit is not known. */
void bar_draw(struct canvas *c, int y, int x, int width, const struct sample *s);

/* What the marks mean, in one line; the columns it took. */
int bar_legend(struct canvas *c, int y, int x, int width);

/* Simple: a part of a whole, for lists. */
void bar_part(struct canvas *c, int y, int x, int width, uint64_t part, uint64_t whole,
              unsigned style);
