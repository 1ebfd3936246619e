/* procstatus.h - what only /proc/PID/status tells: owner, anon/file/shmem split, swap, namespaces,
 * pending signals.
 *
 * Dearer than stat and statm together: read it when one of these is wanted. Kernel threads have no
 * Vm lines: have bits tell.
 */
#pragma once
#include "base/str.h"

enum procstatus_field {
    PROCSTATUS_ANON,   /* bytes: resident anonymous pages */
    PROCSTATUS_FILE,   /* bytes: resident pages of files */
    PROCSTATUS_SHMEM,  /* bytes: resident tmpfs, memfd and shared anonymous pages */
    PROCSTATUS_SWAP,   /* bytes: anonymous pages in swap; shared memory's are not in it */
    PROCSTATUS_PEAK,   /* bytes: the highest resident size (VmHWM) */
    PROCSTATUS_RES,    /* bytes: anon + file + shmem */
    PROCSTATUS_LOCKED, /* bytes: mlock'ed */
    PROCSTATUS_THREADS,
    PROCSTATUS_EUID,
    PROCSTATUS_TGID,     /* the process's pid, of the thread that was asked */
    PROCSTATUS_NS_PID,   /* the pid in the innermost pid namespace it is in */
    PROCSTATUS_NS_DEPTH, /* how many pid namespaces it is in, seen from here: 1 = ours only */
    PROCSTATUS_PENDING,  /* signals not taken yet, by the thread or the process: bit (number - 1) */
    PROCSTATUS_EGID,
    PROCSTATUS_BLOCKED, /* signals that the thread blocks, that the process ignores, and that it */
    PROCSTATUS_IGNORED, /* has handlers for: bit (number - 1) */
    PROCSTATUS_CAUGHT,
    PROCSTATUS_SECCOMP, /* 0: none; 1: strict; 2: filters */
    PROCSTATUS_TRACER,  /* pid of who traces it; 0: nobody */
    PROCSTATUS_N,
};

struct procstatus {
    uint64_t value[PROCSTATUS_N];
    uint32_t have; /* bit (1u << field): the kernel wrote it; "not written" is not zero */
};

/* Lines not known are skipped. 0; -EBADMSG or -ERANGE when a known line is malformed or the last
 * line was cut off, and then *out is untouched. */
int procstatus_parse(struct str text, struct procstatus *out);

/* PROC/PID/status; also -errno (see procfile.h). */
int procstatus_read(int proc, int32_t pid, struct procstatus *out);
