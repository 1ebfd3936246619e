/* place.h - where on this machine a group of ours can be made.
 *
 * As root: at the top of what is mounted, where engines make theirs too. As a user: the nearest
 * group upwards from our own that was delegated (writable, holds no process, has the memory
 * controller), as below a user's systemd instance. Or where --cgroup-parent says; groups missing on
 * the way are made. On a hybrid machine the same is done in the unified tree, for kill, freeze and
 * PSI; if that does not work, it is done without.
 */
#pragma once
#include "act/plan.h"
#include "kern/cgfs.h"

struct place {
    enum cg_version version;     /* of the memory controller */
    int dir[PLAN_TREES];         /* descriptors of the parents as far as they exist now; unified: -1
                                    when there is none beside the memory hierarchy, or not usable */
    char path[PLAN_TREES][4096]; /* the same as group paths below the mount: "/", "/batch" */
    char shown[PLAN_TREES][4096]; /* the same as file names */
    char make[PLAN_REL];          /* groups that are missing below it: "a/b", or "" */
    bool enable;                  /* v2: the parent does not hand the memory controller on yet */
    bool move_self;               /* v2: and first our own process has to leave it */
    const char *without_unified;  /* why there is no unified tree beside v1, or NULL */
};

/* wanted: a group's path as users write it ("/batch", "batch/x"), or NULL. 0; or -errno with what
 * is missing and the next step: no permission, read-only, no controller, processes in the way. */
int place_find(const struct host *h, const struct cgfs *fs, const char *wanted, struct place *out,
               struct err *err);
void place_done(struct place *p);

/* Appends the steps that prepare it: missing groups, controllers handed on, ourselves moved to the
 * leaf "plimsoll-supervisor". */
void place_plan(const struct place *p, struct plan *plan);
