#include "discover/names.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "discover/enginejson.h"
#include "discover/pathrule.h"
#include "kern/proccmdline.h"
#include "kern/procfile.h"

enum {
    FILE_MAX = 1 << 20,
    STORAGE_MAX = 4 << 20, /* containers.json: some 600 bytes a container */
    ROOTS_MAX = 8,
    PATH_SIZE = 4096,
};

/* How often the host is searched for running daemons, at most. */
static const int64_t search_us = 60 * 1000000LL;

struct names {
    const struct host *h;
    const struct cgfs *fs;
    char *docker_root[ROOTS_MAX]; /* data roots that were right once, or configured */
    size_t docker_roots;
    bool read_config;
    int64_t searched_us;

    /* The containers.json read last: all of a host's podman containers are in the same one. */
    json_t *storage;
    char *storage_path;
    struct stat storage_st;
};

/* Where a question is answered from, and what stood in the way. */
struct ask {
    struct names *n;
    const struct names_query *q;
    int root;       /* root directory of whoever made the container */
    uint32_t owner; /* of the files that are believed */
    struct facts *out;
    struct names_file *file;
    bool denied;
};

int names_new(const struct host *h, const struct cgfs *fs, struct names **out) {
    struct names *n = calloc(1, sizeof(*n));

    if (!n)
        return -ENOMEM;
    n->h = h;
    n->fs = fs;
    *out = n;
    return 0;
}

void names_free(struct names *n) {
    if (!n)
        return;
    names_flush(n);
    for (size_t i = 0; i < n->docker_roots; i++)
        free(n->docker_root[i]);
    free(n);
}

void names_flush(struct names *n) {
    json_decref(n->storage);
    n->storage = NULL;
    free(n->storage_path);
    n->storage_path = NULL;
}

void names_file_done(struct names_file *file) {
    free(file->path);
    *file = (struct names_file){0};
}

/* Text put together in a buffer of PATH_SIZE; false if it does not fit. */
static bool join(char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool join(char *path, const char *format, ...) {
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(path, PATH_SIZE, format, args);
    va_end(args);
    return n >= 0 && n < PATH_SIZE;
}

static const char *below_root(const char *path) {
    while (*path == '/')
        path++;
    return *path ? path : ".";
}

/* Reads a JSON file below a->root that belongs to the right user. NULL if that is not possible. */
static json_t *load(struct ask *a, const char *path, size_t max, struct stat *st) {
    auto_close int fd = file_open_in(a->root, below_root(path));
    auto_free char *text = NULL;
    size_t len;

    if (fd < 0) {
        a->denied = a->denied || fd == -EACCES || fd == -EPERM;
        return NULL;
    }
    if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode) || (uint64_t)st->st_size > max)
        return NULL;
    if (a->owner != NAMES_ANY_OWNER && st->st_uid != a->owner)
        return NULL;
    if (file_load_fd(fd, max, &text, &len) < 0)
        return NULL;
    return enginejson_parse((struct str){text, len});
}

/* Remembers the file that told the name, if the host's root has it under the same path. */
static void watch(struct ask *a, const char *path, const struct stat *st) {
    struct stat same;

    if (!a->file || a->file->path || a->q->nested ||
        fstatat(a->n->h->root, below_root(path), &same, 0) < 0 || same.st_ino != st->st_ino ||
        same.st_dev != st->st_dev)
        return;
    a->file->path = strdup(below_root(path));
    a->file->st = *st;
}

bool names_changed(const struct names *n, const struct names_file *file) {
    struct stat now;

    if (!file->path || fstatat(n->h->root, file->path, &now, 0) < 0)
        return false; /* gone: so is the container, soon */
    return now.st_ino != file->st.st_ino || now.st_mtim.tv_sec != file->st.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != file->st.st_mtim.tv_nsec || now.st_size != file->st.st_size;
}

/* ---- Docker ---- */

static bool docker_file(struct ask *a, struct str folder) {
    struct stat st;
    char path[PATH_SIZE];
    json_t *json;
    int r;

    if (!join(path, "%.*s/config.v2.json", STR_ARG(folder)))
        return false;
    json = load(a, path, FILE_MAX, &st);
    if (!json)
        return false;
    r = enginejson_docker(json, a->out);
    json_decref(json);
    if (r < 0)
        return false;
    watch(a, path, &st);
    return true;
}

static bool docker_root(struct ask *a, struct str data_root) {
    char path[PATH_SIZE];

    return join(path, "%.*s/containers/%.*s", STR_ARG(data_root), STR_ARG(a->q->id)) &&
           docker_file(a, str_of(path));
}

static void learn_root(struct names *n, struct str data_root) {
    char *copy = NULL;

    if (!str_starts(data_root, STR("/")) || n->docker_roots == ROOTS_MAX)
        return;
    for (size_t i = 0; i < n->docker_roots; i++)
        if (str_eq(str_of(n->docker_root[i]), data_root))
            return;
    facts_set(&copy, data_root);
    if (copy)
        n->docker_root[n->docker_roots++] = copy;
}

/* The bundle's mount of /etc/hostname leads to Docker's folder of the container, wherever that is.
 */
static bool docker_by_bundle(struct ask *a, const json_t *bundle) {
    struct bundle_hints hints = {0};
    struct facts ignored = {0};
    struct str folder, root;
    bool found = false;

    (void)enginejson_bundle(bundle, &ignored, &hints);
    facts_done(&ignored);
    folder = root = str_of(hints.docker_dir);
    if (str_starts(folder, STR("/")) && str_ends(folder, a->q->id))
        found = docker_file(a, folder);
    if (found && !a->q->nested && a->owner == 0 && str_drop(&root, a->q->id) &&
        str_drop(&root, STR("/containers/")))
        learn_root(a->n, root);
    bundle_hints_done(&hints);
    return found;
}

static void read_docker_config(struct ask *a) {
    struct stat st;
    json_t *json;

    if (a->n->read_config)
        return;
    a->n->read_config = true;
    json = load(a, "/etc/docker/daemon.json", FILE_MAX, &st);
    learn_root(a->n, enginejson_data_root(json));
    json_decref(json);
}

/* --data-root X, --data-root=X, -g X */
static struct str data_root_option(struct str cmdline) {
    static const char *const names[] = {"--data-root", "--graph", "-g"};
    struct str arg;

    while (proccmdline_arg(&cmdline, &arg)) {
        for (size_t i = 0; i < ARRAY_N(names); i++) {
            struct str value = arg;

            if (!str_skip(&value, str_of(names[i])))
                continue;
            if (value.n == 0 && proccmdline_arg(&cmdline, &value))
                return value;
            if (str_skip(&value, STR("=")))
                return value;
        }
    }
    return (struct str){0};
}

/* Whether a group lies in a container that has files of its own. */
static bool in_container(struct str group) {
    struct pathrule rule;
    size_t outer;

    while (pathrule_container(group, &rule, &outer) > 0) {
        if (rule.runtime != RUNTIME_PLIMSOLL)
            return true;
        group = str_head(group, outer);
    }
    return false;
}

/* Running daemons, but not those inside of containers. */
static void search_daemons(struct ask *a) {
    const struct host *h = a->n->h;
    struct pidlist list = {0};
    int64_t now = clock_mono_us();

    if (a->n->searched_us != 0 && now - a->n->searched_us < search_us)
        return;
    a->n->searched_us = now;
    if (pidlist_add_proc(&list, h->proc) < 0)
        list.n = 0;
    for (size_t i = 0; i < list.n; i++) {
        char words[PROCCMDLINE_MAX], comm[64], group_text[4096];
        struct str text, cmdline, group;

        if (procfile_read(h->proc, list.pid[i], "comm", comm, sizeof(comm), &text) < 0 ||
            !str_eq(text, STR("dockerd\n")))
            continue;
        if (proccmdline_read(h->proc, list.pid[i], words, sizeof(words), &cmdline) < 0 ||
            shim_group_of(h, a->n->fs, list.pid[i], group_text, sizeof(group_text), &group) < 0 ||
            in_container(group))
            continue;
        learn_root(a->n, data_root_option(cmdline));
    }
    pidlist_done(&list);
}

static bool docker_learned(struct ask *a, size_t from) {
    for (size_t i = from; i < a->n->docker_roots; i++)
        if (docker_root(a, str_of(a->n->docker_root[i])))
            return true;
    return false;
}

/* A user's Docker keeps its data in the user's home. */
static bool docker_of_user(struct ask *a) {
    char home[PATH_SIZE - 64], path[PATH_SIZE];

    return names_home(a->n, a->owner, home, sizeof(home)) &&
           join(path, "%s/.local/share/docker", home) && docker_root(a, str_of(path));
}

static bool docker_usual(struct ask *a) {
    static const char *const usual[] = {"/var/lib/docker",
                                        "/var/snap/docker/common/var-lib-docker"};

    for (size_t i = 0; i < ARRAY_N(usual); i++)
        if (docker_root(a, str_of(usual[i])))
            return true;
    return false;
}

/* Asked of the container's id alone. */
static bool docker_by_id(struct ask *a) {
    if (!shim_safe_component(a->q->id))
        return false;
    if (a->q->owner != 0)
        return docker_of_user(a);
    return docker_learned(a, 0) || docker_usual(a);
}

/* What is dearer, and seldom needed. */
static bool docker_by_search(struct ask *a) {
    size_t known = a->n->docker_roots;

    if (a->q->owner != 0 || a->q->nested)
        return false;
    read_docker_config(a);
    if (docker_learned(a, known))
        return true;
    known = a->n->docker_roots;
    search_daemons(a);
    return docker_learned(a, known);
}

/* ---- containerd ---- */

static bool bundle_file(struct ask *a, const char *path, json_t **out) {
    struct stat st;

    *out = load(a, path, FILE_MAX, &st);
    return *out != NULL;
}

/* The shim's working directory is the bundle of the container it was started for; those of the
 * other containers of the same pod are beside it. */
static bool bundle_by_shim(struct ask *a, json_t **out) {
    const struct shim_process *shim = a->q->shim;
    char link[PROCFILE_PATH], cwd[PATH_SIZE], path[PATH_SIZE];
    struct str folder;
    ptrdiff_t slash;
    int r = file_link_at(a->n->h->proc, procfile_path(link, shim->pid, "cwd"), cwd, sizeof(cwd),
                         &folder);

    if (r < 0) {
        a->denied = a->denied || r == -EACCES || r == -EPERM;
        return false;
    }
    slash = str_rfind(folder, '/');
    if (slash <= 0 || !shim_safe_component(a->q->id))
        return false;
    folder = str_head(folder, (size_t)slash);
    return join(path, "%.*s/%.*s/config.json", STR_ARG(folder), STR_ARG(a->q->id)) &&
           bundle_file(a, path, out);
}

/* Without a shim (not started yet, or its process cannot be seen): the usual places. */
static bool bundle_by_id(struct ask *a, json_t **out) {
    static const char *const states[] = {"/run/containerd", "/run/k3s/containerd",
                                         "/run/k0s/containerd",
                                         "/var/snap/microk8s/common/run/containerd"};
    static const char *const namespaces[] = {"k8s.io", "default", "moby"};
    char path[PATH_SIZE];

    if (!shim_safe_component(a->q->id))
        return false;
    for (size_t i = 0; i < ARRAY_N(states); i++)
        for (size_t k = 0; k < ARRAY_N(namespaces); k++)
            if (join(path, "%s/io.containerd.runtime.v2.task/%s/%.*s/config.json", states[i],
                     namespaces[k], STR_ARG(a->q->id)) &&
                bundle_file(a, path, out))
                return true;
    return false;
}

static bool is_long_hex(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == 64;
}

static bool containerd_names(struct ask *a, const json_t *bundle) {
    struct bundle_hints hints = {0};
    bool found = bundle && enginejson_bundle(bundle, a->out, &hints) == 0;

    /* `ctr run IMAGE NAME`: the id is the name. nerdctl's ids are hex; its host name is better. */
    if (!found && a->q->shim && a->q->id.n > 0 && !is_long_hex(a->q->id)) {
        facts_name(a->out, a->q->id, SOURCE_SHIM);
        found = a->out->name != NULL;
    }
    if (!found && hints.hostname && !a->out->sandbox) {
        facts_name(a->out, str_of(hints.hostname), SOURCE_HOSTNAME);
        found = a->out->name != NULL;
    }
    bundle_hints_done(&hints);
    return found;
}

static bool by_containerd(struct ask *a) {
    const struct shim *shim = a->q->shim ? &a->q->shim->shim : NULL;
    bool moby = shim ? str_eq(shim->namespace, STR("moby")) : a->q->runtime == RUNTIME_DOCKER;
    json_t *bundle = NULL;
    bool found = false;

    if (moby) {
        a->out->runtime = RUNTIME_DOCKER;
        found = !a->q->nested && docker_by_id(a);
    } else if (shim) {
        a->out->runtime = RUNTIME_CONTAINERD;
    }
    if (found)
        return true;
    if (shim)
        (void)bundle_by_shim(a, &bundle);
    else if (!a->q->nested && a->q->owner == 0)
        (void)bundle_by_id(a, &bundle);
    if (moby)
        found = bundle && docker_by_bundle(a, bundle);
    else
        found = containerd_names(a, bundle);
    json_decref(bundle);
    return found;
}

/* ---- podman, CRI-O ---- */

/* Whether the file read last is this one, and of a user who may speak. */
static bool is_cached(struct ask *a, const char *path, struct stat *st) {
    const struct names *n = a->n;

    return n->storage && str_eq(str_of(n->storage_path), str_of(path)) &&
           fstatat(a->root, below_root(path), st, 0) == 0 && st->st_ino == n->storage_st.st_ino &&
           st->st_dev == n->storage_st.st_dev &&
           (a->owner == NAMES_ANY_OWNER || a->owner == st->st_uid);
}

static const json_t *storage_at(struct ask *a, const char *path, struct stat *st) {
    struct names *n = a->n;

    if (is_cached(a, path, st))
        return n->storage;
    names_flush(n);
    n->storage = load(a, path, STORAGE_MAX, st);
    if (!n->storage)
        return NULL;
    n->storage_st = *st;
    n->storage_path = strdup(path);
    if (!n->storage_path)
        names_flush(n);
    return n->storage;
}

static bool storage_file(struct ask *a, const char *path) {
    struct stat st;
    const json_t *json = storage_at(a, path, &st);

    if (!json || enginejson_storage(json, a->q->id, a->out) < 0)
        return false;
    watch(a, path, &st);
    return true;
}

static bool storage_below(struct ask *a, const char *graph_root) {
    static const char *const drivers[] = {"overlay", "vfs", "btrfs", "zfs"};
    char path[PATH_SIZE];

    for (size_t i = 0; i < ARRAY_N(drivers); i++)
        if (join(path, "%s/%s-containers/containers.json", graph_root, drivers[i]) &&
            storage_file(a, path))
            return true;
    return false;
}

static bool storage_usual(struct ask *a) {
    char home[PATH_SIZE - 64], path[PATH_SIZE];

    if (a->q->owner == 0 || a->q->nested)
        return storage_below(a, "/var/lib/containers/storage");
    return names_home(a->n, a->owner, home, sizeof(home)) &&
           join(path, "%s/.local/share/containers/storage", home) && storage_below(a, path);
}

/* The pod of a podman container is called what its infra container's host name is. */
static void podman_pod(struct ask *a, struct str containers, const char *infra) {
    struct bundle_hints hints = {0};
    struct facts ignored = {0};
    char path[PATH_SIZE];
    json_t *json = NULL;

    if (shim_safe_component(str_of(infra)) &&
        join(path, "%.*s/%s/userdata/config.json", STR_ARG(containers), infra) &&
        bundle_file(a, path, &json)) {
        (void)enginejson_bundle(json, &ignored, &hints);
        if (hints.hostname)
            facts_set(&a->out->pod, str_of(hints.hostname));
    }
    json_decref(json);
    facts_done(&ignored);
    bundle_hints_done(&hints);
}

/* userdata/config.json: what CRI-O notes of the pod, and which infra container a podman pod has. */
static void conmon_bundle(struct ask *a, struct str bundle, struct str containers) {
    struct bundle_hints hints = {0};
    struct facts more = {0};
    char path[PATH_SIZE];
    json_t *json = NULL;

    if (!join(path, "%.*s/config.json", STR_ARG(bundle)) || !bundle_file(a, path, &json))
        return;
    (void)enginejson_bundle(json, &more, &hints);
    a->out->sandbox = a->out->sandbox || more.sandbox;
    a->out->no_sandbox = a->out->no_sandbox || more.no_sandbox;
    if (more.pod)
        facts_set(&a->out->pod, str_of(more.pod));
    if (more.namespace)
        facts_set(&a->out->namespace, str_of(more.namespace));
    if (more.image && !a->out->image)
        facts_set(&a->out->image, str_of(more.image));
    if (more.labels && !a->q->shim->shim.podman) /* podman keeps labels in its database alone */
        facts_set(&a->out->labels, str_of(more.labels));
    if (a->q->shim->shim.podman && hints.sandbox_id && !a->out->pod)
        podman_pod(a, containers, hints.sandbox_id);
    facts_done(&more);
    bundle_hints_done(&hints);
    json_decref(json);
}

static bool by_conmon(struct ask *a) {
    const struct shim *shim = &a->q->shim->shim;
    struct str bundle = shim->bundle, containers;
    char path[PATH_SIZE];

    a->out->runtime = shim->podman ? RUNTIME_PODMAN : RUNTIME_CRIO;
    facts_split_k8s(a->out, shim->name);
    facts_name(a->out, shim->name, SOURCE_CONMON);
    /* STORAGE/overlay-containers/ID/userdata */
    containers = bundle;
    if (!str_drop(&containers, STR("/userdata")) || !str_drop(&containers, a->q->id) ||
        !str_drop(&containers, STR("/")))
        containers = (struct str){0};
    if (!(containers.n > 0 && join(path, "%.*s/containers.json", STR_ARG(containers)) &&
          storage_file(a, path)))
        (void)storage_usual(a);
    if (bundle.n > 0 && (!shim->podman || a->q->pod_uid.n > 0))
        conmon_bundle(a, bundle, containers);
    /* podman calls a pod's infra container by the pod's id and "-infra" */
    if (shim->podman && a->q->pod_uid.n > 12 && a->out->name &&
        str_eq(str_head(str_of(a->out->name), 12), str_head(a->q->pod_uid, 12)) &&
        str_ends(str_of(a->out->name), STR("-infra")))
        a->out->sandbox = true;
    if (!shim->podman && a->out->container)
        facts_name(a->out, str_of(a->out->container), a->out->source);
    return a->out->name != NULL;
}

/* ---- Kubernetes, by the names of log files ---- */

/* POD_NAMESPACE_CONTAINER-ID.log in /var/log/containers: readable for everybody. */
static bool pod_log_name(struct str file, struct str id, struct facts *out) {
    struct str pod, namespace;

    if (!str_drop(&file, STR(".log")) || !str_drop(&file, id) || !str_drop(&file, STR("-")) ||
        !str_cut(&file, '_', &pod) || !str_cut(&file, '_', &namespace) || file.n == 0)
        return false;
    facts_set(&out->pod, pod);
    facts_set(&out->namespace, namespace);
    facts_set(&out->container, file);
    facts_name(out, file, SOURCE_POD_LOG);
    out->no_sandbox = true;
    return true;
}

static DIR *open_folder(const struct host *h, const char *path) {
    auto_close int fd = openat(h->root, below_root(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir)
        (void)take_fd(&fd);
    return dir;
}

static bool by_pod_logs(struct ask *a) {
    auto_closedir DIR *dir = NULL;
    struct dirent *entry;

    if (a->q->nested || a->q->owner != 0 || a->q->id.n < 12)
        return false;
    dir = open_folder(a->n->h, "/var/log/containers");
    while (dir && (entry = readdir(dir)))
        if (pod_log_name(str_of(entry->d_name), a->q->id, a->out))
            return true;
    return false;
}

/* NAMESPACE_POD_UID */
int names_pod(const struct names *n, struct str uid, struct facts *out) {
    auto_closedir DIR *dir = open_folder(n->h, "/var/log/pods");
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        struct str file = str_of(entry->d_name), namespace;

        if (uid.n == 0 || !str_drop(&file, uid) || !str_drop(&file, STR("_")) ||
            !str_cut(&file, '_', &namespace) || file.n == 0)
            continue;
        facts_set(&out->namespace, namespace);
        facts_set(&out->pod, file);
        facts_name(out, file, SOURCE_POD_LOG);
        return out->name ? 0 : -ENOMEM;
    }
    return -ENOENT;
}

/* ---- all together ---- */

static bool by_engine(struct ask *a) {
    const struct shim_process *shim = a->q->shim;
    enum runtime runtime = a->q->runtime;

    if (shim && shim->shim.kind == SHIM_CONMON)
        return by_conmon(a);
    if (shim)
        return by_containerd(a);
    if (a->q->nested)
        return false;
    if (runtime == RUNTIME_PODMAN || runtime == RUNTIME_CRIO)
        return storage_usual(a);
    if (runtime == RUNTIME_CONTAINERD)
        return by_containerd(a) || docker_by_id(a);
    return docker_by_id(a);
}

static bool may_be_docker(const struct names_query *q) {
    if (q->shim)
        return q->shim->shim.kind == SHIM_CONTAINERD &&
               str_eq(q->shim->shim.namespace, STR("moby"));
    return q->runtime == RUNTIME_DOCKER || q->runtime == RUNTIME_ECS || q->runtime == RUNTIME_NONE;
}

int names_find(struct names *n, const struct names_query *q, struct facts *out,
               struct names_file *file) {
    struct ask a = {.n = n, .q = q, .root = n->h->root, .out = out, .file = file};
    auto_close int root = -1;

    if (q->shim && n->h->live) {
        char path[PROCFILE_PATH];

        root = openat(n->h->proc, procfile_path(path, q->shim->pid, "root"),
                      O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root >= 0)
            a.root = root;
        else if (q->nested)
            return errno == EACCES || errno == EPERM ? -EACCES : -ENOENT;
    }
    /* In a captured tree the owners are those of whoever unpacked it; inside a container they are
     * what its own users are. */
    a.owner = q->nested || !n->h->live ? NAMES_ANY_OWNER : q->owner;
    if (by_engine(&a) || (may_be_docker(q) && docker_by_search(&a)) || by_pod_logs(&a))
        return 0;
    return a.denied ? -EACCES : -ENOENT;
}

/* ---- beside the engines ---- */

int names_guest(const struct names *n, bool vm, struct str number, struct facts *out) {
    auto_free char *text = NULL;
    struct str rest, line;
    char path[PATH_SIZE];
    size_t len;
    int r;

    if (!shim_safe_component(number) ||
        !join(path, "etc/pve/%s/%.*s.conf", vm ? "qemu-server" : "lxc", STR_ARG(number)))
        return -ENOENT;
    r = file_load_in(n->h->root, path, FILE_MAX, &text, &len);
    if (r < 0)
        return r;
    rest = (struct str){text, len};
    while (str_cut(&rest, '\n', &line)) {
        if (str_starts(line, STR("[")))
            break; /* snapshots follow, with older names */
        if (!str_skip(&line, vm ? STR("name:") : STR("hostname:")))
            continue;
        facts_name(out, str_trim(line), SOURCE_GUEST_CONF);
        return out->name ? 0 : -ENOENT;
    }
    return -ENOENT;
}

int names_hostname(const struct host *h, int32_t pid, char *buf, size_t size, struct str *out) {
    char path[PROCFILE_PATH];
    auto_close int ns = -1, root = -1;
    auto_free char *text = NULL;
    struct utsname name;
    struct str found;
    size_t len;
    int r;

    if (!h->live)
        return -ENODATA; /* a link in a captured tree would lead into this machine's */
    ns = openat(h->proc, procfile_path(path, pid, "ns/uts"), O_RDONLY | O_CLOEXEC);
    if (ns >= 0 && setns(ns, CLONE_NEWUTS) == 0 && uname(&name) == 0) {
        found = str_of(name.nodename);
    } else {
        root = openat(h->proc, procfile_path(path, pid, "root"), O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
            return -errno;
        r = file_load_in(root, "etc/hostname", 4096, &text, &len);
        if (r < 0)
            return r;
        found = str_trim((struct str){text, len});
    }
    if (found.n == 0)
        return -ENODATA;
    r = str_copy(found, buf, size);
    if (r < 0)
        return r;
    *out = (struct str){buf, found.n};
    return 0;
}

bool names_home(const struct names *n, uint32_t uid, char *buf, size_t size) {
    auto_free char *text = NULL;
    struct str rest, line;
    size_t len;

    if (file_load_in(n->h->root, "etc/passwd", FILE_MAX, &text, &len) < 0)
        return false;
    rest = (struct str){text, len};
    while (str_cut(&rest, '\n', &line)) {
        struct str field;
        uint64_t number;

        if (!str_cut(&line, ':', &field) || !str_cut(&line, ':', &field) ||
            !str_cut(&line, ':', &field) || str_to_u64(field, &number) < 0 || number != uid)
            continue;
        return str_cut(&line, ':', &field) && str_cut(&line, ':', &field) &&
               str_cut(&line, ':', &field) && str_starts(field, STR("/")) &&
               str_copy(field, buf, size) == 0;
    }
    return false;
}
