#include "runtime/collect.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/job.h"
#include "base/mem.h"
#include "kern/oomcount.h"
#include "kern/proccgroup.h"
#include "kern/vmstat.h"
#include "runtime/inject.h"
#include "runtime/recognise.h"

enum {
    DYING_MS = 200,
    GRACE_US = 300 * 1000,       /* beyond the deadline, for the last word */
    LOOK_US = 50 * 1000,         /* between two looks at memory */
    QUIET_LEAST_US = 300 * 1000, /* so long without a fall, and it has settled */
    QUIET_MOST_US = 2500 * 1000,
    SETTLE_LEAST_US = 600 * 1000,
    FALL = 256 * 1024, /* bytes that are no noise */
};

struct work {
    const struct rtproc *proc;
    const struct rt_id *id;
    const struct rt_ask *ask;
};

/* In the child. */
static int do_work(void *arg, struct buf *out) {
    const struct work *w = arg;
    struct rt_result result = {.outcome = RT_FAILED};
    int r = rt_collect(w->proc, w->id, w->ask, &result);

    if (r < 0)
        return r;
    buf_add(out, (struct str){(const char *)&result, sizeof(result)});
    return buf_error(out);
}

/* Texts that end, whatever the child wrote. */
static void take_result(struct str answer, struct rt_result *out) {
    memcpy(out, answer.p, sizeof(*out));
    out->how[sizeof(out->how) - 1] = '\0';
    out->why[sizeof(out->why) - 1] = '\0';
    out->next[sizeof(out->next) - 1] = '\0';
    if (out->outcome != RT_COLLECTED && out->outcome != RT_REFUSED)
        out->outcome = RT_FAILED;
}

static int run_child(struct work *w, struct rt_result *out, struct err *err) {
    int64_t deadline = w->ask->deadline_us + GRACE_US;
    enum job_state state;
    struct job job;
    int r;

    job_init(&job, sizeof(*out) + 64);
    r = job_start(&job, do_work, w, deadline);
    if (r < 0) {
        job_done(&job);
        return err_set(err, r, "cannot start a child:");
    }
    do {
        struct pollfd p = {.fd = job.fd, .events = POLLIN};

        (void)poll(&p, 1, 20);
        state = job_poll(&job, clock_mono_us());
    } while (state == JOB_RUNNING);
    if (state == JOB_DONE && job.answer.n == sizeof(*out))
        take_result(buf_str(&job.answer), out);
    else if (inject_goes_on(w->proc))
        rt_fail(out, "again, when it is through; a longer --timeout waits for it",
                "what was called in it goes on beyond the timeout; the thread is put back when it "
                "is done");
    else
        rt_fail(out, "a longer --timeout, if the process is only slow",
                clock_mono_us() >= deadline ? "it did not answer in time"
                                            : "what asks it ended without an answer");
    job_done(&job);
    return 0;
}

static void pause_us(int64_t us) {
    const struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

    nanosleep(&t, NULL);
}

/* Waits until memory has stopped falling. */
static void settle(const struct rtproc *p, const struct rt_ask *ask, struct collect_report *out) {
    int64_t began = clock_mono_us(), last_fall = began;
    int64_t most = out->result.settle_us, quiet = most / 4;
    uint64_t lowest = UINT64_MAX;

    if (most < SETTLE_LEAST_US)
        most = SETTLE_LEAST_US;
    if (quiet < QUIET_LEAST_US)
        quiet = QUIET_LEAST_US;
    if (quiet > QUIET_MOST_US)
        quiet = QUIET_MOST_US;
    for (;;) {
        uint64_t rss, anon;
        int64_t now = clock_mono_us();

        if (rtproc_rss(p, &rss, &anon) < 0) {
            out->have_after = false;
            return;
        }
        out->rss_after = rss;
        out->anon_after = anon;
        out->have_after = true;
        if (lowest == UINT64_MAX || rss + FALL < lowest) {
            lowest = rss;
            last_fall = now;
        }
        out->settled_us = last_fall - began;
        if (ask->brisk || now - last_fall >= quiet || now - began >= most ||
            now >= ask->deadline_us)
            return;
        pause_us(LOOK_US);
    }
}

/* --- of what it died ---------------------------------------------------------------------------
 */

struct kills {
    int dir; /* of its group, -1: not known */
    enum cg_version version;
    uint64_t group, machine; /* kills for memory, before */
    bool have_group, have_machine;
};

static int open_group(const struct rtproc *p, const struct cgfs *fs) {
    auto_free char *buf = malloc(PROCCGROUP_SIZE);
    bool v1 = fs->ctl[CG_MEMORY].version == CG_V1;
    struct proccgroup group;
    struct str text, path;

    if (!buf || proccgroup_read(p->host->proc, p->pid, buf, PROCCGROUP_SIZE, &text) < 0 ||
        proccgroup_parse(text, v1 ? STR("memory") : STR(""), &group) < 0)
        return -1;
    path = group.path;
    if (!str_eq(str_of(fs->memory_root), STR("/")) && !str_skip(&path, str_of(fs->memory_root)))
        return -1;
    return cgfs_open_dir(fs, CG_MEMORY, path.n > 0 ? path : STR("/"));
}

static bool machine_kills(const struct rtproc *p, uint64_t *out) {
    struct vmstat v = {0};

    if (vmstat_read(p->host->proc, &v) < 0 || !(v.have & 1u << VMSTAT_OOM_KILL))
        return false;
    *out = v.value[VMSTAT_OOM_KILL];
    return true;
}

static void kills_before(const struct rtproc *p, struct kills *k) {
    auto_free struct cgfs *fs = malloc(sizeof(*fs));
    struct oomcount now;

    *k = (struct kills){.dir = -1};
    k->have_machine = machine_kills(p, &k->machine);
    if (!fs || cgfs_open(p->host, fs, NULL) < 0)
        return;
    k->version = fs->ctl[CG_MEMORY].version;
    k->dir = open_group(p, fs);
    cgfs_done(fs);
    if (k->dir < 0 || oomcount_read(k->dir, k->version, &now) < 0 || !now.have_kills)
        return;
    k->group = now.kills;
    k->have_group = true;
}

/* It is gone: a text that says as much as is known. */
static int died(const struct rtproc *p, const struct kills *k, struct err *err) {
    struct oomcount now;
    uint64_t machine;
    bool readable = k->have_group && oomcount_read(k->dir, k->version, &now) == 0 && now.have_kills;

    if (readable && now.kills > k->group)
        return err_set(err, -ENOMEM,
                       "process %d was killed for memory while it collected (its group met its "
                       "limit, or the machine ran out)",
                       p->pid);
    if (!readable && k->have_machine && machine_kills(p, &machine) && machine > k->machine)
        return err_set(err, -ENOMEM,
                       "process %d has ended while it collected, perhaps killed for memory: its "
                       "group is gone, and the kernel has killed for memory meanwhile",
                       p->pid);
    return err_set(err, -ESRCH, "process %d has ended meanwhile", p->pid);
}

/* One that is dying closes its sockets before it is gone, and the asking fails by that. */
static void let_it_end(const struct rtproc *p) {
    struct pollfd gone = {.fd = p->pidfd, .events = POLLIN};

    if (p->pidfd >= 0)
        (void)poll(&gone, 1, DYING_MS);
}

int collect_run(const struct host *h, int32_t pid, const struct rt_ask *ask,
                struct collect_report *out, struct err *err) {
    struct rtproc proc = {0};
    struct work work = {&proc, &out->id, ask};
    struct kills kills;
    int64_t began;
    int r;

    *out = (struct collect_report){.have_before = false};
    r = rtproc_open(h, pid, &proc, err);
    if (r < 0)
        return r;
    r = rt_recognise(&proc, &out->id);
    if (r == -ESRCH) {
        rtproc_done(&proc);
        return err_set(err, r, "process %d is gone", pid);
    }
    out->have_before = rtproc_rss(&proc, &out->rss_before, &out->anon_before) == 0;
    kills_before(&proc, &kills);
    began = clock_mono_us();
    r = run_child(&work, &out->result, err);
    out->took_us = clock_mono_us() - began;
    if (r == 0 && out->result.outcome == RT_COLLECTED)
        settle(&proc, ask, out);
    if (r == 0 && (out->result.outcome == RT_FAILED ||
                   (out->result.outcome == RT_COLLECTED && !out->have_after)))
        let_it_end(&proc);
    if (r == 0 && rtproc_same(&proc) < 0)
        r = died(&proc, &kills, err);
    if (kills.dir >= 0)
        close(kills.dir);
    rtproc_done(&proc);
    return r;
}
