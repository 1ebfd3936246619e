/* shim.h - the parent of a container's first process: containerd's shim or conmon.
 *
 * Its command line tells the id, and of conmon also the name, to any user and without asking any
 * engine. It is trusted only if it lives outside of the container it speaks for.
 */
#pragma once
#include "kern/cgfs.h"
#include "kern/host.h"
#include "kern/pidlist.h"

enum shim_kind { SHIM_CONTAINERD, SHIM_CONMON };

/* Parts of a command line; empty where it does not say. */
struct shim {
    enum shim_kind kind;
    struct str id;        /* containerd: of the container, or of the sandbox of its pod */
    struct str namespace; /* containerd: "moby", "k8s.io", "default" */
    struct str address;   /* containerd: its socket */
    struct str name;      /* conmon */
    struct str bundle;    /* conmon: absolute path of the OCI bundle */
    bool podman;          /* conmon: started by podman; else by CRI-O or somebody else */
};

/* comm and cmdline (arguments with NULs between) of a process. 0; -ENODATA when it is no shim, or
 * one that says nothing about its container. Texts point into cmdline. */
int shim_parse(struct str comm, struct str cmdline, struct shim *out);

/* The process that a group began with. */
struct first_process {
    int32_t pid, ppid;
    size_t processes; /* in this very group */
    unsigned depth;   /* pid namespaces it is in, seen from here: 1 = ours only */
    unsigned least;   /* the least depth of all processes looked at */
    bool is_init;     /* it is pid 1 of its pid namespace */
    uint64_t start_ticks;
    char comm[16]; /* raw bytes */
};

/* Looks at the processes of an open group: its init if it has one, else the oldest. `thorough`
 * looks on when the init has been found, for the sake of out->least. `room` is scratch, kept by the
 * caller. 0; -ENODATA when no process is in it; -ENOMEM; -errno. */
int shim_first_process(const struct host *h, int group, bool thorough, struct pidlist *room,
                       struct first_process *out);

enum { SHIM_CMDLINE = 4096 };

struct shim_process {
    struct shim shim; /* points into cmdline */
    int32_t pid;
    uint32_t uid;
    struct str group; /* its own group below the memory mount; points into group_text; empty if
                         that lies outside */
    char cmdline[SHIM_CMDLINE];
    char group_text[4096];
};

/* The shim that is parent of `first`, which is in the group `path`. -ENODATA when the parent is
 * none, or is inside of that group and therefore anybody's forgery; -errno. */
int shim_of(const struct host *h, const struct cgfs *fs, const struct first_process *first,
            struct str path, struct shim_process *out);

/* Whether s may be one component of a file's path: not empty, no '/', not "." or "..". */
bool shim_safe_component(struct str s);

/* The group of a process as a path below the memory hierarchy's mount. -ENODATA when it lies
 * outside; -ENAMETOOLONG when the kernel has cut it; -errno. */
int shim_group_of(const struct host *h, const struct cgfs *fs, int32_t pid, char *buf, size_t size,
                  struct str *out);
