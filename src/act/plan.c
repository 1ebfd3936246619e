#include "act/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "kern/cgmake.h"
#include "kern/pidlist.h"

/* --- making one ------------------------------------------------------------------------------ */

static struct plan_step *add(struct plan *p, enum plan_kind kind, enum plan_tree tree,
                             const char *rel) {
    struct plan_step *s = &p->step[p->n];

    if (p->n == PLAN_STEPS || str_copy(str_of(rel), s->rel, sizeof(s->rel)) < 0) {
        p->overflow = true;
        return NULL;
    }
    p->n++;
    s->kind = kind;
    s->tree = tree;
    s->file = NULL;
    s->value[0] = '\0';
    s->or_else = NULL;
    s->keep = NULL;
    return s;
}

struct plan_step *plan_make(struct plan *p, enum plan_tree tree, const char *rel) {
    return add(p, PLAN_MAKE, tree, rel);
}

struct plan_step *plan_parent(struct plan *p, enum plan_tree tree, const char *rel) {
    return add(p, PLAN_PARENT, tree, rel);
}

void plan_write(struct plan *p, enum plan_tree tree, const char *rel, const char *file,
                const char *value, const char *or_else) {
    struct plan_step *s = add(p, PLAN_WRITE, tree, rel);

    if (!s)
        return;
    s->file = file;
    s->or_else = or_else;
    if (str_copy(str_of(value), s->value, sizeof(s->value)) < 0)
        p->overflow = true;
}

void plan_move(struct plan *p, enum plan_tree tree, const char *rel) {
    add(p, PLAN_MOVE, tree, rel);
}

/* --- carrying it out ------------------------------------------------------------------------- */

/* The group that steps were in last, of each tree: the next ones are mostly in the same or directly
 * below, and are found from there. */
struct place_at {
    const char *rel;
    int dir;
    bool own;
};

struct run {
    const struct plan *plan;
    const struct plan_roots *roots;
    struct place_at at[PLAN_TREES];
    bool dropped[PLAN_TREES];
    bool done[PLAN_STEPS]; /* it changed something */
};

static void stand(struct run *run, enum plan_tree tree, const char *rel, int dir, bool own) {
    struct place_at *at = &run->at[tree];

    if (at->own)
        close(at->dir);
    *at = (struct place_at){rel, dir, own};
}

/* The descriptor to begin at for `rel`, and what remains of it from there. */
static int begin_at(const struct run *run, enum plan_tree tree, const char *rel,
                    const char **rest) {
    const struct place_at *at = &run->at[tree];
    size_t n = strlen(at->rel);

    *rest = rel;
    if (n == 0 || strncmp(rel, at->rel, n) != 0 || (rel[n] != '/' && rel[n] != '\0'))
        return run->roots->dir[tree];
    *rest = rel + n + (rel[n] == '/');
    return at->dir;
}

/* Stands in the group; its descriptor, or -errno. */
static int go(struct run *run, enum plan_tree tree, const char *rel) {
    const char *rest;
    int from = begin_at(run, tree, rel, &rest), dir;

    if (rest[0] == '\0')
        return from;
    dir = cgmake_open(from, rest);
    if (dir >= 0)
        stand(run, tree, rel, dir, true);
    return dir;
}

static const char *const marks[] = {"trusted.plimsoll", "user.plimsoll"};

bool plan_is_ours(int dir) {
    for (size_t i = 0; i < ARRAY_N(marks); i++)
        if (fgetxattr(dir, marks[i], NULL, 0) >= 0)
            return true;
    return false;
}

/* The first needs CAP_SYS_ADMIN, the second Linux 5.7 and v2. A group that cannot be marked stays
 * when the runs in it are over. */
static void mark(int dir) {
    for (size_t i = 0; i < ARRAY_N(marks); i++)
        if (fsetxattr(dir, marks[i], "1", 1, 0) == 0)
            return;
}

static int do_make(struct run *run, const struct plan_step *s, bool *changed) {
    bool given = s->keep && *s->keep >= 0;
    const char *rest;
    int from = begin_at(run, s->tree, s->rel, &rest);
    int dir;

    if (rest[0] == '\0') { /* we stand in it */
        from = run->roots->dir[s->tree];
        rest = s->rel;
    }
    dir = given ? *s->keep : cgmake_new(from, rest);
    if (dir == -EEXIST && s->kind == PLAN_PARENT) {
        dir = cgmake_open(from, rest); /* what is no group is not passed over */
        if (dir >= 0)
            stand(run, s->tree, s->rel, dir, true);
        return dir < 0 ? dir : 0;
    }
    if (dir < 0)
        return dir;
    *changed = !given;
    if (s->kind == PLAN_PARENT)
        mark(dir);
    stand(run, s->tree, s->rel, dir, !s->keep);
    if (s->keep)
        *s->keep = dir;
    return 0;
}

/* What the kernel has charged in advance, on other CPUs, is given back a moment after a limit was
 * found to be too low for it. */
static int write_value(int dir, const struct plan_step *s) {
    int r = cgmake_write(dir, s->file, str_of(s->value));

    for (unsigned i = 0; i < 20 && r == -EBUSY && str_starts(str_of(s->file), STR("memory."));
         i++) {
        usleep(1000);
        r = cgmake_write(dir, s->file, str_of(s->value));
    }
    return r;
}

static int do_step(struct run *run, const struct plan_step *s, bool *changed) {
    int dir, r;

    if (s->kind == PLAN_MAKE || s->kind == PLAN_PARENT)
        return do_make(run, s, changed);
    dir = go(run, s->tree, s->rel);
    if (dir < 0)
        return dir;
    r = s->kind == PLAN_MOVE ? cgmake_join(dir) : write_value(dir, s);
    *changed = r == 0;
    return r;
}

/* --- taking it back --- */

static void undo_step(const struct run *run, const struct plan_step *s) {
    int root = run->roots->dir[s->tree];
    auto_close int dir = -1;
    char value[PLAN_VALUE];

    if (s->kind == PLAN_MAKE || s->kind == PLAN_PARENT) {
        unlinkat(root, s->rel, AT_REMOVEDIR);
        if (s->keep) {
            close(*s->keep);
            *s->keep = -1;
        }
    } else if (s->kind == PLAN_MOVE) {
        (void)cgmake_join(root);
    } else if (str_eq(str_of(s->file), STR("cgroup.subtree_control"))) {
        dir = s->rel[0] ? cgmake_open(root, s->rel) : -1;
        snprintf(value, sizeof(value), "-%s", s->value + 1);
        (void)cgmake_write(s->rel[0] ? dir : root, s->file, str_of(value));
    }
}

static void undo(struct run *run) {
    for (unsigned tree = 0; tree < PLAN_TREES; tree++)
        stand(run, tree, "", -1, false);
    for (size_t i = run->plan->n; i > 0; i--)
        if (run->done[i - 1])
            undo_step(run, &run->plan->step[i - 1]);
}

/* --- what to say --- */

/* Of a path that would crowd out the rest of an error's text, its end. */
static const char *tail(const char *path) {
    size_t n = strlen(path);

    return n > 150 ? path + n - 150 : path;
}

static void full_name(const struct plan_roots *roots, enum plan_tree tree, const char *rel,
                      char *out, size_t size) {
    snprintf(out, size, "%s%s%s", roots->shown[tree], rel[0] ? "/" : "", rel);
}

void plan_add_pids(int dir, struct buf *out) {
    enum { NAMED = 3 };
    struct pidlist list = {0};
    size_t n = 0;

    (void)pidlist_add_file_at(&list, dir, "cgroup.procs");
    pidlist_sort(&list);
    for (size_t i = 0; i < list.n; i++)
        if (list.pid[i] != getpid() && n++ < NAMED)
            buf_add_format(out, "%s%d", n > 1 ? ", " : "", (int)list.pid[i]);
    if (n > NAMED)
        buf_add_format(out, " and %zu more", n - NAMED);
    pidlist_done(&list);
}

const char *plan_without_root(int dir) {
    bool v2 = dir >= 0 && faccessat(dir, "cgroup.controllers", F_OK, 0) == 0;

    return v2 ? "as root, or: systemd-run --user --scope -p Delegate=yes plimsoll run ..."
              : "as root, or --cgroup-parent with a group that root made and gave to you";
}

/* What kept a group from being made, as far as the kernel's word for it does not tell; NULL: it
 * does. */
static const char *why_not_made(int r) {
    if (r == -EROFS)
        return "control groups are mounted read-only, as in most containers (try: run plimsoll "
               "outside, or start the container with --privileged)";
    if (r == -EEXIST)
        return "it exists already";
    if (r == -EAGAIN)
        return "a group above allows no more (cgroup.max.descendants or cgroup.max.depth)";
    if (r == -ENOMEM)
        return "no memory for it (is a group above at its limit?)";
    if (r == -ENOSPC)
        return "there are as many memory groups as the kernel can have (65535)";
    if (r == -ENOTDIR || r == -ELOOP)
        return "there is something of that name, or above, that is no group";
    if (r == -ENOENT || r == -ENODEV)
        return "the group above was removed meanwhile";
    return NULL;
}

int plan_explain_make(const struct plan_roots *roots, enum plan_tree tree, const char *rel, int r,
                      struct err *err) {
    const char *what = rel[0] ? "make the group" : "make groups in", *why = why_not_made(r);
    char name[PLAN_REL + 4200];

    full_name(roots, tree, rel, name, sizeof(name));
    if (r == -EACCES || r == -EPERM)
        return err_set(err, r, "no permission to %s '%s' (try: %s)", what, tail(name),
                       plan_without_root(roots->dir[tree]));
    if (why)
        return err_set(err, r, "cannot %s '%s': %s", what, tail(name), why);
    return err_set(err, r, "cannot %s '%s':", what, tail(name));
}

/* v2: a group with processes cannot hand controllers on. */
static int explain_inside(int dir, const char *name, int r, struct err *err) {
    struct buf pids;

    buf_init(&pids, 256);
    plan_add_pids(dir, &pids);
    r = err_set(err, r,
                "the group '%s' holds processes (%.*s), so that it cannot hand the memory "
                "controller on to groups below (try: --cgroup-parent with a group that holds none)",
                tail(name), STR_ARG(buf_str(&pids)));
    buf_done(&pids);
    return r;
}

/* The kernel's own things for the group are more than its limit, or what runs in it. */
static int explain_low(const struct plan_step *s, const char *name, int r, struct err *err) {
    uint64_t bytes;
    struct buf size;

    buf_init(&size, 64);
    if (str_to_u64(str_of(s->value), &bytes) == 0)
        num_add_iec(&size, bytes);
    r = err_set(err, r,
                "cannot set '%s' of '%s' to %s: the limit of %.*s is below what is in use already "
                "and cannot be reclaimed (try: a larger one)",
                s->file, name, s->value, STR_ARG(buf_str(&size)));
    buf_done(&size);
    return r;
}

static int explain_write(struct run *run, const struct plan_step *s, const char *name, int r,
                         struct err *err) {
    bool hands_on = str_eq(str_of(s->file), STR("cgroup.subtree_control"));
    int dir = go(run, s->tree, s->rel);
    const char *end = tail(name);

    if (dir < 0)
        return err_set(err, dir, "the group '%s' is gone:", end);
    if (hands_on && r == -EBUSY)
        return explain_inside(dir, name, r, err);
    if (hands_on && r == -ENOENT)
        return err_set(err, r,
                       "the group '%s' has no memory controller (try: enable it in the "
                       "cgroup.subtree_control of each group above, or another --cgroup-parent)",
                       end);
    if (r == -EACCES || r == -EPERM || r == -EROFS)
        return err_set(err, r, "no permission to write '%s' of '%s' (try: %s)", s->file, end,
                       plan_without_root(dir));
    if (r == -ENOENT)
        return err_set(err, r, "the group '%s' has no '%s': the kernel does not offer it", end,
                       s->file);
    if (r == -EBUSY)
        return explain_low(s, end, r, err);
    return err_set(err, r, "the kernel refuses %s for '%s' of '%s':", s->value, s->file, end);
}

static int explain(struct run *run, const struct plan_step *s, int r, struct err *err) {
    char name[PLAN_REL + 4200];

    if (s->kind == PLAN_MAKE || s->kind == PLAN_PARENT)
        return plan_explain_make(run->roots, s->tree, s->rel, r, err);
    full_name(run->roots, s->tree, s->rel, name, sizeof(name));
    if (s->kind == PLAN_MOVE)
        return err_set(err, r, "cannot move plimsoll itself into the group '%s':", tail(name));
    return explain_write(run, s, name, r, err);
}

/* Whether the plan can go on after the failure r. */
static bool forgive(struct run *run, const struct plan_step *s, int r, struct buf *warnings) {
    bool makes = s->kind == PLAN_MAKE || s->kind == PLAN_PARENT;

    if (!s->or_else || (makes && (r == -ENOENT || r == -ENODEV))) /* gone: try again */
        return false;
    if (s->or_else[0] && !makes && r != -ENOENT && r != -EOPNOTSUPP)
        return false;
    if (makes)
        run->dropped[s->tree] = true;
    if (s->or_else[0]) {
        buf_add(warnings, str_of(s->or_else));
        buf_add_char(warnings, '\n');
    }
    return true;
}

int plan_run(const struct plan *p, const struct plan_roots *roots, struct buf *warnings,
             struct err *err) {
    struct run run = {.plan = p, .roots = roots};
    int r = 0;

    for (unsigned tree = 0; tree < PLAN_TREES; tree++) {
        run.at[tree] = (struct place_at){"", -1, false};
        run.dropped[tree] = roots->dir[tree] < 0;
    }
    if (p->overflow)
        return err_set(err, -ENAMETOOLONG,
                       "the path of the group is too long (try: a shorter "
                       "--cgroup-parent)");
    for (size_t i = 0; i < p->n && r == 0; i++) {
        const struct plan_step *s = &p->step[i];

        if (run.dropped[s->tree])
            continue;
        r = do_step(&run, s, &run.done[i]);
        if (r < 0 && forgive(&run, s, r, warnings))
            r = 0;
        if (r < 0)
            r = explain(&run, s, r, err);
    }
    if (r < 0)
        undo(&run);
    for (unsigned tree = 0; tree < PLAN_TREES; tree++)
        stand(&run, tree, "", -1, false);
    return r;
}

/* --- printing it ----------------------------------------------------------------------------- */

static bool is_plain(struct str s) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+=:,@%";

    for (size_t i = 0; i < s.n; i++)
        if (!memchr(plain, s.p[i], sizeof(plain) - 1))
            return false;
    return s.n > 0;
}

/* Bytes that a terminal would not show as they are. */
static bool is_visible(struct str s) {
    struct buf b;
    bool same;

    buf_init(&b, s.n * 10 + 16);
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\\') /* it would be doubled, and is harmless in quotes */
            text_add_visible(&b, (struct str){s.p + i, 1}, true);
    same = buf_error(&b) == 0 && memchr(buf_str(&b).p, '\\', buf_str(&b).n) == NULL;
    buf_done(&b);
    return same;
}

/* One word of a shell; what would not be visible as bash and ksh have it: $'\377'. */
void plan_add_word(struct buf *out, struct str s) {
    bool visible = is_visible(s);

    if (is_plain(s)) {
        buf_add(out, s);
        return;
    }
    buf_add(out, visible ? STR("'") : STR("$'"));
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (visible && c == '\'')
            buf_add(out, STR("'\\''"));
        else if (!visible && (c == '\'' || c == '\\' || c < 0x20 || c > 0x7e))
            buf_add_format(out, "\\%03o", c);
        else
            buf_add_char(out, (char)c);
    }
    buf_add_char(out, '\'');
}

void plan_add_text(const struct plan *p, const struct plan_roots *roots, struct buf *out) {
    for (size_t i = 0; i < p->n; i++) {
        const struct plan_step *s = &p->step[i];
        const char *file = s->kind == PLAN_MOVE ? "cgroup.procs" : s->file;
        char name[PLAN_REL + 4300];
        size_t n;

        if (roots->dir[s->tree] < 0)
            continue;
        full_name(roots, s->tree, s->rel, name, sizeof(name));
        n = strlen(name);
        if (file)
            snprintf(name + n, sizeof(name) - n, "/%s", file);
        if (s->kind == PLAN_MAKE || s->kind == PLAN_PARENT) {
            buf_add(out, s->kind == PLAN_MAKE ? STR("mkdir ") : STR("mkdir -p "));
        } else {
            buf_add(out, STR("echo "));
            if (s->kind == PLAN_MOVE)
                buf_add(out, STR("$$"));
            else
                plan_add_word(out, str_of(s->value));
            buf_add(out, STR(" > "));
        }
        plan_add_word(out, str_of(name));
        buf_add_char(out, '\n');
    }
}
