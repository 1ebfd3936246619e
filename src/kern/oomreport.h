/* oomreport.h - who was killed for memory, at whose limit: the kernel's OOM reports.
 *
 * Fed with the records of the kernel's log in order, it gives one `struct oomkill` for each "Killed
 * process" line, with what the line "oom-kill:constraint=..." before it told (Linux 5.0). Reports
 * are rate-limited by the kernel (ten in five seconds), the "Killed process" line is not: then the
 * paths are unknown. Paths and command names are hostile: they may hold commas, "pid=" and the
 * like; what cannot be told for sure is left empty and never guessed.
 */
#pragma once
#include "kern/kmsg.h"

enum oom_constraint {
    OOM_UNKNOWN,
    OOM_HOST,
    OOM_CPUSET,
    OOM_MEMPOLICY,
    OOM_MEMCG,
    OOM_CONSTRAINTS
};

struct oomkill {
    int32_t pid; /* of the process, as the initial pid namespace counts */
    int64_t at_us;
    enum oom_constraint constraint; /* OOM_HOST without a report may be any but OOM_MEMCG */
    struct str comm;                /* of the victim, escapes resolved, raw bytes */
    struct str limit_path; /* group whose limit was met, whole path from the true root; empty: not
                              told, or ambiguous, or the machine's memory */
    struct str task_path;  /* group of the victim; the same */
    uint64_t anon, file, shmem; /* bytes the victim had */
    bool again;                 /* the same victim was told before in this report (oom.group) */
};

enum { OOMREPORT_TEXT = 16384 }; /* four paths' worth of escapes */
enum { OOMREPORT_THREADS = 64 }; /* processes whose first thread has ended, in one report */

/* What has been seen of the report that is being written. Fixed size. */
struct oomreport;

int oomreport_new(struct oomreport **out); /* 0 or -ENOMEM */
void oomreport_free(struct oomreport *r);

/* Takes one record. 1 and *out, whose texts live until the next call, when a kill was told; 0 when
 * not. Give it every record: those that are not the kernel's own are ignored, and a gap in the
 * sequence makes it forget what it knew of a report. Allocates nothing. */
int oomreport_feed(struct oomreport *r, const struct kmsg_record *record, struct oomkill *out);
