/* procfile.h - one file of one process: PROC/PID/NAME, read whole.
 *
 * `proc` is an open directory: /proc itself or a captured tree. A process may go at any moment;
 * that is -ENOENT (gone before the file was opened) or -ESRCH (gone while it was read), and
 * procfile_gone() tells both from real failures. Nothing here allocates.
 */
#pragma once
#include "base/str.h"

enum { PROCFILE_PATH = 64 }; /* room for "2147483647/" and any name used here */

/* Writes "PID/NAME" with its NUL and returns `path`; "PID" alone when name is "". */
const char *procfile_path(char path[static PROCFILE_PATH], int32_t pid, const char *name);

/* Reads the whole file; *out points into buf. 0; -EFBIG when `size` bytes do not hold it; -errno.
 * For files that the kernel writes in one piece (stat, statm, status, cgroup, oom_score ...), not
 * for maps and smaps. */
int procfile_read(int proc, int32_t pid, const char *name, char *buf, size_t size, struct str *out);

/* A file that holds one number and a newline, like oom_score. -EBADMSG, -ERANGE, -errno. */
int procfile_read_u64(int proc, int32_t pid, const char *name, uint64_t *out);
int procfile_read_i64(int proc, int32_t pid, const char *name, int64_t *out);

/* Calls each() with every name in an open directory (its file position is moved), "." and ".." left
 * out, until it returns something else than 0. That, or 0 at the end, or -errno. */
typedef int procfile_name_fn(void *ctx, const char *name);
int procfile_names(int dir, procfile_name_fn *each, void *ctx);

/* Whether a negative errno means that the process is no more. */
bool procfile_gone(int r);
