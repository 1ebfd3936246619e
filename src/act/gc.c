#include "act/gc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "kern/procstatus.h"
#include "runtime/collect.h"

enum {
    SMALL = 4 << 20,       /* of anonymous memory: what is smaller is not worth asking */
    EACH_US = 5 * 1000000, /* for one process, at most */
    ASKED_MOST = 64,       /* processes of a group */
};

struct one {
    int32_t pid;
    uint64_t anon;
};

struct pass {
    struct grip *g;
    const struct policy *policy;
    int64_t deadline_us;
    struct buf text;
    char why[sizeof(((struct rt_result *)NULL)->why)];
    char next[REPORT_NEXT];
    unsigned collected, refused, failed, gone;
    int32_t pid; /* of the only one that was asked */
};

static int larger_first(const void *a, const void *b) {
    const struct one *x = a, *y = b;

    return x->anon < y->anon ? 1 : x->anon > y->anon ? -1 : x->pid - y->pid;
}

/* malloc'ed in *out: the processes of some size, the largest first. Count, or -errno. */
static int list(const struct grip *g, struct one **out) {
    struct pidlist pids = {0};
    size_t n = 0;
    int r = grip_pids(g, &pids);

    *out = NULL;
    if (r == 0 && pids.n > 0)
        *out = calloc(pids.n, sizeof(**out));
    if (r == 0 && pids.n > 0 && !*out)
        r = -ENOMEM;
    for (size_t i = 0; r == 0 && i < pids.n; i++) {
        struct procstatus status;

        if (procstatus_read(g->host->proc, pids.pid[i], &status) < 0 ||
            !(status.have & 1U << PROCSTATUS_ANON) || status.value[PROCSTATUS_ANON] < SMALL)
            continue;
        (*out)[n++] = (struct one){pids.pid[i], status.value[PROCSTATUS_ANON]};
    }
    pidlist_done(&pids);
    if (r < 0)
        return r;
    if (n > 0)
        qsort(*out, n, sizeof(**out), larger_first);
    return n < ASKED_MOST ? (int)n : ASKED_MOST;
}

/* A lasting limit for Go, when the policy has one. */
static uint64_t limit_for(const struct pass *p) {
    const struct grip_level *l = p->policy->rt_limit ? grip_tightest(p->g) : NULL;

    return l ? l->bytes / 10000 * p->policy->rt_limit : 0;
}

static void add_freed(struct buf *out, const struct collect_report *r) {
    if (!r->have_before || !r->have_after)
        return;
    buf_add_char(out, ' ');
    num_add_iec(out, r->rss_before);
    buf_add(out, STR(" -> "));
    num_add_iec(out, r->rss_after);
}

static void tell(struct pass *p, int32_t pid, const struct collect_report *r) {
    if (p->text.n > 0)
        buf_add(&p->text, STR("; "));
    buf_add_format(&p->text, "%d (", pid);
    if (r->id.kind == RT_UNKNOWN)
        buf_add(&p->text, STR("?"));
    rt_add_id(&p->text, &r->id);
    buf_add(&p->text, STR(")"));
    switch (r->result.outcome) {
    case RT_COLLECTED:
        add_freed(&p->text, r);
        p->collected++;
        return;
    case RT_REFUSED:
        buf_add(&p->text, STR(" refused"));
        p->refused++;
        break;
    case RT_FAILED:
        buf_add(&p->text, STR(" failed"));
        p->failed++;
        break;
    }
    if (p->why[0])
        return;
    (void)str_copy(str_of(r->result.why), p->why, sizeof(p->why));
    (void)str_copy(str_head(str_of(r->result.next), sizeof(p->next) - 1), p->next, sizeof(p->next));
}

static void ask(struct pass *p, int32_t pid) {
    int64_t now = clock_mono_us();
    struct rt_ask terms = {
        .inject = p->policy->inject,
        .deadline_us = now + EACH_US < p->deadline_us ? now + EACH_US : p->deadline_us,
        .limit = limit_for(p),
        .brisk = true,
    };
    struct collect_report report;
    struct err err;

    if (collect_run(p->g->host, pid, &terms, &report, &err) < 0) {
        p->gone++;
        return;
    }
    /* What has no collector is asked only where calls in its name are allowed. */
    if (rt_rank(report.id.kind) < RT_RANK_COLLECTS && report.result.outcome == RT_REFUSED &&
        !p->policy->inject)
        return;
    p->pid = p->collected + p->refused + p->failed == 0 ? pid : 0;
    tell(p, pid, &report);
}

static int conclude(struct pass *p, struct action_report *report) {
    struct str text = str_head(buf_str(&p->text), REPORT_TEXT / 2);
    bool some = p->refused + p->failed > 0;

    report->pid = p->pid;
    if (p->collected > 0 && !some)
        return report_done(report, "%.*s", STR_ARG(text));
    if (p->collected > 0)
        return report_partly(report, "%.*s: %s", STR_ARG(text), p->why);
    if (p->failed > 0)
        return report_failed(report, p->next, "%.*s: %s", STR_ARG(text), p->why);
    if (p->refused > 0)
        return report_refused(report, p->next, "%.*s: %s", STR_ARG(text), p->why);
    return report_refused(report, "",
                          p->gone > 0 ? "its processes ended meanwhile"
                                      : "no process in it has a runtime that can collect");
}

int gc_run(struct grip *g, const struct policy *p, int64_t deadline_us,
           struct action_report *report) {
    struct pass pass = {.g = g, .policy = p, .deadline_us = deadline_us};
    char text[4096];
    auto_free struct one *ones = NULL;
    int n = list(g, &ones);

    *report = (struct action_report){.pid = 0};
    if (n == -ENODEV)
        return report_failed(report, "", "the group is gone");
    if (n < 0)
        return report_failed(report, "", "its processes cannot be listed: %s", strerror(-n));
    buf_fixed(&pass.text, text, sizeof(text));
    for (int i = 0; i < n && clock_mono_us() < deadline_us; i++)
        ask(&pass, ones[i].pid);
    return conclude(&pass, report);
}
