/* cgmake.h - makes, changes, ends and removes control groups: the only writer of their files.
 *
 * Groups are directory descriptors (O_RDONLY|O_DIRECTORY|O_CLOEXEC; O_PATH does for parents) and
 * names below them, so that nothing depends on where a hierarchy is mounted. Nothing here
 * allocates but cgmake_signal.
 */
#pragma once
#include "base/str.h"

/* Makes parent/name and opens it. Descriptor, or -errno: -EEXIST when it is there already; -ESTALE
 * when somebody removed it before it was open; -ENOENT: the parent is gone; -EROFS, -EACCES,
 * -EPERM. */
int cgmake_new(int parent, const char *name);

/* Opens a group below parent; what is a link is refused. */
int cgmake_open(int parent, const char *name);

/* One write of the whole value into dir/file, which must exist. 0 or the kernel's -errno
 * (-ENOENT: no such file in this kernel; -EBUSY: the value cannot be reached; -EINVAL). */
int cgmake_write(int dir, const char *file, struct str value);

/* Moves the calling process, which has one thread, into the group: the word "0" into `tasks` (v1)
 * or cgroup.procs. Async-signal-safe, for between fork and exec. -EBUSY: v2, and the group hands
 * controllers on to its children. */
int cgmake_join(int dir);

/* SIGKILL to every process of the group and of the groups below, also to those that fork meanwhile
 * and to frozen ones, by cgroup.kill (v2 trees, Linux 5.14). -ENOENT where there is no such file.
 */
int cgmake_kill(int dir);

/* One pass of the same by hand: `signal` to each process listed in the group and the groups below,
 * never to ourselves, nor to another process that got the pid of one of them meanwhile. *sent_out,
 * which may be NULL: how many got it. Processes that fork meanwhile may be missed: repeat until
 * cgmake_busy says 0. 0; -EPERM when one is not ours to signal (the others are signalled);
 * -errno. */
int cgmake_signal(int dir, int signal, unsigned *sent_out);

/* 1 when a process is in the group or below it, 0 when there is none, -errno (-ENODEV: removed). */
int cgmake_busy(int dir);

/* Removes parent/name and all groups below it, deepest first. 0, also when there is none; -EBUSY
 * while processes are in it: then empty groups below may be gone already. */
int cgmake_remove(int parent, const char *name);
