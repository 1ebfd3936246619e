#include "engine/rtwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kern/procfile.h"
#include "kern/procstat.h"
#include "runtime/recognise.h"
#include "sampler/procs.h"

enum {
    DEADLINE_US = 5 * 1000 * 1000, /* of a look, by the clock */
    BUDGET_US = 100 * 1000,        /* of CPU time: 0.7 % of a core at a look each 15 s */
    FOUND_MAX = 20000,             /* records of a look */
};

struct rtwatch {
    const struct host *host;
    const struct cgfs *fs;
    struct job job;
    struct rtsum *sum;
    struct rtwatch_target *target; /* of this look; paths in `paths` */
    struct buf paths;
    size_t n, room, from; /* the first target of the next look */
    struct rtfound *found;
};

int rtwatch_new(const struct host *h, const struct cgfs *fs, struct rtwatch **out) {
    struct rtwatch *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->host = h;
    w->fs = fs;
    buf_init(&w->paths, 64 << 20);
    job_init(&w->job, FOUND_MAX * sizeof(struct rtfound) + 64);
    if (rtsum_new(&w->sum) < 0) {
        rtwatch_free(w);
        return -ENOMEM;
    }
    *out = w;
    return 0;
}

void rtwatch_free(struct rtwatch *w) {
    if (!w)
        return;
    job_done(&w->job);
    buf_done(&w->paths);
    rtsum_free(w->sum);
    free(w->target);
    free(w->found);
    free(w);
}

/* --- in the child ----------------------------------------------------------------------------- */

struct look {
    const struct rtwatch *w;
    struct rt_cache *cache; /* hundreds of processes may run one program */
    struct buf *out;
    int64_t began_us;
    size_t records;
};

static void add(struct look *l, const struct rtfound *f) {
    buf_add(l->out, (struct str){(const char *)f, sizeof(*f)});
    l->records++;
}

/* Which file it runs: that changes with exec, pid and start do not. */
static bool find_exe(const struct look *l, struct rtfound *f) {
    char path[PROCFILE_PATH];
    struct stat st;

    if (fstatat(l->w->host->proc, procfile_path(path, f->pid, "exe"), &st, 0) < 0)
        return false;
    f->dev = st.st_dev;
    f->inode = st.st_ino;
    return true;
}

static void look_into(struct look *l, struct rtfound *f, bool is_known) {
    struct rtproc proc = {0};

    /* What it is and says is read from its files: should one of them never answer, the last that
     * we have said is who it was. */
    f->kind = RTFOUND_BEGIN;
    add(l, f);
    (void)job_flush(l->out);
    if (!is_known)
        (void)rt_cache_recognise(l->cache, f->pid, &f->id);
    if (rtsum_tells(f->id.kind) && rtproc_open(l->w->host, f->pid, &proc, NULL) == 0) {
        if (rt_figures(&proc, &f->id, &f->figures) < 0)
            f->figures.have = 0;
        rtproc_done(&proc);
    }
}

static void look_at(struct look *l, uint32_t uid, int32_t pid) {
    struct rtfound f = {.uid = uid, .pid = pid};
    const struct rt_id *known;
    struct procstat stat;

    if (procstat_read(l->w->host->proc, pid, &stat) < 0 || stat.kernel_thread)
        return;
    f.start_ticks = stat.start_ticks;
    f.res_pages = stat.res_pages;
    if (rtsum_is_bad(l->w->sum, pid, stat.start_ticks))
        return;
    known = find_exe(l, &f) ? rtsum_recall(l->w->sum, pid, f.start_ticks, f.dev, f.inode) : NULL;
    if (known)
        f.id = *known;
    if (!known || rtsum_tells(f.id.kind))
        look_into(l, &f, known != NULL);
    f.kind = RTFOUND_PROCESS;
    add(l, &f);
}

static bool is_over(const struct look *l) {
    return clock_cpu_us() - l->began_us > BUDGET_US || l->records + 4 > FOUND_MAX;
}

/* False: the budget was used up before its end. */
static bool look_at_target(struct look *l, const struct rtwatch_target *t) {
    auto_close int dir = cgfs_open_dir(l->w->fs, CG_MEMORY, t->path);
    struct rtfound end = {.kind = RTFOUND_DONE, .uid = t->uid};
    struct pidlist pids = {0};
    bool whole = true;

    if (dir < 0 || procs_of_group(dir, &pids) < 0 || pids.n > RTWATCH_MEMBERS)
        end.kind = RTFOUND_SKIPPED;
    for (size_t i = 0; i < pids.n && whole && end.kind == RTFOUND_DONE; i++) {
        whole = !is_over(l);
        if (whole)
            look_at(l, t->uid, pids.pid[i]);
    }
    pidlist_done(&pids);
    if (whole)
        add(l, &end);
    return whole;
}

static int do_look(void *arg, struct buf *out) {
    struct look l = {.w = arg, .out = out, .began_us = clock_cpu_us()};

    if (rt_cache_new(l.w->host, &l.cache) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < l.w->n && !is_over(&l); i++)
        if (!look_at_target(&l, &l.w->target[(l.w->from + i) % l.w->n]))
            break;
    rt_cache_free(l.cache);
    return buf_error(out);
}

/* --- in the collector ------------------------------------------------------------------------- */

static int take_targets(struct rtwatch *w, const struct rtwatch_target *target, size_t n) {
    size_t at = 0;

    if (n > w->room) {
        struct rtwatch_target *more = reallocarray(w->target, n, sizeof(*more));

        if (!more)
            return -ENOMEM;
        w->target = more;
        w->room = n;
    }
    buf_clear(&w->paths);
    for (size_t i = 0; i < n; i++)
        buf_add(&w->paths, target[i].path);
    if (buf_error(&w->paths))
        return buf_error(&w->paths);
    for (size_t i = 0; i < n; i++) {
        w->target[i] = target[i];
        w->target[i].path.p = w->paths.p + at;
        at += target[i].path.n;
    }
    w->n = n;
    w->from %= n;
    return 0;
}

int rtwatch_begin(struct rtwatch *w, const struct rtwatch_target *target, size_t n) {
    int r;

    if (w->job.pid > 0)
        return -EBUSY;
    if (n == 0)
        return 0;
    r = take_targets(w, target, n);
    return r < 0 ? r : job_start(&w->job, do_look, w, clock_mono_us() + DEADLINE_US);
}

int rtwatch_fd(const struct rtwatch *w) {
    return w->job.pid > 0 ? w->job.fd : -1;
}

/* Bytes of a pipe are not aligned: copied. Texts end and words are known, whatever came. */
static size_t take_found(struct rtwatch *w) {
    size_t n = w->job.answer.n / sizeof(struct rtfound), kept = 0;

    free(w->found);
    w->found = calloc(n ? n : 1, sizeof(*w->found));
    if (!w->found)
        return 0;
    for (size_t i = 0; i < n; i++) {
        struct rtfound *f = &w->found[kept];

        memcpy(f, w->job.answer.p + i * sizeof(*f), sizeof(*f));
        f->id.version[sizeof(f->id.version) - 1] = '\0';
        f->id.libc_version[sizeof(f->id.libc_version) - 1] = '\0';
        if (f->id.kind >= RT_KINDS || f->id.libc > RT_LIBC_OTHER || f->id.alloc > RT_ALLOC_MIMALLOC)
            f->id = (struct rt_id){.kind = RT_UNKNOWN};
        /* Of those that were begun only the last is of interest, when nothing follows. */
        if (f->kind != RTFOUND_BEGIN || i + 1 == n)
            kept++;
    }
    return kept;
}

enum job_state rtwatch_poll(struct rtwatch *w, const struct rtanswer **out, size_t *n_out,
                            int32_t *hung_out) {
    enum job_state state = job_poll(&w->job, clock_mono_us());
    size_t n;

    if (state != JOB_DONE && state != JOB_FAILED)
        return state;
    *n_out = 0;
    *hung_out = 0;
    n = take_found(w);
    if (!w->found || rtsum_take(w->sum, w->found, n, w->n, clock_mono_us(), out, n_out) < 0)
        return JOB_FAILED;
    if (state == JOB_FAILED && !rtsum_blame(w->found, n, hung_out))
        *hung_out = 0;
    w->from += *n_out;
    return state;
}
