/* procline.h - the lines of a large file of a process, through one fixed buffer: maps and smaps.
 *
 * The kernel hands such files out a page at a time. Nothing allocates.
 */
#pragma once
#include "base/str.h"

enum { PROCLINE_MAX = 32768 };

struct procline {
    int fd;
    size_t from, to; /* what of buf is not handed out yet */
    char buf[PROCLINE_MAX];
};

/* Opens PROC/PID/NAME. 0 or -errno; then procline_close. */
int procline_open(struct procline *l, int proc, int32_t pid, const char *name);
void procline_close(struct procline *l);

/* The next line without its newline, valid until the next call. A line that does not fit into the
 * buffer is given as its head with *cut_out set, the rest of it is skipped. 1; 0 at the end;
 * -EBADMSG when the file ends inside a line; -errno. */
int procline_next(struct procline *l, struct str *out, bool *cut_out);
