/* proccgroup.h - which cgroup a process is in: /proc/PID/cgroup.
 *
 * Lines are ID:CONTROLLERS:PATH. The path is raw bytes and may hold colons and escapes; a newline
 * cannot be in it (mkdir refuses one). Paths are relative to the reader's cgroup namespace: those
 * outside of it start with "/..".
 */
#pragma once
#include "base/str.h"

struct proccgroup {
    struct str path; /* points into the text; starts with '/'; a " (deleted)" at its end is cut */
    bool deleted;    /* the group was removed while the process (a zombie) was still in it */
};

/* The path in the hierarchy of `controller`: "memory" is a v1 hierarchy, "name=systemd" a named
 * one, "" is the unified one (the line "0::"). 0; -ENODATA when there is no such line;
 * -ENAMETOOLONG when the path is so long (4095 bytes) that the kernel may have cut it and says
 * nothing; -EBADMSG on a line that is none, a path without '/' or a text cut off. *out is written
 * on success only. */
int proccgroup_parse(struct str text, struct str controller, struct proccgroup *out);

/* PROC/PID/cgroup into buf, at least PROCCGROUP_SIZE bytes, for proccgroup_parse (several
 * controllers from one read). 0; -EFBIG; -errno. */
enum { PROCCGROUP_SIZE = 16384 };
int proccgroup_read(int proc, int32_t pid, char *buf, size_t size, struct str *out);
