/* plan.h - changes to control groups as data: made first, then carried out or only printed.
 *
 * `--print` and the real thing are the same steps, with or without the last arrow. A step is
 * optional when the kernel may lack the file: what that costs is then a warning, not a failure.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum plan_tree {
    PLAN_MEMORY,
    PLAN_UNIFIED,
    PLAN_TREES
}; /* which hierarchy; on a pure v2 machine
      all is PLAN_MEMORY */

enum plan_kind {
    PLAN_MAKE,   /* makes a group; that it is there already is a failure */
    PLAN_PARENT, /* makes a group unless there is one, and marks it as made by us */
    PLAN_WRITE,  /* writes a value into a file of a group */
    PLAN_MOVE,   /* moves this process into the group */
};

enum { PLAN_STEPS = 64, PLAN_REL = 512, PLAN_VALUE = 64 };

struct plan_step {
    enum plan_kind kind;
    enum plan_tree tree;
    char rel[PLAN_REL];     /* the group, below the parent: "" is the parent itself */
    const char *file;       /* PLAN_WRITE */
    char value[PLAN_VALUE]; /* PLAN_WRITE */
    const char *or_else;    /* NULL: the step must succeed. A text: what it means when the file is
                               not there (PLAN_WRITE), or when the group cannot be made: then all
                               later steps in that tree are left out. "": nobody needs to know,
                               whatever the kernel says */
    int *keep;              /* PLAN_MAKE: takes the group's descriptor, on success only. One that is
                               there beforehand (not -1): the caller has made the group. May be
                               NULL */
};

struct plan {
    size_t n;
    bool overflow; /* a step did not fit: plan_run refuses, it is a bug or a very long path */
    struct plan_step step[PLAN_STEPS];
};

/* An empty plan is one whose n and overflow are 0: the steps need no zeroing. Each returns the step
 * that it appended, for or_else and keep, or NULL when it did not fit. */
struct plan_step *plan_make(struct plan *p, enum plan_tree tree, const char *rel);
struct plan_step *plan_parent(struct plan *p, enum plan_tree tree, const char *rel);
void plan_write(struct plan *p, enum plan_tree tree, const char *rel, const char *file,
                const char *value, const char *or_else);
void plan_move(struct plan *p, enum plan_tree tree, const char *rel);

/* Where the steps happen: descriptors and, for people, the paths of the parents. */
struct plan_roots {
    int dir[PLAN_TREES];           /* -1: no such tree, its steps are left out */
    const char *shown[PLAN_TREES]; /* "/sys/fs/cgroup/memory/batch" */
};

/* Carries the steps out in order. On failure everything that it made is removed again, controllers
 * that it handed on and ourselves if moved included, and the text names file, value and next step
 * (read-only cgroupfs, no permission, no such controller). Warnings of optional steps are appended
 * to `warnings`, a line each. 0 or -errno. Groups that exist already are -EEXIST. */
int plan_run(const struct plan *p, const struct plan_roots *roots, struct buf *warnings,
             struct err *err);

/* The text of a failure to make a group, as plan_run has it; rel "": any group below. Returns r. */
int plan_explain_make(const struct plan_roots *roots, enum plan_tree tree, const char *rel, int r,
                      struct err *err);

/* Whether a group was made by plan_parent, of whatever run. dir: not O_PATH. */
bool plan_is_ours(int dir);

/* "1, 2, 3 and 4 more": processes of a group but this one, appended; nothing when there are none or
 * they cannot be read. */
void plan_add_pids(int dir, struct buf *out);

/* The steps as shell commands: `mkdir PATH`, `echo VALUE > PATH/FILE`, quoted. */
void plan_add_text(const struct plan *p, const struct plan_roots *roots, struct buf *out);

/* A word of such a command. */
void plan_add_word(struct buf *out, struct str s);

/* What someone without root can do: the end of a "(try: ". dir: any group of the hierarchy. */
const char *plan_without_root(int dir);
