/* enterwho.h - as whom one enters: the ids of a process, and no rights beyond those of its
 * container.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

enum { ENTER_GROUPS = 64 };

struct enter_who {
    uint32_t uid, gid, groups[ENTER_GROUPS];
    unsigned group_n;
    uint64_t bound; /* capabilities that may be had in there: CapBnd */
    bool no_new_privs;
};

/* /proc/PID/status. 0; -EBADMSG: a line is missing or none. */
int enterwho_parse(struct str status, struct enter_who *out);

/* /proc/PID/uid_map and gid_map: an id as we see it becomes what it is called inside. 0; -ENOENT:
 * it is nobody there; -EBADMSG. */
int enterwho_map(struct str map, uint32_t *id);

/* Makes this process that one: bounding set, groups, ids, capabilities, no_new_privs. There is no
 * way back. 0 or -errno with a text. */
int enterwho_become(const struct enter_who *who, struct err *err);
