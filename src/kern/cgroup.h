/* cgroup.h - one control group, opened to be read again and again.
 *
 * Values are bytes, counts and microseconds whatever the version; what the kernel does not offer is
 * not in `have`. Files stay open between reads (a pread costs a tenth of an open), as many as the
 * limit on descriptors allows; beyond that they are opened each time.
 */
#pragma once
#include "kern/memstat.h"
#include "kern/psi.h"

#define CGROUP_NO_LIMIT UINT64_MAX /* the value of a limit that is known to be none */

/* v1 writes "none" as LONG_MAX rounded down to pages, which may be 64 KiB large: this and above. */
#define CGROUP_NONE_FROM ((uint64_t)INT64_MAX - 65535)

enum cgroup_field {
    CGROUP_USAGE,         /* bytes charged: what the limit is compared with */
    CGROUP_PEAK,          /* highest usage ever (v1, v2 since Linux 5.19) */
    CGROUP_LIMIT,         /* the group's own hard limit, or CGROUP_NO_LIMIT */
    CGROUP_HIGH,          /* v2: above it the kernel slows the group down */
    CGROUP_LOW,           /* v2: protected from reclaim, best effort */
    CGROUP_MIN,           /* v2: protected absolutely */
    CGROUP_SOFT_LIMIT,    /* v1 */
    CGROUP_SWAP,          /* bytes in swap */
    CGROUP_SWAP_LIMIT,    /* of swap alone; v1 derives it from memory+swap, none stays none */
    CGROUP_KERNEL,        /* v1: kernel memory in usage (v2: in memory.stat) */
    CGROUP_FAILCNT,       /* times a charge met the limit: v1 failcnt, v2 memory.events "max" */
    CGROUP_HIGH_EVENTS,   /* v2: times the group was slowed down */
    CGROUP_OOM_EVENTS,    /* v2: times the limit could not be met; not kills */
    CGROUP_OOM_KILLS,     /* tasks killed for memory: v2 with descendants, v1 in this group alone */
    CGROUP_UNDER_OOM,     /* v1: 1 while tasks hang waiting for memory */
    CGROUP_KILL_DISABLED, /* v1: 1 when they hang instead of being killed */
    CGROUP_PIDS,          /* tasks (threads count) */
    CGROUP_PIDS_LIMIT,
    CGROUP_CPU_US, /* CPU time used */
    CGROUP_READ,   /* bytes read from block devices */
    CGROUP_WRITTEN,
    CGROUP_SOME_AVG10, /* memory PSI, hundredths of a percent */
    CGROUP_FULL_AVG10,
    CGROUP_SOME_AVG60,
    CGROUP_FULL_AVG60,
    CGROUP_SOME_US, /* memory PSI, total */
    CGROUP_FULL_US,
    CGROUP_N,
};

struct cgroup_numbers {
    uint64_t value[CGROUP_N];
    uint64_t have; /* bit (1 << field) */
};

static inline bool cgroup_has(const struct cgroup_numbers *n, enum cgroup_field field) {
    return n->have >> field & 1;
}

/* What to read; each bit costs about one file. */
enum {
    CGROUP_READ_STAT = 1 << 0, /* memory.stat: the struct memstat */
    CGROUP_READ_USAGE = 1 << 1,
    CGROUP_READ_EVENTS = 1 << 2, /* kills, under_oom, and on v2 the other events */
    CGROUP_READ_SWAP = 1 << 3,   /* v2; v1 has it in memory.stat */
    CGROUP_READ_KERNEL = 1 << 4, /* v1; v2 has it in memory.stat */
    CGROUP_READ_PIDS = 1 << 5,
    CGROUP_READ_CPU = 1 << 6,
    CGROUP_READ_IO = 1 << 7,
    CGROUP_READ_PSI = 1 << 8,
    CGROUP_READ_PEAK = 1 << 9,
    CGROUP_READ_FAILCNT = 1 << 10,    /* v1 */
    CGROUP_READ_LIMIT = 1 << 11,      /* the hard limit */
    CGROUP_READ_SWAP_LIMIT = 1 << 12, /* with LIMIT, from which v1 derives it */
    CGROUP_READ_BOUNDS = 1 << 13,     /* high, low, min, soft limit, pids limit */
    CGROUP_STAT_IF_NEW = 1 << 14,     /* memory.stat need not be parsed if it reads as it did */
};

enum { CGROUP_SAME = 1 }; /* CGROUP_STAT_IF_NEW: it reads as it did, *stat is left as it was */

enum { CGROUP_KEPT = 9 }; /* files that stay open: the first nine bits */

/* How many descriptors may be kept, shared by all groups. The three files that every tick reads
 * (stat, usage, events) may use them all, the others a quarter, so that these do not crowd out
 * those of groups that come later. */
struct cgroup_fds {
    int left;       /* how many more; made from RLIMIT_NOFILE by cgroup_fds_init */
    int extra_left; /* how many of them for other files than those three */
    bool exhausted; /* one of the three had to do without: worth telling once */
};

/* Raises the soft limit on descriptors to the hard one and leaves `reserve` for others. */
void cgroup_fds_init(struct cgroup_fds *fds, int reserve);

struct cgroup {
    const struct cgfs *fs;  /* borrowed */
    struct cgroup_fds *fds; /* borrowed */
    struct str path;        /* borrowed: below the mount */
    uint64_t stat_sum;      /* of the text of memory.stat when it was read last; 0: not yet */
    int kept[CGROUP_KEPT];  /* descriptor, or why there is none */
    bool unified_cpu; /* v1: cpuacct has no such group, cpu.stat of the unified tree is kept */
};

/* Only remembers; files are opened when they are first read. fs, fds and path must outlive it. */
void cgroup_init(struct cgroup *cg, const struct cgfs *fs, struct cgroup_fds *fds, struct str path);
void cgroup_done(struct cgroup *cg);

/* Lets files that were not there be tried again: a runtime makes the directories of the controllers
 * one after the other, and we may have come between. */
void cgroup_retry(struct cgroup *cg);

/* Reads what is asked for. Fields of files that are missing, unreadable or malformed stay out of
 * `have`; the rest is kept (on v2 a group may have no memory controller: then nothing of memory is
 * known). 0; CGROUP_SAME; -ENODEV when the group has been removed; -EACCES when usage or stat
 * may not be read. `stat` may be NULL unless CGROUP_READ_STAT is asked for. Never allocates. */
int cgroup_read(struct cgroup *cg, unsigned what, struct memstat_order *order, struct memstat *stat,
                struct cgroup_numbers *out);

/* v1 counts an OOM kill in the victim's own group only: the sum over all groups below `path`,
 * itself left out. 0 when there are none below, 0 on v2. Walks directories. */
uint64_t cgroup_oom_kills_below(const struct cgfs *fs, struct str path);

/* Parsers of the single files; 0, -EBADMSG, -ERANGE, and *out keeps what it had. */
int cgroup_parse_events(struct str text, enum cg_version version, struct cgroup_numbers *out);
int cgroup_parse_io(struct str text, enum cg_version version, struct cgroup_numbers *out);
int cgroup_parse_cpu(struct str text, enum cg_version version, struct cgroup_numbers *out);

/* A single number, or "max" (v2) or the sentinel of v1 (2^63 less a page): CGROUP_NO_LIMIT. */
int cgroup_parse_number(struct str text, uint64_t *out);
