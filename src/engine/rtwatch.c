#include "engine/rtwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kern/procstat.h"
#include "runtime/recognise.h"
#include "sampler/procs.h"

enum {
    DEADLINE_US = 8 * 1000 * 1000, /* of a look, by the clock */
    BUDGET_US = 100 * 1000,        /* of CPU time: 0.7 % of a core at a look each 15 s */
    MEMBERS_MAX = 64,              /* processes looked at in a target */
    FOUND_MAX = 20000,             /* in all */
};

/* A process of a target, as the child found it: what goes through the pipe. */
struct found {
    uint32_t uid;
    int32_t pid;
    uint64_t start_ticks, res_pages;
    struct rt_id id;
    struct rt_figures figures;
};

/* Marks, in the place of a process, how far the child came. */
enum { PID_TARGET_DONE = 0 };

/* What is remembered of a process: the counters of before it was looked at last. */
struct known {
    int32_t pid;
    uint64_t start_ticks;
    struct rt_id id;
};

struct total { /* of a target's counters: they only grow, whichever processes end */
    uint32_t uid;
    bool seen;
    uint64_t value[RT_FIGURES];
};

struct rtwatch {
    const struct host *host;
    const struct cgfs *fs;
    struct job job;
    struct rtwatch_target *target; /* of this look; paths in `paths` */
    struct buf paths;
    size_t n, room, from; /* the first target of the next look */
    struct known *known;  /* ascending by pid */
    size_t knowns;
    struct found *last; /* of the look before, for the counters: ascending by pid */
    size_t lasts;
    struct total *total;
    size_t totals;
    struct rtwatch_answer *answer;
    size_t answers;
};

int rtwatch_new(const struct host *h, const struct cgfs *fs, struct rtwatch **out) {
    struct rtwatch *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    w->host = h;
    w->fs = fs;
    buf_init(&w->paths, 64 << 20);
    job_init(&w->job, FOUND_MAX * sizeof(struct found) + 64);
    *out = w;
    return 0;
}

void rtwatch_free(struct rtwatch *w) {
    if (!w)
        return;
    job_done(&w->job);
    buf_done(&w->paths);
    free(w->target);
    free(w->known);
    free(w->last);
    free(w->total);
    free(w->answer);
    free(w);
}

/* --- in the child ----------------------------------------------------------------------------- */

static const struct known *recall(const struct rtwatch *w, int32_t pid, uint64_t start_ticks) {
    size_t low = 0, high = w->knowns;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (w->known[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == w->knowns || w->known[low].pid != pid || w->known[low].start_ticks != start_ticks)
        return NULL;
    return &w->known[low];
}

static bool tells_figures(enum rt_kind kind) {
    return kind == RT_GO || kind == RT_JVM || kind == RT_PYTHON;
}

static void look_at(const struct rtwatch *w, uint32_t uid, int32_t pid, struct buf *out) {
    struct found f = {.uid = uid, .pid = pid};
    struct rtproc proc = {0};
    const struct known *known;
    struct procstat stat;
    struct err err;

    if (procstat_read(w->host->proc, pid, &stat) < 0 || stat.kernel_thread)
        return;
    f.start_ticks = stat.start_ticks;
    f.res_pages = stat.res_pages;
    known = recall(w, pid, stat.start_ticks);
    /* A process that has just been forked may become another program. */
    if (known && !stat.forked)
        f.id = known->id;
    if ((!known || stat.forked || tells_figures(f.id.kind)) &&
        rtproc_open(w->host, pid, &proc, &err) == 0) {
        if (!known || stat.forked)
            (void)rt_recognise(&proc, &f.id);
        if (tells_figures(f.id.kind) && rt_figures(&proc, &f.id, &f.figures) < 0)
            f.figures.have = 0;
        rtproc_done(&proc);
    }
    buf_add(out, (struct str){(const char *)&f, sizeof(f)});
}

static void look_at_target(const struct rtwatch *w, const struct rtwatch_target *t,
                           struct buf *out) {
    auto_close int dir = cgfs_open_dir(w->fs, CG_MEMORY, t->path);
    const struct found done = {.uid = t->uid, .pid = PID_TARGET_DONE};
    struct pidlist pids = {0};

    if (dir >= 0 && procs_of_group(dir, &pids) == 0 && pids.n <= MEMBERS_MAX)
        for (size_t i = 0; i < pids.n; i++)
            look_at(w, t->uid, pids.pid[i], out);
    pidlist_done(&pids);
    buf_add(out, (struct str){(const char *)&done, sizeof(done)});
}

static int look(void *arg, struct buf *out) {
    const struct rtwatch *w = arg;
    int64_t began_us = clock_cpu_us();

    for (size_t i = 0; i < w->n; i++) {
        size_t room = out->max - out->n;

        if (clock_cpu_us() - began_us > BUDGET_US ||
            room < (MEMBERS_MAX + 2) * sizeof(struct found))
            break;
        look_at_target(w, &w->target[(w->from + i) % w->n], out);
    }
    return buf_error(out);
}

/* --- in the collector ------------------------------------------------------------------------- */

int rtwatch_begin(struct rtwatch *w, const struct rtwatch_target *target, size_t n) {
    size_t at = 0;

    if (w->job.pid > 0)
        return -EBUSY;
    if (n == 0)
        return 0;
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
    return job_start(&w->job, look, w, clock_mono_us() + DEADLINE_US);
}

int rtwatch_fd(const struct rtwatch *w) {
    return w->job.pid > 0 ? w->job.fd : -1;
}

static int by_pid(const void *left, const void *right) {
    const struct found *a = left, *b = right;

    return a->pid != b->pid ? (a->pid > b->pid) - (a->pid < b->pid)
                            : (a->uid > b->uid) - (a->uid < b->uid);
}

/* Bytes of a pipe are not aligned: copied whole. Texts end, whatever came. */
static size_t take_found(const struct rtwatch *w, struct found **out) {
    size_t n = w->job.answer.n / sizeof(struct found);
    struct found *found = calloc(n ? n : 1, sizeof(*found));

    if (!found)
        return 0;
    if (n > 0)
        memcpy(found, w->job.answer.p, n * sizeof(*found));
    for (size_t i = 0; i < n; i++) {
        found[i].id.version[sizeof(found[i].id.version) - 1] = '\0';
        found[i].id.libc_version[sizeof(found[i].id.libc_version) - 1] = '\0';
        if (found[i].id.kind >= RT_KINDS)
            found[i].id = (struct rt_id){.kind = RT_UNKNOWN};
    }
    *out = found;
    return n;
}

/* The same process in the look before; NULL: it is new. */
static const struct found *before(const struct rtwatch *w, const struct found *f) {
    const struct found *found = w->lasts ? bsearch(f, w->last, w->lasts, sizeof(*f), by_pid) : NULL;

    return found && found->start_ticks == f->start_ticks ? found : NULL;
}

static struct total *total_of(struct rtwatch *w, uint32_t uid) {
    struct total *more;

    for (size_t i = 0; i < w->totals; i++)
        if (w->total[i].uid == uid)
            return &w->total[i];
    more = reallocarray(w->total, w->totals + 1, sizeof(*more));
    if (!more)
        return NULL;
    w->total = more;
    w->total[w->totals] = (struct total){.uid = uid};
    return &w->total[w->totals++];
}

static bool is_counter(enum rt_figure f) {
    return f == RT_GC_COUNT || f == RT_GC_US;
}

/* A counter of the target: what its processes have added since the look before. */
static void add_counter(const struct rtwatch *w, struct total *t, const struct found *f,
                        enum rt_figure figure) {
    const struct found *old = before(w, f);
    uint64_t now = f->figures.value[figure], then = 0;

    if (old && old->figures.have & 1U << figure)
        then = old->figures.value[figure];
    t->value[figure] += now > then ? now - then : 0;
}

static bool is_more(const struct found *f, const struct found *than) {
    unsigned a = rt_rank(f->id.kind), b = than ? rt_rank(than->id.kind) : 0;

    return a != b ? a > b : a > 0 && f->res_pages > than->res_pages;
}

/* Of one target: found[0..n), all of it. */
static void sum_up(struct rtwatch *w, const struct found *found, size_t n,
                   struct rtwatch_answer *out) {
    const struct found *largest = NULL;
    struct total *total = total_of(w, out->uid);
    uint32_t missing = 0;
    struct buf lang;

    for (size_t i = 0; i < n; i++) {
        const struct found *f = &found[i];

        if (is_more(f, largest))
            largest = f;
        if (!tells_figures(f->id.kind))
            continue;
        for (enum rt_figure figure = 0; figure < RT_FIGURES && total; figure++) {
            if (!(f->figures.have & 1U << figure)) {
                missing |= f->id.kind == RT_PYTHON && figure < RT_GC_COUNT ? 0 : 1U << figure;
                continue;
            }
            out->sum.have |= 1U << figure;
            if (is_counter(figure))
                add_counter(w, total, f, figure);
            else
                out->sum.value[figure] += f->figures.value[figure];
        }
    }
    out->sum.have &= ~missing;
    for (enum rt_figure figure = 0; figure < RT_FIGURES && total; figure++)
        if (is_counter(figure))
            out->sum.value[figure] = total->value[figure];
    if (!largest)
        return;
    buf_init(&lang, 256);
    rt_add_id(&lang, &largest->id);
    (void)snprintf(out->lang, sizeof(out->lang), "%.*s", STR_ARG(buf_str(&lang)));
    buf_done(&lang);
}

/* The answers of targets that were looked at to their end. */
static int answer_all(struct rtwatch *w, const struct found *found, size_t n) {
    size_t from = 0;

    free(w->answer);
    w->answers = 0;
    w->answer = calloc(w->n ? w->n : 1, sizeof(*w->answer));
    if (!w->answer)
        return -ENOMEM;
    for (size_t i = 0; i < n && w->answers < w->n; i++) {
        struct rtwatch_answer *a = &w->answer[w->answers];

        if (found[i].pid != PID_TARGET_DONE)
            continue;
        *a = (struct rtwatch_answer){.uid = found[i].uid};
        sum_up(w, &found[from], i - from, a);
        w->answers++;
        from = i + 1;
    }
    w->from += w->answers;
    return 0;
}

/* Totals of targets that are gone are forgotten. */
static void forget(struct rtwatch *w) {
    size_t kept = 0;

    for (size_t i = 0; i < w->totals; i++) {
        bool is_there = false;

        for (size_t k = 0; k < w->n && !is_there; k++)
            is_there = w->target[k].uid == w->total[i].uid;
        if (is_there)
            w->total[kept++] = w->total[i];
    }
    w->totals = kept;
}

/* Adds what the look before knew and this one did not get to. Takes and gives a sorted array. */
static struct found *keep_others(const struct rtwatch *w, struct found *found, size_t *n) {
    struct found *both = reallocarray(found, *n + w->lasts + 1, sizeof(*both));
    size_t sorted = *n;

    if (!both)
        return found;
    for (size_t i = 0; i < w->lasts; i++)
        if (!bsearch(&w->last[i], both, sorted, sizeof(*both), by_pid))
            both[(*n)++] = w->last[i];
    qsort(both, *n, sizeof(*both), by_pid);
    return both;
}

/* What was found is what is known next time; processes of targets that were not reached stay. */
static void remember(struct rtwatch *w, struct found *found, size_t n, bool whole) {
    size_t kept = 0;
    struct known *known;

    for (size_t i = 0; i < n; i++)
        if (found[i].pid != PID_TARGET_DONE)
            found[kept++] = found[i];
    qsort(found, kept, sizeof(*found), by_pid);
    if (!whole)
        found = keep_others(w, found, &kept);
    free(w->last);
    w->last = found;
    w->lasts = kept;
    known = reallocarray(w->known, kept ? kept : 1, sizeof(*known));
    w->knowns = 0;
    if (!known)
        return;
    w->known = known;
    for (size_t i = 0; i < kept; i++)
        if (found[i].id.kind != RT_UNKNOWN)
            w->known[w->knowns++] = (struct known){found[i].pid, found[i].start_ticks, found[i].id};
}

enum job_state rtwatch_poll(struct rtwatch *w, const struct rtwatch_answer **out, size_t *n_out) {
    enum job_state state = job_poll(&w->job, clock_mono_us());
    struct found *found = NULL;
    size_t n;

    if (state == JOB_FAILED)
        w->from++; /* should one target be the reason, it is not the first next time */
    if (state != JOB_DONE)
        return state;
    n = take_found(w, &found);
    if (!found || answer_all(w, found, n) < 0) {
        free(found);
        return JOB_FAILED;
    }
    remember(w, found, n, w->answers == w->n);
    forget(w);
    *out = w->answer;
    *n_out = w->answers;
    return JOB_DONE;
}
