/* procstat.h - who a process is: name, parent, state, threads, start, times: /proc/PID/stat.
 *
 * (pid, start_ticks) names a process for good; a pid alone may be given again.
 */
#pragma once
#include "base/str.h"

struct procstat {
    int32_t pid, ppid;
    uint32_t threads;
    char state;           /* R S D Z T t X I ... */
    bool kernel_thread;   /* has no memory of its own, no maps and no command line */
    bool forked;          /* has not called exec since it was forked */
    bool exiting;         /* is ending, or has ended and was not waited for */
    uint8_t comm_n;       /* length of comm */
    char comm[64];        /* raw bytes: may hold ')', blanks, newlines and escapes; no NUL */
    uint64_t start_ticks; /* since boot */
    uint64_t user_ticks, system_ticks;
    uint64_t minor_faults, major_faults;
    uint64_t virt;      /* bytes */
    uint64_t res_pages; /* pages, as inexact as statm's */
};

/* The name runs to the *last* ')': it may hold others. 0; -EBADMSG, -ERANGE, and then *out is
 * untouched. */
int procstat_parse(struct str text, struct procstat *out);

/* PROC/PID/stat; also -errno (see procfile.h). Any user may read it of any process. */
int procstat_read(int proc, int32_t pid, struct procstat *out);

/* comm as text; lives as long as *s. */
struct str procstat_comm(const struct procstat *s);

/* When the machine booted: `btime` of PROC/stat, seconds since 1970. The parser takes the whole
 * text of that file. -ENODATA when it has no such line. */
int procstat_parse_boot(struct str text, int64_t *boot_s_out);
int procstat_read_boot(int proc, int64_t *boot_s_out);

/* When the process started, ms since 1970; good to about a second (btime is in seconds). */
int64_t procstat_start_ms(const struct procstat *s, int64_t boot_s);
