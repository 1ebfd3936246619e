/* dumpint.h - what the files of a dump share: what was found out so far, and what was not.
 */
#pragma once
#include "act/dump.h"
#include "act/dumpstore.h"
#include "base/json.h"
#include "runtime/heaps.h"

enum {
    DUMP_PROCESSES = 200, /* written down, the largest */
    DUMP_MAPPINGS = 20,   /* with their mappings, and looked at for a runtime */
    DUMP_ASKED = 5,       /* runtimes that are asked */
    DUMP_TASKS = 64,      /* waiting threads that the summary may tell of */
    DUMP_MISSES = 64,
    DUMP_SERIES_S = 600, /* of history */
};

enum dump_value {
    DUMP_RSS,
    DUMP_ANON,
    DUMP_SHMEM,
    DUMP_SWAP,
    DUMP_PSS,
    DUMP_USS,
    DUMP_FDS,
    DUMP_THREADS,
    DUMP_WAITING, /* threads in D */
    DUMP_NS_PID,
    DUMP_UID,
    DUMP_VALUES,
};

/* A process. Plain data: it goes through a pipe. */
struct dump_row {
    int32_t pid, ppid, oom_score_adj;
    uint64_t start_ticks, rank; /* rank: bytes, RSS and swap */
    uint32_t have;              /* bit (1u << dump_value) */
    uint64_t value[DUMP_VALUES];
    bool have_adj, gone, folder, kernel_thread;
    char state;
    uint8_t comm_n;
    char comm[64];
    char wchan[64];    /* of its first thread */
    char command[200]; /* head of its command line, blanks between the arguments, raw; "" */
    struct rt_id id;
    struct rt_figures figures;
    char found[320]; /* what its runtime said: "byte[] 48.0M, ..."; visible text */
};

struct dump_task {
    int32_t pid, tid;
    uint8_t comm_n;
    char comm[64], wchan[64], stack[400];
};

struct dump_miss {
    char part[48], why[160];
    unsigned count; /* how many processes; 0: it is not about one */
    int32_t pid;    /* the first of them */
    bool lacking;   /* it is not there to be had: nothing went wrong */
};

struct dump {
    struct grip *g;
    const struct dump_terms *terms;
    struct dumpstore store;
    int group, processes; /* folders */
    int64_t began_us, at_ms;
    int64_t end_us; /* by then everything but summary and index is done */

    struct cgroup_numbers numbers; /* of the group */
    struct memstat stat;
    bool have_numbers;
    uint64_t host_total, host_available; /* 0: not known */

    struct dump_row *row; /* the largest first */
    size_t rows, all;     /* all: processes in the group */
    struct dump_task task[DUMP_TASKS];
    unsigned tasks, more_tasks;
    struct dump_miss miss[DUMP_MISSES];
    unsigned misses, more_misses;
    struct buf log;     /* lines for the summary: kernel's records, escaped by the kernel */
    struct buf history; /* a line or two of how it came to this */
};

static inline bool dump_has(const struct dump_row *row, enum dump_value value) {
    return row->have >> value & 1;
}

static inline void dump_put(struct dump_row *row, enum dump_value value, uint64_t n) {
    row->value[value] = n;
    row->have |= 1u << value;
}

/* What could not be had. pid 0: of the group; what is alike is counted. `code`: a negative errno,
 * for its words; -ENOSPC also sets store.full, and is told once. */
void dump_missed(struct dump *d, int32_t pid, const char *part, int code);
void dump_missed_why(struct dump *d, int32_t pid, const char *part, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same of what is not there to be had: told, but the dump is whole without it. */
void dump_lacks(struct dump *d, int32_t pid, const char *part, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Where a process's files go. Descriptor or -errno. */
int dump_folder_of(struct dump *d, const struct dump_row *row);
/* Writes one of its files; what goes wrong is missed. */
void dump_file_of(struct dump *d, const struct dump_row *row, const char *name, struct str text);

/* --- dumpgroup.c: the group's files, those of the levels above, the machine's ------------------
 */
void dump_group(struct dump *d);

/* --- dumpproc.c ------------------------------------------------------------------------------- */
void dump_list(struct dump *d);  /* which processes, by size */
void dump_quick(struct dump *d); /* what can be read of a process that hangs */
void dump_slow(struct dump *d);  /* what may wait for it: command line, PSS, mappings */

/* --- dumpruntime.c ---------------------------------------------------------------------------- */
void dump_runtimes(struct dump *d); /* which, and what they tell by themselves */
void dump_answers(struct dump *d);  /* what they say when they are asked */

/* --- dumplog.c, dumpseries.c ------------------------------------------------------------------ */
void dump_log(struct dump *d);
void dump_series(struct dump *d);

/* --- dumptext.c, dumpindex.c: what was found out, for people and for programs ------------------
 */
void dump_add_summary(struct buf *out, struct dump *d, bool over);
int dump_add_index(struct buf *out, struct dump *d);
