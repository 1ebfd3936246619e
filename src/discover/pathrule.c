#include "discover/pathrule.h"

#include "base/mem.h"

/* The last components of a path, counted from the end of the enclosing container. */
struct place {
    struct str below; /* everything below the enclosing container: "/docker/4f2a..." */
    struct str leaf, parent, grand;
    struct str first; /* the first component */
    size_t depth;     /* how many there are */
};

enum shape {
    EXACT, /* nothing: the prefix is the whole name */
    ANY,   /* one byte or more */
    HEX64, /* an id as Docker and its kin make them */
    DIGITS,
    UUID,
    NUMBERED, /* digits, a separator, any: the second part is the name */
    RUN,      /* a name as `plimsoll run` takes them */
};

enum where {
    ANYWHERE,
    PARENT,     /* the parent has this name */
    PARENT_TOP, /* ... and is the first component */
    GRANDPARENT,
    FIRST, /* the first component has this name */
};

/* prefix + something of this shape + suffix, in this place. The first row that fits wins. */
static const struct rule {
    const char *prefix;
    enum shape shape;
    const char *suffix;
    enum where where;
    const char *there;
    enum target_kind kind;
    enum runtime runtime;
    bool named; /* what stands between prefix and suffix is the name */
    bool unsure;
} rules[] = {
    /* systemd's cgroup driver: the leaf alone tells */
    {"docker-", HEX64, ".scope", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_DOCKER, 0, 0},
    {"cri-containerd-", HEX64, ".scope", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_CONTAINERD, 0, 0},
    {"nerdctl-", HEX64, ".scope", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_CONTAINERD, 0, 0},
    {"crio-conmon-", ANY, "", ANYWHERE, "", TARGET_HELPER, RUNTIME_CRIO, 0, 0},
    {"crio-", HEX64, ".scope", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_CRIO, 0, 0},
    {"libpod-conmon-", ANY, "", ANYWHERE, "", TARGET_HELPER, RUNTIME_PODMAN, 0, 0},
    {"libpod-payload-", HEX64, "", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_PODMAN, 0, 0},
    {"libpod-", HEX64, ".scope", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_PODMAN, 0, 0},
    {"libpod-", HEX64, "", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_PODMAN, 0, 0},
    {"machine-libpod_pod_", HEX64, ".slice", ANYWHERE, "", TARGET_POD, RUNTIME_PODMAN, 0, 0},
    {"user-libpod_pod_", HEX64, ".slice", ANYWHERE, "", TARGET_POD, RUNTIME_PODMAN, 0, 0},
    {"libpod_pod_", HEX64, ".slice", ANYWHERE, "", TARGET_POD, RUNTIME_PODMAN, 0, 0},
    {"buildkit-", ANY, ".scope", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_BUILDKIT, 0, 0},

    /* the cgroupfs driver: the parent tells */
    {"conmon", EXACT, "", PARENT, "libpod_parent", TARGET_HELPER, RUNTIME_PODMAN, 0, 0},
    {"conmon", EXACT, "", GRANDPARENT, "libpod_parent", TARGET_HELPER, RUNTIME_PODMAN, 0, 0},
    {"", HEX64, "", PARENT, "libpod_parent", TARGET_POD, RUNTIME_PODMAN, 0, 0},
    {"", ANY, "", PARENT, "buildkit", TARGET_CONTAINER, RUNTIME_BUILDKIT, 0, 0},
    {"", HEX64, "", PARENT, "docker", TARGET_CONTAINER, RUNTIME_DOCKER, 0, 0},
    {"", HEX64, "", PARENT_TOP, "default", TARGET_CONTAINER, RUNTIME_CONTAINERD, 0, 0},
    {"", HEX64, "", PARENT_TOP, "k8s.io", TARGET_CONTAINER, RUNTIME_CONTAINERD, 0, 0},
    {"", HEX64, "", FIRST, "ecs", TARGET_CONTAINER, RUNTIME_ECS, 0, 0},
    {"", HEX64, "", PARENT_TOP, "ecs", TARGET_CONTAINER, RUNTIME_ECS, 0, 0},
    {"", ANY, "", PARENT_TOP, "garden", TARGET_CONTAINER, RUNTIME_GARDEN, 1, 0},

    /* system containers and virtual machines: the name is the id */
    {"lxc.payload.", ANY, "", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_LXC, 1, 0},
    {"", ANY, "", PARENT, "lxc.payload", TARGET_CONTAINER, RUNTIME_LXC, 1, 0},
    {"lxc.monitor.", ANY, "", ANYWHERE, "", TARGET_HELPER, RUNTIME_LXC, 1, 0},
    {"", ANY, "", PARENT, "lxc.monitor", TARGET_HELPER, RUNTIME_LXC, 1, 0},
    {"lxc.pivot", EXACT, "", ANYWHERE, "", TARGET_HELPER, RUNTIME_LXC, 0, 0},
    {"", ANY, "", PARENT_TOP, "lxc", TARGET_CONTAINER, RUNTIME_LXC, 1, 0},
    {"machine-qemu\\x2d", NUMBERED, ".scope", ANYWHERE, "", TARGET_VM, RUNTIME_LIBVIRT, 1, 0},
    {"machine-lxc\\x2d", NUMBERED, ".scope", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_LIBVIRT, 1, 0},
    {"machine-", ANY, ".scope", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_NSPAWN, 1, 0},
    {"systemd-nspawn@", ANY, ".service", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_NSPAWN, 1, 0},
    {"qemu-", NUMBERED, ".libvirt-qemu", PARENT, "machine", TARGET_VM, RUNTIME_LIBVIRT, 1, 0},
    {"", ANY, ".libvirt-qemu", PARENT, "machine", TARGET_VM, RUNTIME_LIBVIRT, 1, 0},
    {"lxc-", NUMBERED, ".libvirt-lxc", PARENT, "machine", TARGET_CONTAINER, RUNTIME_LIBVIRT, 1, 0},
    {"", ANY, ".libvirt-lxc", PARENT, "machine", TARGET_CONTAINER, RUNTIME_LIBVIRT, 1, 0},
    {"", DIGITS, ".scope", PARENT, "qemu.slice", TARGET_VM, RUNTIME_QEMU, 1, 0},
    {"", UUID, ".scope", FIRST, "nomad.slice", TARGET_CONTAINER, RUNTIME_NOMAD, 1, 0},

    /* our own: `plimsoll run` below any parent, and the group that it moves itself to */
    {"plimsoll-run-", RUN, "", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_PLIMSOLL, 1, 0},
    {"plimsoll-supervisor", EXACT, "", ANYWHERE, "", TARGET_HELPER, RUNTIME_PLIMSOLL, 0, 0},

    /* an id without any hint: only its first process can tell */
    {"", HEX64, "", ANYWHERE, "", TARGET_CONTAINER, RUNTIME_NONE, 0, 1},

    /* units */
    {"session-", ANY, ".scope", ANYWHERE, "", TARGET_SESSION, RUNTIME_SYSTEMD, 0, 0},
    {"", ANY, ".service", ANYWHERE, "", TARGET_SERVICE, RUNTIME_SYSTEMD, 0, 0},
    {"", ANY, ".scope", ANYWHERE, "", TARGET_SERVICE, RUNTIME_SYSTEMD, 0, 0},
    {"", ANY, ".socket", ANYWHERE, "", TARGET_SERVICE, RUNTIME_SYSTEMD, 0, 0},
    {"", ANY, ".mount", ANYWHERE, "", TARGET_SERVICE, RUNTIME_SYSTEMD, 0, 0},
    {"", ANY, ".swap", ANYWHERE, "", TARGET_SERVICE, RUNTIME_SYSTEMD, 0, 0},
    {"", ANY, ".slice", ANYWHERE, "", TARGET_SLICE, RUNTIME_SYSTEMD, 0, 0},
};

static bool is_hex(struct str s, size_t n) {
    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

static bool is_digits(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static bool is_letter_or_digit(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_run_name(struct str s) {
    if (s.n == 0 || s.n > 64 || !is_letter_or_digit(s.p[0]))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!is_letter_or_digit(s.p[i]) && s.p[i] != '.' && s.p[i] != '_' && s.p[i] != '-')
            return false;
    return true;
}

/* 8-4-4-4-12 digits, with '-' or, as systemd's slices need it, '_' between them. */
static bool is_uuid(struct str s) {
    static const unsigned char length[] = {8, 4, 4, 4, 12};
    size_t at = 0;

    if (s.n != 36)
        return false;
    for (size_t i = 0; i < ARRAY_N(length); i++) {
        if (i > 0 && s.p[at] != '-' && s.p[at] != '_')
            return false;
        at += i > 0;
        if (!is_hex((struct str){s.p + at, length[i]}, length[i]))
            return false;
        at += length[i];
    }
    return true;
}

bool pathrule_pod_uid(struct str s, char dst[37]) {
    if (!is_uuid(s) && !is_hex(s, 32)) /* static pods have 32 digits in a row */
        return false;
    for (size_t i = 0; i < s.n; i++)
        dst[i] = s.p[i] == '_' ? '-' : s.p[i];
    dst[s.n] = '\0';
    return true;
}

/* Cuts the last component off. */
static struct str cut_last(struct str *path) {
    ptrdiff_t slash = str_rfind(*path, '/');
    struct str last = str_from(*path, (size_t)(slash + 1));

    *path = str_head(*path, slash < 0 ? 0 : (size_t)slash);
    return last;
}

static struct place place_of(struct str path, size_t base) {
    struct str rest = str_from(path, base), word;
    struct place p = {.below = rest};

    while (str_skip(&rest, STR("/")))
        ;
    if (rest.n == 0)
        return p;
    p.first = str_cut(&rest, '/', &word) ? word : rest;
    rest = p.below;
    for (size_t i = 0; i < rest.n; i++)
        p.depth += rest.p[i] == '/' && i + 1 < rest.n;
    p.leaf = cut_last(&rest);
    p.parent = cut_last(&rest);
    p.grand = cut_last(&rest);
    return p;
}

static bool in_place(const struct rule *r, const struct place *p) {
    struct str there = str_of(r->there);

    switch (r->where) {
    case ANYWHERE:
        return true;
    case PARENT:
        return str_eq(p->parent, there);
    case PARENT_TOP:
        return p->depth == 2 && str_eq(p->parent, there);
    case GRANDPARENT:
        return str_eq(p->grand, there);
    case FIRST:
        return p->depth > 1 && str_eq(p->first, there);
    }
    return false;
}

/* `1\x2dvm` or `1-vm`: moves *s to what stands behind the number. */
static bool skip_number(struct str *s) {
    size_t n = 0;

    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    *s = str_from(*s, n);
    return n > 0 && (str_skip(s, STR("\\x2d")) || str_skip(s, STR("-"))) && s->n > 0;
}

/* What is between prefix and suffix, if it has the shape. For UUID ("alloc.task") the id is what
 * comes before the first dot. */
static bool has_shape(enum shape shape, struct str middle, struct str *id, struct str *name) {
    struct str head;

    *id = *name = middle;
    switch (shape) {
    case EXACT:
        return middle.n == 0;
    case ANY:
        return middle.n > 0;
    case HEX64:
        return is_hex(middle, 64);
    case DIGITS:
        return is_digits(middle);
    case RUN:
        return is_run_name(middle);
    case NUMBERED:
        return skip_number(name) && ((*id = *name), true);
    case UUID:
        if (!str_cut(name, '.', &head) || !is_uuid(head) || name->n == 0)
            return false;
        *id = head;
        return true;
    }
    return false;
}

static bool apply(const struct rule *r, const struct place *p, struct pathrule *out) {
    struct str middle = p->leaf, id, name;

    if (!str_skip(&middle, str_of(r->prefix)) || !str_drop(&middle, str_of(r->suffix)))
        return false;
    if (!has_shape(r->shape, middle, &id, &name) || !in_place(r, p))
        return false;
    *out = (struct pathrule){.kind = r->kind, .runtime = r->runtime, .id = id, .unsure = r->unsure};
    if (r->named)
        out->name = name;
    return true;
}

/* Kubernetes' name of a pod's group, with systemd's driver:
 * kubepods[-burstable|-besteffort]-podUID, perhaps with the kubelet's own root before it (kind:
 * "kubelet-kubepods-..."). */
static bool pod_slice(struct str s, struct str *uid, enum target_qos *qos) {
    char canonical[37];
    size_t at = 0;

    while (at < s.n &&
           !((at == 0 || s.p[at - 1] == '-') && str_starts(str_from(s, at), STR("kubepods"))))
        at++;
    s = str_from(s, at);
    if (!str_skip(&s, STR("kubepods")))
        return false;
    *qos = str_skip(&s, STR("-burstable"))    ? QOS_BURSTABLE
           : str_skip(&s, STR("-besteffort")) ? QOS_BEST_EFFORT
                                              : QOS_GUARANTEED;
    if (!str_skip(&s, STR("-pod")) || !str_drop(&s, STR(".slice")))
        return false;
    *uid = s;
    return pathrule_pod_uid(s, canonical);
}

/* With the cgroupfs driver: kubepods/podUID, kubepods/burstable/podUID. */
static bool pod_folder(struct str leaf, struct str parent, struct str *uid, enum target_qos *qos) {
    char canonical[37];

    if (!str_skip(&leaf, STR("pod")) || !pathrule_pod_uid(leaf, canonical))
        return false;
    *uid = leaf;
    *qos = str_eq(parent, STR("burstable"))    ? QOS_BURSTABLE
           : str_eq(parent, STR("besteffort")) ? QOS_BEST_EFFORT
                                               : QOS_GUARANTEED;
    return *qos != QOS_GUARANTEED || str_eq(parent, STR("kubepods"));
}

static bool pod_of(struct str leaf, struct str parent, struct str *uid, enum target_qos *qos) {
    return pod_slice(leaf, uid, qos) || pod_folder(leaf, parent, uid, qos);
}

/* Groups of Kubernetes' tree that have no prefix of their own. */
static bool match_kubernetes(const struct place *p, struct pathrule *out) {
    struct pathrule found = {.runtime = RUNTIME_KUBERNETES, .kind = TARGET_POD};
    struct str id = p->leaf;
    bool crio;

    if (pod_of(p->leaf, p->parent, &found.pod_uid, &found.qos)) {
        found.id = found.pod_uid;
        *out = found;
        return true;
    }
    if (!pod_of(p->parent, p->grand, &found.pod_uid, &found.qos))
        return false;
    crio = str_skip(&id, STR("crio-"));
    if (!is_hex(id, 64))
        return false;
    found.id = id;
    found.runtime = crio ? RUNTIME_CRIO : RUNTIME_CONTAINERD;
    /* With systemd's driver CRI-O's containers are scopes; what is none holds only the sandbox. */
    found.kind = crio && str_ends(p->parent, STR(".slice")) ? TARGET_SANDBOX : TARGET_CONTAINER;
    *out = found;
    return true;
}

/* "SLICE:PREFIX:ID": the path meant for systemd's driver, made by an engine on cgroupfs. */
static bool match_colons(const struct place *p, struct pathrule *out) {
    static const struct {
        const char *word;
        enum runtime runtime;
    } engines[] = {
        {"cri-containerd", RUNTIME_CONTAINERD},
        {"docker", RUNTIME_DOCKER},
        {"nerdctl", RUNTIME_CONTAINERD},
        {"libpod", RUNTIME_PODMAN},
        {"crio", RUNTIME_CRIO},
        {"buildkit", RUNTIME_BUILDKIT},
    };
    struct pathrule found = {.kind = TARGET_CONTAINER};
    ptrdiff_t colon = str_rfind(p->leaf, ':');
    struct str head, word;

    if (colon < 0)
        return false;
    found.id = str_from(p->leaf, (size_t)colon + 1);
    head = str_head(p->leaf, (size_t)colon);
    colon = str_rfind(head, ':');
    if (colon < 0)
        return false;
    word = str_from(head, (size_t)colon + 1);
    head = str_head(head, (size_t)colon);
    for (size_t i = 0; i < ARRAY_N(engines); i++)
        if (str_eq(word, str_of(engines[i].word)))
            found.runtime = engines[i].runtime;
    if (found.runtime == RUNTIME_NONE ||
        !(is_hex(found.id, 64) || (found.runtime == RUNTIME_BUILDKIT && found.id.n > 0)))
        return false;
    if (!pod_slice(head, &found.pod_uid, &found.qos))
        found.pod_uid = (struct str){0};
    *out = found;
    return true;
}

/* The pod that a container's parents name. */
static void add_pod(const struct place *p, struct pathrule *out) {
    static const char *const prefixes[] = {"machine-libpod_pod_", "user-libpod_pod_",
                                           "libpod_pod_"};
    struct str uid;
    enum target_qos qos;

    if (out->pod_uid.n > 0)
        return;
    if (pod_of(p->parent, p->grand, &uid, &qos)) {
        out->pod_uid = uid;
        out->qos = qos;
        return;
    }
    if (out->runtime == RUNTIME_ECS && p->depth > 2)
        out->pod_uid = p->parent;
    if (out->runtime != RUNTIME_PODMAN)
        return;
    uid = p->parent;
    if (str_eq(p->grand, STR("libpod_parent")) && is_hex(uid, 64))
        out->pod_uid = uid;
    for (size_t i = 0; i < ARRAY_N(prefixes); i++) {
        uid = p->parent;
        if (str_skip(&uid, str_of(prefixes[i])) && str_drop(&uid, STR(".slice")) && is_hex(uid, 64))
            out->pod_uid = uid;
    }
}

static bool is_unit(struct str s) {
    static const char *const types[] = {".service", ".scope", ".slice",
                                        ".socket",  ".mount", ".swap"};

    for (size_t i = 0; i < ARRAY_N(types); i++)
        if (s.n > str_of(types[i]).n && str_ends(s, str_of(types[i])))
            return true;
    return false;
}

void pathrule_match(struct str path, size_t base, struct pathrule *out) {
    struct place p = place_of(path, base);
    bool found;

    *out = (struct pathrule){.kind = TARGET_GROUP};
    if (p.leaf.n == 0)
        return;
    found = match_kubernetes(&p, out) || match_colons(&p, out);
    for (size_t i = 0; i < ARRAY_N(rules) && !found; i++)
        found = apply(&rules[i], &p, out);
    if (!found)
        return;
    if (out->kind == TARGET_CONTAINER || out->kind == TARGET_SANDBOX)
        add_pod(&p, out);
    if (out->runtime == RUNTIME_SYSTEMD)
        out->id = (struct str){0};
    else if (out->kind == TARGET_POD && out->pod_uid.n == 0)
        out->pod_uid = out->id;
    if (is_unit(p.leaf))
        out->unit = p.leaf;
    if (out->runtime == RUNTIME_SYSTEMD)
        out->name = p.leaf;
}

size_t pathrule_container(struct str path, struct pathrule *out, size_t *outer) {
    size_t base = 0, around = 0;

    for (size_t end = 1; end <= path.n; end++) {
        struct pathrule found;

        if (end < path.n && path.p[end] != '/')
            continue;
        pathrule_match(str_head(path, end), base, &found);
        if ((found.kind != TARGET_CONTAINER && found.kind != TARGET_VM) || found.unsure)
            continue;
        *out = found;
        around = base;
        base = end;
    }
    if (outer)
        *outer = around;
    return base;
}

size_t pathrule_unescape(struct str s, char *dst) {
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        int high = -1, low = -1;

        if (s.p[i] == '\\' && i + 3 < s.n && s.p[i + 1] == 'x') {
            high = str_hex(s.p[i + 2]);
            low = str_hex(s.p[i + 3]);
        }
        if (high < 0 || low < 0 || (high == 0 && low == 0)) {
            dst[n++] = s.p[i];
            continue;
        }
        dst[n++] = (char)(high * 16 + low);
        i += 3;
    }
    return n;
}
