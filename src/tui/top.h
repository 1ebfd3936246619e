/* top.h - `plimsoll top`: a screen of all targets, one of a single target, and one of events.
 *
 * Takes the terminal (stdin and stdout) and gives it back however it ends: keys, SIGINT, SIGTERM,
 * an error. What is shown comes from a struct tui_source alone.
 */
#pragma once
#include "tui/source.h"

/* What rows can be sorted by, in the order of the columns. */
enum top_sort {
    TOP_SORT_NAME,
    TOP_SORT_RUNTIME,
    TOP_SORT_PCT, /* used of the limit */
    TOP_SORT_USED,
    TOP_SORT_LIMIT,
    TOP_SORT_TREND,
    TOP_SORT_TIME, /* to the limit, the nearest first */
    TOP_SORT_SWAP,
    TOP_SORT_CPU,
    TOP_SORT_PSI,
    TOP_SORT_OOM,
    TOP_SORT_RESTARTS,
    TOP_SORT_STATE, /* the worst first */
    TOP_SORT_N,
};

/* The words of the command line: "name", "used", "used%", "limit", "trend", "time" ... */
extern const char *const top_sort_names[TOP_SORT_N];

/* What is opened at once: a word, and what it means now as other commands have it. */
struct top_target {
    struct str word;
    const char *path;      /* the group meant; NULL: none, or that could not be told */
    bool is_process;       /* the word is a pid: a group above it will do */
    const struct err *why; /* why there is no path; NULL: nobody was asked */
};

struct top_options {
    int64_t at_ms;                   /* begin at this moment; 0: now */
    int64_t interval_ms;             /* between two looks; at least 1 */
    bool ascii;                      /* the terminal has no UTF-8 */
    bool no_color;                   /* bold, dim and reverse are used still */
    const struct top_target *target; /* NULL: none */
    enum top_sort sort;
};

/* The source must have nothing to say on stdout or stderr meanwhile. 0 when the user ended it (or a
 * signal did); -ENOTTY, -ENOENT (no such target, or ambiguous) or another -errno with a text; the
 * terminal is then as before. setlocale must have been called. A source that fails now and then is
 * shown as such, and asked again: only the first answer must not fail, but with -ENODATA. */
int top_run(const struct tui_source *source, const struct top_options *options, struct err *err);
