/* rungroup.h - the control groups of one run: PARENT/plimsoll-run-NAME and, in it, w.
 *
 * The outer group has the limit and keeps the counters; w holds the work and is made anew for each
 * start, so that the page cache of the last one does not count. w has the same limit, because
 * runtimes that size themselves look at their own group only (JVM before 24, libuv). A lock on the
 * outer directory says that a supervisor lives; without one, what is there is left over.
 */
#pragma once
#include "act/place.h"
#include "kern/oomcount.h"

#define RUNGROUP_PREFIX PLACE_RUN_PREFIX
#define RUNGROUP_WORK "w" /* the inner group */
#define RUNGROUP_UNSET UINT64_MAX
enum { RUNGROUP_NAME = 64 };

struct rungroup_limits {
    uint64_t limit; /* bytes, RUNGROUP_UNSET: none */
    uint64_t swap;  /* bytes on top; RUNGROUP_UNSET: as much as there is */
    uint64_t high;  /* v2; RUNGROUP_UNSET: none */
    int swappiness; /* v1; -1: 0 without any swap, else leave it */
    bool oom_group; /* v2: an OOM kill takes the whole group */
};

struct rungroup {
    const struct place *place; /* borrowed */
    struct rungroup_limits limits;
    char name[RUNGROUP_NAME + 1];
    char rel[PLAN_REL]; /* of the outer group, below place's directory: "a/b/plimsoll-run-x" */
    int outer[PLAN_TREES], work[PLAN_TREES]; /* descriptors, -1 none */
    int parent[PLAN_TREES]; /* descriptors of the directory the outer group is in; may be place's */
};

/* What a run before left behind, when nobody supervised it any more. */
struct rungroup_left {
    bool found;
    unsigned killed; /* processes that still ran there */
};

/* Letters, digits, '.', '_', '-', the first a letter or digit, at most 64. */
bool rungroup_name_ok(struct str name);

/* Whether this kind of control group can keep such limits: 0, or -EINVAL with a text. rungroup_make
 * asks too. */
int rungroup_check(const struct place *place, const struct rungroup_limits *limits,
                   struct err *err);

/* The inner group of the run that would be made there, below place's directory. One that is too
 * long is cut, and then too long for a plan. */
enum { RUNGROUP_REL = PLAN_REL + RUNGROUP_NAME + 32 };
void rungroup_work_rel(const struct place *place, const char *name, char out[RUNGROUP_REL]);

/* Appends all steps of a start, those of place_plan first. */
void rungroup_plan(const struct place *place, const char *name,
                   const struct rungroup_limits *limits, struct plan *plan);

/* Makes and locks the groups; kills and replaces what a dead supervisor left under the same name
 * (up to 5 s). A parent that an earlier run takes away meanwhile is found or made again, for which
 * the place is changed. 0; -EBUSY when a live supervisor has the name; -errno with file and next
 * step, and nothing half-made. Warnings: lines for people. */
int rungroup_make(struct rungroup *g, struct place *place, const char *name,
                  const struct rungroup_limits *limits, struct rungroup_left *left,
                  struct buf *warnings, struct err *err);

/* Makes w anew and removes what else is in the outer group: nothing may run there. Its page cache
 * is given back first, for which written pages may have to go to the disk. 0 or -errno; then there
 * may be no w. */
int rungroup_renew(struct rungroup *g, struct err *err);

/* One pass of SIGKILL over everything in it, by cgroup.kill where there is such a thing; repeat
 * until rungroup_busy is false. */
void rungroup_kill(struct rungroup *g);
/* The same with another signal, by process lists. Returns how many got it. */
unsigned rungroup_signal(struct rungroup *g, int signal);
bool rungroup_busy(const struct rungroup *g);

/* Processes in it, in both trees, each once. Writes at most n pids, which may be NULL with n = 0.
 * Returns how many there are. */
size_t rungroup_pids(const struct rungroup *g, int32_t *pids, size_t n);

/* Removes both groups and the parents that place had to make, and lets go of the lock. -EBUSY while
 * something runs in it: then they stay, limit and all. Also removes what dead runs left in the same
 * parent, if it is empty. Legal on a half-made struct with descriptors -1. */
int rungroup_remove(struct rungroup *g);

/* Closes everything and leaves the groups as they are. */
void rungroup_close(struct rungroup *g);
