/* plim.h - the inside of a handle of plimsoll.h.
 *
 * The library lives in somebody else's process: it must survive fork, threads and a program that
 * closes descriptors it does not know. So each descriptor can be proven ours before it is used
 * (holds.h), and what must not be inherited by a child lies in a page that the kernel wipes at
 * fork.
 */
#pragma once
#include <plimsoll.h>
#include <pthread.h>

#include "kern/limit.h"
#include "lib/holds.h"
#include "lib/marks.h"

enum {
    PLIM_LEVELS = 8,   /* our group, those around it that have a limit, the machine, ourselves */
    PLIM_MARKS = 16,   /* callbacks */
    PLIM_GRANTS = 64,  /* threads that were let through the gate and may not have used it yet */
    PLIM_TEXT = 16384, /* memory.stat has 5 kB in Linux 6.18 */
};

enum level_kind { LEVEL_GROUP, LEVEL_HOST, LEVEL_SELF };

struct level {
    enum level_kind kind;
    struct held usage, stat, limit, dir; /* HOST and SELF: usage alone, meminfo or statm */
    uint64_t fixed;                      /* what the options say; CGROUP_NO_LIMIT */
    uint64_t bytes;                      /* its limit; CGROUP_NO_LIMIT */
};

struct grant {
    uint64_t thread, bytes;
    int64_t until_us;
};

/* Zero in a child. */
struct live {
    uint32_t ours; /* 1 in the process that opened it */
    uint32_t lock;
    uint32_t dispatching;
    uint32_t has_thread;
    uint32_t opening; /* selfguard.c: another handle, or the thread */
    struct grant grant[PLIM_GRANTS];
};

/* What a look at all levels says: of the level nearest to its limit. */
struct look {
    uint64_t limit, used, usage;
    int64_t at_us;
};

struct plim {
    struct live *live;
    bool wiped; /* live is wiped at fork; else pid tells a child */
    pid_t pid;
    uint32_t gate_pct, critical_pct, poll_ms;

    struct level level[PLIM_LEVELS];
    unsigned levels;
    enum cg_version version;
    int64_t limits_us; /* when they were read last */
    bool limits_moved; /* since thresholds were registered */
    struct memstat_order order;
    char text[PLIM_TEXT]; /* under the lock */

    struct holds holds;     /* the epoll descriptor and its token */
    struct held thresholds; /* v1: an eventfd, never read */
    bool told;              /* thresholds are in force */
    struct held timer, stop;
    struct held psi_dir, pressure, psi;
    bool pressure_is_psi;
    uint64_t stalled_us; /* PSI's total when it was told last */
    size_t own_bytes;    /* in a FIFO, written by us */

    struct mark mark[PLIM_MARKS];
    unsigned marks;
    struct slope slope;

    void *reserve;
    size_t reserve_bytes; /* as mapped */
    bool reserve_held;    /* touched; else given back */

    int64_t trim_from_us, trim_pause_us; /* by the gate */
    pthread_t thread;
};

/* 0; -EINVAL without a handle; in a child of fork -ECHILD unless it may ask (`child` true). */
int plim_check(struct plim *p, bool child);
bool plim_is_ours(const struct plim *p);

/* Short: reading some files of the kernel. Nobody calls back under it. */
void plim_lock(struct plim *p);
void plim_unlock(struct plim *p);

/* look.c: under the lock. -EBADF, -ENODEV, -errno. */
int look_now(struct plim *p, struct look *out);

/* By how much `more` bytes above what is used now would pass `pct` percent of a limit, at the level
 * where it is the most; 0: they fit. memory.stat is only read where usage alone does not tell. */
int look_over(struct plim *p, uint64_t more, uint32_t pct, uint64_t *over_out);
int look_limit(struct plim *p, uint64_t *out);
int look_usage(struct plim *p, uint64_t *out); /* of the first level alone: cheap */

/* levels.c: finds the groups. */
int levels_open(struct plim *p, uint64_t limit, bool self);
void levels_close(struct plim *p);

/* watch.c */
int watch_open(struct plim *p);
void watch_close(struct plim *p);
void watch_marks_moved(struct plim *p); /* under the lock */

/* pressure.c: -EOPNOTSUPP where nobody tells. */
int pressure_open(struct plim *p);
/* Whether tasks waited, now that epoll said `fired` or, as it was polled from outside, nothing. */
bool pressure_seen(struct plim *p, bool fired, bool nothing);

/* reserve.c: gives the reserve back or takes it again, under the lock. */
void reserve_step(struct plim *p, const struct look *now);
void reserve_close(struct plim *p);

/* gate.c: whether a trim is due; it is counted as made. Under the lock. */
bool gate_trim_due(struct plim *p, int64_t now_us);
/* Trims; what gave much back may soon be done again. Without the lock. */
void gate_trim(struct plim *p);
/* plim_gate without waiting, under the lock. */
int gate_ask(struct plim *p, uint64_t bytes, uint64_t *over_out);

/* trim.c: which allocators there are. */
void trim_find(void);

/* thread.c */
void thread_end(struct plim *p);
