/* scope.h - whose processes a TARGET means: a process, or those of a group.
 */
#pragma once
#include "cmd/cmd.h"
#include "kern/pidlist.h"

struct scope {
    int32_t pid;       /* this process; 0: not by pid */
    bool has_group;    /* `path` is set */
    bool all;          /* every process that can be seen */
    int dir;           /* of the group whose processes are meant; -1: not by group */
    char *path, *name; /* of the group; owned. name may be NULL */
};

/* Which process or group `text` names. fs NULL: only pids can be told. 0; -errno with a text (as
 * resolve_target has it). scope_done takes a zeroed one with dir -1. */
int scope_find(const struct cmd_context *context, const struct host *host, const struct cgfs *fs,
               struct str text, struct scope *out, struct err *err);

/* All processes that can be seen; inside a container its group is remembered with them. */
int scope_own(const struct cmd_context *context, const struct host *host, const struct cgfs *fs,
              struct scope *out);
void scope_done(struct scope *s);

/* Their pids, appended: with `below`, the descendants of a process too. 0 or -errno with a text. */
int scope_pids(const struct scope *s, const struct host *host, bool below, struct pidlist *out,
               struct err *err);
