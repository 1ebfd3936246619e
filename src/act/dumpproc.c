/* The processes of a group: the largest, each with what can be read of it. First of all of them
 * what waits for nobody; then what may wait for the process itself (its address space locked by a
 * task that waits for memory, on older kernels).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "act/dumppass.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "kern/proccmdline.h"
#include "kern/procfd.h"
#include "kern/procfile.h"
#include "kern/procstat.h"
#include "kern/procstatus.h"
#include "kern/proctask.h"
#include "kern/smaps.h"

enum {
    THREADS_MAX = 256,  /* listed of one of the largest processes, */
    THREADS_SMALL = 64, /* of another */
    TASKS_EACH = 6,     /* waiting threads of one process that the summary may tell of */
    STALL_LEAST_US = 100000,
    STALL_MOST_US = 1500000,
    TEXT_MAX = 512 << 10,
};

int dump_folder_of(struct dump *d, const struct dump_row *row) {
    char name[16];

    (void)snprintf(name, sizeof(name), "%d", row->pid);
    return d->processes < 0 ? d->processes : dumpstore_sub(&d->store, d->processes, name);
}

void dump_file_of(struct dump *d, const struct dump_row *row, const char *name, struct str text) {
    auto_close int to = dump_folder_of(d, row);
    bool cut = false;
    int r = to < 0 ? to : dumpstore_write(&d->store, to, name, text, &cut);

    if (r < 0)
        dump_missed(d, row->pid, name, r);
    else if (cut)
        dump_missed_why(d, row->pid, name, "cut: it is too large");
}

/* --- which ------------------------------------------------------------------------------------ */

/* False: it is gone, or no process with memory. */
static bool look_first(struct dump *d, int32_t pid, struct dump_row *out) {
    struct dump_row row = {.pid = pid};
    struct procstatus status;
    struct procstat stat;

    if (procstat_read(d->g->host->proc, pid, &stat) < 0)
        return false;
    row.ppid = stat.ppid;
    row.start_ticks = stat.start_ticks;
    row.state = stat.state;
    row.kernel_thread = stat.kernel_thread;
    row.comm_n = stat.comm_n;
    memcpy(row.comm, stat.comm, sizeof(row.comm));
    dump_put(&row, DUMP_THREADS, stat.threads);
    if (procstatus_read(d->g->host->proc, pid, &status) == 0) {
        static const struct {
            enum procstatus_field from;
            enum dump_value to;
        } same[] = {
            {PROCSTATUS_RES, DUMP_RSS},     {PROCSTATUS_ANON, DUMP_ANON},
            {PROCSTATUS_SHMEM, DUMP_SHMEM}, {PROCSTATUS_SWAP, DUMP_SWAP},
            {PROCSTATUS_EUID, DUMP_UID},    {PROCSTATUS_NS_PID, DUMP_NS_PID},
        };

        for (size_t i = 0; i < ARRAY_N(same); i++)
            if (status.have & 1u << same[i].from)
                dump_put(&row, same[i].to, status.value[same[i].from]);
    }
    row.rank = row.value[DUMP_RSS] + row.value[DUMP_SWAP];
    *out = row;
    return true;
}

static int by_rank(const void *a, const void *b) {
    const struct dump_row *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? 1 : -1;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* Among so many processes that not all are kept, the smallest goes. */
static void keep(struct dump *d, const struct dump_row *row) {
    size_t least = 0;

    if (d->rows < DUMP_PROCESSES) {
        d->row[d->rows++] = *row;
        return;
    }
    for (size_t i = 1; i < d->rows; i++)
        if (by_rank(&d->row[i], &d->row[least]) > 0)
            least = i;
    if (by_rank(row, &d->row[least]) < 0)
        d->row[least] = *row;
}

/* Half of the time at most: a look costs some 30 us. */
static void look_at_pids(struct dump *d, const struct pidlist *pids) {
    int64_t until_us = (clock_mono_us() + d->end_us) / 2;

    d->all = pids->n;
    for (size_t i = 0; i < pids->n; i++) {
        struct dump_row row;

        if (i % 64 == 0 && clock_mono_us() > until_us) {
            dump_missed_why(d, 0, "processes", "only %zu of %zu could be looked at in time", i,
                            pids->n);
            break;
        }
        if (look_first(d, pids->pid[i], &row))
            keep(d, &row);
    }
    qsort(d->row, d->rows, sizeof(*d->row), by_rank);
}

void dump_list(struct dump *d) {
    struct pidlist pids = {0};
    int r = 0;

    d->row = calloc(DUMP_PROCESSES, sizeof(*d->row));
    if (!d->row)
        r = -ENOMEM;
    if (r == 0)
        r = grip_pids(d->g, &pids);
    if (r == 0) {
        pidlist_sort(&pids);
        look_at_pids(d, &pids);
    }
    pidlist_done(&pids);
    d->processes = r < 0 || d->rows == 0 ? -1 : dumpstore_sub(&d->store, d->store.dir, "processes");
    if (r == 0 && d->rows > 0 && d->processes < 0)
        r = d->processes;
    if (r < 0)
        dump_missed(d, 0, "processes", r);
}

/* --- what waits for nobody -------------------------------------------------------------------- */

struct look {
    struct dump *d;
    struct dump_row *row;
    struct buf text;
    unsigned waiting, told;
};

static void add_stack(const struct look *l, const struct proctask *t, char *out, size_t size) {
    struct buf stack;

    buf_init(&stack, PROCTASK_STACK);
    if (proctask_stack(l->d->g->host->proc, l->row->pid, t->tid, &stack) == 0)
        (void)snprintf(out, size, "%.*s", STR_ARG(buf_str(&stack)));
    buf_done(&stack);
}

static int add_thread(void *ctx, const struct proctask *t) {
    struct look *l = ctx;
    struct dump_task task = {.pid = l->row->pid, .tid = t->tid, .comm_n = t->comm_n};

    memcpy(task.comm, t->comm, sizeof(task.comm));
    (void)snprintf(task.wchan, sizeof(task.wchan), "%s", t->wchan);
    if (t->tid == l->row->pid)
        (void)snprintf(l->row->wchan, sizeof(l->row->wchan), "%s", t->wchan);
    buf_add_format(&l->text, "%-10d %c  %-36s ", t->tid, t->state, t->wchan[0] ? t->wchan : "-");
    text_add_visible(&l->text, (struct str){t->comm, t->comm_n}, false);
    buf_add_char(&l->text, '\n');
    if (t->state != 'D')
        return 0;
    l->waiting++;
    add_stack(l, t, task.stack, sizeof(task.stack));
    if (task.stack[0])
        buf_add_format(&l->text, "           %s\n", task.stack);
    if (l->told++ < TASKS_EACH)
        dump_pass_task(l->d, &task);
    return 0;
}

static void write_threads(struct dump *d, struct dump_row *row) {
    struct look l = {.d = d, .row = row};
    unsigned most = row < d->row + DUMP_MAPPINGS ? THREADS_MAX : THREADS_SMALL;
    int r;

    buf_init(&l.text, TEXT_MAX);
    buf_add(&l.text, STR("THREAD  STATE  WAITS IN                              NAME\n"));
    r = proctask_each(d->g->host->proc, row->pid, most, true, add_thread, &l);
    if (r == 1)
        buf_add_format(&l.text, "... the first %u of %lu\n", most, row->value[DUMP_THREADS]);
    if (r >= 0) {
        dump_put(row, DUMP_WAITING, l.waiting);
        dump_file_of(d, row, "threads", buf_str(&l.text));
    } else if (!procfile_gone(r)) {
        dump_missed(d, row->pid, "threads", r);
    }
    buf_done(&l.text);
}

/* Gone, or the pid has become another's. */
static bool is_gone(struct dump *d, struct dump_row *row) {
    struct procstat stat;

    if (procstat_read(d->g->host->proc, row->pid, &stat) < 0 ||
        stat.start_ticks != row->start_ticks) {
        row->gone = true;
        return true;
    }
    row->state = stat.state;
    return false;
}

static void copy_one(struct dump *d, struct dump_row *row, int from, int to, const char *name) {
    bool cut = false;
    int r = dumpstore_copy(&d->store, from, name, to, name, &cut);

    if (cut)
        dump_missed_why(d, row->pid, name, "cut: it is too large");
    else if (r < 0 && r != -ENODATA && !procfile_gone(r))
        dump_missed(d, row->pid, name, r);
}

static int open_proc(const struct dump *d, const struct dump_row *row) {
    char path[PROCFILE_PATH];
    int fd = openat(d->g->host->proc, procfile_path(path, row->pid, ""),
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static void write_fds(struct dump *d, struct dump_row *row) {
    uint64_t fds;
    char text[32];
    int r = procfd_count(d->g->host->proc, row->pid, &fds);

    if (r < 0) {
        if (!procfile_gone(r))
            dump_missed(d, row->pid, "fds", r);
        return;
    }
    dump_put(row, DUMP_FDS, fds);
    (void)snprintf(text, sizeof(text), "%lu\n", fds);
    dump_file_of(d, row, "fds", str_of(text));
}

static void look_quickly(struct dump *d, struct dump_row *row) {
    static const char *const files[] = {"status",        "cgroup",    "limits", "oom_score",
                                        "oom_score_adj", "schedstat", "wchan",  "stack"};
    int64_t adj;

    if (is_gone(d, row))
        return;
    auto_close int from = open_proc(d, row);
    auto_close int to = dump_folder_of(d, row);

    row->folder = to >= 0;
    if (procfile_read_i64(d->g->host->proc, row->pid, "oom_score_adj", &adj) == 0) {
        row->oom_score_adj = (int32_t)adj;
        row->have_adj = true;
    }
    for (size_t i = 0; from >= 0 && to >= 0 && i < ARRAY_N(files); i++) {
        dump_pass_part(files[i]);
        copy_one(d, row, from, to, files[i]);
    }
    if (to < 0)
        dump_missed(d, row->pid, "processes", to);
    dump_pass_part("threads");
    write_threads(d, row);
    dump_pass_part("fds");
    write_fds(d, row);
}

/* How long is stuck: never so long that two such processes take half of the time. */
static int64_t stall_us(const struct dump *d) {
    int64_t us = (d->end_us - d->began_us) / 6;

    return us < STALL_LEAST_US ? STALL_LEAST_US : us > STALL_MOST_US ? STALL_MOST_US : us;
}

void dump_quick(struct dump *d) {
    const struct dump_pass pass = {
        .look = look_quickly,
        .part = "processes",
        .rows = DUMP_PROCESSES,
        .stall_us = stall_us(d),
        .stalls = 3,
        .here = true,
    };

    dump_pass_run(d, &pass);
}

/* --- what may wait for it --------------------------------------------------------------------- */

static void write_cmdline(struct dump *d, struct dump_row *row) {
    char text[PROCCMDLINE_MAX];
    struct str line;
    struct buf joined;

    if (d->terms->no_cmdline ||
        proccmdline_read(d->g->host->proc, row->pid, text, sizeof(text), &line) < 0 || line.n == 0)
        return;
    dump_file_of(d, row, "cmdline", line);
    buf_init(&joined, 2 * PROCCMDLINE_MAX);
    proccmdline_add_joined(&joined, line, STR(""));
    (void)snprintf(row->command, sizeof(row->command), "%.*s", STR_ARG(buf_str(&joined)));
    buf_done(&joined);
}

static void write_rollup(struct dump *d, struct dump_row *row) {
    char text[8192];
    struct smaps sum = {0};
    struct str rollup;
    uint64_t uss;
    int r = procfile_read(d->g->host->proc, row->pid, "smaps_rollup", text, sizeof(text), &rollup);

    if (r < 0) {
        if (!procfile_gone(r)) /* a zombie has none */
            dump_missed(d, row->pid, "smaps_rollup", r);
        return;
    }
    dump_file_of(d, row, "smaps_rollup", rollup);
    if (smaps_parse_rollup(rollup, &sum) < 0)
        return;
    if (smaps_have(&sum, SMAPS_PSS))
        dump_put(row, DUMP_PSS, sum.value[SMAPS_PSS]);
    if (smaps_uss(&sum, &uss))
        dump_put(row, DUMP_USS, uss);
}

static void look_slowly(struct dump *d, struct dump_row *row) {
    bool large = row < d->row + DUMP_MAPPINGS;

    if (row->kernel_thread || is_gone(d, row))
        return;
    dump_pass_part("cmdline");
    write_cmdline(d, row);
    dump_pass_part("smaps_rollup");
    write_rollup(d, row);
    if (large) {
        auto_close int from = open_proc(d, row);
        auto_close int to = dump_folder_of(d, row);

        dump_pass_part("maps");
        if (from >= 0 && to >= 0)
            copy_one(d, row, from, to, "maps");
    }
}

void dump_slow(struct dump *d) {
    const struct dump_pass pass = {
        .look = look_slowly,
        .part = "memory of processes",
        .rows = DUMP_PROCESSES,
        .stall_us = stall_us(d),
        .stalls = 2,
    };

    dump_pass_run(d, &pass);
}
