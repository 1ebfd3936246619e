/* file.h - small files read whole into the caller's buffer.
 *
 * Kernel files are read in one piece or not at all: one that does not fit is -EFBIG, never a
 * half-parsed truth. Nothing here allocates.
 */
#pragma once
#include "base/str.h"

/* Reads DIR/name. *out points into buf. 0; -EFBIG when it does not fit into `size` bytes; else
 * -errno of open or read. dir may be AT_FDCWD. Only regular files and what the kernel makes are
 * opened sensibly: O_NOFOLLOW is not set, O_NONBLOCK and O_NOCTTY are. */
int file_read_at(int dir, const char *name, char *buf, size_t size, struct str *out);

/* Reads a descriptor that stays open from its beginning (pread): the cheap way to read the same
 * kernel file every second. Same results. */
int file_pread(int fd, char *buf, size_t size, struct str *out);

/* The first bytes of DIR/name, at most `size`; longer files are cut. For command lines and such
 * where a part is as good as the whole. */
int file_head_at(int dir, const char *name, char *buf, size_t size, struct str *out);

/* Where a symbolic link points; -ENAMETOOLONG when the answer fills the buffer. */
int file_link_at(int dir, const char *name, char *buf, size_t size, struct str *out);

/* Opens a file of another machine's or a container's tree for reading: below `dir`, never outside
 * of it (symbolic links are resolved as if dir were the root). It may be of any type, but opening
 * does not wait for a FIFO's writer. Descriptor or -errno. */
int file_open_in(int dir, const char *path);

/* The same for a directory, as a place to start from only (O_PATH). */
int file_open_dir_in(int dir, const char *path);
/* The same for whatever is there, a symbolic link at the end itself too: to look at it with fstat,
 * or to connect to a socket by /proc/self/fd/N (O_PATH). */
int file_open_path_in(int dir, const char *path);

/* The whole of such a file: regular files only (others: -EINVAL), at most `max` bytes (larger:
 * -EFBIG). Returns malloc'ed text with a NUL behind it in *out and its length, the caller frees
 * it. */
int file_load_in(int dir, const char *path, size_t max, char **out, size_t *len_out);

/* The same of a descriptor that is open already, from where it stands. A short read is not taken
 * for the end: FUSE and network file systems give what they have. */
int file_load_fd(int fd, size_t max, char **out, size_t *len_out);

/* The same of a file whose size nobody says: /proc/PID/environ, cmdline. Reads until its end. */
int file_load_unsized(int fd, size_t max, char **out, size_t *len_out);
