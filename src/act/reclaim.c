#include "act/reclaim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

enum {
    PIECE = 16 << 20,   /* v2: so much a write, to look at the clock in between */
    LEAST = 64 << 10,   /* less than that is no progress */
    IDLE = 3,           /* writes without progress in a row, then there is no more */
    MOST_WRITES = 4096, /* whatever usage does meanwhile */
    FREED_LEAST = 1 << 20,
};

static uint64_t usage_now(struct grip *g, uint64_t or_else) {
    struct facts f;

    return grip_read(g, 0, &f) == 0 && facts_has(&f, FACT_USAGE) ? f.value[FACT_USAGE] : or_else;
}

static int ask(const struct grip *g, uint64_t bytes) {
    char text[32];
    int n = g->version == CG_V1 ? snprintf(text, sizeof(text), "0")
                                : snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);

    return pwrite(g->reclaim, text, (size_t)n, 0) < 0 ? -errno : 0;
}

struct effort {
    uint64_t before, got;
    struct pidlist pids; /* before, sorted */
    struct facts first;
    bool late;
    int error; /* other than "less could be had" */
};

/* Pieces as long as they bring something. What the group takes meanwhile counts against them, so
 * `got` is at least what the kernel took. */
static void work(struct grip *g, uint64_t bytes, int64_t deadline_us, struct effort *e) {
    uint64_t now = e->before;

    for (unsigned i = 0, idle = 0; i < MOST_WRITES && idle < IDLE && e->got < bytes; i++) {
        uint64_t before = now, left = bytes - e->got;
        int r = ask(g, left < PIECE ? left : PIECE);

        if (r < 0 && r != -EAGAIN && r != -EBUSY && r != -EINTR) {
            e->error = r;
            return;
        }
        now = usage_now(g, before);
        if (before > now)
            e->got += before - now;
        idle = before > now && before - now >= LEAST ? 0 : idle + 1;
        e->late = clock_mono_us() >= deadline_us;
        if (e->late)
            return;
    }
}

/* Why the rest stays. */
static void add_rest(struct buf *out, struct grip *g) {
    struct sysinfo info;
    struct facts f;

    if (grip_read(g, GRIP_STAT, &f) < 0 || !facts_has(&f, FACT_ANON) || f.value[FACT_ANON] < LEAST)
        return;
    buf_add(out, STR("; "));
    num_add_iec(out, f.value[FACT_ANON]);
    buf_add(out, STR(" of anonymous memory stay"));
    if (sysinfo(&info) == 0 && info.totalswap == 0)
        buf_add(out, STR(": there is no swap"));
}

static bool are_ended(const struct grip *g, const struct pidlist *before) {
    struct pidlist now = {0};
    bool ended = false;

    if (grip_pids(g, &now) == 0) {
        pidlist_sort(&now);
        for (size_t i = 0; i < before->n && !ended; i++)
            ended = !pidlist_has(&now, before->pid[i]);
    }
    pidlist_done(&now);
    return ended;
}

static uint64_t fallen(const struct facts *from, const struct facts *to, enum fact fact) {
    return facts_has(from, fact) && facts_has(to, fact) && from->value[fact] > to->value[fact]
               ? from->value[fact] - to->value[fact]
               : 0;
}

/* Who ends or frees memory meanwhile makes the group smaller as well: then only what page cache has
 * become less is the work of the kernel for certain. Without swap it takes nothing else. */
static void add_amount(struct buf *out, struct grip *g, const struct effort *e, uint64_t bytes) {
    bool ended = are_ended(g, &e->pids), freed;
    struct sysinfo info;
    struct facts now;
    uint64_t cache;

    if (grip_read(g, GRIP_STAT, &now) < 0)
        now.have = 0;
    cache = fallen(&e->first, &now, FACT_FILE);
    cache = cache < e->got ? cache : e->got;
    freed = sysinfo(&info) == 0 && info.totalswap == 0 &&
            fallen(&e->first, &now, FACT_ANON) >= FREED_LEAST;
    num_add_iec(out, ended || freed ? cache : e->got);
    buf_add(out, ended || freed ? STR(" of page cache reclaimed") : STR(" reclaimed"));
    if (g->version == CG_V2 && bytes != UINT64_MAX) {
        buf_add(out, STR(" of "));
        num_add_iec(out, bytes);
    }
    if (!ended && !freed)
        return;
    buf_add(out, STR("; the group shrank by "));
    num_add_iec(out, e->got);
    buf_add(out, ended ? STR(", partly because a process ended")
                       : STR(", partly because its processes freed memory"));
}

static void tell(struct grip *g, const struct effort *e, uint64_t bytes,
                 struct action_report *report) {
    struct buf text;

    if (e->error < 0 && e->got == 0) {
        (void)report_failed(report, "", "the kernel refuses to reclaim (%s)",
                            e->error == -ENODEV ? "the group was removed" : strerror(-e->error));
        return;
    }
    buf_init(&text, REPORT_TEXT);
    add_amount(&text, g, e, bytes);
    if (e->late)
        buf_add(&text, STR(", then its time was over"));
    if (e->got < bytes)
        add_rest(&text, g);
    buf_add_char(&text, '\0');
    if (buf_error(&text) < 0)
        (void)report_failed(report, "", "no memory for words");
    else if (e->late)
        (void)report_partly(report, "%s", text.p);
    else
        (void)report_done(report, "%s", text.p);
    buf_done(&text);
}

int reclaim_run(struct grip *g, uint64_t bytes, int64_t deadline_us, struct action_report *report) {
    struct effort e = {.got = 0};

    *report = (struct action_report){.outcome = OUTCOME_NONE};
    if (g->reclaim < 0)
        return report_refused(report, "",
                              g->version == CG_V2
                                  ? "the kernel has no memory.reclaim (Linux 5.19)"
                                  : "the group has no memory.force_empty that we may write to");
    /* v1 takes all it can get, whatever is wanted. */
    if (bytes == 0 || g->version == CG_V1)
        bytes = UINT64_MAX;
    e.before = usage_now(g, UINT64_MAX);
    if (e.before == UINT64_MAX)
        return report_failed(report, "", "the group was removed");
    if (grip_pids(g, &e.pids) < 0)
        pidlist_clear(&e.pids);
    if (grip_read(g, GRIP_STAT, &e.first) < 0)
        e.first.have = 0;
    work(g, bytes, deadline_us, &e);
    tell(g, &e, bytes, report);
    pidlist_done(&e.pids);
    return 0;
}
