/* procns.h - the namespaces a process lives in, as inode numbers: two processes are in the same one
 * when the numbers are equal. */
#pragma once
#include <stdint.h>

enum procns_kind {
    PROCNS_PID,
    PROCNS_MNT,
    PROCNS_NET,
    PROCNS_CGROUP,
    PROCNS_UTS,
    PROCNS_USER,
    PROCNS_N
};

/* -EACCES or -EPERM for a process that is not ours to look into; -errno (see procfile.h);
 * -EBADMSG when the link is none of "kind:[number]". */
int procns_read(int proc, int32_t pid, enum procns_kind kind, uint64_t *inode_out);
