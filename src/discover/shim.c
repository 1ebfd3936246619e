#include "discover/shim.h"

#include <errno.h>
#include <limits.h>

#include "base/mem.h"
#include "kern/proccgroup.h"
#include "kern/proccmdline.h"
#include "kern/procfile.h"
#include "kern/procstat.h"
#include "kern/procstatus.h"

/* How many processes of a group are looked at when the first is no init. */
enum { LOOKED_AT = 64 };

bool shim_safe_component(struct str s) {
    return s.n > 0 && s.n < 256 && str_find(s, '/') < 0 && str_find(s, '\0') < 0 &&
           !str_eq(s, STR(".")) && !str_eq(s, STR(".."));
}

static struct str base_name(struct str path) {
    return str_from(path, (size_t)(str_rfind(path, '/') + 1));
}

/* Options are written -x VALUE, --x VALUE or --x=VALUE. If arg is the option, its value: what is
 * behind '=' or the next argument. The first one counts: what follows conmon's own options are the
 * words of other commands. */
static bool option(struct str arg, const char *name, struct str *rest, struct str *value) {
    if (!str_skip(&arg, STR("-")))
        return false;
    (void)str_skip(&arg, STR("-"));
    if (!str_skip(&arg, str_of(name)))
        return false;
    if (arg.n == 0) {
        struct str next;

        if (!proccmdline_arg(rest, &next))
            return false;
        if (value->n == 0)
            *value = next;
        return true;
    }
    if (!str_skip(&arg, STR("=")))
        return false;
    if (value->n == 0)
        *value = arg;
    return true;
}

static int parse_containerd(struct str args, struct shim *out) {
    struct shim s = {.kind = SHIM_CONTAINERD};
    struct str arg, workdir = {0};

    while (proccmdline_arg(&args, &arg))
        (void)(option(arg, "namespace", &args, &s.namespace) || option(arg, "id", &args, &s.id) ||
               option(arg, "address", &args, &s.address) ||
               option(arg, "workdir", &args, &workdir));
    if (s.id.n == 0)
        s.id = base_name(workdir); /* the shim of containerd 1.0 to 1.3 */
    if (!shim_safe_component(s.id) || !shim_safe_component(s.namespace))
        return -ENODATA;
    *out = s;
    return 0;
}

static int parse_conmon(struct str args, struct shim *out) {
    struct shim s = {.kind = SHIM_CONMON};
    struct str arg, uuid = {0}, command = {0};

    while (proccmdline_arg(&args, &arg))
        (void)(option(arg, "c", &args, &s.id) || option(arg, "cid", &args, &s.id) ||
               option(arg, "u", &args, &uuid) || option(arg, "cuuid", &args, &uuid) ||
               option(arg, "n", &args, &s.name) || option(arg, "name", &args, &s.name) ||
               option(arg, "b", &args, &s.bundle) || option(arg, "bundle", &args, &s.bundle) ||
               option(arg, "exit-command", &args, &command));
    if (!shim_safe_component(s.id))
        return -ENODATA;
    if (!str_starts(s.bundle, STR("/")))
        s.bundle = (struct str){0};
    s.podman = str_eq(base_name(command), STR("podman"));
    *out = s;
    return 0;
}

int shim_parse(struct str comm, struct str cmdline, struct shim *out) {
    struct str program;

    if (!proccmdline_arg(&cmdline, &program))
        return -ENODATA;
    program = base_name(program);
    /* comm holds 15 bytes: just "containerd-shim" */
    if (str_starts(comm, STR("containerd-shim")) && str_starts(program, STR("containerd-shim")))
        return parse_containerd(cmdline, out);
    if (str_eq(comm, STR("conmon")) && str_eq(program, STR("conmon")))
        return parse_conmon(cmdline, out);
    return -ENODATA;
}

/* One process of a group. */
static int look_at(const struct host *h, int32_t pid, struct first_process *out) {
    const uint32_t both = 1u << PROCSTATUS_NS_PID | 1u << PROCSTATUS_NS_DEPTH;
    struct first_process p = {.pid = pid, .depth = 1};
    struct procstat stat;
    struct procstatus status;
    struct str comm;
    int r = procstat_read(h->proc, pid, &stat);

    if (r < 0)
        return r;
    comm = str_head(procstat_comm(&stat), sizeof(p.comm) - 1);
    memcpy(p.comm, comm.p, comm.n);
    p.ppid = stat.ppid;
    p.start_ticks = stat.start_ticks;
    if (procstatus_read(h->proc, pid, &status) == 0 && (status.have & both) == both) {
        p.depth = (unsigned)status.value[PROCSTATUS_NS_DEPTH];
        p.is_init = status.value[PROCSTATUS_NS_PID] == 1;
    }
    *out = p;
    return 0;
}

/* An init is better than none, the outer one better than one inside of it, the older than the
 * younger; and a process of a namespace of its own better than one of ours. */
static bool better(const struct first_process *a, const struct first_process *b) {
    if (a->is_init != b->is_init)
        return a->is_init;
    if ((a->depth > 1) != (b->depth > 1))
        return a->depth > 1;
    if (a->depth != b->depth)
        return a->depth < b->depth;
    return a->start_ticks < b->start_ticks;
}

int shim_first_process(const struct host *h, int group, bool thorough, struct pidlist *room,
                       struct first_process *out) {
    struct first_process best = {0};
    unsigned least = UINT_MAX;
    int r;

    pidlist_clear(room);
    r = pidlist_add_file_at(room, group, "cgroup.procs");
    if (r < 0)
        return r;
    pidlist_sort(room);
    for (size_t i = 0; i < room->n && i < LOOKED_AT; i++) {
        struct first_process p;

        if (look_at(h, room->pid[i], &p) < 0)
            continue; /* gone meanwhile */
        if (best.pid == 0 || better(&p, &best))
            best = p;
        if (p.depth < least)
            least = p.depth;
        if (best.is_init && best.depth <= 2 && !thorough)
            break;
    }
    if (best.pid == 0)
        return -ENODATA;
    best.processes = room->n;
    best.least = least;
    *out = best;
    return 0;
}

int shim_group_of(const struct host *h, const struct cgfs *fs, int32_t pid, char *buf, size_t size,
                  struct str *out) {
    bool v1 = fs->ctl[CG_MEMORY].version == CG_V1;
    struct str text, path, root = str_of(fs->memory_root);
    struct proccgroup own;
    char all[PROCCGROUP_SIZE];
    int r = proccgroup_read(h->proc, pid, all, sizeof(all), &text);

    if (r < 0)
        return r;
    r = proccgroup_parse(text, v1 ? STR("memory") : STR(""), &own);
    if (r < 0)
        return r;
    path = own.path;
    if (root.n == 0 || str_starts(path, STR("/..")))
        return -ENODATA;
    if (!str_eq(root, STR("/")) && (!str_skip(&path, root) || (path.n > 0 && path.p[0] != '/')))
        return -ENODATA;
    if (path.n == 0)
        path = STR("/");
    r = str_copy(path, buf, size);
    if (r < 0)
        return r;
    *out = (struct str){buf, path.n};
    return 0;
}

static bool is_below(struct str path, struct str group) {
    return str_skip(&path, group) && (path.n == 0 || path.p[0] == '/' || str_ends(group, STR("/")));
}

int shim_of(const struct host *h, const struct cgfs *fs, const struct first_process *first,
            struct str path, struct shim_process *out) {
    struct procstatus status;
    struct procstat stat;
    struct str cmdline;
    int r = first->ppid > 1 ? procstat_read(h->proc, first->ppid, &stat) : -ENODATA;

    if (r < 0)
        return r;
    r = proccmdline_read(h->proc, first->ppid, out->cmdline, sizeof(out->cmdline), &cmdline);
    if (r < 0)
        return r;
    r = shim_parse(procstat_comm(&stat), cmdline, &out->shim);
    if (r < 0)
        return r;
    r = procstatus_read(h->proc, first->ppid, &status);
    if (r < 0)
        return r;
    r = shim_group_of(h, fs, first->ppid, out->group_text, sizeof(out->group_text), &out->group);
    if (r == -ENODATA)
        out->group = (struct str){0};
    else if (r < 0)
        return r;
    if (out->group.n > 0 && is_below(out->group, path))
        return -ENODATA;
    out->pid = first->ppid;
    out->uid = status.have & (1u << PROCSTATUS_EUID) ? (uint32_t)status.value[PROCSTATUS_EUID]
                                                     : UINT32_MAX;
    return 0;
}
