/* smaps.h - what a process's memory consists of, page by page: PSS, USS and the rest.
 *
 * The kernel walks the page tables for it: about 8 us a MB of 4 KiB pages with the address space
 * locked for reading. Read these by rank and budget, never of every process each second. Another
 * user's process needs ptrace access.
 */
#pragma once
#include "kern/maps.h"
#include "kern/smaps_value.h"

/* A whole smaps_rollup. 0; -EBADMSG or -ERANGE, and then *out is untouched. */
int smaps_parse_rollup(struct str text, struct smaps *out);

/* PROC/PID/smaps_rollup. 0; -EACCES or -EPERM; -ESRCH also for a kernel thread or a zombie, which
 * has none; -errno. */
int smaps_read_rollup(int proc, int32_t pid, struct smaps *out);

/* PROC/PID/smaps: as maps_each, with m->smaps. */
int smaps_each(int proc, int32_t pid, maps_each_fn *each, void *ctx);
