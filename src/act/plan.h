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
    PLAN_MAKE,  /* makes a group */
    PLAN_WRITE, /* writes a value into a file of a group */
    PLAN_MOVE,  /* moves this process into the group */
};

enum { PLAN_STEPS = 64, PLAN_REL = 512, PLAN_VALUE = 64 };

struct plan_step {
    enum plan_kind kind;
    enum plan_tree tree;
    char rel[PLAN_REL];     /* the group, below the parent: "" is the parent itself */
    const char *file;       /* PLAN_WRITE */
    char value[PLAN_VALUE]; /* PLAN_WRITE */
    const char *or_else;    /* what it means when the file is not there or refuses; NULL: the step
                               must succeed; "": nobody needs to know */
};

struct plan {
    struct plan_step step[PLAN_STEPS];
    size_t n;
    bool overflow; /* a step did not fit: plan_run refuses, it is a bug or a very long path */
};

void plan_make(struct plan *p, enum plan_tree tree, const char *rel);
void plan_write(struct plan *p, enum plan_tree tree, const char *rel, const char *file,
                const char *value, const char *or_else);
void plan_move(struct plan *p, enum plan_tree tree, const char *rel);

/* Where the steps happen: descriptors and, for people, the paths of the parents. */
struct plan_roots {
    int dir[PLAN_TREES];           /* -1: no such tree, its steps are left out */
    const char *shown[PLAN_TREES]; /* "/sys/fs/cgroup/memory/batch" */
};

/* Carries the steps out in order. On failure everything that it made is removed again, and the
 * text names file, value and next step (read-only cgroupfs, no permission, no such controller).
 * Warnings of optional steps are appended to `warnings`, a line each. 0 or -errno. Groups that
 * exist already are -EEXIST. */
int plan_run(const struct plan *p, const struct plan_roots *roots, struct buf *warnings,
             struct err *err);

/* The steps as shell commands: `mkdir PATH`, `echo VALUE > PATH/FILE`, quoted. */
void plan_add_text(const struct plan *p, const struct plan_roots *roots, struct buf *out);
