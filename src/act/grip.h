/* grip.h - a group held to be acted on: all directories and files open beforehand.
 *
 * From the event to the action nothing is opened and nothing allocated: in a group at its limit
 * open, fork and pipe fail. A descriptor that is -1 is something that this kernel or this group
 * does not have. The memory group decides (`version`). Groups of the same path in other trees (on
 * hybrid machines the unified one has PSI, freeze and kill; v1's cpu has the quota) are held only
 * when the processes of the memory group are in them.
 */
#pragma once
#include "kern/cgroup.h"
#include "kern/pidlist.h"
#include "model/facts.h"

enum { GRIP_LEVELS = 8, GRIP_PATH = 4096 };

/* A group of the chain that has a limit: the first is the group itself, with or without one. */
struct grip_level {
    int dir;                /* O_RDONLY|O_DIRECTORY */
    int usage, stat, limit; /* files */
    uint64_t bytes;         /* its limit as read last; CGROUP_NO_LIMIT */
    size_t path_n;          /* its path is so much of grip.path; "/a" is 2 */
};

struct grip {
    const struct host *host; /* borrowed */
    const struct cgfs *fs;   /* borrowed */
    char path[GRIP_PATH];    /* below the memory mount */
    char name[256];          /* for people */
    enum cg_version version; /* of memory */
    struct grip_level level[GRIP_LEVELS];
    unsigned levels;
    uint64_t outside; /* v1: tighter limit of an ancestor that cannot be seen; CGROUP_NO_LIMIT */
    uint64_t inode;   /* of the group's directory: its identity */
    int events;       /* v1 memory.oom_control, v2 memory.events; read and, on v1, written */
    int memsw, high, reclaim; /* v1 memory.memsw.limit_in_bytes; v2 memory.high; memory.reclaim or
                                 v1 memory.force_empty. Open for writing, as are level[].limit */
    int swap_max;             /* v2 */
    int procs;                /* cgroup.procs of the memory group */
    int unified;              /* its directory in the unified tree (v2: the same as level[0].dir) */
    int freeze, kill, pressure, unified_events; /* cgroup.freeze, cgroup.kill, memory.pressure,
                                                   cgroup.events of the unified tree */
    int cpu, quota, period; /* v1: directory, cpu.cfs_quota_us, cpu.cfs_period_us; v2: cpu.max is
                               `quota` */
    struct memstat_order order;
};

/* path: below the memory mount. Whatever is missing is -1; without the memory group itself -ENOENT
 * with a text; -EMFILE. grip_done takes one that was zeroed and GRIP_NONEd. */
#define GRIP_NONE                                                                                  \
    {                                                                                              \
        .events = -1, .memsw = -1, .high = -1, .reclaim = -1, .swap_max = -1, .procs = -1,         \
        .unified = -1, .freeze = -1, .kill = -1, .pressure = -1, .unified_events = -1, .cpu = -1,  \
        .quota = -1, .period = -1                                                                  \
    }
int grip_open(const struct host *h, const struct cgfs *fs, struct str path, struct grip *out,
              struct err *err);
void grip_done(struct grip *g);

/* Limits may have been changed by others: reads them again. 1: one has; 0; -ENODEV: removed. */
int grip_refresh(struct grip *g);

/* The level whose limit is the tightest for this group now: where used is the largest part of the
 * limit; NULL: none has a limit. */
const struct grip_level *grip_tightest(const struct grip *g);

/* What to read, each about one file. */
enum {
    GRIP_STAT = 1 << 0,   /* used, file, anon, refaults; usage always */
    GRIP_EVENTS = 1 << 1, /* under_oom, kill_disabled, ooms, oom_kills */
    GRIP_PSI = 1 << 2,
    GRIP_KILLS_BELOW = 1 << 3, /* v1: walks directories */
};
/* Of the level that is nearest to its limit: usage, used, limit are that level's, and `level` says
 * which one it is; the rest, `own_used` too, the group's own. A level above is nearest also when a
 * sibling uses the memory: sibling.h tells. 0; -ENODEV: the group was removed. Never allocates,
 * opens nothing but for KILLS_BELOW. */
int grip_read(struct grip *g, unsigned what, struct facts *out);

/* How many levels above the group this one is; 0: the group itself. */
unsigned grip_level_up(const struct grip *g, const struct grip_level *l);

/* What is charged to a level now. 0 or -errno. */
int grip_usage(const struct grip_level *l, uint64_t *out);

/* Used bytes of the group itself: what the effect of an action is measured by. 0; -ENODEV. */
int grip_used(struct grip *g, uint64_t *out);

/* The same of another group, whose directory is `dir`; opens its files. 0 or -errno. */
int grip_used_at(const struct grip *g, int dir, uint64_t *out);

/* Whether the group still is the one that was opened. */
bool grip_alive(const struct grip *g);

/* Every process in the group and below it, as pids here; those of other pid namespaces that cannot
 * be seen are left out. `list` keeps its memory: with one that is large enough (pidlist reserve)
 * nothing is allocated unless there are groups below. 0; -ENODEV; -errno. */
int grip_pids(const struct grip *g, struct pidlist *list);
