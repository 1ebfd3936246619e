/* seccomp.h - whether a process's seccomp filters allow system calls: found out by running the
 * filters here, not by trying.
 */
#pragma once
#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum seccomp_word {
    SECCOMP_ALLOWS,  /* whatever its arguments are */
    SECCOMP_FORBIDS, /* kills, fails, traps or asks somebody */
    SECCOMP_DEPENDS, /* on its arguments, or the filter could not be followed */
};

/* What one filter says of a system call of this machine's architecture. Pure. */
enum seccomp_word seccomp_run(const struct sock_filter *filter, size_t n, int call);

/* Whether all filters of a thread, which we have stopped by ptrace, allow all of these calls. 0;
 * -EPERM with a text that names the first that is not allowed, or says why the filters cannot be
 * read (that needs CAP_SYS_ADMIN, a kernel with CONFIG_CHECKPOINT_RESTORE, and no filter on
 * ourselves). */
int seccomp_allows(pid_t thread, const int *call, size_t calls, struct err *err);
