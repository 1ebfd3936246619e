/* host.h - the machine we look at: this one, or a captured tree of /proc and /sys below a folder.
 *
 * Everything in kern/ and discover/ opens files relative to these descriptors.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct host {
    int root;          /* O_PATH descriptor of "/" or of the folder given with --root */
    int proc;          /* descriptor of its /proc */
    bool live;         /* this machine: pids there are pids here, inotify and signals make sense */
    char prefix[4096]; /* what --root said, without the last '/'; empty for this machine */
};

/* root NULL or "/" is this machine. 0 or -errno with a text; out is then untouched. */
int host_open(const char *root, struct host *out, struct err *err);
void host_done(struct host *h);

/* Bytes of memory of the machine, from meminfo's MemTotal. */
int host_mem_total(const struct host *h, uint64_t *out);
