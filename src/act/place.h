/* place.h - where on this machine a group of ours can be made.
 *
 * As root: at the top of what is mounted, where engines make theirs too, unless that were a way out
 * of a run or a limit that we are in ourselves. As a user, and as root in such a case: the nearest
 * group upwards from our own that will do. On v1 that is one that may be written, for root our own.
 * On v2 one that may be written, has the memory controller and holds no process but us, as below a
 * user's systemd instance. Never one above the tightest limit around us, nor above a run: then it
 * is refused. Or where --cgroup-parent says, limits or not;
 * groups missing on the way are made. On a hybrid machine the same is done in the unified tree, for
 * kill, freeze and PSI; if that does not work, it is done without.
 */
#pragma once
#include "act/plan.h"
#include "kern/cgfs.h"

struct place {
    enum cg_version version;      /* of the memory controller */
    int dir[PLAN_TREES];          /* descriptors of the parents as far as they exist now in both
                                     trees; unified: -1 when there is none beside the memory
                                     hierarchy, or not usable */
    char path[PLAN_TREES][4096];  /* the same as group paths below the mount: "/", "/batch" */
    char shown[PLAN_TREES][4096]; /* the same as file names */
    char make[PLAN_REL];          /* groups below it that are missing, in a tree at least, or may
                                     be gone soon: "a/b", or "" */
    bool enable;                  /* v2: the parent does not hand the memory controller on yet */
    bool move_self;               /* v2: and first our own process has to leave it */
    const char *without_unified;  /* why there is no unified tree beside v1, or NULL */
    const struct host *host;      /* what place_find was given, all borrowed */
    const struct cgfs *fs;
    const char *wanted;
};

/* A group of its own for the supervisor, below a parent that may not hold processes. */
#define PLACE_SUPERVISOR "plimsoll-supervisor"
#define PLACE_RUN_PREFIX "plimsoll-run-"

/* wanted: a group's path as users write it ("/batch", "batch/x"), or NULL. 0; or -errno with what
 * is missing and the next step: no permission, read-only, no controller, processes in the way. */
int place_find(const struct host *h, const struct cgfs *fs, const char *wanted, struct place *out,
               struct err *err);
void place_done(struct place *p);

/* The same once more, after a group on the way was removed or changed by another run. */
int place_again(struct place *p, struct err *err);

/* The whole path of a group, `rel` below p's directory, below the mount and as a file name. */
void place_add_path(const struct place *p, enum plan_tree tree, const char *rel, struct buf *out);
void place_add_shown(const struct place *p, enum plan_tree tree, const char *rel, struct buf *out);

/* Where the steps of its plans begin. Borrows from p. */
struct plan_roots place_roots(const struct place *p);

/* Appends the steps that prepare it: missing groups, controllers handed on, ourselves moved to the
 * leaf PLACE_SUPERVISOR. */
void place_plan(const struct place *p, struct plan *plan);

/* Whether place_plan would append anything. */
bool place_needs_work(const struct place *p);

/* After the last group in it was removed: removes parents that a run has made and that are empty,
 * and moves us back where we were. What others use stays. */
void place_restore(const struct place *p);
