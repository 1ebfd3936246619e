/* procfd.h - how many file descriptors a process has open.
 *
 * Linux >= 6.2 tells it in the size of the directory /proc/PID/fd, to everybody; before, and in
 * captured trees, the entries are counted, which needs ptrace access to another user's process.
 */
#pragma once
#include <stdint.h>

/* 0; -EACCES or -EPERM for a process that is not ours to look into; -errno (see procfile.h). */
int procfd_count(int proc, int32_t pid, uint64_t *out);
