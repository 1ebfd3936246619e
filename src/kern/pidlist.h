/* pidlist.h - a growing array of process ids: all of /proc, or those of a cgroup. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct pidlist {
    int32_t *pid;
    size_t n, size;
};

void pidlist_done(struct pidlist *list);            /* legal on a zeroed struct */
void pidlist_clear(struct pidlist *list);           /* empty, memory kept */
int pidlist_add(struct pidlist *list, int32_t pid); /* 0 or -ENOMEM */
void pidlist_sort(struct pidlist *list);            /* ascending, doubles dropped */
bool pidlist_has(const struct pidlist *sorted, int32_t pid);

/* Appends every process of an open /proc (its own file position is moved). 0 or -errno. */
int pidlist_add_proc(struct pidlist *list, int proc);

/* Appends the numbers of cgroup.procs or tasks, a file of any size: DIR/name, or an open
 * descriptor read from its beginning. v1 may give a pid twice; a process outside the reader's pid
 * namespace is 0 and is left out. 0; -EBADMSG; -ENOMEM; -errno (-ENODEV: the group was removed;
 * -EOPNOTSUPP: a threaded group has no process list). */
int pidlist_add_file_at(struct pidlist *list, int dir, const char *name);
int pidlist_add_fd(struct pidlist *list, int fd);

/* The parser: appends what is complete in `text` and tells in *used_out how many bytes were taken;
 * `last` says that no more text follows. 0; -EBADMSG on anything but numbers and newlines. */
int pidlist_add_text(struct pidlist *list, struct str text, bool last, size_t *used_out);
