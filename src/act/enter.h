/* enter.h - into a container's namespaces, but not into its memory cgroup: so that one that hangs
 * at its limit can be looked into.
 *
 * As nsenter does, by descriptors of a process that is held by pidfd: user, mnt, uts, ipc, net,
 * pid, cgroup, time as far as they differ from ours. The caller's own cgroups stay: what is done
 * inside is charged outside, and does not wait for the container's memory.
 *
 * What is run may be the container's own, and hostile: it gets the container's capabilities at
 * most, none of our environment but TERM, none of our descriptors but the standard ones, a terminal
 * of its own, and no devices but the harmless ones (Linux 5.12), since the container's list of
 * devices belongs to a cgroup. Not taken over: seccomp filters, AppArmor and SELinux labels.
 */
#pragma once
#include "base/err.h"
#include "kern/host.h"
#include "kern/pidlist.h"

struct enter_plan {
    int32_t pid;       /* whose namespaces */
    char *const *argv; /* NULL: a shell of the container, /bin/bash, /bin/sh, /bin/ash ... */
    bool as_user;      /* with the uid, gid and groups of that process; else root's */
    bool env;          /* all of that process's environment; else its PATH, HOME and LANG */
    bool host_shell;   /* a static busybox of this machine: for images without a shell */
};

/* The process of a group that stands for it: the outermost pid 1 of a namespace, else the oldest
 * one that was started from outside. 0: there is none. */
int32_t enter_main_process(const struct host *h, const struct pidlist *group);

/* Runs it and waits. The exit code for our caller: the program's, 128 + signal; with a text in
 * *err, which is else empty: 125, 126, 127. This process must run from a sealed copy (sealed.h),
 * and is good for nothing else afterwards: it is in other namespaces, with fewer rights. */
int enter_run(const struct host *h, const struct enter_plan *plan, struct err *err);
