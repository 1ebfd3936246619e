#include "act/killer.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act/candidate.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/cgmake.h"
#include "kern/cgtree.h"
#include "kern/proccgroup.h"
#include "kern/procfile.h"
#include "kern/procstat.h"
#include "kern/procstatus.h"

enum {
    ROOM = 1024,     /* candidates that need no allocation */
    TRIES = 3,       /* choices, when the chosen one changes meanwhile */
    ROUNDS = 10,     /* of listing, while new processes appear */
    TERM_MOST = 256, /* main processes of a group */
    REAP_MOST = 512 << 20,
};

/* The pid namespace of the machine has this inode, always (PROC_PID_INIT_INO of the kernel). */
#define MACHINE_PID_NS 0xEFFFFFFCu

struct killer {
    struct candidate_own own;
    struct candidate *list;
    size_t n, size;
    struct pidlist pids;   /* of the group, sorted */
    struct pidlist others; /* of the unified tree's group; or those that were signalled */
    killer_pause *pause;
    void *pause_ctx;
};

/* Touched, so that it is there when memory is not. */
static int reserve(struct pidlist *list) {
    list->pid = malloc(ROOM * sizeof(list->pid[0]));
    if (!list->pid)
        return -ENOMEM;
    memset(list->pid, 0, ROOM * sizeof(list->pid[0]));
    list->size = ROOM;
    return 0;
}

int killer_new(struct killer **out) {
    struct killer *k = calloc(1, sizeof(*k));

    if (k)
        k->list = malloc(ROOM * sizeof(k->list[0]));
    if (!k || !k->list || reserve(&k->pids) < 0 || reserve(&k->others) < 0) {
        killer_free(k);
        return -ENOMEM;
    }
    memset(k->list, 0, ROOM * sizeof(k->list[0]));
    k->size = ROOM;
    candidate_own_init(&k->own);
    *out = k;
    return 0;
}

void killer_free(struct killer *k) {
    if (!k)
        return;
    pidlist_done(&k->pids);
    pidlist_done(&k->others);
    free(k->list);
    free(k);
}

void killer_on_pause(struct killer *k, killer_pause *pause, void *ctx) {
    k->pause = pause;
    k->pause_ctx = ctx;
}

static void pause_at(const struct killer *k, enum killer_point at, int32_t pid) {
    if (k->pause)
        k->pause(k->pause_ctx, at, pid);
}

/* --- looking ---------------------------------------------------------------------------------- */

static int more_room(struct killer *k) {
    struct candidate *grown;

    if (k->n < k->size)
        return 0;
    grown = reallocarray(k->list, k->size * 2, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    k->list = grown;
    k->size *= 2;
    return 0;
}

static int list_pids(struct killer *k, const struct grip *g) {
    int r = candidate_check_proc(g->host);

    if (r < 0)
        return r;
    pidlist_clear(&k->pids);
    r = grip_pids(g, &k->pids);
    if (r == 0)
        pidlist_sort(&k->pids);
    return r;
}

/* What calls itself an engine's exec, and was started by the container, is as any other. */
static int read_one(const struct killer *k, const struct grip *g, int32_t pid, bool program,
                    struct candidate *out) {
    int r = candidate_read(g->host, &k->own, pid, program, out);

    if (r == 0)
        out->stuck_exec = out->stuck_exec && candidate_came_in(g->host, &k->pids, pid);
    return r;
}

/* Who goes meanwhile, or whose memory cannot be told, is no candidate. */
static int look(struct killer *k, const struct grip *g, bool program) {
    int r = list_pids(k, g);

    k->n = 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < k->pids.n; i++) {
        r = more_room(k);
        if (r < 0)
            return r;
        if (read_one(k, g, k->pids.pid[i], program, &k->list[k->n]) == 0)
            k->n++;
    }
    return 0;
}

int killer_look(struct killer *k, struct grip *g, const struct candidate **out, size_t *n_out) {
    int r = look(k, g, true);

    if (r < 0)
        return r;
    *out = k->list;
    *n_out = k->n;
    return 0;
}

/* Command lines are read for rules alone: the kernel takes a lock of the process for them. */
static bool has_rules(const struct policy *p) {
    return p->protect[0] || p->prefer[0];
}

static int look_failed(int r, struct action_report *report) {
    if (r == -ENODEV)
        return report_failed(report, "", "the group was removed");
    if (r == -EXDEV)
        return report_refused(
            report, "run it in the pid namespace of that /proc",
            "/proc shows another pid namespace than ours: its pids mean others here");
    return report_failed(report, "", "its processes cannot be listed: %s", strerrordesc_np(-r));
}

/* --- one process, held ------------------------------------------------------------------------ */

static bool below(struct str path, struct str group) {
    if (str_eq(group, STR("/")))
        return true;
    return str_skip(&path, group) && (path.n == 0 || path.p[0] == '/');
}

/* In the group or below it, as far as /proc/PID/cgroup can tell; -ENODATA: it cannot. */
static int member_by_path(const struct grip *g, int32_t pid) {
    char buf[PROCCGROUP_SIZE];
    struct proccgroup at;
    struct procstat stat;
    struct str text, root = str_of(g->fs->memory_root);
    int r;

    if (root.n == 0)
        return -ENODATA;
    r = procstat_read(g->host->proc, pid, &stat);
    if (r < 0)
        return r;
    /* v1 tells "/" of a thread that has ended. */
    r = proccgroup_read(g->host->proc, candidate_thread(g->host, &stat), buf, sizeof(buf), &text);
    if (r < 0)
        return r;
    r = proccgroup_parse(text, g->version == CG_V1 ? STR("memory") : STR(""), &at);
    if (r < 0)
        return r == -ENAMETOOLONG ? -ENODATA : r;
    if (!str_eq(root, STR("/")) && !str_skip(&at.path, root))
        return 0;
    return !at.deleted && below(at.path, str_of(g->path));
}

static bool is_member(const struct grip *g, int32_t pid) {
    struct pidlist now = {0};
    int r = member_by_path(g, pid);
    bool member;

    if (r != -ENODATA)
        return r == 1;
    member = grip_pids(g, &now) == 0;
    pidlist_sort(&now);
    member = member && pidlist_has(&now, pid);
    pidlist_done(&now);
    return member;
}

static int hold(int32_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? -errno : fd;
}

static int send_to(int pidfd, int signal) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

/* Its memory is given back even if it cannot run to its own end soon: stopped, throttled, in
 * another's way. Linux 5.15; where it does not work, the process does it itself, and so it does
 * when there is much of it: it takes our time, some 50 ms a GiB. */
static void reap(int pidfd, const struct candidate *c) {
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif
    if (c->anon <= REAP_MOST)
        (void)syscall(SYS_process_mrelease, pidfd, 0);
}

static bool proc_is_ours(const struct grip *g) {
    return candidate_check_proc(g->host) == 0;
}

int killer_send(const struct grip *g, int32_t pid, uint64_t start_ticks, int signal) {
    struct candidate_own own;
    auto_close int fd = -1;

    if (pid <= 1 || pid == (int32_t)getpid() || !proc_is_ours(g))
        return -EPERM;
    fd = hold(pid);
    if (fd < 0)
        return fd;
    if (!candidate_is_same(g->host, pid, start_ticks) || !is_member(g, pid))
        return -ESRCH;
    candidate_own_init(&own);
    return candidate_is_ours(g->host, &own, pid) ? -EPERM : send_to(fd, signal);
}

/* --- the one to blame ------------------------------------------------------------------------- */

/* Holds who was chosen and makes the choice once more, with what is read of it while it is held:
 * whatever it was that was chosen, what is signalled is what would be chosen. A pidfd, or -errno:
 * -EAGAIN when the choice would be another one now. */
static int hold_chosen(struct killer *k, const struct grip *g, const struct policy *p,
                       struct verdict_victim *v) {
    struct candidate *c = &k->list[v->at];
    struct candidate now;
    size_t at = v->at;
    auto_close int fd = -1;

    pause_at(k, KILLER_CHOSEN, c->pid);
    fd = hold(c->pid);
    if (fd < 0)
        return fd == -ESRCH ? -EAGAIN : fd;
    if (read_one(k, g, c->pid, has_rules(p), &now) < 0 || !is_member(g, c->pid))
        return -EAGAIN;
    *c = now;
    victim_choose(k->list, k->n, p, v);
    if (!v->any || v->at != at)
        return -EAGAIN;
    pause_at(k, KILLER_HELD, c->pid);
    return take_fd(&fd);
}

static int end_held(struct killer *k, int fd, const struct verdict_victim *v, bool dry,
                    struct action_report *report) {
    const struct candidate *c = &k->list[v->at];
    int r = dry ? 0 : send_to(fd, SIGKILL);

    report->pid = c->pid;
    if (r == -ESRCH)
        return -EAGAIN;
    if (r < 0)
        return report_failed(report, r == -EPERM ? "run it as root, or as that user" : "",
                             "%d (%.32s) cannot be ended: %s", c->pid, c->comm,
                             strerrordesc_np(-r));
    if (dry) {
        (void)report_done(report, "would send SIGKILL to %d (%.32s), %s", c->pid, c->comm, v->why);
        report->outcome = OUTCOME_DRY;
        return 0;
    }
    reap(fd, c);
    return report_done(report, "SIGKILL to %d (%.32s), %s", c->pid, c->comm, v->why);
}

/* What has ended by itself meanwhile is no failure, and leaves nothing to do. */
static int nobody(const struct killer *k, const struct grip *g, const struct verdict_victim *v,
                  struct action_report *report) {
    report->pid = 0; /* of one that was chosen, and went */
    if (k->n == 0 && cgmake_busy(g->level[0].dir) == 0)
        return report_done(report, "nothing runs in it any more");
    return report_refused(report,
                          k->n == 0 ? ""
                                    : "what is spared is said by --protect and --kill-init "
                                      "(protect and kill_init in the configuration)",
                          "nobody to end: %s", v->why);
}

int killer_kill(struct killer *k, struct grip *g, const struct policy *p, bool dry,
                struct action_report *report) {
    *report = (struct action_report){0};
    for (unsigned i = 0; i < TRIES; i++) {
        struct verdict_victim v;
        auto_close int fd = -1;
        int r = look(k, g, has_rules(p));

        if (r < 0)
            return look_failed(r, report);
        victim_choose(k->list, k->n, p, &v);
        if (!v.any)
            return nobody(k, g, &v, report);
        fd = hold_chosen(k, g, p, &v);
        if (fd < 0 && fd != -EAGAIN)
            return report_failed(report, "", "a process cannot be held: %s", strerrordesc_np(-fd));
        if (fd >= 0 && end_held(k, fd, &v, dry, report) == 0)
            return 0;
    }
    return report_refused(
        report, "try again",
        "whoever was chosen was another or gone before it could be held, %d times", TRIES);
}

/* --- all of them ------------------------------------------------------------------------------ */

/* The first that may not be touched; NULL. */
static const struct candidate *first_protected(const struct killer *k, const struct policy *p) {
    for (size_t i = 0; i < k->n; i++)
        if (victim_is_protected(&k->list[i], p))
            return &k->list[i];
    return NULL;
}

static int refuse_protected(const struct candidate *c, const struct policy *p,
                            struct action_report *report) {
    report->pid = c->pid;
    return report_refused(report, "end the others one by one, or change the rules",
                          "%d (%.32s) may not be ended: %s", c->pid, c->comm,
                          victim_why_protected(c, p));
}

static int add_below(void *ctx, int dir) {
    struct pidlist *list = ctx;
    int r = pidlist_add_file_at(list, dir, "cgroup.procs");

    return r == -ENODEV || r == -ENOENT || r == -EOPNOTSUPP ? 0 : r;
}

/* cgroup.kill ends what is in the unified tree's group, seen or not: only when that is the same,
 * and none can be hidden from us. */
static bool may_kill_group(struct killer *k, const struct grip *g) {
    char path[PROCFILE_PATH];
    struct stat st;

    if (g->kill < 0 || g->unified < 0 ||
        fstatat(g->host->proc, procfile_path(path, (int32_t)getpid(), "ns/pid"), &st, 0) < 0 ||
        st.st_ino != MACHINE_PID_NS)
        return false;
    pidlist_clear(&k->others);
    if (cgtree_each(g->unified, add_below, &k->others) < 0 || k->others.n == 0)
        return false;
    for (size_t i = 0; i < k->others.n; i++)
        if (!pidlist_has(&k->pids, k->others.pid[i]))
            return false;
    return true;
}

/* One that is not protected. 1: signalled; 0: gone or another meanwhile. */
static int end_one(const struct killer *k, const struct grip *g, const struct policy *p,
                   int32_t pid, bool *refused) {
    auto_close int fd = hold(pid);
    struct candidate now;

    if (fd < 0 || candidate_read(g->host, &k->own, pid, has_rules(p), &now) < 0 ||
        !is_member(g, pid))
        return 0;
    if (victim_is_protected(&now, p)) {
        *refused = true;
        return 0;
    }
    return send_to(fd, SIGKILL) == 0;
}

/* Those that were there before have been signalled. How many have been now. */
static size_t end_new(struct killer *k, const struct grip *g, const struct policy *p,
                      bool *refused) {
    size_t ended = 0;

    for (size_t i = 0; i < k->pids.n; i++)
        if (!pidlist_has(&k->others, k->pids.pid[i]))
            ended += (size_t)end_one(k, g, p, k->pids.pid[i], refused);
    return ended;
}

static int end_one_by_one(struct killer *k, const struct grip *g, const struct policy *p,
                          struct action_report *report) {
    size_t ended = 0, now = 1;
    bool refused = false;

    pidlist_clear(&k->others);
    for (unsigned i = 0; i < ROUNDS && now > 0; i++) {
        struct pidlist swap;
        int r = i == 0 ? 0 : list_pids(k, g);

        if (r < 0 && r != -ENODEV)
            return look_failed(r, report);
        now = r < 0 ? 0 : end_new(k, g, p, &refused);
        ended += now;
        swap = k->others;
        k->others = k->pids;
        k->pids = swap;
    }
    if (refused)
        return report_partly(report, "SIGKILL to %zu processes; one that came meanwhile is spared",
                             ended);
    if (now > 0)
        return report_partly(report, "SIGKILL to %zu processes, and new ones keep coming", ended);
    return report_done(report, "SIGKILL to %zu process%s", ended, ended == 1 ? "" : "es");
}

int killer_all(struct killer *k, struct grip *g, const struct policy *p, bool dry,
               struct action_report *report) {
    const struct candidate *spared;
    int r;

    *report = (struct action_report){0};
    r = look(k, g, has_rules(p));
    if (r < 0)
        return look_failed(r, report);
    spared = first_protected(k, p);
    if (spared)
        return refuse_protected(spared, p, report);
    if (k->n == 0)
        return report_refused(report, "", "no process can be seen in it");
    if (dry) {
        (void)report_done(report, "would send SIGKILL to %zu process%s", k->n,
                          k->n == 1 ? "" : "es");
        report->outcome = OUTCOME_DRY;
        return 0;
    }
    if (may_kill_group(k, g) && pwrite(g->kill, "1", 1, 0) == 1)
        return report_done(report, "SIGKILL to %zu process%s, by cgroup.kill", k->n,
                           k->n == 1 ? "" : "es");
    return end_one_by_one(k, g, p, report);
}

/* --- asked to end ----------------------------------------------------------------------------- */

struct mains {
    int32_t pid[TERM_MOST];
    size_t n;
    bool init; /* those are pids 1 of their namespaces */
};

/* Not started by anything in the group: a container's pid 1; else what came from outside. */
static void find_mains(const struct killer *k, const struct grip *g, struct mains *out) {
    out->n = 0;
    out->init = false;
    for (size_t i = 0; i < k->n; i++) {
        const struct candidate *c = &k->list[i];
        struct procstat stat;

        if (c->stuck_exec || (out->init && !c->init) ||
            procstat_read(g->host->proc, c->pid, &stat) < 0 || pidlist_has(&k->pids, stat.ppid))
            continue;
        if (c->init && !out->init) {
            out->init = true;
            out->n = 0;
        }
        if (out->n < TERM_MOST)
            out->pid[out->n++] = c->pid;
    }
}

static const struct candidate *find(const struct killer *k, int32_t pid) {
    for (size_t i = 0; i < k->n; i++)
        if (k->list[i].pid == pid)
            return &k->list[i];
    return NULL;
}

/* The kernel drops a signal that pid 1 of a namespace has no handler for. */
static bool is_deaf(const struct grip *g, int32_t pid, bool init) {
    struct procstatus s;
    uint64_t term = 1ull << (SIGTERM - 1);

    if (procstatus_read(g->host->proc, pid, &s) < 0)
        return false;
    if (s.have >> PROCSTATUS_IGNORED & 1 && s.value[PROCSTATUS_IGNORED] & term)
        return true;
    return init && s.have >> PROCSTATUS_CAUGHT & 1 && !(s.value[PROCSTATUS_CAUGHT] & term);
}

/* 0 or -errno; it still is that one, in the group, and not protected. */
static int ask_to_end(struct killer *k, const struct grip *g, const struct policy *p, int32_t pid,
                      bool dry) {
    auto_close int fd = hold(pid);
    struct candidate now;

    if (fd < 0)
        return fd;
    if (candidate_read(g->host, &k->own, pid, has_rules(p), &now) < 0 || !is_member(g, pid))
        return -ESRCH;
    if (victim_is_protected(&now, p))
        return -EPERM;
    return dry ? 0 : send_to(fd, SIGTERM);
}

static int term_report(const struct killer *k, size_t sent, size_t deaf, int32_t first, bool dry,
                       struct action_report *report) {
    const struct candidate *c = find(k, first);

    (void)report_done(report, "%sSIGTERM to %d (%.32s)%s%s", dry ? "would send " : "", first,
                      c ? c->comm : "?", sent > 1 ? " and others" : "",
                      deaf == 0      ? ""
                      : deaf == sent ? "; it has no handler for it, and will not heed it"
                                     : "; some of them have no handler for it");
    report->outcome = dry ? OUTCOME_DRY : deaf == 0 ? OUTCOME_DONE : OUTCOME_PARTLY;
    report->pid = sent == 1 ? first : 0;
    return 0;
}

int killer_term(struct killer *k, struct grip *g, const struct policy *p, bool dry,
                struct action_report *report) {
    size_t sent = 0, deaf = 0;
    struct mains mains;
    int32_t first = 0;
    int r;

    *report = (struct action_report){0};
    r = look(k, g, has_rules(p));
    if (r < 0)
        return look_failed(r, report);
    find_mains(k, g, &mains);
    for (size_t i = 0; i < mains.n; i++) {
        const struct candidate *c = find(k, mains.pid[i]);

        if (c && victim_is_protected(c, p))
            return refuse_protected(c, p, report);
    }
    for (size_t i = 0; i < mains.n; i++) {
        bool is = is_deaf(g, mains.pid[i], mains.init);

        r = ask_to_end(k, g, p, mains.pid[i], dry);
        if (r < 0)
            continue;
        first = first ? first : mains.pid[i];
        deaf += is;
        sent++;
    }
    if (sent == 0)
        return report_refused(report, "",
                              mains.n == 0 ? "no process can be seen in it"
                                           : "its main process went meanwhile");
    return term_report(k, sent, deaf, first, dry, report);
}
