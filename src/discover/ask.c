#include "discover/ask.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "discover/enginejson.h"
#include "net/unixhttp.h"

enum {
    ANSWER_MAX = 16 << 20,
    LIST_MAX = 8 << 20,
    SOCKETS_MAX = 8,
    SOCKET_PATH = 108,
    ONE_US = 1500000, /* a socket that does not answer leaves time for the others */
};

struct ask {
    const struct tree *tree;
    int64_t deadline_us;
    struct buf *out;
    struct buf answer;
};

bool ask_may_help(const struct target *t) {
    if (!t->id || !shim_safe_component(str_of(t->id)))
        return false;
    switch (t->runtime) {
    case RUNTIME_NONE:
    case RUNTIME_DOCKER:
    case RUNTIME_CRIO:
    case RUNTIME_PODMAN:
    case RUNTIME_ECS:
        return t->kind == TARGET_CONTAINER;
    case RUNTIME_CONTAINERD:
    case RUNTIME_LXC:
    case RUNTIME_NSPAWN:
    case RUNTIME_LIBVIRT:
    case RUNTIME_QEMU:
    case RUNTIME_NOMAD:
    case RUNTIME_BUILDKIT:
    case RUNTIME_GARDEN:
    case RUNTIME_KUBERNETES:
    case RUNTIME_SYSTEMD:
    case RUNTIME_PLIMSOLL:
    case RUNTIME_N:
        break;
    }
    return false;
}

static bool waits(const struct node *n, uint32_t owner) {
    return n->naming && n->naming->stage == NAMING_SOCKET && n->naming->owner == owner;
}

static void answer_for(struct ask *a, const struct node *n, const struct facts *f) {
    buf_add(a->out, n->t.path);
    buf_add_char(a->out, '\0');
    facts_write(f, a->out);
}

static int64_t one_deadline(const struct ask *a) {
    int64_t soon = clock_mono_us() + ONE_US;

    return soon < a->deadline_us ? soon : a->deadline_us;
}

/* GET target, and the answer as JSON; NULL. */
static json_t *get(struct ask *a, const char *socket, const char *target) {
    struct unixhttp http;

    if (unixhttp_get(socket, target, one_deadline(a), &a->answer, &http) < 0 || http.status != 200)
        return NULL;
    return enginejson_parse(http.body);
}

/* Docker and podman: all containers at once. */
static void ask_list(struct ask *a, const char *socket, enum runtime runtime, uint32_t owner) {
    json_t *json = get(a, socket, "/containers/json");
    struct buf list;
    struct str rest;
    struct facts f;

    if (!json)
        return;
    buf_init(&list, LIST_MAX);
    enginejson_list(json, runtime, &list);
    json_decref(json);
    rest = buf_str(&list);
    while (facts_read(&rest, &f) == 0) {
        for (const struct node *n = a->tree->top; n; n = tree_next(n))
            if (waits(n, owner) && str_eq(str_of(n->t.id), str_of(f.id)))
                answer_for(a, n, &f);
        facts_done(&f);
    }
    buf_done(&list);
}

static void ask_crio(struct ask *a, uint32_t owner) {
    for (const struct node *n = a->tree->top; n; n = tree_next(n)) {
        struct facts f = {0};
        char target[300];
        json_t *json;

        if (!waits(n, owner) || n->t.runtime != RUNTIME_CRIO)
            continue;
        (void)snprintf(target, sizeof(target), "/containers/%s", n->t.id);
        json = get(a, "/run/crio/crio.sock", target);
        if (json && enginejson_crio(json, &f) == 0)
            answer_for(a, n, &f);
        json_decref(json);
        facts_done(&f);
    }
}

/* unix:///run/x.sock */
static const char *docker_host(void) {
    const char *value = getenv("DOCKER_HOST");
    struct str text = str_of(value);

    return str_skip(&text, STR("unix://")) && str_starts(text, STR("/")) ? text.p : NULL;
}

static void ask_owner(struct ask *a, uint32_t owner) {
    const char *own = docker_host();
    char path[SOCKET_PATH];

    if (own && (owner == 0 || owner == getuid()))
        ask_list(a, own, RUNTIME_DOCKER, owner);
    if (owner == 0) {
        ask_list(a, "/var/run/docker.sock", RUNTIME_DOCKER, owner);
        ask_list(a, "/run/podman/podman.sock", RUNTIME_PODMAN, owner);
        ask_crio(a, owner);
        return;
    }
    (void)snprintf(path, sizeof(path), "/run/user/%u/docker.sock", owner);
    ask_list(a, path, RUNTIME_DOCKER, owner);
    (void)snprintf(path, sizeof(path), "/run/user/%u/podman/podman.sock", owner);
    ask_list(a, path, RUNTIME_PODMAN, owner);
}

int ask_sockets(const struct tree *t, int64_t deadline_us, struct buf *out) {
    struct ask a = {.tree = t, .deadline_us = deadline_us, .out = out};
    uint32_t owners[SOCKETS_MAX];
    size_t n_owners = 0;

    buf_init(&a.answer, ANSWER_MAX);
    for (const struct node *n = t->top; n && n_owners < SOCKETS_MAX; n = tree_next(n)) {
        bool known = false;

        if (!n->naming || n->naming->stage != NAMING_SOCKET)
            continue;
        for (size_t i = 0; i < n_owners; i++)
            known = known || owners[i] == n->naming->owner;
        if (!known)
            owners[n_owners++] = n->naming->owner;
    }
    for (size_t i = 0; i < n_owners; i++)
        ask_owner(&a, owners[i]);
    buf_done(&a.answer);
    return buf_error(out);
}
