#include "act/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "act/around.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "kern/cgmake.h"
#include "kern/cgtree.h"
#include "kern/pidlist.h"
#include "kern/proccgroup.h"

/* --- what a group allows --------------------------------------------------------------------- */

static int may_write(int dir, const char *name) {
    return faccessat(dir, name, W_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* v2: whether "memory" is in one of its lists of controllers. */
static bool lists_memory(int dir, const char *file) {
    char buf[4096];
    struct str text, word;

    if (file_read_at(dir, file, buf, sizeof(buf), &text) < 0)
        return false;
    text = str_trim(text);
    while (str_word(&text, &word))
        if (str_eq(word, STR("memory")))
            return true;
    return false;
}

enum holds { HOLDS_NOBODY, HOLDS_US, HOLDS_OTHERS };

static enum holds who_is_in(int dir) {
    struct pidlist list = {0};
    enum holds holds = HOLDS_NOBODY;
    char buf[64];
    struct str text;

    /* One that is outside of our pid namespace is listed as 0, which pidlist leaves out. */
    if (file_head_at(dir, "cgroup.procs", buf, sizeof(buf), &text) < 0 || text.n > 0)
        holds = HOLDS_OTHERS;
    if (holds == HOLDS_OTHERS && !str_starts(text, STR("0\n")) &&
        pidlist_add_file_at(&list, dir, "cgroup.procs") == 0 && list.n == 1 &&
        list.pid[0] == getpid())
        holds = HOLDS_US;
    pidlist_done(&list);
    return holds;
}

/* Only the true root may hold processes and hand controllers on. */
static bool is_true_root(const struct cgfs *fs, const char *path) {
    return fs->at_top && str_eq(str_of(path), STR("/"));
}

/* --- paths ----------------------------------------------------------------------------------- */

static const char *point_of(const struct cgfs *fs, enum plan_tree tree) {
    return tree == PLAN_MEMORY ? fs->memory_point : fs->unified_point;
}

static enum cg_ctl ctl_of(enum plan_tree tree) {
    return tree == PLAN_MEMORY ? CG_MEMORY : CG_UNIFIED;
}

/* Notes that the parent of that tree is `path`, whose descriptor is taken. */
static int set_dir(struct place *p, const struct cgfs *fs, enum plan_tree tree, struct str path,
                   int dir_taken) {
    auto_close int dir = dir_taken;
    const char *point = point_of(fs, tree);
    size_t n = strlen(point);
    int r;

    if (dir < 0)
        return dir;
    if (path.n == 0)
        path = STR("/");
    r = str_copy(path, p->path[tree], sizeof(p->path[tree]));
    if (r == 0)
        r = str_copy(str_of(point), p->shown[tree], sizeof(p->shown[tree]));
    if (r == 0 && path.n > 1)
        r = str_copy(path, p->shown[tree] + n, sizeof(p->shown[tree]) - n);
    if (r < 0)
        return r;
    if (p->dir[tree] >= 0)
        close(p->dir[tree]);
    p->dir[tree] = take_fd(&dir);
    return 0;
}

static int open_dir(struct place *p, const struct cgfs *fs, enum plan_tree tree, struct str path) {
    return set_dir(p, fs, tree, path, cgfs_open_dir(fs, ctl_of(tree), path));
}

static void add_joined(struct str head, const char *rel, struct buf *out) {
    if (!(str_eq(head, STR("/")) && rel[0]))
        buf_add(out, head);
    if (rel[0])
        buf_add_char(out, '/');
    buf_add(out, str_of(rel));
}

void place_add_path(const struct place *p, enum plan_tree tree, const char *rel, struct buf *out) {
    add_joined(str_of(p->path[tree]), rel, out);
}

void place_add_shown(const struct place *p, enum plan_tree tree, const char *rel, struct buf *out) {
    add_joined(str_of(p->shown[tree]), rel, out);
}

/* --- failures -------------------------------------------------------------------------------- */

struct plan_roots place_roots(const struct place *p) {
    return (struct plan_roots){
        {p->dir[PLAN_MEMORY], p->dir[PLAN_UNIFIED]},
        {p->shown[PLAN_MEMORY], p->shown[PLAN_UNIFIED]},
    };
}

/* bound: the limit around us that keeps us from a group above, or CGROUP_NO_LIMIT. */
static int fail_inside(const char *shown, int dir, uint64_t bound, struct err *err) {
    struct buf pids, outside;
    const char *next = plan_without_root(dir);
    int r;

    buf_init(&pids, 256);
    buf_init(&outside, 256);
    plan_add_pids(dir, &pids);
    if (geteuid() == 0)
        next = "move them into a group of their own, or start plimsoll as the only process there";
    if (bound != CGROUP_NO_LIMIT) {
        buf_add(&outside, STR(", and those above are outside of our limit of "));
        num_add_iec(&outside, bound);
        if (geteuid() == 0)
            next = "--cgroup-parent / to run outside of it";
    }
    r = err_set(err, -EBUSY,
                "the group '%.150s' holds processes (%.*s), so that it cannot hand the memory "
                "controller on to a group for the run%.*s (try: %s)",
                shown, STR_ARG(buf_str(&pids)), STR_ARG(buf_str(&outside)), next);
    buf_done(&pids);
    buf_done(&outside);
    return r;
}

/* --- v2: who hands the controller on --------------------------------------------------------- */

/* Decides whether the parent can hand the memory controller on, and what has to be done for it. */
static int settle_v2(const struct cgfs *fs, struct place *p, struct err *err) {
    int dir = p->dir[PLAN_MEMORY];
    enum holds holds;

    p->enable = !lists_memory(dir, "cgroup.subtree_control");
    if (!p->enable || is_true_root(fs, p->path[PLAN_MEMORY]))
        return 0;
    holds = who_is_in(dir);
    for (unsigned i = 0; i < 50 && holds == HOLDS_OTHERS; i++) {
        usleep(1000); /* another supervisor may just be making room, or ending */
        holds = who_is_in(dir);
    }
    p->move_self = holds == HOLDS_US;
    return holds == HOLDS_OTHERS ? fail_inside(p->shown[PLAN_MEMORY], dir, CGROUP_NO_LIMIT, err)
                                 : 0;
}

/* --- without a name: the top, or what was delegated to us ------------------------------------ */

enum fit { FIT_NO, FIT_YES, FIT_NO_MEMORY, FIT_BUSY };

/* Whether the run's group can be made in `dir`, which is not the true root. */
static enum fit fits(const struct cgfs *fs, int dir) {
    if (may_write(dir, ".") < 0)
        return FIT_NO;
    if (fs->ctl[CG_MEMORY].version == CG_V1)
        return FIT_YES;
    if (may_write(dir, "cgroup.procs") < 0) /* needed to move a process from here to below */
        return FIT_NO;
    if (lists_memory(dir, "cgroup.subtree_control"))
        return FIT_YES;
    if (!lists_memory(dir, "cgroup.controllers") || may_write(dir, "cgroup.subtree_control") < 0)
        return FIT_NO_MEMORY;
    return who_is_in(dir) == HOLDS_OTHERS ? FIT_BUSY : FIT_YES;
}

/* What a search upwards met. */
struct met {
    struct str busy, bare; /* the nearest groups that hold processes, or have no controller */
    uint64_t bound;        /* the limit above which it did not go, or CGROUP_NO_LIMIT */
};

static int fail_search(struct place *p, const struct cgfs *fs, const char *own,
                       const struct met *met, struct err *err) {
    struct str bare = met->bare;

    if (met->busy.n > 0) {
        int r = open_dir(p, fs, PLAN_MEMORY, met->busy);

        return r < 0 ? err_set(err, r, "cannot open the group '%.*s':", STR_ARG(met->busy))
                     : fail_inside(p->shown[PLAN_MEMORY], p->dir[PLAN_MEMORY], met->bound, err);
    }
    if (met->bound != CGROUP_NO_LIMIT && geteuid() == 0)
        return err_set(err, -EACCES,
                       "no group for the run can be made in our own group '%.150s' or above it "
                       "within the limit that is around us (try: --cgroup-parent / to run outside "
                       "of it)",
                       own);
    if (bare.n > 0)
        return err_set(err, -EACCES,
                       "the group '%.*s' is ours, but the memory controller is not handed on to it "
                       "(try: %s)",
                       STR_ARG(str_head(bare, 150)), plan_without_root(p->dir[PLAN_MEMORY]));
    return err_set(err, -EACCES,
                   "no permission to make control groups: not in '%.60s', nor in our own group "
                   "'%.100s' or one above it (try: %s)",
                   fs->memory_point, own, plan_without_root(p->dir[PLAN_MEMORY]));
}

/* v2: whether the top of the mount is not the root of our cgroup namespace but above it. */
static bool is_above(const struct cgfs *fs) {
    return fs->ctl[CG_MEMORY].version == CG_V2 && fs->memory_root[0] == '\0';
}

/* Where the mount lies above our cgroup namespace, the groups around the namespace may be seen, but
 * processes cannot be moved there (mount option nsdelegate): how much of our own path, as the mount
 * has it, leads to the namespace's root. */
static size_t namespace_root(const struct host *h, struct str own) {
    auto_free char *buf = malloc(PROCCGROUP_SIZE);
    struct proccgroup inside;
    struct str text;

    if (!buf || proccgroup_read(h->proc, (int32_t)getpid(), buf, PROCCGROUP_SIZE, &text) < 0 ||
        proccgroup_parse(text, STR(""), &inside) < 0)
        return 1;
    if (inside.path.n > 1 && !str_drop(&own, inside.path))
        return 1;
    return own.n > 0 ? own.n : 1;
}

/* How much of our own path leads to the run that we are in ourselves, if any: its end shall take
 * ours with it, limit or not. */
static size_t run_around(struct str own) {
    for (; own.n > 1; own = around_above(own))
        if (str_starts(str_from(own, (size_t)str_rfind(own, '/') + 1), STR(PLACE_RUN_PREFIX)))
            return own.n;
    return 0;
}

/* From our own group upwards, as far as the limit and the run around us reach. */
static int find_upwards(struct place *p, const char *own, struct err *err) {
    const struct cgfs *fs = p->fs;
    uint64_t limit = around_limit(p->host, fs, str_of(own));
    size_t least = is_above(fs) ? namespace_root(p->host, str_of(own)) : 1;
    size_t run = run_around(str_of(own));
    struct met met = {{"", 0}, {"", 0}, CGROUP_NO_LIMIT};

    if (least < run)
        least = run;
    for (struct str path = str_of(own); path.n >= least; path = around_above(path)) {
        auto_close int dir = cgfs_open_dir(fs, CG_MEMORY, path);
        enum fit fit = dir < 0 ? FIT_NO : fits(fs, dir);

        if (around_limit(p->host, fs, path) > limit) {
            met.bound = limit;
            break;
        }
        if (fit == FIT_YES)
            return set_dir(p, fs, PLAN_MEMORY, path, take_fd(&dir));
        if (fit == FIT_BUSY && met.busy.n == 0)
            met.busy = path;
        if (fit == FIT_NO_MEMORY && met.bare.n == 0)
            met.bare = path;
    }
    return fail_search(p, fs, own, &met, err);
}

/* Our own group lies in a run, or under a limit that the top is not under. */
static bool is_inside(const struct place *p, struct str own) {
    uint64_t limit;

    if (run_around(own) > 0)
        return true;
    limit = around_limit(p->host, p->fs, own);
    return limit != CGROUP_NO_LIMIT && limit < around_limit(p->host, p->fs, STR("/"));
}

static int find_unnamed(struct place *p, struct err *err) {
    const struct cgfs *fs = p->fs;
    char own[4096];
    int r = open_dir(p, fs, PLAN_MEMORY, STR("/")), known;
    bool denied, inside;

    if (r < 0)
        return err_set(err, r, "cannot open '%s':", fs->memory_point);
    r = may_write(p->dir[PLAN_MEMORY], ".");
    known = cgfs_own_path(p->host, fs, own, sizeof(own));
    denied = r == -EACCES || r == -EPERM;
    inside = known == 0 && is_inside(p, str_of(own));
    if (denied || (r == 0 && (inside || is_above(fs)))) {
        if (known == 0)
            return find_upwards(p, own, err);
        return err_set(err, -EACCES,
                       "no permission to make control groups in '%.150s', and our own group cannot "
                       "be told (try: as root)",
                       fs->memory_point);
    }
    if (r < 0) {
        struct plan_roots roots = place_roots(p);

        r = plan_explain_make(&roots, PLAN_MEMORY, "", r, err);
    }
    return r;
}

/* --- by name --------------------------------------------------------------------------------- */

/* "batch//x/" -> "/batch/x"; "" for the top. */
static int normalize(const char *wanted, char *out, size_t size, struct err *err) {
    struct str rest = str_of(wanted), name;
    size_t n = 0;

    out[0] = '\0';
    if (rest.n == 0)
        return err_set(err, -EINVAL, "--cgroup-parent needs the path of a group, as '/batch'");
    for (bool last = false; !last;) {
        last = !str_cut(&rest, '/', &name);
        if (last)
            name = rest;
        if (name.n == 0 || str_eq(name, STR(".")))
            continue;
        if (str_eq(name, STR("..")))
            return err_set(err, -EINVAL, "--cgroup-parent '%s': '..' is not allowed", wanted);
        if (str_starts(name, STR(PLACE_RUN_PREFIX)))
            return err_set(err, -EINVAL, "--cgroup-parent '%s': '%.*s' belongs to another run",
                           wanted, STR_ARG(name));
        if (name.n > 255 || str_find(name, '\n') >= 0 || n + name.n + 2 > size)
            return err_set(err, -ENAMETOOLONG,
                           "--cgroup-parent '%.200s': no group can be called so", wanted);
        out[n++] = '/';
        memcpy(out + n, name.p, name.n);
        n += name.n;
        out[n] = '\0';
    }
    return 0;
}

/* The end of the path's next component behind `from`, or 0 when there is none. */
static size_t next_end(struct str path, size_t from) {
    ptrdiff_t slash;

    if (from >= path.n)
        return 0;
    slash = str_find(str_from(path, from + 1), '/');
    return slash < 0 ? path.n : from + 1 + (size_t)slash;
}

/* How much of the path exists in a tree, for good: on v2 with the memory controller, and not made
 * by a run, which may be removing it at this moment. -ENOTDIR when something on the way is no
 * group. */
static int existing(const struct cgfs *fs, enum plan_tree tree, struct str path, size_t *n_out) {
    bool v2 = fs->ctl[ctl_of(tree)].version == CG_V2 && tree == PLAN_MEMORY;
    auto_close int dir = cgfs_open_dir(fs, ctl_of(tree), STR("/"));
    size_t n = 0, end;
    char name[256];

    if (dir < 0)
        return dir;
    for (size_t at = 0; (end = next_end(path, at)) > 0; at = end) {
        int r = str_copy((struct str){path.p + at + 1, end - at - 1}, name, sizeof(name));
        int next = r < 0 ? r : cgmake_open(dir, name);

        if (next < 0 && next != -ENOENT)
            return next;
        if (next < 0)
            break;
        close(dir);
        dir = next;
        if (plan_is_ours(dir))
            break;
        if (!v2 || lists_memory(dir, "cgroup.controllers"))
            n = end;
    }
    *n_out = n;
    return 0;
}

static void drop_unified(struct place *p, const char *why) {
    if (p->dir[PLAN_UNIFIED] >= 0)
        close(p->dir[PLAN_UNIFIED]);
    p->dir[PLAN_UNIFIED] = -1;
    p->without_unified = why;
}

/* The unified tree has the first n bytes of the path; if less than the memory hierarchy, and if the
 * rest can be made there, the place begins where both are. */
static void join_trees(const struct cgfs *fs, struct place *p, struct str path, size_t *n) {
    size_t also = 0;
    int r = existing(fs, PLAN_UNIFIED, path, &also);

    if (r < 0 || also > *n)
        also = *n;
    if (r == 0)
        r = open_dir(p, fs, PLAN_UNIFIED, str_head(path, also));
    if (r == 0)
        r = may_write(p->dir[PLAN_UNIFIED], ".");
    if (r == 0) {
        *n = also;
        return;
    }
    drop_unified(p, r == -EROFS                   ? "it is mounted read-only"
                    : r == -EACCES || r == -EPERM ? "no permission to make groups in it"
                                                  : "it has no such parent group");
}

static void find_unified(const struct cgfs *fs, struct place *p, struct str path, size_t *n) {
    if (p->version == CG_V2)
        return;
    if (fs->ctl[CG_UNIFIED].dir < 0)
        p->without_unified = "none is mounted";
    else
        join_trees(fs, p, path, n);
}

/* The parent is `path`; its first n bytes, or less, are there in both trees. */
static int begin_at(struct place *p, struct str path, size_t n) {
    int r;

    find_unified(p->fs, p, path, &n);
    r = open_dir(p, p->fs, PLAN_MEMORY, str_head(path, n));
    return r < 0 ? r : str_copy(str_from(path, n < path.n ? n + 1 : n), p->make, sizeof(p->make));
}

/* What was found in the memory hierarchy may be missing in the unified tree. */
static int find_beside(struct place *p, struct err *err) {
    struct str path = str_of(p->path[PLAN_MEMORY]);
    char copy[sizeof(p->path[0])];
    int r = str_copy(path.n > 1 ? path : STR(""), copy, sizeof(copy));

    if (r == 0)
        r = begin_at(p, str_of(copy), strlen(copy));
    if (r == -ENAMETOOLONG) {
        drop_unified(p, "the path to make there is too long");
        p->make[0] = '\0';
        r = open_dir(p, p->fs, PLAN_MEMORY, str_of(copy));
    }
    return r < 0 ? err_set(err, r, "cannot open the group '%.200s':", copy) : 0;
}

static int find_named(struct place *p, struct err *err) {
    const struct cgfs *fs = p->fs;
    const char *wanted = p->wanted;
    char name[4096];
    struct plan_roots roots;
    struct str path;
    size_t n = 0;
    int r = normalize(wanted, name, sizeof(name), err);

    if (r < 0)
        return r;
    path = str_of(name);
    r = existing(fs, PLAN_MEMORY, path, &n);
    if (r == -ENOTDIR || r == -ELOOP)
        return err_set(err, -ENOTDIR, "--cgroup-parent '%s': '%s%s' is not a group", wanted,
                       fs->memory_point, name);
    if (r == 0)
        r = open_dir(p, fs, PLAN_MEMORY, str_head(path, n));
    if (r < 0)
        return err_set(err, r, "--cgroup-parent '%s': cannot open it:", wanted);
    r = may_write(p->dir[PLAN_MEMORY], ".");
    roots = place_roots(p);
    if (r < 0)
        return plan_explain_make(&roots, PLAN_MEMORY, n < path.n ? path.p + n + 1 : "", r, err);
    r = begin_at(p, path, n);
    return r < 0 ? err_set(err, r, "--cgroup-parent '%.200s':", wanted) : 0;
}

int place_find(const struct host *h, const struct cgfs *fs, const char *wanted, struct place *out,
               struct err *err) {
    int r;

    out->version = fs->ctl[CG_MEMORY].version;
    out->dir[PLAN_MEMORY] = out->dir[PLAN_UNIFIED] = -1;
    out->path[PLAN_UNIFIED][0] = out->shown[PLAN_UNIFIED][0] = out->make[0] = '\0';
    out->enable = out->move_self = false;
    out->without_unified = NULL;
    out->host = h;
    out->fs = fs;
    out->wanted = wanted;
    if (!h->live)
        return err_set(err, -EINVAL, "groups are made on this machine only, not below --root '%s'",
                       h->prefix);
    r = wanted ? find_named(out, err) : find_unnamed(out, err);
    if (r == 0 && !wanted)
        r = find_beside(out, err);
    if (r == 0 && out->version == CG_V2)
        r = settle_v2(fs, out, err);
    if (r < 0)
        place_done(out);
    return r;
}

void place_done(struct place *p) {
    for (unsigned tree = 0; tree < PLAN_TREES; tree++) {
        if (p->dir[tree] >= 0)
            close(p->dir[tree]);
        p->dir[tree] = -1;
    }
}

int place_again(struct place *p, struct err *err) {
    place_done(p);
    return place_find(p->host, p->fs, p->wanted, p, err);
}

/* --- preparing it ---------------------------------------------------------------------------- */

bool place_needs_work(const struct place *p) {
    return p->make[0] || p->enable;
}

void place_plan(const struct place *p, struct plan *plan) {
    struct str make = str_of(p->make);
    char rel[PLAN_REL];

    if (p->move_self) {
        plan_parent(plan, PLAN_MEMORY, PLACE_SUPERVISOR);
        plan_move(plan, PLAN_MEMORY, PLACE_SUPERVISOR);
    }
    if (p->enable)
        plan_write(plan, PLAN_MEMORY, "", "cgroup.subtree_control", "+memory", NULL);
    for (size_t n = 0; n < make.n; n++) {
        struct plan_step *s;
        ptrdiff_t slash = str_find(str_from(make, n), '/');

        n = slash < 0 ? make.n : n + (size_t)slash;
        (void)str_copy(str_head(make, n), rel, sizeof(rel));
        plan_parent(plan, PLAN_MEMORY, rel);
        if (p->version == CG_V2)
            plan_write(plan, PLAN_MEMORY, rel, "cgroup.subtree_control", "+memory", NULL);
        else
            plan_write(plan, PLAN_MEMORY, rel, "memory.use_hierarchy", "1", "");
        s = plan_parent(plan, PLAN_UNIFIED, rel);
        if (s)
            s->or_else =
                "the run has no group in the unified tree: its parent cannot be made there";
    }
}

/* --- and leaving it -------------------------------------------------------------------------- */

/* Removes the group itself and those above it, as long as they are marked and empty. dir_taken is
 * the deepest, `path` its path below the mount. */
static void remove_parents(int dir_taken, struct str path) {
    auto_close int dir = dir_taken;

    while (dir >= 0 && path.n > 1 && plan_is_ours(dir)) {
        size_t cut = (size_t)str_rfind(path, '/');
        int up = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char name[256];

        if (up < 0 || str_copy(str_from(path, cut + 1), name, sizeof(name)) < 0 ||
            (unlinkat(up, name, AT_REMOVEDIR) < 0 && errno != ENOENT)) {
            if (up >= 0)
                close(up);
            return;
        }
        close(dir);
        dir = up;
        path.n = cut;
    }
}

static int is_other(void *ctx, int dir, const char *name) {
    (void)ctx, (void)dir;
    return !str_eq(str_of(name), STR(PLACE_SUPERVISOR));
}

/* Undoes the leaf when we are the last: nobody else in it, no other group beside it. */
static void move_back(const struct place *p) {
    int root = p->dir[PLAN_MEMORY];
    auto_close int leaf = cgmake_open(root, PLACE_SUPERVISOR);

    if (leaf < 0 || cgtree_names(root, is_other, NULL) != 0 || who_is_in(leaf) != HOLDS_US)
        return;
    if (cgmake_write(root, "cgroup.subtree_control", STR("-memory")) < 0)
        return;
    if (cgmake_join(root) == 0)
        unlinkat(root, PLACE_SUPERVISOR, AT_REMOVEDIR);
}

/* A failure may have left a part of them. */
static void restore_tree(const struct place *p, enum plan_tree tree) {
    char rel[PLAN_REL];
    struct buf path;
    int dir;

    memcpy(rel, p->make, sizeof(rel));
    while ((dir = cgmake_open(p->dir[tree], rel[0] ? rel : ".")) < 0 && rel[0]) {
        ptrdiff_t slash = str_rfind(str_of(rel), '/');

        rel[slash < 0 ? 0 : slash] = '\0';
    }
    buf_init(&path, 8192);
    place_add_path(p, tree, rel, &path);
    remove_parents(dir, buf_str(&path));
    buf_done(&path);
}

void place_restore(const struct place *p) {
    for (unsigned tree = 0; tree < PLAN_TREES; tree++)
        if (p->dir[tree] >= 0)
            restore_tree(p, tree);
    if (p->move_self)
        move_back(p);
}
