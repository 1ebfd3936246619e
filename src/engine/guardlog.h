/* guardlog.h - what the log says of what guards see and do: a line for each action that has ended
 * or was let go, and for each hang. Who is guarded, and which marks are passed without an action,
 * is in the audit alone: a thousand quiet targets are no line.
 */
#pragma once
#include "base/buf.h"
#include "model/audit.h"

/* So many lines at once, and one more in each GUARDLOG_MS: a line of the log is never what a guard
 * waits for, and never drowns the others. The audit has them all. */
enum { GUARDLOG_LINES = 100, GUARDLOG_MS = 1000 };

struct guardlog {
    int64_t at_ms, room; /* of the bound, when it was last looked at; 0: never */
    unsigned left_out;   /* since the last line */
};

/* Whether this record is a line. */
bool guardlog_wants(const struct audit *a);

/* The line is written to the log, or counted where the bound is met or nobody reads it. Allocates
 * nothing and does not block. */
void guardlog_tell(struct guardlog *g, const struct audit *a, int64_t now_ms);

/* The same without writing: the line, appended, and true; false: it was counted. */
bool guardlog_line(struct guardlog *g, const struct audit *a, int64_t now_ms, struct buf *out);
