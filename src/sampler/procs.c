#include "sampler/procs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kern/meminfo.h"
#include "kern/proccgroup.h"
#include "kern/proccmdline.h"
#include "kern/procfd.h"
#include "kern/procfile.h"
#include "kern/procstat.h"
#include "kern/procstatm.h"
#include "kern/procstatus.h"
#include "kern/smaps.h"
#include "runtime/recognise.h"

enum {
    TEXT_MAX = 256 << 20,    /* bytes of all command lines and group paths */
    FIRST_BUDGET_US = 20000, /* CPU time for PSS of a single look */
    BUDGET_SHARE = 50,       /* after it 1/50 of the time that passes: 2 % of a CPU */
};

/* Which fields come from which file. */
#define FROM_PSS (PROC_BIT(PROC_PSS) | PROC_BIT(PROC_USS) | PROC_BIT(PROC_LAZYFREE))
#define FROM_STAT                                                                                  \
    (PROC_BIT(PROC_PPID) | PROC_BIT(PROC_COMM) | PROC_BIT(PROC_STATE) | PROC_BIT(PROC_THREADS) |   \
     PROC_BIT(PROC_START) | PROC_BIT(PROC_COMMAND))
#define FROM_STATM                                                                                 \
    (PROC_BIT(PROC_VIRT) | PROC_BIT(PROC_RES) | PROC_BIT(PROC_SHR) | PROC_BIT(PROC_DATA) |         \
     PROC_BIT(PROC_CODE))
#define FROM_STATUS                                                                                \
    (PROC_BIT(PROC_SWAP) | PROC_BIT(PROC_ANON) | PROC_BIT(PROC_FILE) | PROC_BIT(PROC_SHMEM))

static uint32_t files_for(uint32_t want) {
    /* A PSS is planned by resident size, remembered by start time, guessed by name. */
    if (want & FROM_PSS)
        want |= PROC_BIT(PROC_RES) | PROC_BIT(PROC_COMM);
    if (want & PROC_BIT(PROC_RUNTIME)) /* threads of the kernel and zombies have none */
        want |= PROC_BIT(PROC_STATE);
    return want;
}

int procs_init(struct procs *p, const struct procs_options *options) {
    struct meminfo mem;
    struct procs made = {.options = *options};

    if (options->pss == PROCS_PSS_NONE)
        made.options.want &= ~FROM_PSS;
    made.options.want = files_for(made.options.want);
    if (made.options.want & PROC_BIT(PROC_START))
        made.have_boot = procstat_read_boot(options->proc, &made.boot_s) == 0;
    /* On a machine without swap nothing can be in it: a file less for each process. */
    made.no_swap = meminfo_read(options->proc, &mem) == 0 &&
                   meminfo_has(&mem, MEMINFO_SWAP_TOTAL) && mem.value[MEMINFO_SWAP_TOTAL] == 0;
    if (made.options.want & PROC_BIT(PROC_RUNTIME) && options->host) {
        int r = rt_cache_new(options->host, &made.runtimes);

        if (r < 0)
            return r;
    }
    buf_init(&made.text, TEXT_MAX);
    pssplan_init(&made.plan);
    *p = made;
    return 0;
}

void procs_done(struct procs *p) {
    free(p->row);
    buf_done(&p->text);
    pidlist_done(&p->pids);
    pssplan_done(&p->plan);
    rt_cache_free(p->runtimes);
    *p = (struct procs){0};
}

struct str procs_comm(const struct proc_row *row) {
    return (struct str){row->comm, row->comm_n};
}

struct str procs_text(const struct procs *p, struct proc_text text) {
    return str_head(str_from(buf_str(&p->text), text.at), text.n);
}

static void set(struct proc_row *row, uint32_t fields) {
    row->have |= fields;
}

/* A process without memory of its own: kernel threads, and zombies, whose memory is gone. */
static bool is_empty(const struct proc_row *row) {
    return row->kernel_thread || row->state == 'Z' || row->state == 'X';
}

static int read_stat(struct procs *p, struct proc_row *row) {
    struct procstat s;
    int r = procstat_read(p->options.proc, row->pid, &s);

    if (r < 0)
        return r;
    row->ppid = s.ppid;
    row->state = s.state;
    row->kernel_thread = s.kernel_thread;
    row->comm_n = s.comm_n;
    memcpy(row->comm, s.comm, sizeof(row->comm));
    row->threads = s.threads;
    row->start_ticks = s.start_ticks;
    set(row,
        PROC_BIT(PROC_PPID) | PROC_BIT(PROC_STATE) | PROC_BIT(PROC_COMM) | PROC_BIT(PROC_THREADS));
    if (p->have_boot) {
        row->start_ms = procstat_start_ms(&s, p->boot_s);
        set(row, PROC_BIT(PROC_START));
    }
    if (is_empty(row)) {
        row->swap = row->anon = row->file = row->shmem = 0;
        set(row, FROM_STATUS);
    }
    return 0;
}

static int read_statm(struct procs *p, struct proc_row *row) {
    struct procstatm m;
    int r = procstatm_read(p->options.proc, row->pid, &m);

    if (r < 0)
        return r;
    row->virt = m.virt;
    row->res = m.res;
    row->shr = m.shr;
    row->data = m.data;
    row->code = m.code;
    set(row, FROM_STATM);
    return 0;
}

static void take(struct proc_row *row, enum proc_field field, uint64_t *into,
                 const struct procstatus *s, enum procstatus_field from) {
    if (!(s->have & 1U << from))
        return;
    *into = s->value[from];
    set(row, PROC_BIT(field));
}

static int read_status(struct procs *p, struct proc_row *row) {
    struct procstatus s;
    int r = procstatus_read(p->options.proc, row->pid, &s);

    if (r < 0)
        return r;
    take(row, PROC_SWAP, &row->swap, &s, PROCSTATUS_SWAP);
    take(row, PROC_ANON, &row->anon, &s, PROCSTATUS_ANON);
    take(row, PROC_FILE, &row->file, &s, PROCSTATUS_FILE);
    take(row, PROC_SHMEM, &row->shmem, &s, PROCSTATUS_SHMEM);
    if (s.have & 1U << PROCSTATUS_EUID) {
        row->uid = (uint32_t)s.value[PROCSTATUS_EUID];
        set(row, PROC_BIT(PROC_UID));
    }
    return 0;
}

/* The owner of the directory is the process's effective user, whatever its other files say (those
 * of an undumpable process are root's): no file to open. In a captured tree it is whoever made the
 * copy. */
static int read_owner(struct procs *p, struct proc_row *row) {
    char path[PROCFILE_PATH];
    struct stat st;

    if (!p->options.live)
        return read_status(p, row);
    if (fstatat(p->options.proc, procfile_path(path, row->pid, ""), &st, 0) < 0)
        return -errno;
    row->uid = st.st_uid;
    set(row, PROC_BIT(PROC_UID));
    return 0;
}

/* What was appended to the texts since `from`; unknown when that failed. */
static bool text_since(struct procs *p, size_t from, struct proc_text *out) {
    if (buf_error(&p->text) != 0)
        return false;
    *out = (struct proc_text){(uint32_t)from, (uint32_t)(p->text.n - from)};
    return true;
}

static int read_command(struct procs *p, struct proc_row *row) {
    char buf[PROCCMDLINE_MAX];
    struct str cmdline = {buf, 0};
    size_t from = p->text.n;
    int r = 0;

    if (!is_empty(row))
        r = proccmdline_read(p->options.proc, row->pid, buf, sizeof(buf), &cmdline);
    if (r < 0)
        return r;
    proccmdline_add_joined(&p->text, cmdline, procs_comm(row));
    if (text_since(p, from, &row->command))
        set(row, PROC_BIT(PROC_COMMAND));
    return 0;
}

static int read_cgroup(struct procs *p, struct proc_row *row) {
    char buf[PROCCGROUP_SIZE];
    struct proccgroup group;
    struct str text;
    size_t from = p->text.n;
    int r = proccgroup_read(p->options.proc, row->pid, buf, sizeof(buf), &text);

    if (r < 0)
        return r;
    r = proccgroup_parse(text, STR("memory"), &group);
    if (r == -ENODATA)
        r = proccgroup_parse(text, STR(""), &group);
    if (r < 0)
        return 0; /* unknown, or may be cut: no path rather than a wrong one */
    buf_add(&p->text, group.path);
    if (text_since(p, from, &row->cgroup))
        set(row, PROC_BIT(PROC_CGROUP));
    return 0;
}

static int read_fds(struct procs *p, struct proc_row *row) {
    int r = procfd_count(p->options.proc, row->pid, &row->fds);

    if (r == 0)
        set(row, PROC_BIT(PROC_FDS));
    return r;
}

static int read_oom_score(struct procs *p, struct proc_row *row) {
    int r = procfile_read_i64(p->options.proc, row->pid, "oom_score", &row->oom_score);

    if (r == 0)
        set(row, PROC_BIT(PROC_OOM_SCORE));
    return r;
}

/* What it is not known of, or may not be looked into, stays unknown. */
static int read_runtime(struct procs *p, struct proc_row *row) {
    size_t from = p->text.n;
    struct rt_id id;
    int r;

    if (is_empty(row) || !p->runtimes)
        return 0;
    r = rt_cache_recognise(p->runtimes, row->pid, &id);
    if (r < 0 || id.kind == RT_UNKNOWN)
        return r;
    rt_add_id(&p->text, &id);
    if (text_since(p, from, &row->runtime))
        set(row, PROC_BIT(PROC_RUNTIME));
    return 0;
}

/* A file a line, in this order: later ones build on stat. */
static const struct source {
    uint32_t fields;
    int (*read)(struct procs *p, struct proc_row *row);
} sources[] = {
    {FROM_STAT, read_stat},
    {FROM_STATM, read_statm},
    {FROM_STATUS, read_status},
    {PROC_BIT(PROC_UID), read_owner},
    {PROC_BIT(PROC_FDS), read_fds},
    {PROC_BIT(PROC_COMMAND), read_command},
    {PROC_BIT(PROC_OOM_SCORE), read_oom_score},
    {PROC_BIT(PROC_CGROUP), read_cgroup},
    {PROC_BIT(PROC_RUNTIME), read_runtime},
};

static bool exists(struct procs *p, int32_t pid) {
    char path[PROCFILE_PATH];

    return faccessat(p->options.proc, procfile_path(path, pid, ""), F_OK, 0) == 0;
}

/* It is us who are short of something: such a process is not gone. */
static bool is_shortage(int r) {
    return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

/* 0; -ENOENT or -ESRCH when the process is gone. Other failures leave fields unknown. */
static int read_row(struct procs *p, int32_t pid, struct proc_row *row) {
    uint32_t want = p->options.want;
    bool unread = false;

    memset(row, 0, sizeof(*row));
    row->pid = pid;
    if (p->no_swap)
        set(row, PROC_BIT(PROC_SWAP));
    for (size_t i = 0; i < ARRAY_N(sources); i++) {
        const struct source *s = &sources[i];
        int r;

        if ((want & s->fields & ~row->have) == 0)
            continue;
        r = s->read(p, row);
        /* Or only this file is not there: an older kernel, a captured tree. */
        if (procfile_gone(r) && !exists(p, pid))
            return r;
        if (is_shortage(r)) {
            unread = true;
            p->unread_error = r;
        }
    }
    p->unread += unread;
    return !unread && (row->have & ~PROC_BIT(PROC_SWAP)) == 0 ? -ENOENT : 0;
}

static int reserve(struct procs *p, size_t n) {
    struct proc_row *grown;

    if (n <= p->size)
        return 0;
    grown = reallocarray(p->row, n, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    p->row = grown;
    p->size = n;
    return 0;
}

static int read_rollup(void *ctx, size_t index, struct pss_figures *figures_out,
                       int64_t *cost_us_out) {
    struct procs *p = ctx;
    int64_t before = clock_cpu_us();
    struct smaps s;
    int r = smaps_read_rollup(p->options.proc, p->row[index].pid, &s);

    *cost_us_out = clock_cpu_us() - before;
    if (r == -ESRCH) { /* it is ending, and its memory is gone already */
        *figures_out = (struct pss_figures){0, 0, 0};
        return 0;
    }
    if (r < 0)
        return r;
    if (!smaps_have(&s, SMAPS_PSS) || !smaps_uss(&s, &figures_out->uss))
        return -ENODATA;
    figures_out->pss = s.value[SMAPS_PSS];
    figures_out->lazyfree = smaps_have(&s, SMAPS_LAZYFREE) ? s.value[SMAPS_LAZYFREE] : 0;
    return 0;
}

static void take_figures(struct proc_row *row, const struct pss_figures *f, bool estimated) {
    row->pss = f->pss;
    row->uss = f->uss;
    row->lazyfree = f->lazyfree;
    row->pss_estimated = estimated;
    set(row, FROM_PSS);
}

/* Orders rows by name, equal names by the size they were measured at, the largest first. */
static int by_name(const void *a, const void *b, void *ctx) {
    const struct procs *p = ctx;
    const uint32_t *x = a, *y = b;
    uint64_t of_x = p->plan.entry[*x].res_then, of_y = p->plan.entry[*y].res_then;
    int order = strcmp(p->row[*x].comm, p->row[*y].comm);

    return order ? order : (of_x < of_y) - (of_x > of_y);
}

/* The largest measured process of that name, NULL if there is none. */
static const struct pss_entry *namesake(const struct procs *p, const uint32_t *named, size_t n,
                                        const char *comm) {
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(p->row[named[middle]].comm, comm) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && strcmp(p->row[named[low]].comm, comm) == 0 ? &p->plan.entry[named[low]]
                                                                 : NULL;
}

static void fill_row(struct procs *p, size_t at, const uint32_t *named, size_t n) {
    static const struct pss_figures nothing;
    struct proc_row *row = &p->row[at];
    const struct pss_entry *e = &p->plan.entry[at];
    struct pss_figures f;

    if (is_empty(row)) {
        take_figures(row, &nothing, false);
        return;
    }
    if (e->now) {
        take_figures(row, &e->figures, false);
        p->pss_measured++;
        return;
    }
    p->pss_denied += e->denied;
    if (!e->have && !e->skip)
        e = namesake(p, named, n, row->comm);
    if (e && pssplan_estimate(e, row->res, &f)) {
        take_figures(row, &f, true);
        p->pss_estimated++;
    } else {
        p->pss_unknown++;
    }
}

static int fill_figures(struct procs *p) {
    auto_free uint32_t *named = calloc(p->n + 1, sizeof(*named));
    size_t n = 0;

    if (!named)
        return -ENOMEM;
    for (size_t i = 0; i < p->n; i++)
        if (p->plan.entry[i].have && p->plan.entry[i].res_then > 0)
            named[n++] = (uint32_t)i;
    qsort_r(named, n, sizeof(*named), by_name, p);
    for (size_t i = 0; i < p->n; i++)
        fill_row(p, i, named, n);
    return 0;
}

static int collect_pss(struct procs *p, int64_t now_us) {
    int r = pssplan_begin(&p->plan, p->n);

    if (r < 0)
        return r;
    for (size_t i = 0; i < p->n; i++) {
        const struct proc_row *row = &p->row[i];

        p->plan.entry[i].pid = row->pid;
        p->plan.entry[i].start_ticks = row->start_ticks;
        p->plan.entry[i].res = row->res;
        p->plan.entry[i].skip = is_empty(row) || !proc_has(row, PROC_RES);
    }
    pssplan_remember(&p->plan);
    if (p->options.pss == PROCS_PSS_EXACT) {
        pssplan_read_all(&p->plan, read_rollup, p);
    } else {
        int64_t earned = p->last_us ? (now_us - p->last_us) / BUDGET_SHARE : FIRST_BUDGET_US;

        pssplan_earn(&p->plan, earned);
        r = pssplan_spend(&p->plan, p->options.streaming && p->last_us, read_rollup, p);
        if (r < 0)
            return r;
    }
    return fill_figures(p);
}

int procs_collect(struct procs *p, const struct pidlist *pids) {
    int64_t now_us = clock_mono_us();
    int r;

    pidlist_clear(&p->pids);
    buf_clear(&p->text);
    p->n = p->pss_measured = p->pss_estimated = p->pss_denied = p->pss_unknown = p->unread = 0;
    if (!pids) {
        r = pidlist_add_proc(&p->pids, p->options.proc);
        if (r < 0)
            return r;
        pidlist_sort(&p->pids);
        pids = &p->pids;
    }
    r = reserve(p, pids->n);
    if (r < 0)
        return r;
    for (size_t i = 0; i < pids->n; i++)
        if (read_row(p, pids->pid[i], &p->row[p->n]) == 0)
            p->n++;
    if (buf_error(&p->text) == -ENOMEM)
        return -ENOMEM;
    r = p->options.want & FROM_PSS ? collect_pss(p, now_us) : 0;
    p->last_us = now_us;
    return r;
}

static const size_t place_of[PROC_N] = {
    [PROC_FDS] = offsetof(struct proc_row, fds),
    [PROC_VIRT] = offsetof(struct proc_row, virt),
    [PROC_RES] = offsetof(struct proc_row, res),
    [PROC_SHR] = offsetof(struct proc_row, shr),
    [PROC_DATA] = offsetof(struct proc_row, data),
    [PROC_CODE] = offsetof(struct proc_row, code),
    [PROC_SWAP] = offsetof(struct proc_row, swap),
    [PROC_ANON] = offsetof(struct proc_row, anon),
    [PROC_FILE] = offsetof(struct proc_row, file),
    [PROC_SHMEM] = offsetof(struct proc_row, shmem),
    [PROC_PSS] = offsetof(struct proc_row, pss),
    [PROC_USS] = offsetof(struct proc_row, uss),
    [PROC_LAZYFREE] = offsetof(struct proc_row, lazyfree),
};

bool proc_value(const struct proc_row *row, enum proc_field field, uint64_t *out) {
    if (!proc_has(row, field))
        return false;
    if (field == PROC_THREADS) {
        *out = row->threads;
        return true;
    }
    if ((unsigned)field >= PROC_N || place_of[field] == 0)
        return false;
    memcpy(out, (const char *)row + place_of[field], sizeof(*out));
    return true;
}

void proc_put(struct proc_row *row, enum proc_field field, uint64_t value) {
    if (field == PROC_THREADS && value <= UINT32_MAX)
        row->threads = (uint32_t)value;
    else if ((unsigned)field < PROC_N && place_of[field] != 0)
        memcpy((char *)row + place_of[field], &value, sizeof(value));
    else
        return;
    set(row, PROC_BIT(field));
}

struct kinship {
    int32_t pid, parent;
};

static int by_parent(const void *a, const void *b) {
    const struct kinship *x = a, *y = b;

    return (x->parent > y->parent) - (x->parent < y->parent);
}

/* Appends the children of `parent`; `all` is ordered by parent. */
static int add_children(const struct kinship *all, size_t n, int32_t parent, struct pidlist *out) {
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (all[middle].parent < parent)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < n && all[low].parent == parent; low++) {
        int r = pidlist_add(out, all[low].pid);

        if (r < 0)
            return r;
    }
    return 0;
}

static int read_kinship(int proc, struct kinship **out, size_t *n_out) {
    struct pidlist pids = {0};
    auto_free struct kinship *all = NULL;
    size_t n = 0;
    int r = pidlist_add_proc(&pids, proc);

    if (r == 0) {
        all = calloc(pids.n + 1, sizeof(*all));
        r = all ? 0 : -ENOMEM;
    }
    for (size_t i = 0; r == 0 && i < pids.n; i++) {
        struct procstat s;

        if (procstat_read(proc, pids.pid[i], &s) == 0)
            all[n++] = (struct kinship){pids.pid[i], s.ppid};
    }
    pidlist_done(&pids);
    if (r < 0)
        return r;
    *out = take_ptr(&all);
    *n_out = n;
    return 0;
}

int procs_descendants(int proc, int32_t pid, struct pidlist *out) {
    auto_free struct kinship *all = NULL;
    struct procstat s;
    size_t n, from = out->n;
    int r = procstat_read(proc, pid, &s);

    if (r < 0)
        return procfile_gone(r) ? -ENOENT : r;
    r = read_kinship(proc, &all, &n);
    if (r < 0)
        return r;
    if (n > 0)
        qsort(all, n, sizeof(*all), by_parent);
    r = pidlist_add(out, pid);
    /* The list itself is the queue. A captured tree may hold a circle: there are not more than all
     * processes. */
    for (; r == 0 && from < out->n && out->n <= n + 1; from++)
        r = add_children(all, n, out->pid[from], out);
    pidlist_sort(out);
    return r;
}

enum { DEEPEST = 256 }; /* levels of groups that are followed: a descriptor each */

static int add_groups(int group, unsigned depth, struct pidlist *out);

static int add_group_below(int parent, const struct dirent *entry, unsigned depth,
                           struct pidlist *out) {
    auto_close int group = -1;
    int r;

    if (entry->d_name[0] == '.' || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
        return 0;
    group = openat(parent, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (group < 0)
        return 0; /* removed meanwhile, no directory, or hidden from us */
    r = pidlist_add_file_at(out, group, "cgroup.procs");
    return r == -ENOMEM ? r : add_groups(group, depth + 1, out);
}

/* The groups below `group`. What cannot be listed there is left out. */
static int add_groups(int group, unsigned depth, struct pidlist *out) {
    auto_closedir DIR *dir = NULL;
    const struct dirent *entry;
    struct stat st;
    int fd, r = 0;

    if (depth == DEEPEST || (fstat(group, &st) == 0 && st.st_nlink == 2)) /* no folder in it */
        return 0;
    fd = openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    while (r == 0 && (entry = readdir(dir)))
        r = add_group_below(dirfd(dir), entry, depth, out);
    return r;
}

int procs_of_group(int group, struct pidlist *out) {
    int r = pidlist_add_file_at(out, group, "cgroup.procs");

    /* A group of threads (v2): its processes are listed further up. */
    if (r < 0 && r != -EOPNOTSUPP)
        return r;
    r = add_groups(group, 0, out);
    pidlist_sort(out);
    return r;
}
