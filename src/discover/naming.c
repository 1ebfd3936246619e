#include "discover/naming.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "discover/ask.h"
#include "discover/pathrule.h"
#include "kern/proccgroup.h"
#include "kern/procns.h"
#include "kern/procstat.h"

/* Births: engines make the group first and write their files up to a second later. */
static const uint32_t retry_ms[] = {100, 400, 1500};
enum {
    REFRESH_MS = 5000,    /* was it renamed? is its first process still there? */
    AGAIN_MS = 60000,     /* still without a name */
    ASK_AGAIN_MS = 10000, /* sockets, at the most */
    ASK_US = 5000000,     /* and how long they may take */
    INSIDE_US = 2000000,
    ANSWER_MAX = 8 << 20,
    GROUPS_SEARCHED = 32, /* below a container, for its first process */
};

int namer_init(struct namer *m, const struct host *h, const struct cgfs *fs, struct tree *tree,
               bool ask) {
    *m = (struct namer){.h = h, .fs = fs, .tree = tree, .ask = ask && h->live};
    m->epoch_us = clock_mono_us();
    for (size_t i = 0; i < NAMING_JOBS; i++)
        job_init(&m->job[i].job, ANSWER_MAX);
    if (procstat_read_boot(h->proc, &m->boot_s) < 0)
        m->boot_s = 0;
    if (!str_eq(str_of(fs->memory_root), STR("/")))
        m->root_len = strlen(fs->memory_root);
    if (m->root_len > 0) {
        m->full = malloc(m->root_len + NODE_PATH_MAX + 1);
        if (!m->full)
            return -ENOMEM;
        memcpy(m->full, fs->memory_root, m->root_len);
    }
    return names_new(h, fs, &m->names);
}

void namer_done(struct namer *m) {
    for (size_t i = 0; i < NAMING_JOBS; i++) {
        job_done(&m->job[i].job);
        free(m->job[i].path);
    }
    pidlist_done(&m->room);
    names_free(m->names);
    free(m->full);
    m->full = NULL;
    m->names = NULL;
}

uint32_t namer_clock(const struct namer *m, int64_t now_us) {
    uint32_t ms = (uint32_t)((now_us - m->epoch_us) / 1000);

    return ms == 0 ? 1 : ms;
}

static void due_in(struct node *n, uint32_t now_ms, uint32_t ms) {
    n->due_ms = now_ms + ms == 0 ? 1 : now_ms + ms;
}

/* ---- texts of a target ---- */

/* Sets a text; true if it is another one now. What stands in the node's own path is not copied. */
static bool set_text(struct node *n, const char **place, struct str text) {
    struct str old = str_of(*place);
    char *copy = NULL;

    if (str_eq(old, text))
        return false;
    if (text.n > 0 && str_ends(n->t.path, text)) {
        node_free_text(n, *place);
        *place = n->path + n->t.path.n - text.n;
        return true;
    }
    facts_set(&copy, text);
    if (!copy && text.n > 0)
        return false; /* no memory: the old one stays */
    node_free_text(n, *place);
    *place = copy;
    return true;
}

static bool set_if(struct node *n, const char **place, const char *text) {
    return text && set_text(n, place, str_of(text));
}

/* Without systemd's escapes. */
static void set_unescaped(struct node *n, const char **place, struct str escaped) {
    char *plain = malloc(escaped.n + 1);

    if (!plain)
        return;
    set_text(n, place, (struct str){plain, pathrule_unescape(escaped, plain)});
    free(plain);
}

static bool is_id(struct str s) {
    return s.n == 64;
}

/* Until something better is known. */
static void set_short_id(struct node *n) {
    if (n->t.id)
        set_text(n, &n->t.name,
                 is_id(str_of(n->t.id)) ? str_head(str_of(n->t.id), 12) : str_of(n->t.id));
}

void namer_gone(struct node *n) {
    const char *texts[] = {n->t.name,      n->t.id,      n->t.image,     n->t.pod,   n->t.unit,
                           n->t.namespace, n->t.pod_uid, n->t.container, n->t.labels};

    for (size_t i = 0; i < ARRAY_N(texts); i++)
        node_free_text(n, texts[i]);
    if (n->naming)
        names_file_done(&n->naming->file);
    free(n->naming);
    n->naming = NULL;
}

/* ---- birth ---- */

static int add_naming(struct namer *m, struct node *n) {
    if (n->naming)
        return 0;
    n->naming = calloc(1, sizeof(*n->naming));
    if (!n->naming)
        return -ENOMEM;
    n->naming->newborn = !m->initial;
    return 0;
}

/* The group that we are in ourselves, seen as the top of all: its name is our host name. */
static int born_own(struct namer *m, struct node *n, uint32_t now_ms) {
    char name[256];
    struct str text, rule_id = {0};
    struct pathrule rule;
    int fd;

    n->t.kind = TARGET_CONTAINER;
    pathrule_match(m->root_len > 0 ? str_of(m->fs->memory_root) : STR("/"), 0, &rule);
    if (rule.kind == TARGET_CONTAINER) {
        n->t.runtime = rule.runtime;
        rule_id = rule.id;
    } else if (faccessat(m->h->root, ".dockerenv", F_OK, 0) == 0) {
        n->t.runtime = RUNTIME_DOCKER;
    } else if (faccessat(m->h->root, "run/.containerenv", F_OK, 0) == 0) {
        n->t.runtime = RUNTIME_PODMAN;
    }
    set_text(n, &n->t.id, rule_id);
    set_short_id(n);
    if (m->h->live && gethostname(name, sizeof(name) - 1) == 0) {
        name[sizeof(name) - 1] = '\0';
        text = str_of(name);
    } else {
        fd = file_head_at(m->h->root, "etc/hostname", name, sizeof(name), &text);
        text = str_trim(fd < 0 ? STR("") : text);
    }
    if (text.n > 0) {
        set_text(n, &n->t.name, text);
        n->t.named_by = SOURCE_HOSTNAME;
    }
    if (add_naming(m, n) < 0)
        return -ENOMEM;
    n->naming->stage = NAMING_SETTLED;
    due_in(n, now_ms, 0);
    return 0;
}

static struct str full_path(struct namer *m, const struct node *n, size_t *base) {
    size_t below = n->t.inside && n->t.inside->path.n > 1 ? n->t.inside->path.n : 0;

    *base = n->t.inside ? m->root_len + below : 0;
    if (m->root_len == 0)
        return n->t.path;
    memcpy(m->full + m->root_len, n->path, n->t.path.n);
    return (struct str){m->full, m->root_len + n->t.path.n};
}

static void take_rule(struct node *n, const struct pathrule *rule) {
    char uid[37];

    n->unsure = rule->unsure;
    n->t.kind = rule->unsure ? TARGET_GROUP : rule->kind;
    n->t.runtime = rule->runtime;
    n->t.qos = rule->qos;
    set_text(n, &n->t.id, rule->id);
    if (pathrule_pod_uid(rule->pod_uid, uid))
        set_text(n, &n->t.pod_uid, str_of(uid));
    else
        set_text(n, &n->t.pod_uid, rule->pod_uid);
    if (rule->unit.n > 0)
        set_unescaped(n, &n->t.unit, rule->unit);
    if (rule->name.n > 0)
        set_unescaped(n, &n->t.name, rule->name);
    else if (target_is_container(&n->t) || n->t.kind == TARGET_POD || n->t.kind == TARGET_SANDBOX)
        set_short_id(n);
    if (n->t.kind == TARGET_POD && n->t.runtime == RUNTIME_KUBERNETES && n->t.pod_uid)
        set_text(n, &n->t.name, str_of(n->t.pod_uid));
}

static bool drop_first(const struct namer *m, struct node *n);

/* A `plimsoll run` starts its program again: what was its first process is none, and the next one
 * is there in a moment. */
static void begin_run(struct namer *m, struct node *run, uint32_t now_ms) {
    if (!run->naming || run->naming->stage != NAMING_SETTLED)
        return;
    run->naming->tries = 0;
    due_in(run, now_ms, 0);
    if (drop_first(m, run))
        m->changed(m->ctx, run);
}

int namer_born(struct namer *m, struct node *n, uint32_t now_ms) {
    struct pathrule rule;
    struct str path;
    size_t base;

    if (!n->parent)
        return m->fs->at_top ? 0 : born_own(m, n, now_ms);
    path = full_path(m, n, &base);
    pathrule_match(path, base, &rule);
    take_rule(n, &rule);
    if (n->t.kind == TARGET_GROUP) {
        if (target_is_run_work(&n->t))
            begin_run(m, n->parent, now_ms);
        n->looks = m->initial ? ARRAY_N(retry_ms) : 0;
        due_in(n, now_ms, 0);
        return 0;
    }
    if (!target_is_container(&n->t) && n->t.kind != TARGET_POD && n->t.kind != TARGET_SANDBOX)
        return 0;
    due_in(n, now_ms, 0);
    return add_naming(m, n);
}

/* ---- processes ---- */

static int first_of(struct namer *m, const struct node *n, bool thorough,
                    struct first_process *out) {
    auto_close int dir = cgfs_open_dir(m->fs, CG_MEMORY, n->t.path);

    return dir < 0 ? dir : shim_first_process(m->h, dir, thorough, &m->room, out);
}

/* The next group in the tree that belongs to the container `top` itself; its inner containers are
 * passed over. */
static const struct node *next_within(const struct node *top, const struct node *n) {
    bool other = n != top && target_is_container(&n->t);

    if (n->first && !other)
        return n->first;
    while (n != top && !n->next)
        n = n->parent;
    return n == top ? NULL : n->next;
}

/* systemd in a container, podman and CRI-O on v2 have their processes in groups below. */
static int first_within(struct namer *m, const struct node *top, struct first_process *out) {
    struct first_process best = {0};
    unsigned searched = 0;

    for (const struct node *n = top; n && searched < GROUPS_SEARCHED; n = next_within(top, n)) {
        struct first_process p;

        if ((n != top && target_is_container(&n->t)) || first_of(m, n, false, &p) < 0)
            continue;
        searched++;
        if (n == top || p.is_init) {
            *out = p;
            return 0;
        }
        if (best.pid == 0 || p.start_ticks < best.start_ticks)
            best = p;
    }
    if (best.pid == 0)
        return -ENODATA;
    *out = best;
    return 0;
}

static bool lies_in(struct str path, const struct target *group) {
    struct str top = group->path;

    return top.n == 1 || (str_skip(&path, top) && (path.n == 0 || path.p[0] == '/'));
}

/* The shim of a container's first process, if it may be believed. */
static bool believable_shim(struct namer *m, const struct node *n,
                            const struct first_process *first, struct shim_process *out) {
    const struct target *outside;

    if (shim_of(m->h, m->fs, first, n->t.path, out) < 0)
        return false;
    /* Inside of a container its own engine's shim counts. The one outside, which is the parent of
     * processes in groups that the container made below itself too, speaks for the outer one. */
    outside = target_outside(&n->t);
    return !outside || (out->group.n > 0 && lies_in(out->group, outside));
}

/* user-1000.slice: whose files may speak about what is in it. */
static uint32_t owner_by_path(struct str path) {
    struct str word;

    while (path.n > 0) {
        uint64_t uid;

        if (!str_cut(&path, '/', &word)) {
            word = path;
            path.n = 0;
        }
        if (str_skip(&word, STR("user-")) && str_drop(&word, STR(".slice")) &&
            str_to_u64(word, &uid) == 0 && uid < UINT32_MAX)
            return (uint32_t)uid;
    }
    return 0;
}

/* Whether the container lives and dies with it: the init of a pid namespace, started from outside.
 * One that is made by somebody inside may come and go. */
static bool is_own_init(const struct namer *m, const struct node *n,
                        const struct first_process *p) {
    char buf[PROCCGROUP_SIZE];
    struct str group;

    return p->is_init && n->t.kind == TARGET_CONTAINER &&
           (shim_group_of(m->h, m->fs, p->ppid, buf, sizeof(buf), &group) < 0 ||
            !lies_in(group, &n->t));
}

static bool set_first(struct namer *m, struct node *n, const struct first_process *p) {
    struct procstat stat = {.start_ticks = p->start_ticks};
    bool changed = n->t.init_pid != p->pid || n->naming->start_ticks != p->start_ticks;

    n->naming->start_ticks = p->start_ticks;
    if (changed)
        n->t.init_ticks = is_own_init(m, n, p) ? p->start_ticks : 0;
    n->t.init_pid = p->pid;
    n->t.start_ms = m->boot_s > 0 ? procstat_start_ms(&stat, m->boot_s) : 0;
    return changed;
}

/* Whether the process known as the first one still runs; its pid may be another's by now. */
static bool first_is_there(const struct namer *m, const struct node *n) {
    struct procstat stat;

    return n->t.init_pid > 0 && procstat_read(m->h->proc, n->t.init_pid, &stat) == 0 &&
           stat.start_ticks == n->naming->start_ticks;
}

/* None is found: what is known stays only if it is still true. */
static bool drop_first(const struct namer *m, struct node *n) {
    if (n->t.init_pid == 0 || first_is_there(m, n))
        return false;
    n->t.init_pid = 0;
    n->t.init_ticks = 0;
    n->t.start_ms = 0;
    return true;
}

/* ---- what was found ---- */

static bool take_facts(struct node *n, const struct facts *f) {
    bool changed = false;

    if (f->runtime != RUNTIME_NONE && f->runtime != n->t.runtime &&
        (n->t.runtime == RUNTIME_NONE ||
         (n->t.runtime == RUNTIME_CONTAINERD && f->runtime == RUNTIME_DOCKER))) {
        n->t.runtime = f->runtime;
        changed = true;
    }
    changed |= set_if(n, &n->t.image, f->image);
    changed |= set_if(n, &n->t.pod, f->pod);
    changed |= set_if(n, &n->t.namespace, f->namespace);
    changed |= set_if(n, &n->t.container, f->container);
    changed |= set_if(n, &n->t.labels, f->labels);
    if (!n->t.pod_uid)
        changed |= set_if(n, &n->t.pod_uid, f->pod_uid);
    if (f->name) {
        changed |= set_text(n, &n->t.name, str_of(f->name));
        n->t.named_by = f->source;
    }
    if (f->sandbox && n->t.kind == TARGET_CONTAINER) {
        n->t.kind = TARGET_SANDBOX;
        changed = true;
    }
    if (n->naming)
        n->naming->no_sandbox = n->naming->no_sandbox || f->no_sandbox;
    return changed;
}

/* A pod is called what its containers say it is. */
static void name_parent(struct namer *m, const struct node *n) {
    struct node *pod = n->parent;
    bool changed = false;

    if (!n->t.pod || !pod || pod->t.kind != TARGET_POD)
        return;
    if (pod->t.named_by == SOURCE_PATH && set_if(pod, &pod->t.name, n->t.pod)) {
        pod->t.named_by = n->t.named_by;
        changed = true;
    }
    changed |= !pod->t.pod && set_if(pod, &pod->t.pod, n->t.pod);
    changed |= !pod->t.namespace && set_if(pod, &pod->t.namespace, n->t.namespace);
    if (changed)
        m->changed(m->ctx, pod);
}

static struct names_query query_of(const struct node *n, const struct shim_process *shim) {
    struct names_query q = {
        .kind = n->t.kind,
        .runtime = n->t.runtime,
        .id = str_of(n->t.id),
        .pod_uid = str_of(n->t.pod_uid),
        .owner = n->naming->owner,
        .nested = n->naming->nested,
        .shim = shim,
    };

    return q;
}

/* Files did not tell: what next. */
static void next_stage(struct namer *m, struct node *n, int r, uint32_t now_ms) {
    struct naming *g = n->naming;

    g->denied = r == -EACCES;
    if (g->newborn && !g->denied && g->tries < ARRAY_N(retry_ms)) {
        due_in(n, now_ms, retry_ms[g->tries++]);
        return;
    }
    if (m->ask) {
        g->stage = g->aside || !ask_may_help(&n->t) ? NAMING_INSIDE : NAMING_SOCKET;
        return;
    }
    g->stage = NAMING_SETTLED;
    due_in(n, now_ms, AGAIN_MS);
}

static bool has_name_by_path(const struct node *n) {
    bool number = n->t.runtime == RUNTIME_QEMU || n->t.runtime == RUNTIME_LXC;
    struct str name = str_of(n->t.name);

    switch (n->t.runtime) {
    case RUNTIME_LXC:
    case RUNTIME_QEMU:
        for (size_t i = 0; i < name.n; i++)
            number = number && name.p[i] >= '0' && name.p[i] <= '9';
        return !number; /* Proxmox' numbers have names in its configuration */
    case RUNTIME_NSPAWN:
    case RUNTIME_LIBVIRT:
    case RUNTIME_NOMAD:
    case RUNTIME_GARDEN:
    case RUNTIME_PLIMSOLL:
        return true;
    case RUNTIME_NONE:
    case RUNTIME_DOCKER:
    case RUNTIME_CONTAINERD:
    case RUNTIME_CRIO:
    case RUNTIME_PODMAN:
    case RUNTIME_ECS:
    case RUNTIME_BUILDKIT:
    case RUNTIME_KUBERNETES:
    case RUNTIME_SYSTEMD:
    case RUNTIME_N:
        break;
    }
    return false;
}

static void settle(struct node *n, uint32_t now_ms) {
    n->naming->stage = NAMING_SETTLED;
    n->naming->denied = false;
    due_in(n, now_ms, REFRESH_MS);
}

/* A pod's sandbox that no file told of: exactly one process, called "pause". Only in pods, where a
 * sandbox must be: elsewhere a container could hide behind that name. */
static bool looks_like_pause(const struct node *n, const struct first_process *p) {
    return n->t.kind == TARGET_CONTAINER && n->t.pod_uid && !n->naming->no_sandbox &&
           p->processes == 1 && str_eq(str_of(p->comm), STR("pause"));
}

/* Proxmox: what its configuration calls a number. */
static int find_guest(const struct namer *m, const struct node *n, struct facts *out) {
    if (n->t.runtime != RUNTIME_QEMU && n->t.runtime != RUNTIME_LXC)
        return -ENOENT;
    return names_guest(m->names, n->t.kind == TARGET_VM, str_of(n->t.id), out);
}

/* Whether what is in this group sees other files than the host's. */
static bool has_own_files(const struct namer *m, struct str group) {
    const struct node *n = tree_container_of(m->tree, group);

    return n && (n->t.runtime != RUNTIME_PLIMSOLL || target_outside(&n->t));
}

/* Whose container it is, and so whose files may speak about it, and where they are read. */
static void set_trust(struct namer *m, struct node *n, const struct shim_process *shim) {
    struct naming *g = n->naming;

    g->owner = shim ? shim->uid : owner_by_path(n->t.path);
    g->nested =
        target_outside(&n->t) || (shim && shim->group.n > 0 && has_own_files(m, shim->group));
    /* A user may mount file systems that hang, too. */
    g->aside = m->ask && (g->nested || g->owner != 0);
}

/* By what can be read here and now. As names_find returns. */
static int find_name(struct namer *m, struct node *n, const struct shim_process *shim,
                     struct facts *out) {
    struct names_query q = query_of(n, shim);
    int r;

    if (has_name_by_path(n))
        return 0;
    if (n->naming->nested || n->naming->aside)
        return -ENOENT;
    names_file_done(&n->naming->file);
    r = names_find(m->names, &q, out, &n->naming->file);
    if (r < 0 && !m->h->live && find_guest(m, n, out) == 0)
        return 0; /* no file system of a captured tree can hang */
    return r;
}

static void name_container(struct namer *m, struct node *n, bool changed, uint32_t now_ms) {
    struct naming *g = n->naming;
    struct first_process first;
    struct shim_process found, *shim = NULL;
    bool have_first = first_within(m, n, &first) == 0, complete;
    struct facts f = {0};
    int r;

    if (have_first && believable_shim(m, n, &first, &found))
        shim = &found;
    if (shim)
        g->by_namespace = false;
    changed |= have_first ? set_first(m, n, &first) : drop_first(m, n);
    if (!n->t.id && shim)
        changed |= set_text(n, &n->t.id, shim->shim.id);
    set_trust(m, n, shim);
    r = find_name(m, n, shim, &f);
    changed |= take_facts(n, &f);
    facts_done(&f);
    if (have_first && looks_like_pause(n, &first)) {
        n->t.kind = TARGET_SANDBOX;
        changed = true;
    }
    /* Named, but its first process is still to come: what is there is the engine's own helper. */
    complete = (have_first && first.is_init) || !g->newborn || g->tries >= ARRAY_N(retry_ms);
    if (r == 0 && complete)
        settle(n, now_ms);
    else if (r == 0)
        due_in(n, now_ms, retry_ms[g->tries++]);
    else
        next_stage(m, n, r, now_ms);
    name_parent(m, n);
    if (changed)
        m->changed(m->ctx, n);
}

static void name_pod(struct namer *m, struct node *n, uint32_t now_ms) {
    struct facts f = {0};
    bool changed = false;

    if (n->t.runtime == RUNTIME_KUBERNETES && !target_outside(&n->t) &&
        names_pod(m->names, str_of(n->t.pod_uid), &f) == 0)
        changed = take_facts(n, &f);
    else if (n->naming->newborn && n->naming->tries < ARRAY_N(retry_ms))
        due_in(n, now_ms, retry_ms[n->naming->tries++]);
    n->naming->stage = NAMING_SETTLED;
    facts_done(&f);
    if (changed)
        m->changed(m->ctx, n);
}

/* ---- is a plain group a container? ---- */

/* What lies below `n` and belongs to the container `from` belongs to `to` from now on. How many. */
static uint32_t move_inside(const struct node *n, const struct target *from,
                            const struct target *to) {
    uint32_t moved = 0;

    for (struct node *d = n->first; d;) {
        if (d->t.inside == from) {
            d->t.inside = to;
            moved++;
        }
        if (d->first && !target_is_container(&d->t)) {
            d = d->first;
            continue;
        }
        while (d != n && !d->next)
            d = d->parent;
        d = d == n ? NULL : d->next;
    }
    return moved;
}

static struct node *container_around(const struct node *n) {
    struct node *a = n->parent;

    while (a && &a->t != n->t.inside)
        a = a->parent;
    return a;
}

static void enclose(struct node *n) {
    struct node *around = container_around(n);
    uint32_t moved = move_inside(n, n->t.inside, &n->t);

    n->below += moved;
    if (around)
        around->below -= moved;
}

static void disclose(struct node *n) {
    struct node *around = container_around(n);

    (void)move_inside(n, &n->t, n->t.inside);
    if (around)
        around->below += n->below;
    n->below = 0;
}

/* shim: NULL if nothing but the pid namespace of its processes makes it a container. */
static void become_container(struct namer *m, struct node *n, const struct shim_process *shim,
                             uint32_t now_ms) {
    if (add_naming(m, n) < 0)
        return;
    n->t.kind = TARGET_CONTAINER;
    n->naming->by_namespace = !shim;
    if (!n->t.id && shim)
        set_text(n, &n->t.id, shim->shim.id);
    set_short_id(n);
    enclose(n);
    name_container(m, n, true, now_ms);
}

/* Whether there are processes in it, and all of them are in our own pid namespace. Where some are
 * and some are not it stays what it is: an engine's helper that enters a container is of ours. */
static bool has_only_ours(struct namer *m, const struct node *top) {
    unsigned searched = 0;

    for (const struct node *n = top; n && searched < GROUPS_SEARCHED; n = next_within(top, n)) {
        struct first_process p;

        if ((n != top && target_is_container(&n->t)) || first_of(m, n, false, &p) < 0)
            continue;
        if (p.depth > 1) /* of these there is one whenever there is any: see shim.c, better() */
            return false;
        searched++;
    }
    return searched > 0;
}

/* What made it a container is over. */
static void become_group(struct namer *m, struct node *n, uint32_t now_ms) {
    struct target plain = {.path = n->t.path, .inside = n->t.inside};
    struct pathrule rule;
    struct str path;
    size_t base;

    disclose(n);
    n->t.kind = TARGET_GROUP;
    m->changed(m->ctx, n); /* whoever is told that it is removed sees the name that it had */
    namer_gone(n);
    plain.slot = n->t.slot;
    plain.name = n->path + str_rfind(n->t.path, '/') + 1;
    n->t = plain;
    path = full_path(m, n, &base);
    pathrule_match(path, base, &rule);
    take_rule(n, &rule);
    n->looks = ARRAY_N(retry_ms);
    due_in(n, now_ms, REFRESH_MS);
    m->changed(m->ctx, n);
    /* Whose files speak about the containers in it is another question now. */
    for (struct node *d = n->first; d && lies_in(d->t.path, &n->t); d = tree_next(d)) {
        if (!d->naming || !target_is_container(&d->t) || d->naming->asking)
            continue;
        d->naming->stage = NAMING_FILES;
        due_in(d, now_ms, 0);
    }
}

static void look_at_group(struct namer *m, struct node *n, uint32_t now_ms) {
    struct shim_process shim;
    struct first_process first;
    int r = first_of(m, n, true, &first);

    if (r == 0 && believable_shim(m, n, &first, &shim)) {
        become_container(m, n, &shim, now_ms);
        return;
    }
    /* Nobody's container: all its processes are in a pid namespace that is not ours. */
    if (r == 0 && !target_outside(&n->t) && first.least > 1) {
        become_container(m, n, NULL, now_ms);
        return;
    }
    if (n->looks < ARRAY_N(retry_ms))
        due_in(n, now_ms, retry_ms[n->looks++]);
}

/* ---- steps ---- */

/* The first process, if it is not known or gone. */
static void find_first(struct namer *m, struct node *n, uint32_t now_ms) {
    struct first_process first;
    bool changed = false;

    if (!first_is_there(m, n))
        changed = first_within(m, n, &first) == 0 ? set_first(m, n, &first) : drop_first(m, n);
    if (changed)
        m->changed(m->ctx, n);
    due_in(n, now_ms,
           n->t.init_pid == 0 && n->naming->tries < ARRAY_N(retry_ms) ? retry_ms[n->naming->tries++]
                                                                      : REFRESH_MS);
}

static void refresh(struct namer *m, struct node *n, uint32_t now_ms) {
    if (n->naming->by_namespace && n->t.kind == TARGET_CONTAINER && has_only_ours(m, n)) {
        become_group(m, n, now_ms);
        return;
    }
    if (n->t.named_by == SOURCE_PATH && !has_name_by_path(n)) {
        n->naming->stage = NAMING_FILES; /* once more from the start */
        name_container(m, n, false, now_ms);
        return;
    }
    if ((n->naming->file.path && names_changed(m->names, &n->naming->file)) ||
        (n->naming->aside && ++n->naming->rounds % (AGAIN_MS / REFRESH_MS) == 0)) {
        name_container(m, n, false, now_ms);
        return;
    }
    find_first(m, n, now_ms);
}

void namer_step(struct namer *m, struct node *n, uint32_t now_ms) {
    n->due_ms = 0;
    if (!n->parent) {
        if (n->naming) /* the container that we are in: only its first process is looked for */
            find_first(m, n, now_ms);
    } else if (!n->naming) {
        if (n->t.kind == TARGET_GROUP)
            look_at_group(m, n, now_ms);
    } else if (n->t.kind == TARGET_POD) {
        name_pod(m, n, now_ms);
    } else if (n->naming->stage == NAMING_SETTLED) {
        refresh(m, n, now_ms);
    } else if (n->naming->stage == NAMING_FILES) {
        name_container(m, n, false, now_ms);
    }
}

bool namer_undecided(const struct node *n) {
    return n->naming && n->naming->newborn && n->naming->stage == NAMING_FILES && n->t.pod_uid &&
           !n->naming->no_sandbox && n->t.kind == TARGET_CONTAINER;
}

/* ---- jobs ---- */

struct inside {
    struct namer *m;
    const struct node *n;
};

/* Whether it has a UTS namespace of its own; else its host name is ours. */
static bool has_own_name(const struct namer *m, int32_t pid) {
    uint64_t its, ours;

    return procns_read(m->h->proc, pid, PROCNS_UTS, &its) < 0 ||
           procns_read(m->h->proc, (int32_t)getpid(), PROCNS_UTS, &ours) < 0 || its != ours;
}

/* In the child. The container's own files, its configuration as a guest, its host name. */
static int look_inside(void *arg, struct buf *out) {
    const struct inside *in = arg;
    const struct node *n = in->n;
    struct namer *m = in->m;
    struct first_process first;
    struct shim_process shim;
    struct facts f = {0};
    struct str text;
    char name[256];
    bool have_first = first_within(m, n, &first) == 0;
    int r = -ENOENT;

    if (n->naming->aside) {
        bool have_shim = have_first && believable_shim(m, n, &first, &shim);
        struct names_query q = query_of(n, have_shim ? &shim : NULL);

        r = names_find(m->names, &q, &f, NULL);
    }
    if (r < 0 && !n->naming->aside)
        r = find_guest(m, n, &f);
    if (r < 0 && have_first && n->t.kind != TARGET_VM && has_own_name(m, first.pid)) {
        r = names_hostname(m->h, first.pid, name, sizeof(name), &text);
        if (r == 0)
            facts_name(&f, text, SOURCE_HOSTNAME);
    }
    facts_write(&f, out);
    facts_done(&f);
    if (r == -EACCES || r == -EPERM)
        buf_add(out, STR("denied"));
    return buf_error(out);
}

static void finish_inside(struct namer *m, struct naming_job *job, bool done, uint32_t now_ms) {
    struct node *n = tree_find(m->tree, str_of(job->path));
    struct str answer = buf_str(&job->job.answer);
    struct facts f;

    free(take_ptr(&job->path));
    if (!n || !n->naming || !n->naming->asking)
        return; /* the group is gone, or is another one now */
    n->naming->asking = false;
    n->naming->stage = NAMING_SETTLED;
    due_in(n, now_ms, AGAIN_MS);
    if (!done || facts_read(&answer, &f) < 0)
        f = (struct facts){0};
    if (f.name)
        settle(n, now_ms);
    else
        n->naming->denied = n->naming->denied || str_eq(answer, STR("denied"));
    if ((!f.name || f.source == SOURCE_HOSTNAME) && n->naming->aside && !n->naming->nested &&
        !n->naming->asked && ask_may_help(&n->t)) {
        n->naming->asked = true;
        n->naming->stage = NAMING_SOCKET; /* a user's engine, whose files did not help */
    }
    if (take_facts(n, &f))
        m->changed(m->ctx, n);
    facts_done(&f);
}

/* The answer is a list: the path of a group and the facts about it. */
static void finish_sockets(struct namer *m, bool done, uint32_t now_ms) {
    struct str answer = buf_str(&m->job[0].job.answer), path;

    while (done && str_cut(&answer, '\0', &path)) {
        struct node *n = tree_find(m->tree, path);
        struct facts f;

        if (facts_read(&answer, &f) < 0)
            break;
        if (n && n->naming && n->naming->stage == NAMING_SOCKET && n->naming->asking) {
            n->naming->asking = false;
            settle(n, now_ms);
            if (take_facts(n, &f))
                m->changed(m->ctx, n);
        }
        facts_done(&f);
    }
    for (struct node *n = m->tree->top; n; n = tree_next(n)) {
        if (!n->naming || !n->naming->asking || n->naming->stage != NAMING_SOCKET)
            continue;
        n->naming->asking = false;
        n->naming->stage = NAMING_INSIDE;
    }
}

/* In the child. */
static int ask_engines(void *arg, struct buf *out) {
    const struct namer *m = arg;

    return ask_sockets(m->tree, clock_mono_us() + ASK_US, out);
}

static void start_asking(struct namer *m, int64_t now_us) {
    uint32_t now_ms = namer_clock(m, now_us);

    if (m->job[0].job.pid > 0)
        return;
    m->waiting = false;
    for (struct node *n = m->tree->top; n && !m->waiting; n = tree_next(n))
        m->waiting = n->naming && n->naming->stage == NAMING_SOCKET;
    if (!m->waiting || (m->asked_ms != 0 && !namer_is_due(m->asked_ms, now_ms)) ||
        job_start(&m->job[0].job, ask_engines, m, now_us + ASK_US + 500000) < 0)
        return;
    m->asked_ms = now_ms + ASK_AGAIN_MS;
    if (m->asked_ms == 0)
        m->asked_ms = 1;
    for (struct node *n = m->tree->top; n; n = tree_next(n))
        if (n->naming && n->naming->stage == NAMING_SOCKET)
            n->naming->asking = true;
}

/* The next that waits for somebody to look inside, in a job that is free. */
static void start_looking(struct namer *m, int64_t now_us) {
    struct node *n = m->tree->top;

    for (size_t i = 1; i < NAMING_JOBS; i++) {
        struct inside in;

        if (m->job[i].job.pid > 0)
            continue;
        while (n && !(n->naming && n->naming->stage == NAMING_INSIDE && !n->naming->asking))
            n = tree_next(n);
        if (!n)
            return;
        in = (struct inside){m, n};
        m->job[i].path = strdup(n->path);
        if (!m->job[i].path ||
            job_start(&m->job[i].job, look_inside, &in, now_us + INSIDE_US) < 0) {
            free(take_ptr(&m->job[i].path));
            return;
        }
        n->naming->asking = true;
    }
}

bool namer_jobs(struct namer *m, int64_t now_us) {
    uint32_t now_ms = namer_clock(m, now_us);
    bool finished = false;

    if (!m->ask)
        return false;
    for (size_t i = 0; i < NAMING_JOBS; i++) {
        enum job_state state = job_poll(&m->job[i].job, now_us);

        if (state != JOB_DONE && state != JOB_FAILED)
            continue;
        if (i == 0)
            finish_sockets(m, state == JOB_DONE, now_ms);
        else
            finish_inside(m, &m->job[i], state == JOB_DONE, now_ms);
        buf_done(&m->job[i].job.answer);
        finished = true;
    }
    (void)job_hanging(); /* reaps */
    start_asking(m, now_us);
    start_looking(m, now_us);
    return finished;
}
