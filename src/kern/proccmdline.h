/* proccmdline.h - the command line of a process: /proc/PID/cmdline.
 *
 * The process itself can write anything there. Arguments are separated by NUL bytes.
 */
#pragma once
#include "base/buf.h"

enum { PROCCMDLINE_MAX = 4096 };

/* At most `size` bytes and at most PROCCMDLINE_MAX of it; *out points into buf and holds NULs
 * between the arguments, none at the end. Empty for kernel threads and zombies. 0 or -errno. */
int proccmdline_read(int proc, int32_t pid, char *buf, size_t size, struct str *out);

/* The next argument of *rest; false at the end. Empty arguments are arguments. */
bool proccmdline_arg(struct str *rest, struct str *arg);

/* For people: the raw arguments with blanks between them; "[comm]" when there are none. Still raw
 * bytes: what shows them must escape them. */
void proccmdline_add_joined(struct buf *b, struct str cmdline, struct str comm);
