/* target.h - one thing that is measured: a container, a pod, a service, or a plain control group.
 *
 * Plain data. discover/ makes targets and owns them and their strings; everybody else borrows them
 * until told that a target was removed. All strings are bytes as the kernel or the engine gave them
 * (any byte but NUL): they are escaped where they are printed, never before.
 */
#pragma once
#include "base/str.h"

enum runtime {
    RUNTIME_NONE, /* a group that no engine made, or nobody knows which */
    RUNTIME_DOCKER,
    RUNTIME_CONTAINERD,
    RUNTIME_CRIO,
    RUNTIME_PODMAN,
    RUNTIME_LXC, /* LXC, LXD, Incus, Proxmox containers */
    RUNTIME_NSPAWN,
    RUNTIME_LIBVIRT,
    RUNTIME_QEMU, /* Proxmox virtual machines */
    RUNTIME_ECS,
    RUNTIME_NOMAD,
    RUNTIME_BUILDKIT,
    RUNTIME_GARDEN,
    RUNTIME_KUBERNETES, /* a pod, whose engine the path does not tell */
    RUNTIME_SYSTEMD,
    RUNTIME_PLIMSOLL, /* `plimsoll run`: a limit and a name, on the files of whoever started it */
    RUNTIME_N,
};

enum target_kind {
    TARGET_GROUP, /* a plain control group */
    TARGET_CONTAINER,
    TARGET_VM,
    TARGET_SANDBOX, /* the "pause" container that only holds a pod's namespaces */
    TARGET_POD,
    TARGET_SERVICE, /* a systemd unit with processes: service, scope, socket, mount */
    TARGET_SESSION,
    TARGET_SLICE,
    TARGET_HELPER, /* an engine's own monitor beside a container: conmon, lxc.monitor */
    TARGET_KIND_N,
};

enum target_qos { QOS_NONE, QOS_GUARANTEED, QOS_BURSTABLE, QOS_BEST_EFFORT, QOS_N };

/* What told the name. */
enum target_source {
    SOURCE_PATH, /* the cgroup path itself: a unit, an LXC name, or only a short id */
    SOURCE_SHIM,
    SOURCE_DOCKER_FILE,
    SOURCE_CONMON,
    SOURCE_STORAGE_FILE, /* containers.json of podman and CRI-O */
    SOURCE_BUNDLE,
    SOURCE_POD_LOG,
    SOURCE_GUEST_CONF, /* Proxmox */
    SOURCE_SOCKET,
    SOURCE_HOSTNAME,
    SOURCE_N,
};

#define TARGET_NO_SLOT UINT32_MAX

struct target {
    struct str path; /* below the mount of the memory hierarchy: "/docker/4f2a..."; a NUL follows */
    const char *name; /* never NULL: at worst a short id or the last component of the path */
    const char *id;   /* of the engine, whole; NULL where there is none. So are these: */
    const char *image;
    const char *pod, *namespace, *pod_uid;
    const char *container;       /* its name inside the pod */
    const char *unit;            /* systemd's name of it, escapes resolved */
    const char *labels;          /* as in labellist.h */
    const struct target *inside; /* the container this group lies in; NULL on the host itself */
    int64_t start_ms;            /* when its first process started, wall clock; 0 = unknown */
    int32_t init_pid;            /* its first process; 0 = unknown or none */
    uint64_t
        init_ticks; /* when the init of its own pid namespace started, that init_pid then is, in
                       ticks since the machine's start; 0: it has none, or it is not known */
    uint32_t slot;  /* for arrays beside the table; TARGET_NO_SLOT if it is not shown */
    enum target_kind kind;
    enum runtime runtime;
    enum target_qos qos;
    enum target_source named_by;
};

/* The words that are printed: "docker", "container", "burstable", "config.v2.json". "none" of a
 * runtime is "-"; QOS_NONE is "". */
const char *runtime_name(enum runtime r);
const char *target_kind_name(enum target_kind k);
const char *target_qos_name(enum target_qos q);
const char *target_source_name(enum target_source s);

/* Containers and virtual machines: what `stats` shows when nothing else was asked for. */
bool target_is_container(const struct target *t);

/* The nearest container around it that has files and names of its own: not a `plimsoll run`. NULL:
 * none. */
const struct target *target_outside(const struct target *t);

/* The group inside of a `plimsoll run` that has its processes: made anew for each start. */
#define TARGET_RUN_WORK "/w"
bool target_is_run_work(const struct target *t);
