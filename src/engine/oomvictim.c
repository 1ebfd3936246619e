#include "engine/oomvictim.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kern/kmsg.h"
#include "kern/procns.h"

/* The initial namespaces have fixed inodes (include/linux/proc_ns.h). */
static const uint64_t first_pid_ns = 4026531836, first_cgroup_ns = 4026531835;

_Static_assert((int)PROCCGROUP_SIZE >= (int)KMSG_RECORD, "one buffer serves both");

static bool is_in_ns(const struct host *h, enum procns_kind kind, uint64_t inode) {
    uint64_t ours;

    return procns_read(h->proc, (int32_t)getpid(), kind, &ours) == 0 && ours == inode;
}

/* Paths in the log begin at the true root. Ours begin where the mount does, and what that is called
 * is told as our cgroup namespace sees it: above it, by "..". */
static void find_root(struct oomvictims *v, const struct host *h, const struct cgfs *fs) {
    struct str root = str_of(fs->memory_root);
    bool first = is_in_ns(h, PROCNS_CGROUP, first_cgroup_ns);

    v->root = str_eq(root, STR("/")) || fs->at_top ? (struct str){"", 0} : root;
    v->paths = fs->at_top || (first && root.n > 0 && !str_starts(root, STR("/..")));
    v->pids = first && h->live && is_in_ns(h, PROCNS_PID, first_pid_ns);
}

int oomvictims_open(struct oomvictims *v, const struct host *h, const struct cgfs *fs) {
    char path[sizeof(h->prefix) + 16];

    memset(v, 0, sizeof(*v));
    v->host = h;
    v->fd = -1;
    v->controller = fs->ctl[CG_MEMORY].version == CG_V1 ? "memory" : "";
    if (oomreport_new(&v->report) < 0)
        return -ENOMEM;
    find_root(v, h, fs);
    snprintf(path, sizeof(path), "%s/dev/kmsg", h->prefix);
    v->fd = kmsg_open(path);
    if (v->fd < 0)
        v->fd = -1;
    return 0;
}

void oomvictims_close(struct oomvictims *v) {
    if (v->fd >= 0)
        close(v->fd);
    v->fd = -1;
    oomreport_free(v->report);
    v->report = NULL;
}

/* --- records --------------------------------------------------------------------------------- */

static struct oomvictim *free_place(struct oomvictims *v) {
    struct oomvictim *oldest = &v->at[0];

    for (unsigned i = 0; i < OOMVICTIMS; i++) {
        if (!v->at[i].used)
            return &v->at[i];
        if (v->at[i].order < oldest->order)
            oldest = &v->at[i];
    }
    v->lost++;
    return oldest;
}

static size_t keep(struct str s, char *dst, size_t size) {
    return str_copy(s, dst, size) < 0 ? 0 : s.n;
}

/* Cuts what lies before the mount. false: it lies elsewhere. */
static bool strip_root(const struct oomvictims *v, struct str *path) {
    struct str rest = *path;

    if (!str_skip(&rest, v->root) || (rest.n > 0 && rest.p[0] != '/'))
        return false;
    *path = rest.n > 0 ? rest : STR("/");
    return true;
}

/* The group of a process that is being killed: it is still in it until it has begun to end (v1 says
 * "/" from then on). */
static void ask_process(struct oomvictims *v, struct oomvictim *x) {
    struct proccgroup group;
    struct str text;

    if (!v->pids || !v->paths ||
        proccgroup_read(v->host->proc, x->pid, v->buf, sizeof(v->buf), &text) < 0 ||
        proccgroup_parse(text, str_of(v->controller), &group) < 0 || str_eq(group.path, STR("/")) ||
        !strip_root(v, &group.path))
        return;
    x->task_n = keep(group.path, x->task, sizeof(x->task));
}

static bool note(struct oomvictims *v, const struct oomkill *k, int64_t now_us) {
    struct str task = v->paths ? k->task_path : (struct str){"", 0}, limit = k->limit_path;
    struct oomvictim *x;

    if (task.n > 0 && !strip_root(v, &task))
        return false; /* outside of what we see */
    if (v->paths && limit.n > 0)
        (void)strip_root(v, &limit);
    x = free_place(v);
    *x = (struct oomvictim){.used = true,
                            .again = k->again,
                            .pid = k->pid,
                            .constraint = k->constraint,
                            .at_us = now_us,
                            .anon = k->anon,
                            .file = k->file,
                            .shmem = k->shmem,
                            .order = ++v->order};
    x->comm_n = keep(k->comm, x->comm, sizeof(x->comm));
    x->limit_n = keep(limit, x->limit, sizeof(x->limit));
    x->task_n = keep(task, x->task, sizeof(x->task));
    if (task.n == 0)
        ask_process(v, x);
    return true;
}

unsigned oomvictims_read(struct oomvictims *v, int64_t now_us, unsigned most) {
    unsigned came = 0;

    for (unsigned n = 0; v->fd >= 0 && n < most; n++) {
        struct kmsg_record record;
        struct oomkill kill;
        int r = kmsg_next(v->fd, v->buf, sizeof(v->buf), &record);

        if (r == 0)
            break;
        if (r > 0 && oomreport_feed(v->report, &record, &kill) > 0)
            came += note(v, &kill, now_us);
        if (r == -EPIPE)
            v->lost++;
        else if (r < 0 && r != -EBADMSG && r != -ERANGE) {
            close(v->fd); /* it takes itself out of every epoll */
            v->fd = -1;
        }
    }
    return came;
}

struct oomvictim *oomvictims_next(struct oomvictims *v, const struct oomvictim *last) {
    struct oomvictim *next = NULL;

    for (unsigned i = 0; i < OOMVICTIMS; i++) {
        struct oomvictim *x = &v->at[i];

        if (x->used && (!last || x->order > last->order) && (!next || x->order < next->order))
            next = x;
    }
    return next;
}
