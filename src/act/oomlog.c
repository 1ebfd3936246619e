#include "act/oomlog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "act/rungroup.h"
#include "base/mem.h"
#include "kern/procns.h"

/* The initial namespaces have fixed inodes (include/linux/proc_ns.h). */
static const uint64_t first_pid_ns = 4026531836, first_cgroup_ns = 4026531835;

struct oomlog {
    int fd;
    bool dead;  /* a read has failed for good */
    bool whole; /* `group` is the whole path from the true root, not only its end */
    bool pids;
    int32_t main;
    size_t group_n;
    char *group; /* our group, as the kernel's log writes it */
    struct oomreport *report;
    struct oomlog_told told;
    char buf[KMSG_RECORD];
};

static bool is_in_ns(const struct host *h, enum procns_kind kind, uint64_t inode) {
    uint64_t ours;

    return procns_read(h->proc, getpid(), kind, &ours) == 0 && ours == inode;
}

/* Where the mount begins is told as our cgroup namespace sees it: above it, by "..". */
static int set_group(struct oomlog *log, const struct host *h, const struct cgfs *fs,
                     struct str group) {
    struct str root = str_of(fs->memory_root);
    bool told = root.n > 0 && !str_starts(root, STR("/.."));

    if (!told || str_eq(root, STR("/")))
        root.n = 0;
    log->whole = told && is_in_ns(h, PROCNS_CGROUP, first_cgroup_ns);
    log->group = malloc(root.n + group.n + 1);
    if (!log->group)
        return -ENOMEM;
    if (root.n > 0)
        memcpy(log->group, root.p, root.n);
    memcpy(log->group + root.n, group.p, group.n);
    log->group_n = root.n + group.n;
    return 0;
}

int oomlog_open(const struct host *h, const struct cgfs *fs, struct str group, int fd,
                struct oomlog **out) {
    auto_close int taken = fd;
    struct oomlog *log = calloc(1, sizeof(*log));
    int r;

    if (!log)
        return -ENOMEM;
    log->fd = -1;
    r = set_group(log, h, fs, group);
    if (r == 0)
        r = oomreport_new(&log->report);
    if (r < 0) {
        oomlog_free(log);
        return r;
    }
    log->pids = is_in_ns(h, PROCNS_PID, first_pid_ns);
    log->fd = take_fd(&taken);
    log->told.lost = log->fd < 0;
    *out = log;
    return 0;
}

void oomlog_free(struct oomlog *log) {
    if (!log)
        return;
    if (log->fd >= 0)
        close(log->fd);
    oomreport_free(log->report);
    free(log->group);
    free(log);
}

int oomlog_fd(const struct oomlog *log) {
    return log->dead ? -1 : log->fd;
}

bool oomlog_knows_pids(const struct oomlog *log) {
    return log->pids;
}

const struct oomlog_told *oomlog_told(const struct oomlog *log) {
    return &log->told;
}

void oomlog_clear(struct oomlog *log) {
    memset(&log->told, 0, sizeof(log->told));
    log->told.lost = oomlog_fd(log) < 0;
}

void oomlog_begin(struct oomlog *log) {
    log->main = 0;
    oomlog_clear(log);
    if (oomlog_fd(log) >= 0)
        (void)lseek(log->fd, 0, SEEK_END);
}

void oomlog_main(struct oomlog *log, int32_t pid) {
    log->main = pid;
}

/* --- whose it is --- */

/* Where our group's own path ends in the path of a group that is ours or below; 0: it is none. */
static size_t end_of_ours(const struct oomlog *log, struct str path) {
    size_t last = log->whole ? 0 : path.n;
    struct str ours = {log->group, log->group_n};

    for (size_t from = 0; from <= last; from++) {
        struct str rest = str_from(path, from);

        if (rest.n < ours.n)
            return 0;
        if (str_starts(rest, ours) && (rest.n == ours.n || rest.p[ours.n] == '/'))
            return from + ours.n;
    }
    return 0;
}

static void set_path(struct oomlog_kill *out, struct str path) {
    if (str_copy(path, out->path, sizeof(out->path)) < 0)
        out->path[0] = '\0';
}

/* ours: how much of the limit's path is our own group, if that is as long. */
static void judge_limit(const struct oomkill *k, size_t ours, struct oomlog_kill *out) {
    struct str limit = k->limit_path, below = str_from(limit, ours);

    if (limit.n == 0)
        return;
    if (limit.n < ours) {
        out->whose = WHOSE_ANCESTOR;
        out->up = ours - limit.n;
        set_path(out, limit);
    } else if (below.n == 0 || str_eq(below, STR("/" RUNGROUP_WORK))) {
        out->whose = WHOSE_OWN;
    } else {
        out->whose = WHOSE_INSIDE;
        set_path(out, below);
    }
}

enum relation { RELATION_OURS, RELATION_MAYBE, RELATION_ELSE };

static enum relation judge(const struct oomlog *log, const struct oomkill *k,
                           struct oomlog_kill *out) {
    bool main = log->pids && log->main > 0 && k->pid == log->main;
    size_t ours = end_of_ours(log, k->task_path);
    size_t limit_ours = end_of_ours(log, k->limit_path);

    out->sure = log->whole;
    out->memcg = k->constraint == OOM_MEMCG;
    if (k->constraint != OOM_MEMCG && k->constraint != OOM_UNKNOWN)
        out->whose = WHOSE_HOST, out->sure = true;
    else if (ours > 0 || limit_ours > 0)
        judge_limit(k, ours > 0 ? ours : limit_ours, out);
    else if (log->whole && str_starts((struct str){log->group, log->group_n}, k->limit_path) &&
             k->limit_path.n < log->group_n && log->group[k->limit_path.n] == '/')
        judge_limit(k, log->group_n, out);
    if (main || ours > 0 || limit_ours > 0)
        return RELATION_OURS;
    return k->task_path.n > 0 ? RELATION_ELSE : RELATION_MAYBE;
}

static void note(struct oomlog *log, const struct oomkill *k) {
    struct oomlog_kill kill = {.pid = k->pid};
    enum relation relation = judge(log, k, &kill);

    if (relation == RELATION_ELSE)
        return;
    if (str_copy(k->comm, kill.comm, sizeof(kill.comm)) < 0)
        kill.comm[0] = '\0';
    if (relation == RELATION_MAYBE) {
        log->told.maybe++;
        log->told.last_maybe = kill;
        return;
    }
    log->told.ours++;
    log->told.again += k->again;
    if (log->pids && kill.pid == log->main) {
        /* Of what is told twice (memory.oom.group), one may lack its report. */
        if (!log->told.main || kill.whose != WHOSE_UNKNOWN)
            log->told.of_main = kill;
        log->told.main = true;
    } else {
        log->told.last = kill;
    }
}

unsigned oomlog_read(struct oomlog *log, unsigned most) {
    unsigned n = 0;

    while (oomlog_fd(log) >= 0 && n < most) {
        struct kmsg_record record;
        struct oomkill kill;
        int r = kmsg_next(log->fd, log->buf, sizeof(log->buf), &record);

        if (r == 0)
            break;
        n++;
        if (r > 0) {
            if (oomreport_feed(log->report, &record, &kill) > 0)
                note(log, &kill);
        } else if (r == -EPIPE) {
            log->told.lost = true;
        } else if (r != -EBADMSG && r != -ERANGE) {
            log->dead = log->told.lost = true;
        }
    }
    return n;
}
