/* oomlog.h - which OOM kills the kernel's log tells of, seen from one group and one process.
 *
 * A kill is ours when its victim was in our group, below it, or is the main process; it is somebody
 * else's when its victim was elsewhere; and when the report was rate-limited away, only the pid is
 * told, and it may be ours. Reading never blocks, and nothing is allocated after oomlog_open.
 */
#pragma once
#include "act/exitcause.h"
#include "kern/cgfs.h"

struct oomlog;

/* One kill of ours. */
struct oomlog_kill {
    int32_t pid; /* as the log has it */
    char comm[64];
    enum oom_whose whose;
    bool sure;       /* false: only the end of our own path is known, as inside a container */
    bool memcg;      /* some group's limit was met, whosever */
    size_t up;       /* WHOSE_ANCESTOR: how many bytes shorter its path is than our group's */
    char path[1024]; /* WHOSE_ANCESTOR: whole; WHOSE_INSIDE: the part below our group, "/w/sub";
                        "": too long */
};

/* What was told since oomlog_clear. */
struct oomlog_told {
    uint64_t ours, maybe; /* kills: ours without doubt, and those whose victim's group is unknown */
    uint64_t again;       /* of `ours`, those that were told twice (memory.oom.group) */
    bool main;            /* the main process was killed: `of_main` */
    bool lost;            /* something is missing */
    struct oomlog_kill of_main, last, last_maybe; /* last: of another than the main process */
};

/* group: our group's path below the memory mount. log: a descriptor as of kmsg_open, which is taken
 * (closed on failure too), or -1: withheld, then nothing is ever told. 0 or -errno. */
int oomlog_open(const struct host *h, const struct cgfs *fs, struct str group, int log,
                struct oomlog **out);
void oomlog_free(struct oomlog *log);

/* To poll for EPOLLIN; -1: the log is withheld, or could not be read on (the descriptor stays open
 * until oomlog_free). */
int oomlog_fd(const struct oomlog *log);
/* Whether pids in the log are pids here: only in the initial pid namespace. */
bool oomlog_knows_pids(const struct oomlog *log);

/* Forgets what was told, and skips what is in the log already; a pid of 0: no main process. */
void oomlog_begin(struct oomlog *log);
void oomlog_main(struct oomlog *log, int32_t pid);
/* Forgets what was told, and reads on where it is. */
void oomlog_clear(struct oomlog *log);

/* Reads at most `most` records. How many there were. */
unsigned oomlog_read(struct oomlog *log, unsigned most);
const struct oomlog_told *oomlog_told(const struct oomlog *log);
