/* procs.h - the processes of a machine or of a group, as rows: what is read is what was asked for.
 *
 * Each field costs the reading of some file for each process; fields that are not wanted cost
 * nothing. PSS and USS are dear (the kernel walks the page tables, about 8 us a MB), so they are
 * read on a budget of CPU time (pssplan.h) and estimated in between, or read for all when that is
 * asked for.
 */
#pragma once
#include "base/buf.h"
#include "kern/host.h"
#include "kern/pidlist.h"
#include "model/procfield.h"
#include "sampler/pssplan.h"

/* Text inside struct procs' buffer: see procs_text. */
struct proc_text {
    uint32_t at, n;
};

struct proc_row {
    int32_t pid, ppid;
    uint32_t have;      /* PROC_BIT(field): known; unset means unknown, never zero */
    bool pss_estimated; /* PSS and USS come from an earlier or another process's ratio to RES */
    bool kernel_thread;
    char state;
    uint8_t comm_n;
    char comm[64]; /* raw bytes */
    uint32_t uid, threads;
    uint64_t fds, virt, res, shr, data, code, swap, anon, file, shmem, pss, uss, lazyfree;
    int64_t oom_score;
    int64_t start_ms; /* wall clock */
    uint64_t start_ticks;
    struct proc_text command; /* raw arguments, blanks between them; "[comm]" when there are none */
    struct proc_text cgroup;  /* of the memory controller */
    struct proc_text runtime; /* of the language: "java 17.0.15+6" */
};

enum procs_pss {
    PROCS_PSS_NONE,
    PROCS_PSS_BUDGET, /* largest first, as many as the budget allows */
    PROCS_PSS_EXACT,  /* of all, now */
};

struct procs_options {
    int proc;                /* open directory, borrowed */
    bool live;               /* it is this machine's /proc, not a captured tree */
    uint32_t want;           /* PROC_BITs */
    enum procs_pss pss;      /* NONE also switches PROC_PSS, USS and LAZYFREE off in `want` */
    const struct host *host; /* borrowed; for PROC_RUNTIME, which is unknown without it */
    bool streaming;          /* collected again and again: the budget grows with the time between */
};

struct procs {
    struct procs_options options;
    struct proc_row *row; /* ascending by pid after procs_collect */
    size_t n, size;
    struct buf text;
    struct pidlist pids;
    struct pssplan plan;
    struct rt_cache *runtimes;
    int64_t boot_s;
    int64_t last_us; /* of the last collect; 0: none yet */
    bool have_boot, no_swap;
    size_t pss_measured, pss_estimated, pss_denied, pss_unknown; /* rows, of the last collect */
    size_t unread;    /* rows that lack figures for want of descriptors or memory, and why */
    int unread_error; /* -EMFILE, -ENFILE, -ENOMEM */
};

/* 0, or -errno of the few files read here. procs_done takes a zeroed struct. */
int procs_init(struct procs *p, const struct procs_options *options);
void procs_done(struct procs *p);

/* Reads the processes in `pids`, or all of them when it is NULL, into p->row. Those that end while
 * they are read are left out. 0, -ENOMEM, or -errno when /proc cannot be listed. */
int procs_collect(struct procs *p, const struct pidlist *pids);

struct str procs_comm(const struct proc_row *row);
struct str procs_text(const struct procs *p, struct proc_text text);

static inline bool proc_has(const struct proc_row *row, enum proc_field field) {
    return row->have & PROC_BIT(field);
}

/* The sizes of a row by field (RES, PSS ...), false when unknown or no size or count. */
bool proc_value(const struct proc_row *row, enum proc_field field, uint64_t *out);

/* Sets such a value, and that it is known; one that does not fit leaves the row as it was. */
void proc_put(struct proc_row *row, enum proc_field field, uint64_t value);

/* Appends `pid` and all its descendants. -ENOENT when there is no such process; -ENOMEM; -errno.
 * Orphans that init has adopted are nobody's descendants any more. */
int procs_descendants(int proc, int32_t pid, struct pidlist *out);

/* Appends the processes of a group and of all groups below it. `group` is an open directory of a
 * cgroup hierarchy (O_PATH is enough). 0; -ENOMEM; -errno of the topmost cgroup.procs. */
int procs_of_group(int group, struct pidlist *out);
