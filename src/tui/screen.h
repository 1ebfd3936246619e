/* screen.h - the terminal: curses put on and off, cells shown, keys read. One at a time. */
#pragma once
#include "base/err.h"
#include "tui/canvas.h"

/* -ENOTTY or -ENODEV with a text when this is no terminal to draw on. */
int screen_open(bool no_color, struct err *err);
void screen_close(void); /* legal at any time, and more than once */

/* The terminal's size as of now; curses is told. */
void screen_size(int *rows_out, int *cols_out);

void screen_show(const struct canvas *c, bool anew);

/* The next key (a code point, or KEYS_ of keys.h), 0 when there is none; -ENODATA when the terminal
 * is gone. */
int screen_key(uint32_t *key_out);

/* Gives the terminal back, stops this process as the terminal's driver would, and takes it again.
 */
void screen_suspend(void);

/* Takes the terminal again after a stop that nobody announced: SIGSTOP and SIGCONT. All must be
 * drawn anew. */
void screen_resume(void);
