/* cgfs.h - where the control groups of a machine are mounted, controller by controller.
 *
 * Which version a controller has is decided here, per controller: a hybrid machine has memory on v1
 * and PSI, kill and freeze in the unified tree. Nobody above kern/ asks for a version but to print
 * it.
 */
#pragma once
#include "kern/host.h"

enum cg_version { CG_V1, CG_V2 };

enum cg_ctl {
    CG_MEMORY,
    CG_CPU, /* v1: cpuacct */
    CG_PIDS,
    CG_IO,      /* v1: blkio */
    CG_QUOTA,   /* v1: cpu, which limits time where cpuacct counts it */
    CG_UNIFIED, /* the v2 tree, with or without controllers: PSI, kill, freeze */
    CG_CTL_N,
};

struct cgfs_mount {
    int dir; /* O_PATH|O_DIRECTORY descriptor of the mount point, -1: no such controller */
    enum cg_version version;
};

struct cgfs {
    struct cgfs_mount ctl[CG_CTL_N];
    char memory_root[4096]; /* mountinfo's root field: "/" on a host; "/docker/ID" where only a part
                               of the tree is mounted; "/../.." where the mount lies above our
                               cgroup namespace (then relative paths cannot be known: "") */
    char memory_point[4096]; /* where the memory hierarchy is mounted, for turning full paths into
                                group paths */
    char unified_root[4096], unified_point[4096]; /* the same of the unified tree; "" without one */
    bool at_top; /* the mount shows the machine's true root group: limits of ancestors
                    are all visible. False inside a cgroup namespace or container */
};

/* Finds the mounts by mountinfo: of this process, or of pid 1 below --root; and, where there is no
 * mountinfo, by the usual places. 0 with at least a memory hierarchy; else -ENOENT with a text that
 * says what is missing, or the -errno that kept us from looking (-EMFILE, -EACCES ...). */
int cgfs_open(const struct host *h, struct cgfs *out, struct err *err);
void cgfs_done(struct cgfs *fs);

/* Opens a group's directory (O_PATH), path as "/a/b" below the mount; "/" is the mount itself.
 * Works for paths of any length. Descriptor of the caller, or -errno (-ENOENT, -ENAMETOOLONG
 * never). */
int cgfs_open_dir(const struct cgfs *fs, enum cg_ctl ctl, struct str path);

/* Opens a file of a group for reading. */
int cgfs_open_file(const struct cgfs *fs, enum cg_ctl ctl, struct str path, const char *file);

/* The group of a process, told by /proc/PID/cgroup, in the memory hierarchy, as a path below the
 * mount. 0; -ENODATA when it lies outside of what is mounted, was removed, or cannot be told;
 * -ENAMETOOLONG; -errno. Allocates nothing. */
int cgfs_path_of(const struct host *h, const struct cgfs *fs, int32_t pid, char *out, size_t size);

/* The group of this process in the memory hierarchy, as a path below the mount. -ENODATA when it
 * lies outside of what is mounted, or cannot be told. */
int cgfs_own_path(const struct host *h, const struct cgfs *fs, char *out, size_t size);
