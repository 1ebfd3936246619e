#include "model/target.h"

static const char *const runtimes[RUNTIME_N] = {
    [RUNTIME_NONE] = "-",
    [RUNTIME_DOCKER] = "docker",
    [RUNTIME_CONTAINERD] = "containerd",
    [RUNTIME_CRIO] = "cri-o",
    [RUNTIME_PODMAN] = "podman",
    [RUNTIME_LXC] = "lxc",
    [RUNTIME_NSPAWN] = "nspawn",
    [RUNTIME_LIBVIRT] = "libvirt",
    [RUNTIME_QEMU] = "qemu",
    [RUNTIME_ECS] = "ecs",
    [RUNTIME_NOMAD] = "nomad",
    [RUNTIME_BUILDKIT] = "buildkit",
    [RUNTIME_GARDEN] = "garden",
    [RUNTIME_KUBERNETES] = "kubernetes",
    [RUNTIME_SYSTEMD] = "systemd",
    [RUNTIME_PLIMSOLL] = "plimsoll",
};

static const char *const kinds[TARGET_KIND_N] = {
    [TARGET_GROUP] = "group",     [TARGET_CONTAINER] = "container",
    [TARGET_VM] = "vm",           [TARGET_SANDBOX] = "sandbox",
    [TARGET_POD] = "pod",         [TARGET_SERVICE] = "service",
    [TARGET_SESSION] = "session", [TARGET_SLICE] = "slice",
    [TARGET_HELPER] = "helper",
};

static const char *const qualities[QOS_N] = {
    [QOS_NONE] = "",
    [QOS_GUARANTEED] = "guaranteed",
    [QOS_BURSTABLE] = "burstable",
    [QOS_BEST_EFFORT] = "besteffort",
};

static const char *const sources[SOURCE_N] = {
    [SOURCE_PATH] = "path",
    [SOURCE_SHIM] = "shim",
    [SOURCE_DOCKER_FILE] = "config.v2.json",
    [SOURCE_CONMON] = "conmon",
    [SOURCE_STORAGE_FILE] = "containers.json",
    [SOURCE_BUNDLE] = "oci",
    [SOURCE_POD_LOG] = "pod-logs",
    [SOURCE_GUEST_CONF] = "guest-conf",
    [SOURCE_SOCKET] = "socket",
    [SOURCE_HOSTNAME] = "hostname",
};

const char *runtime_name(enum runtime r) {
    return runtimes[r];
}

const char *target_kind_name(enum target_kind k) {
    return kinds[k];
}

const char *target_qos_name(enum target_qos q) {
    return qualities[q];
}

const char *target_source_name(enum target_source s) {
    return sources[s];
}

bool target_is_container(const struct target *t) {
    return t->kind == TARGET_CONTAINER || t->kind == TARGET_VM;
}

const struct target *target_outside(const struct target *t) {
    for (t = t->inside; t && t->runtime == RUNTIME_PLIMSOLL;)
        t = t->inside;
    return t;
}

bool target_is_run_work(const struct target *t) {
    struct str path = t->path;

    return t->inside && t->inside->runtime == RUNTIME_PLIMSOLL &&
           str_skip(&path, t->inside->path) && str_eq(path, STR(TARGET_RUN_WORK));
}
