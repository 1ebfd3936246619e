/* confine.h - the front gives up all it does not need: root, capabilities, the file system, calls.
 *
 * In order: the user `plimsoll` or, where there is none, nobody; a chroot into the state directory
 * (as root), so that the database's path works whatever lies above it; no capabilities, no new
 * privileges; landlock on what is left; a seccomp list of calls. Each step that the kernel or
 * missing rights do not allow is told in `told` and skipped, but a process that was root and cannot
 * stop being it ends.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

struct confine_options {
    const char *dir; /* what may be written; it becomes "/" when `chroot` */
    bool chroot;
    bool connect; /* may make connections (the remote writer), and read /etc and certificates */
};

struct confine_user {
    uint32_t uid, gid;
    bool drop; /* we are root */
};

void confine_user(struct confine_user *out);

/* Makes the directory if need be, gives it to the user, 0700. */
int confine_own_dir(const char *dir, const struct confine_user *user, struct err *err);

int confine(const struct confine_options *options, const struct confine_user *user,
            struct buf *told, struct err *err);
