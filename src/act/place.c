#include "act/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/cgmake.h"
#include "kern/cgtree.h"
#include "kern/pidlist.h"
#include "kern/proccgroup.h"

#define RUN_PREFIX "plimsoll-run-"

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

static struct plan_roots roots_of(const struct place *p) {
    return (struct plan_roots){
        {p->dir[PLAN_MEMORY], p->dir[PLAN_UNIFIED]},
        {p->shown[PLAN_MEMORY], p->shown[PLAN_UNIFIED]},
    };
}

static int fail_inside(const char *shown, int dir, struct err *err) {
    struct buf pids;
    int r;

    buf_init(&pids, 256);
    plan_add_pids(dir, &pids);
    r = err_set(err, -EBUSY,
                "the group '%.150s' holds processes (%.*s), so that it cannot hand the memory "
                "controller on to a group for the run (try: %s)",
                shown, STR_ARG(buf_str(&pids)),
                geteuid() == 0 ? "move them into a group of their own, or start plimsoll as the "
                                 "only process there"
                               : plan_without_root(dir));
    buf_done(&pids);
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
    p->move_self = holds == HOLDS_US;
    return holds == HOLDS_OTHERS ? fail_inside(p->shown[PLAN_MEMORY], dir, err) : 0;
}

/* --- without a name: the top, or what was delegated to us ------------------------------------ */

enum fit { FIT_NO, FIT_YES, FIT_NO_MEMORY, FIT_BUSY };

/* Whether a user who is not root can make the run's group in `dir`. */
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

static int fail_search(struct place *p, const struct cgfs *fs, const char *own, struct str busy,
                       struct str bare, struct err *err) {
    if (busy.n > 0) {
        int r = open_dir(p, fs, PLAN_MEMORY, busy);

        return r < 0 ? err_set(err, r, "cannot open the group '%.*s':", STR_ARG(busy))
                     : fail_inside(p->shown[PLAN_MEMORY], p->dir[PLAN_MEMORY], err);
    }
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

/* From our own group upwards. */
static int find_delegated(const struct host *h, const struct cgfs *fs, struct place *p,
                          struct err *err) {
    char own[4096];
    struct str path, busy = {"", 0}, bare = {"", 0};
    size_t least = 1;
    int r = cgfs_own_path(h, fs, own, sizeof(own));

    if (r < 0)
        return err_set(err, -EACCES,
                       "no permission to make control groups in '%.150s', and our own group cannot "
                       "be told (try: as root)",
                       fs->memory_point);
    if (is_above(fs))
        least = namespace_root(h, str_of(own));
    for (path = str_of(own); path.n >= least;) {
        auto_close int dir = cgfs_open_dir(fs, CG_MEMORY, path);
        enum fit fit = dir < 0 ? FIT_NO : fits(fs, dir);

        if (fit == FIT_YES)
            return set_dir(p, fs, PLAN_MEMORY, path, take_fd(&dir));
        if (fit == FIT_BUSY && busy.n == 0)
            busy = path;
        if (fit == FIT_NO_MEMORY && bare.n == 0)
            bare = path;
        if (path.n == 1)
            break;
        path.n = (size_t)str_rfind(path, '/');
        if (path.n == 0)
            path.n = 1;
    }
    return fail_search(p, fs, own, busy, bare, err);
}

static int find_unnamed(const struct host *h, const struct cgfs *fs, struct place *p,
                        struct err *err) {
    int r = open_dir(p, fs, PLAN_MEMORY, STR("/"));

    if (r < 0)
        return err_set(err, r, "cannot open '%s':", fs->memory_point);
    r = may_write(p->dir[PLAN_MEMORY], ".");
    if (r == -EACCES || r == -EPERM || (r == 0 && is_above(fs)))
        r = find_delegated(h, fs, p, err);
    else if (r < 0) {
        struct plan_roots roots = roots_of(p);

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
        if (str_starts(name, STR(RUN_PREFIX)))
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

/* Without a name no parents are made: it has to be there. */
static void find_unified_beside(const struct cgfs *fs, struct place *p) {
    struct str path = str_of(p->path[PLAN_MEMORY]);
    size_t n;

    if (str_eq(path, STR("/")))
        path.n = 0;
    n = path.n;
    find_unified(fs, p, path, &n);
    if (n < path.n)
        drop_unified(p, "it has no such parent group");
}

static int find_named(const struct cgfs *fs, const char *wanted, struct place *p, struct err *err) {
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
    p->named = true;
    r = may_write(p->dir[PLAN_MEMORY], ".");
    roots = roots_of(p);
    if (r < 0)
        return plan_explain_make(&roots, PLAN_MEMORY, n < path.n ? path.p + n + 1 : "", r, err);
    find_unified(fs, p, path, &n);
    r = open_dir(p, fs, PLAN_MEMORY, str_head(path, n));
    if (r == 0)
        r = str_copy(str_from(path, n < path.n ? n + 1 : n), p->make, sizeof(p->make));
    return r < 0 ? err_set(err, r, "--cgroup-parent '%.200s':", wanted) : 0;
}

int place_find(const struct host *h, const struct cgfs *fs, const char *wanted, struct place *out,
               struct err *err) {
    int r;

    out->version = fs->ctl[CG_MEMORY].version;
    out->dir[PLAN_MEMORY] = out->dir[PLAN_UNIFIED] = -1;
    out->path[PLAN_UNIFIED][0] = out->shown[PLAN_UNIFIED][0] = out->make[0] = '\0';
    out->named = out->enable = out->move_self = false;
    out->without_unified = NULL;
    out->host = h;
    out->fs = fs;
    out->wanted = wanted;
    if (!h->live)
        return err_set(err, -EINVAL, "groups are made on this machine only, not below --root '%s'",
                       h->prefix);
    r = wanted ? find_named(fs, wanted, out, err) : find_unnamed(h, fs, out, err);
    if (r == 0 && !wanted)
        find_unified_beside(fs, out);
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
    for (unsigned tree = 0; p->named && tree < PLAN_TREES; tree++)
        if (p->dir[tree] >= 0)
            restore_tree(p, tree);
    if (p->move_self)
        move_back(p);
}
