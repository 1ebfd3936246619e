/* resolve.h - what the user calls a TARGET, turned into a group.
 *
 * A TARGET is a container name, the head of an id (3 hex digits or more), POD/CONTAINER,
 * NAMESPACE/POD/CONTAINER, OUTER/INNER for a container inside a container, a systemd unit with or
 * without ".service", a cgroup path ("/docker/4f2a...", also with its mount point before it), or a
 * pid. Containers on the host go before containers inside containers: an inner one cannot take the
 * name of another away.
 */
#pragma once
#include "discover/targets.h"

enum resolve_how { RESOLVE_NAME, RESOLVE_ID, RESOLVE_POD, RESOLVE_UNIT, RESOLVE_PATH, RESOLVE_PID };

struct resolved {
    enum resolve_how how;
    const struct target *target; /* the group meant; NULL for a group the table does not hold. For a
                                    pid: the container around it, or its own group */
    char *path;                  /* of that group, NUL-terminated, owned: resolved_done */
    size_t path_len;
    int32_t pid; /* the pid that was given; 0 otherwise */
};

/* 0; -ENOENT: nothing is called so, with a suggestion where one is near; -ENOTUNIQ: several are,
 * and the text lists them; -ESRCH: no such process; -ENODATA: the process's group is not visible;
 * -ENOMEM. *out is set on success only. */
int resolve_target(const struct targets *t, struct str text, struct resolved *out, struct err *err);
void resolved_done(struct resolved *r);
