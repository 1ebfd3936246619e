#include "act/rungroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/cgmake.h"
#include "kern/cgtree.h"
#include "kern/pidlist.h"

enum {
    LEFT_US = 5000000, /* what was killed has so long to go */
    LOCK_US = 200000,  /* a lock held longer is not that of somebody who sweeps */
    GONE_US = 50000,   /* from "holds no process" to "may be removed" */
    ATTEMPTS = 200,    /* while other runs begin and end in the same parent */
};

bool rungroup_name_ok(struct str name) {
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!word && (i == 0 || (c != '.' && c != '_' && c != '-')))
            return false;
    }
    return name.n > 0 && name.n <= RUNGROUP_NAME;
}

int rungroup_check(const struct place *place, const struct rungroup_limits *limits,
                   struct err *err) {
    bool v2 = place->version == CG_V2;

    if (v2 && limits->swappiness >= 0)
        return err_set(err, -EINVAL,
                       "--swappiness needs cgroup v1, and the memory controller of this machine is "
                       "on v2 (try: --swap)");
    if (v2)
        return 0;
    if (limits->high != RUNGROUP_UNSET || limits->oom_group)
        return err_set(err, -EINVAL,
                       "%s needs cgroup v2, and the memory controller of this machine is on v1",
                       limits->oom_group ? "--oom-group" : "--high");
    if (limits->swap != RUNGROUP_UNSET && limits->limit == RUNGROUP_UNSET)
        return err_set(err, -EINVAL,
                       "--swap needs -m too: cgroup v1 limits memory and swap "
                       "together");
    return 0;
}

/* --- the steps ------------------------------------------------------------------------------- */

static void outer_rel(const struct place *place, const char *name, char *out, size_t size) {
    snprintf(out, size, "%s%s%s%s", place->make, place->make[0] ? "/" : "", RUNGROUP_PREFIX, name);
}

void rungroup_work_rel(const struct place *place, const char *name, char out[RUNGROUP_REL]) {
    outer_rel(place, name, out, RUNGROUP_REL);
    snprintf(out + strlen(out), RUNGROUP_REL - strlen(out), "/%s", RUNGROUP_WORK);
}

/* The last component of the outer group's path. */
static const char *leaf_of(const struct rungroup *g) {
    return g->rel + strlen(g->rel) - strlen(g->name) - strlen(RUNGROUP_PREFIX);
}

static void write_u64(struct plan *plan, const char *rel, const char *file, uint64_t value,
                      const char *or_else) {
    char text[PLAN_VALUE];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    plan_write(plan, PLAN_MEMORY, rel, file, text, or_else);
}

/* What it means that swap cannot be limited. */
static const char *without_swap_limit(void) {
    struct sysinfo info;

    return sysinfo(&info) == 0 && info.totalswap == 0
               ? ""
               : "swap is not limited: the kernel does not count it (try: boot with swapaccount=1)";
}

/* v1 checks limit <= memory+swap at each write: a new group has none of both, so memory first. */
static void limit_v1(struct plan *plan, const char *rel, const struct rungroup_limits *l) {
    if (l->limit == RUNGROUP_UNSET)
        return;
    write_u64(plan, rel, "memory.limit_in_bytes", l->limit, NULL);
    if (l->swap != RUNGROUP_UNSET) {
        uint64_t both;

        if (__builtin_add_overflow(l->limit, l->swap, &both) || both > INT64_MAX)
            both = INT64_MAX;
        write_u64(plan, rel, "memory.memsw.limit_in_bytes", both, without_swap_limit());
    }
}

static void limit_v2(struct plan *plan, const char *rel, const struct rungroup_limits *l) {
    if (l->swap != RUNGROUP_UNSET)
        write_u64(plan, rel, "memory.swap.max", l->swap, without_swap_limit());
    if (l->high != RUNGROUP_UNSET)
        write_u64(plan, rel, "memory.high", l->high,
                  "no brake before the limit: the kernel has no memory.high");
    if (l->limit != RUNGROUP_UNSET)
        write_u64(plan, rel, "memory.max", l->limit, NULL);
    if (l->oom_group)
        plan_write(plan, PLAN_MEMORY, rel, "memory.oom.group", "1",
                   "an OOM kill takes one process alone: the kernel has no memory.oom.group (Linux "
                   "4.19)");
}

static void add_make(struct plan *plan, enum plan_tree tree, const char *rel, int *keep) {
    struct plan_step *s = plan_make(plan, tree, rel);

    if (!s)
        return;
    s->keep = keep;
    if (tree == PLAN_UNIFIED)
        s->or_else = "the run has no group in the unified tree: it cannot be made there";
}

/* What w takes over when it is made. g: gets the descriptors; NULL when the plan is only printed.
 */
static void plan_outer(const struct place *place, const char *rel, const struct rungroup_limits *l,
                       struct plan *plan, struct rungroup *g) {
    add_make(plan, PLAN_MEMORY, rel, g ? &g->outer[PLAN_MEMORY] : NULL);
    add_make(plan, PLAN_UNIFIED, rel, g ? &g->outer[PLAN_UNIFIED] : NULL);
    if (place->version == CG_V2) {
        plan_write(plan, PLAN_MEMORY, rel, "cgroup.subtree_control", "+memory", NULL);
        return;
    }
    plan_write(plan, PLAN_MEMORY, rel, "memory.use_hierarchy", "1", ""); /* always, since 5.11 */
    if (l->swappiness >= 0 || l->swap == 0)
        write_u64(plan, rel, "memory.swappiness", l->swappiness < 0 ? 0 : (uint64_t)l->swappiness,
                  "swappiness is not set: the kernel has no memory.swappiness");
    plan_write(plan, PLAN_MEMORY, rel, "memory.oom_control", "0", "");
}

static void plan_limit(const struct place *place, const char *rel, const struct rungroup_limits *l,
                       struct plan *plan) {
    if (place->version == CG_V2)
        limit_v2(plan, rel, l);
    else
        limit_v1(plan, rel, l);
}

static void plan_work(const struct place *place, const char *outer, const struct rungroup_limits *l,
                      struct plan *plan, struct rungroup *g) {
    char rel[PLAN_REL];

    if ((size_t)snprintf(rel, sizeof(rel), "%s/%s", outer, RUNGROUP_WORK) >= sizeof(rel)) {
        plan->overflow = true;
        return;
    }
    add_make(plan, PLAN_MEMORY, rel, g ? &g->work[PLAN_MEMORY] : NULL);
    add_make(plan, PLAN_UNIFIED, rel, g ? &g->work[PLAN_UNIFIED] : NULL);
    plan_limit(place, rel, l, plan);
}

/* The outer limit comes last: the kernel charges what w itself takes to the outer group, and with a
 * small limit would refuse to make it. */
static void plan_all(const struct place *place, const char *rel, const struct rungroup_limits *l,
                     struct plan *plan, struct rungroup *g) {
    plan_outer(place, rel, l, plan, g);
    plan_work(place, rel, l, plan, g);
    plan_limit(place, rel, l, plan);
}

void rungroup_plan(const struct place *place, const char *name,
                   const struct rungroup_limits *limits, struct plan *plan) {
    char rel[PLAN_REL + RUNGROUP_NAME + 16];

    outer_rel(place, name, rel, sizeof(rel));
    place_plan(place, plan);
    plan_all(place, rel, limits, plan, NULL);
}

/* --- both trees ------------------------------------------------------------------------------ */

/* Processes of one tree and all below it. */
static int add_pids(void *ctx, int dir) {
    (void)pidlist_add_file_at(ctx, dir, "cgroup.procs");
    return 0;
}

static void list_both(const int dir[PLAN_TREES], struct pidlist *list) {
    for (unsigned tree = 0; tree < PLAN_TREES; tree++)
        if (dir[tree] >= 0)
            (void)cgtree_each(dir[tree], add_pids, list);
    pidlist_sort(list);
}

/* The unified tree is first: its cgroup.kill leaves little to do by hand. A process may have left
 * one of them. */
static void kill_both(const int dir[PLAN_TREES]) {
    for (unsigned i = PLAN_TREES; i > 0; i--)
        if (dir[i - 1] >= 0 && cgmake_kill(dir[i - 1]) < 0)
            (void)cgmake_signal(dir[i - 1], SIGKILL, NULL);
}

static bool busy_both(const int dir[PLAN_TREES]) {
    for (unsigned tree = 0; tree < PLAN_TREES; tree++)
        if (dir[tree] >= 0 && cgmake_busy(dir[tree]) > 0)
            return true;
    return false;
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Kernels exist in which a process is counted a moment longer than it is listed. */
static int remove_group(int parent, const char *name) {
    int64_t until = 0;
    int r;

    while ((r = cgmake_remove(parent, name)) == -EBUSY) {
        auto_close int dir = cgmake_open(parent, name);
        int64_t now = clock_mono_us();

        if (until == 0)
            until = now + GONE_US;
        if (dir < 0 || now >= until || cgmake_busy(dir) > 0)
            return r;
        usleep(1000);
    }
    return r;
}

/* The unified tree first: the memory hierarchy has the lock and the limit, and goes last. */
static int remove_both(const int parent[PLAN_TREES], const char *name) {
    for (unsigned i = PLAN_TREES; i > 0; i--) {
        int r = parent[i - 1] < 0 ? 0 : remove_group(parent[i - 1], name);

        if (r < 0)
            return r;
    }
    return 0;
}

/* --- the lock -------------------------------------------------------------------------------- */

/* Whether the name still is the directory that we have open: it may have been swept away between
 * opening and locking. (A removed directory keeps its count of links in cgroup file systems.) */
static bool is_same(int parent, const char *name, int dir) {
    struct stat by_name, open_one;

    return fstatat(parent, name, &by_name, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstat(dir, &open_one) == 0 && by_name.st_ino == open_one.st_ino &&
           by_name.st_dev == open_one.st_dev;
}

/* 0 with the lock; -EWOULDBLOCK: somebody has it; -ESTALE: it is not there any more. */
static int lock(int parent, const char *name, int dir) {
    if (flock(dir, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    return is_same(parent, name, dir) ? 0 : -ESTALE;
}

/* Ends and removes what nobody supervises. dir: in both trees; the first one is locked. */
static int clear_left(const int parent[PLAN_TREES], const int dir[PLAN_TREES], const char *name,
                      unsigned *killed) {
    int64_t until = clock_mono_us() + LEFT_US;
    useconds_t pause = 500;
    struct pidlist list = {0};

    list_both(dir, &list);
    *killed += (unsigned)list.n;
    pidlist_done(&list);
    while (busy_both(dir)) {
        if (clock_mono_us() >= until)
            return -EBUSY;
        kill_both(dir);
        usleep(pause);
        pause = pause < 20000 ? pause * 2 : pause;
    }
    return remove_both(parent, name);
}

static int fail_left(const struct rungroup *g, const int dir[PLAN_TREES], int r, struct err *err) {
    struct pidlist list = {0};
    struct buf shown;

    list_both(dir, &list);
    buf_init(&shown, 8192);
    place_add_shown(g->place, PLAN_MEMORY, g->rel, &shown);
    if (r == -EBUSY && list.n > 0)
        r = err_set(err, r,
                    "an earlier run named '%s' left processes that cannot be killed (%d%s) in "
                    "'%.*s' (try: another --name)",
                    g->name, (int)list.pid[0], list.n > 1 ? " and others" : "",
                    STR_ARG(str_head(buf_str(&shown), 200)));
    else
        r = err_set(err, r, "cannot remove '%.*s', which an earlier run left:",
                    STR_ARG(str_head(buf_str(&shown), 200)));
    pidlist_done(&list);
    buf_done(&shown);
    return r;
}

/* The name is taken, and by nobody alive if the lock can be had: clears it away. 1: try again. */
static int take_over(struct rungroup *g, const char *leaf, struct rungroup_left *left,
                     struct err *err) {
    auto_close int memory = cgmake_open(g->parent[PLAN_MEMORY], leaf);
    auto_close int unified = -1;
    int dir[PLAN_TREES], r;

    if (memory == -ENOENT)
        return 1;
    r = memory < 0 ? memory : lock(g->parent[PLAN_MEMORY], leaf, memory);
    if (r == -ESTALE || r == -EWOULDBLOCK)
        return r == -ESTALE ? 1 : r;
    if (r < 0)
        return err_set(err, r, "cannot take over the group '%s' of an earlier run:", leaf);
    if (g->parent[PLAN_UNIFIED] >= 0)
        unified = cgmake_open(g->parent[PLAN_UNIFIED], leaf);
    dir[PLAN_MEMORY] = memory;
    dir[PLAN_UNIFIED] = unified;
    left->found = true;
    r = clear_left(g->parent, dir, leaf, &left->killed);
    return r < 0 ? fail_left(g, dir, r, err) : 1;
}

/* One attempt to have the outer group, new and locked. 1: try again; -EWOULDBLOCK: it is locked. */
static int try_memory(struct rungroup *g, const char *leaf, struct rungroup_left *left,
                      struct err *err) {
    auto_close int dir = cgmake_new(g->parent[PLAN_MEMORY], leaf);
    int r;

    if (dir == -EEXIST)
        return take_over(g, leaf, left, err);
    if (dir == -ESTALE)
        return 1;
    if (dir < 0) {
        struct plan_roots roots = {{-1, -1}, {g->place->shown[0], g->place->shown[1]}};

        return plan_explain_make(&roots, PLAN_MEMORY, g->rel, dir, err);
    }
    r = lock(g->parent[PLAN_MEMORY], leaf, dir);
    if (r == 0) {
        g->outer[PLAN_MEMORY] = take_fd(&dir);
        return 0;
    }
    if (r == -ESTALE || r == -EWOULDBLOCK)
        return r == -ESTALE ? 1 : r;
    unlinkat(g->parent[PLAN_MEMORY], leaf, AT_REMOVEDIR);
    return err_set(err, r, "cannot lock the group '%s':", leaf);
}

static int take_memory(struct rungroup *g, const char *leaf, struct rungroup_left *left,
                       struct err *err) {
    int64_t until = 0;
    int r;

    while ((r = try_memory(g, leaf, left, err)) != 0) {
        int64_t now = clock_mono_us();

        if (r < 0 && r != -EWOULDBLOCK)
            return r;
        if (until == 0)
            until = now + LOCK_US + (left->found ? LEFT_US : 0);
        if (now >= until)
            return err_set(err, -EBUSY,
                           "a run named '%s' is supervised already (try: another --name)", g->name);
        usleep(2000);
    }
    return 0;
}

/* With the lock held, what is in the unified tree under our name is nobody's. */
static void take_unified(struct rungroup *g, const char *leaf, struct rungroup_left *left) {
    int parent[PLAN_TREES] = {-1, g->parent[PLAN_UNIFIED]};
    int dir[PLAN_TREES] = {-1, -1};

    if (parent[PLAN_UNIFIED] < 0)
        return;
    g->outer[PLAN_UNIFIED] = cgmake_new(parent[PLAN_UNIFIED], leaf);
    if (g->outer[PLAN_UNIFIED] != -EEXIST)
        return;
    dir[PLAN_UNIFIED] = cgmake_open(parent[PLAN_UNIFIED], leaf);
    left->found = true;
    if (dir[PLAN_UNIFIED] >= 0)
        (void)clear_left(parent, dir, leaf, &left->killed);
    close_fd(&dir[PLAN_UNIFIED]);
    g->outer[PLAN_UNIFIED] = cgmake_new(parent[PLAN_UNIFIED], leaf);
}

/* --- making ---------------------------------------------------------------------------------- */

static void init(struct rungroup *g, const struct place *place, const char *name,
                 const struct rungroup_limits *limits) {
    g->place = place;
    g->limits = *limits;
    g->name[0] = '\0';
    (void)str_copy(str_of(name), g->name, sizeof(g->name));
    for (unsigned tree = 0; tree < PLAN_TREES; tree++)
        g->outer[tree] = g->work[tree] = g->parent[tree] = -1;
}

static struct plan *new_plan(void) {
    struct plan *plan = malloc(sizeof(*plan));

    if (plan) {
        plan->n = 0;
        plan->overflow = false;
    }
    return plan;
}

/* Steps in a tree in which it has no group are left out. */
static struct plan_roots roots_of(const struct rungroup *g) {
    struct plan_roots roots = place_roots(g->place);

    if (g->outer[PLAN_UNIFIED] < 0)
        roots.dir[PLAN_UNIFIED] = -1;
    return roots;
}

/* Makes the parents that are missing and opens them. */
static int prepare(struct rungroup *g, struct buf *warnings, struct err *err) {
    const struct place *p = g->place;
    struct plan_roots roots = place_roots(p);
    auto_free struct plan *plan = NULL;
    size_t warned = buf_str(warnings).n;
    int r;

    for (unsigned tree = 0; tree < PLAN_TREES; tree++)
        g->parent[tree] = p->dir[tree];
    if (!place_needs_work(p))
        return 0;
    plan = new_plan();
    if (!plan)
        return err_set(err, -ENOMEM, "cannot make a group:");
    place_plan(p, plan);
    r = plan_run(plan, &roots, warnings, err);
    for (unsigned tree = 0; p->make[0] && r == 0 && tree < PLAN_TREES; tree++) {
        if (p->dir[tree] >= 0)
            g->parent[tree] = cgmake_open(p->dir[tree], p->make);
        if (tree == PLAN_UNIFIED && buf_str(warnings).n > warned)
            continue; /* they cannot be made there */
        if (g->parent[tree] < 0 && p->dir[tree] >= 0)
            r = err_set(err, g->parent[tree], "cannot open the group '%.200s':", p->make);
    }
    return r;
}

enum part { PART_ALL, PART_WORK, PART_LIMIT };

static int run_plan(struct rungroup *g, enum part part, struct buf *warnings, struct err *err) {
    auto_free struct plan *plan = new_plan();
    struct plan_roots roots = roots_of(g);

    if (!plan)
        return err_set(err, -ENOMEM, "cannot make a group:");
    if (part == PART_ALL)
        plan_all(g->place, g->rel, &g->limits, plan, g);
    else if (part == PART_WORK)
        plan_work(g->place, g->rel, &g->limits, plan, g);
    else
        plan_limit(g->place, g->rel, &g->limits, plan);
    return plan_run(plan, &roots, warnings, err);
}

/* Parents and both outer groups. */
static int take(struct rungroup *g, struct rungroup_left *left, struct buf *warnings,
                struct err *err) {
    const char *leaf = leaf_of(g);
    int r = prepare(g, warnings, err);

    if (r == -EBUSY) /* a process came into the parent, as that supervisor that goes back there */
        return -ESTALE;
    if (r == 0)
        r = take_memory(g, leaf, left, err);
    if (r < 0)
        return r;
    take_unified(g, leaf, left);
    r = g->parent[PLAN_UNIFIED] < 0 ? 0 : g->outer[PLAN_UNIFIED];
    if (r >= 0)
        return 0;
    if (r == -ENOENT || r == -ENODEV)
        return err_set(err, r, "cannot make the group '%s' in the unified tree:", leaf);
    buf_add_format(warnings, "the run has no group in the unified tree: %s\n", strerror(-r));
    g->outer[PLAN_UNIFIED] = -1;
    return 0;
}

static int make(struct rungroup *g, struct rungroup_left *left, struct buf *warnings,
                struct err *err) {
    char rel[sizeof(g->rel) + RUNGROUP_NAME + 16];
    int r;

    outer_rel(g->place, g->name, rel, sizeof(rel));
    if (str_copy(str_of(rel), g->rel, sizeof(g->rel)) < 0)
        return err_set(err, -ENAMETOOLONG, "--cgroup-parent '%.200s' is too long", g->place->make);
    r = take(g, left, warnings, err);
    return r < 0 ? r : run_plan(g, PART_ALL, warnings, err);
}

/* The end of an earlier run removes the parents that it made, and on v2 takes the controller back
 * from where it made room for itself, while we are at it. */
static int make_patiently(struct rungroup *g, struct place *place, struct rungroup_left *left,
                          struct buf *warnings, struct err *err) {
    struct err why, again;
    int r = make(g, left, warnings, &why);

    for (unsigned i = 0; i < ATTEMPTS && (r == -ENOENT || r == -ENODEV || r == -ESTALE); i++) {
        int found;

        (void)rungroup_remove(g);
        buf_clear(warnings);
        usleep(500);
        found = place_again(place, &again);
        if (found < 0)
            why = again;
        r = found < 0 ? found : make(g, left, warnings, &why);
    }
    if (r < 0 && err)
        *err = why;
    return r < 0 ? why.code : r;
}

int rungroup_make(struct rungroup *g, struct place *place, const char *name,
                  const struct rungroup_limits *limits, struct rungroup_left *left,
                  struct buf *warnings, struct err *err) {
    int r;

    *left = (struct rungroup_left){.found = false};
    init(g, place, name, limits);
    if (!rungroup_name_ok(str_of(name)))
        return err_set(err, -EINVAL,
                       "'%s' cannot be the name of a run: letters, digits, '.', '_' and '-', at "
                       "most %d, the first a letter or digit",
                       name, RUNGROUP_NAME);
    r = rungroup_check(place, limits, err);
    if (r < 0)
        return r;
    r = make_patiently(g, place, left, warnings, err);
    if (r < 0)
        (void)rungroup_remove(g);
    return r;
}

/* --- renewing -------------------------------------------------------------------------------- */

static void give_cache_back(const struct rungroup *g) {
    int dir = g->work[PLAN_MEMORY];
    char buf[32];
    struct str text;

    if (g->place->version == CG_V1)
        (void)cgmake_write(dir, "memory.force_empty", STR("0"));
    else if (file_read_at(dir, "memory.current", buf, sizeof(buf), &text) == 0 && text.p[0] != '0')
        (void)cgmake_write(dir, "memory.reclaim", str_trim(text)); /* -EAGAIN: not all of it */
}

/* A small limit may be too small for what w itself takes: it is lifted while nothing runs in it.
 * (v1 wants memory+swap raised first.) */
static int make_work_unlimited(struct rungroup *g, struct buf *warnings, struct err *err) {
    int dir = g->outer[PLAN_MEMORY], r, also;

    if (g->place->version == CG_V1) {
        (void)cgmake_write(dir, "memory.memsw.limit_in_bytes", STR("-1"));
        (void)cgmake_write(dir, "memory.limit_in_bytes", STR("-1"));
    } else {
        (void)cgmake_write(dir, "memory.max", STR("max"));
    }
    r = run_plan(g, PART_WORK, warnings, err);
    also = run_plan(g, PART_LIMIT, warnings, r < 0 ? NULL : err);
    return r < 0 ? r : also;
}

static int remove_one(void *ctx, int dir, const char *name) {
    (void)ctx;
    return remove_group(dir, name);
}

/* All that is in the outer group: w, and what a run in the run may have left beside it. */
int rungroup_renew(struct rungroup *g, struct err *err) {
    struct buf warnings;
    int r = 0;

    if (g->work[PLAN_MEMORY] >= 0)
        give_cache_back(g);
    for (unsigned tree = PLAN_TREES; r == 0 && tree > 0; tree--) {
        close_fd(&g->work[tree - 1]);
        if (g->outer[tree - 1] >= 0)
            r = cgtree_names(g->outer[tree - 1], remove_one, NULL);
    }
    if (r < 0)
        return err_set(err, r, "cannot make the group '%s/%s' anew:", g->rel, RUNGROUP_WORK);
    buf_init(&warnings, 4096);
    r = run_plan(g, PART_WORK, &warnings, err);
    if (r == -ENOMEM)
        r = make_work_unlimited(g, &warnings, err);
    buf_done(&warnings);
    return r;
}

/* --- ending ---------------------------------------------------------------------------------- */

void rungroup_kill(struct rungroup *g) {
    kill_both(g->outer);
}

unsigned rungroup_signal(struct rungroup *g, int signal) {
    struct pidlist first = {0}, also = {0};
    int memory[PLAN_TREES] = {g->outer[PLAN_MEMORY], -1};
    unsigned sent = 0;

    if (memory[0] < 0)
        return 0;
    list_both(memory, &first);
    (void)cgmake_signal(memory[0], signal, &sent);
    if (g->outer[PLAN_UNIFIED] >= 0)
        (void)cgtree_each(g->outer[PLAN_UNIFIED], add_pids, &also);
    pidlist_sort(&also);
    for (size_t i = 0; i < also.n; i++) /* who left the memory hierarchy: nobody twice */
        if (!pidlist_has(&first, also.pid[i]) && also.pid[i] != getpid())
            sent += kill(also.pid[i], signal) == 0;
    pidlist_done(&first);
    pidlist_done(&also);
    return sent;
}

bool rungroup_busy(const struct rungroup *g) {
    return busy_both(g->outer);
}

size_t rungroup_pids(const struct rungroup *g, int32_t *pids, size_t n) {
    struct pidlist list = {0};
    size_t found;

    list_both(g->outer, &list);
    found = list.n;
    for (size_t i = 0; i < list.n && i < n; i++)
        pids[i] = list.pid[i];
    pidlist_done(&list);
    return found;
}

/* Groups of dead runs that hold no process. Their lock is had first: who makes one locks it and
 * looks again. */
static int sweep_one(void *ctx, int list, const char *name) {
    const struct rungroup *g = ctx;
    auto_close int memory = -1, unified = -1;
    int dir[PLAN_TREES];

    if (str_eq(str_of(name), STR(PLACE_SUPERVISOR)))
        unlinkat(list, name, AT_REMOVEDIR); /* refused while a supervisor is in it */
    if (!str_starts(str_of(name), STR(RUNGROUP_PREFIX)))
        return 0;
    memory = cgmake_open(list, name);
    if (memory < 0 || lock(list, name, memory) < 0)
        return 0;
    if (g->parent[PLAN_UNIFIED] >= 0)
        unified = cgmake_open(g->parent[PLAN_UNIFIED], name);
    dir[PLAN_MEMORY] = memory;
    dir[PLAN_UNIFIED] = unified;
    if (!busy_both(dir))
        (void)remove_both(g->parent, name);
    return 0;
}

static int remove_work(struct rungroup *g) {
    int r = remove_both(g->outer, RUNGROUP_WORK);

    if (r == 0)
        r = remove_both(g->parent, leaf_of(g));
    return r;
}

int rungroup_remove(struct rungroup *g) {
    int r = g->outer[PLAN_MEMORY] >= 0 ? remove_work(g) : 0;

    if (r < 0)
        return r;
    if (g->outer[PLAN_MEMORY] >= 0)
        (void)cgtree_names(g->parent[PLAN_MEMORY], sweep_one, g);
    if (g->place)
        place_restore(g->place);
    rungroup_close(g);
    return 0;
}

void rungroup_close(struct rungroup *g) {
    for (unsigned tree = 0; tree < PLAN_TREES; tree++) {
        close_fd(&g->work[tree]);
        close_fd(&g->outer[tree]);
        if (g->place && g->parent[tree] == g->place->dir[tree])
            g->parent[tree] = -1;
        close_fd(&g->parent[tree]);
    }
}
