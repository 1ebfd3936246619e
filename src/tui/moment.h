/* moment.h - which moment is shown, and how long the window before it is. Pure. */
#pragma once
#include "tui/source.h"

enum {
    MOMENT_WINDOW_MIN_MS = 60000,
    MOMENT_WINDOW_MS = 7200000, /* two hours to begin with */
};

struct moment {
    int64_t at_ms; /* 0: now */
    int64_t window_ms;
    bool stopped; /* live: nothing is asked until it goes on */
    bool playing; /* in the past: time runs */
};

/* Moves by `eighths` of the window shown (moment_window). Into the past only where there is one;
 * beyond now is now. What is to be said about it, or NULL. */
const char *moment_shift(struct moment *m, const struct tui_host *host, int64_t now_ms,
                         int64_t window_ms, int eighths);

/* The next longer window than the chosen one, or (-1) the next shorter than the one shown, which
 * may be less: a minute to 30 days. */
void moment_zoom(struct moment *m, int64_t shown_ms, int direction);

/* Live: stop and go on. In the past: let time run and stop it. */
void moment_pause(struct moment *m);

/* Time runs on by dt_ms where it runs at all. */
void moment_step(struct moment *m, int64_t now_ms, int64_t dt_ms);

/* The window for a chart that ends at `end_ms`: the chosen one, or the shortest step that holds all
 * there is. */
int64_t moment_window(const struct moment *m, int64_t end_ms, int64_t oldest_ms);
