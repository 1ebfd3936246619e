#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "runtime/gocollect.h"
#include "runtime/gopprof.h"
#include "runtime/heaps.h"

enum {
    PROFILE_MAX = 32 << 20, /* of a profile, and of the text that has the figures */
    NOTEWORTHY = 16 << 20,  /* bytes that deserve a sentence */
};

int go_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
               struct rt_result *out) {
    struct rt_result other = {.outcome = RT_FAILED};
    int r;

    if (!ask->inject)
        return go_collect_pprof(p, ask, out);
    r = go_collect_words(p, id, ask, out);
    if (r < 0 || out->outcome == RT_COLLECTED)
        return r;
    r = go_collect_pprof(p, ask, &other);
    if (r == 0 && other.outcome == RT_COLLECTED)
        *out = other;
    return r;
}

static void put(struct rt_figures *f, enum rt_figure figure, uint64_t value) {
    f->have |= 1U << figure;
    f->value[figure] = value;
}

int go_figures(const struct rtproc *p, const struct rt_id *id, struct rt_figures *out) {
    struct rt_figures f = {0};
    struct go_words words;
    struct go_state s;

    if (go_words_find(p, id, &words, NULL) < 0 || go_words_read(p, &words, &s) < 0)
        return -ENODATA;
    put(&f, RT_HEAP_USED, s.value[GO_ALLOC] - s.value[GO_FREED]);
    put(&f, RT_HEAP_COMMITTED, s.value[GO_IN_USE] + s.value[GO_FREE]);
    put(&f, RT_HEAP_IDLE, s.value[GO_FREE]);
    if (go_has(&s, GO_COUNT)) {
        put(&f, RT_GC_COUNT, s.value[GO_COUNT]);
        put(&f, RT_GC_US, s.value[GO_PAUSE_NS] / 1000);
    }
    if (go_has(&s, GO_GOROUTINES))
        put(&f, RT_TASKS, s.value[GO_GOROUTINES]);
    *out = f;
    return 0;
}

/* --- what its heap holds --- */

/* What the sentences are made of; from pprof's text, else from its memory. */
struct heap {
    uint64_t rss, used, in_use, idle, released, sys;
    uint64_t marked, last_ns, now_ns; /* of the last collection; have_marked */
    bool have, have_marked;
    bool has_pprof;
};

/* Lines of heap?debug=1 that are figures. */
static const struct {
    const char *line, *key, *says;
    enum heap_unit unit;
    unsigned divided_by;
} memstats[] = {
    {"HeapAlloc", "heap_used", "objects, those not yet collected too", HEAP_BYTES, 1},
    {"HeapInuse", "heap_in_use", "spans that hold objects", HEAP_BYTES, 1},
    {"HeapIdle", "heap_idle", "spans without objects", HEAP_BYTES, 1},
    {"HeapReleased", "heap_released", "of these, given back to the kernel", HEAP_BYTES, 1},
    {"HeapSys", "heap_sys", "address space of the heap", HEAP_BYTES, 1},
    {"HeapObjects", "heap_objects", "objects", HEAP_COUNT, 1},
    {"NextGC", "next_gc", "the heap at which the next collection begins", HEAP_BYTES, 1},
    {"NumGC", "gc_count", "collections since its start", HEAP_COUNT, 1},
    {"NumForcedGC", "gc_forced", "of these, asked for by the program", HEAP_COUNT, 1},
    {"TotalAlloc", "allocated", "ever allocated", HEAP_BYTES, 1},
    {"Mallocs", "allocations", "objects ever allocated", HEAP_COUNT, 1},
    {"Frees", "frees", "objects ever freed", HEAP_COUNT, 1},
};

static void figures_of_text(struct str text, struct heapview *out, struct heap *h) {
    uint64_t v;

    for (size_t i = 0; i < ARRAY_N(memstats); i++)
        if (gopprof_memstat(text, memstats[i].line, &v) == 0)
            heapview_figure(out, memstats[i].key, memstats[i].says, memstats[i].unit, v);
    h->have = heapview_value(out, "heap_used", &h->used) &&
              heapview_value(out, "heap_in_use", &h->in_use) &&
              heapview_value(out, "heap_idle", &h->idle) &&
              heapview_value(out, "heap_released", &h->released) &&
              heapview_value(out, "heap_sys", &h->sys);
}

static void figures_of_words(const struct go_state *s, struct heapview *out, struct heap *h) {
    h->have = true;
    h->used = s->value[GO_ALLOC] - s->value[GO_FREED];
    h->in_use = s->value[GO_IN_USE];
    h->idle = s->value[GO_FREE] + s->value[GO_RELEASED];
    h->released = s->value[GO_RELEASED];
    h->sys = h->in_use + h->idle;
    heapview_figure(out, "heap_used", memstats[0].says, HEAP_BYTES, h->used);
    heapview_figure(out, "heap_in_use", memstats[1].says, HEAP_BYTES, h->in_use);
    heapview_figure(out, "heap_idle", memstats[2].says, HEAP_BYTES, h->idle);
    heapview_figure(out, "heap_released", memstats[3].says, HEAP_BYTES, h->released);
    heapview_figure(out, "heap_sys", memstats[4].says, HEAP_BYTES, h->sys);
    if (go_has(s, GO_COUNT))
        heapview_figure(out, "gc_count", memstats[7].says, HEAP_COUNT, s->value[GO_COUNT]);
}

/* What only its memory tells, beside either. */
static void figures_beside(const struct go_state *s, struct heapview *out, struct heap *h) {
    if (go_has(s, GO_COUNT)) {
        h->have_marked = s->value[GO_LAST] != 0;
        h->marked = s->value[GO_MARKED];
        h->last_ns = s->value[GO_LAST];
        h->now_ns = (uint64_t)clock_mono_us() * 1000;
        heapview_figure(out, "gc_pause_us", "time the program stood still for collections", HEAP_US,
                        s->value[GO_PAUSE_NS] / 1000);
    }
    if (h->have_marked)
        heapview_figure(out, "heap_live", "in use at the last collection", HEAP_BYTES, h->marked);
    if (s->value[GO_LIMIT] < INT64_MAX)
        heapview_figure(out, "soft_limit", "GOMEMLIMIT", HEAP_BYTES, s->value[GO_LIMIT]);
    if ((int64_t)s->value[GO_PERCENT] < 0)
        heapview_note(out, "collections are switched off in it (GOGC=off)%s",
                      s->value[GO_LIMIT] < INT64_MAX ? ", but for the soft limit" : "");
    if (go_has(s, GO_GOROUTINES))
        heapview_figure(out, "goroutines", "goroutines", HEAP_COUNT, s->value[GO_GOROUTINES]);
}

struct size {
    char text[24];
};
static struct size size_of(uint64_t bytes) {
    struct size s = {""};
    struct buf b;

    buf_init(&b, sizeof(s.text));
    num_add_iec(&b, bytes);
    (void)str_copy(buf_str(&b), s.text, sizeof(s.text));
    buf_done(&b);
    return s;
}

static uint64_t above(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

/* Resident memory beyond live objects: is it the runtime that holds it? */
static void add_verdict(struct heapview *out, const struct heap *h, int32_t pid) {
    uint64_t kept = above(h->idle, h->released);
    uint64_t live = h->have_marked && h->marked < h->used ? h->marked : h->used;
    uint64_t garbage = h->used - live, spans = above(h->in_use, h->used);
    uint64_t held = kept + garbage + spans, beyond = above(h->rss, live);
    uint64_t age_s = above(h->now_ns, h->last_ns) / 1000000000;

    if (held < NOTEWORTHY && beyond >= NOTEWORTHY && beyond > h->rss / 2)
        heapview_note(out,
                      "%s of its %s resident are not the Go heap's: its own text and data, stacks, "
                      "C libraries or mapped files; `plimsoll map %d` tells",
                      size_of(above(beyond, held)).text, size_of(h->rss).text, pid);
    if (held >= NOTEWORTHY && held >= beyond / 2)
        heapview_note(out,
                      "held by the runtime, not leaked: %s of its %s resident are free memory not "
                      "yet given back (%s), objects since the last collection (%s) and room "
                      "in spans (%s); `plimsoll gc %s%d` makes it give back",
                      size_of(held).text, size_of(h->rss).text, size_of(kept).text,
                      size_of(garbage).text, size_of(spans).text, h->has_pprof ? "" : "--inject ",
                      pid);
    if (live >= NOTEWORTHY && h->have_marked)
        heapview_note(out,
                      "%s were in use at the last collection, %llu s ago: what has been dropped "
                      "since is held by the runtime, not leaked, until the next one, which comes "
                      "within two minutes and tells how much it is (%s does at once)",
                      size_of(live).text, (unsigned long long)age_s,
                      h->has_pprof ? "--live" : "`plimsoll gc --inject`");
}

static int keep_blob(struct heapview *out, const char *what, struct str body) {
    char *data;

    if (out->blobs >= ARRAY_N(out->blob))
        return -E2BIG;
    if (body.n == 0)
        return -EBADMSG;
    data = malloc(body.n);
    if (!data)
        return -ENOMEM;
    memcpy(data, body.p, body.n);
    out->blob[out->blobs++] = (struct heap_blob){what, data, body.n};
    return 0;
}

static void add_blob(const struct rtproc *p, const struct gopprof *at, const char *page,
                     const char *what, int64_t deadline_us, struct heapview *out) {
    struct unixhttp answer;
    struct buf text;
    int r;

    buf_init(&text, PROFILE_MAX);
    r = gopprof_get(p, at, page, deadline_us, &text, &answer);
    if (r == 0)
        r = keep_blob(out, what, answer.body);
    buf_done(&text);
    if (r < 0)
        heapview_note(out, "pprof on port %u gave no usable %s: %s", (unsigned)at->port, page,
                      r == -EFBIG       ? "more than 32 MiB"
                      : r == -ETIMEDOUT ? "it did not end in time"
                      : r == -EPROTO    ? "it refused"
                      : r == -EBADMSG   ? "the answer is no HTTP, or was cut short"
                                        : strerror(-r));
}

static void ask_pprof(const struct rtproc *p, const struct gopprof *at,
                      const struct rt_heap_ask *ask, struct heapview *out, struct heap *h) {
    struct unixhttp answer;
    struct buf text;

    if (ask->profile || ask->live) {
        /* The first one collects: what comes after it shows what is left. */
        add_blob(p, at, ask->live ? "heap?gc=1" : "heap", "heap", ask->ask.deadline_us, out);
        add_blob(p, at, "goroutine?debug=1", "goroutine", ask->ask.deadline_us, out);
    }
    buf_init(&text, PROFILE_MAX);
    if (gopprof_get(p, at, "heap?debug=1", ask->ask.deadline_us, &text, &answer) == 0)
        figures_of_text(answer.body, out, h);
    buf_done(&text);
}

static void say_pprof_missing(const struct rtproc *p, const struct rt_heap_ask *ask, int r,
                              unsigned tried, struct heapview *out) {
    struct err err;

    if (tried > 0 && rtproc_try_net(p, &err) < 0) {
        heapview_note(out, "%s; %s", err.text, rtproc_net_hint);
        return;
    }
    if (ask->port)
        heapview_note(out, "nothing answers as pprof on port %u of its network namespace",
                      (unsigned)ask->port);
    else if (r == -ENOENT && tried > 0)
        heapview_note(out, "no pprof answers on the %u port%s it listens on: figures only", tried,
                      tried == 1 ? "" : "s");
    else if (r == -ETIMEDOUT)
        heapview_note(out, "what listens on its %u port%s did not answer in time: figures only",
                      tried, tried == 1 ? "" : "s");
    else
        heapview_note(out, "it listens on no port that could be asked for profiles: figures only");
    heapview_note(out, "for profiles: import _ \"net/http/pprof\", and "
                       "http.ListenAndServe(\"127.0.0.1:6060\", nil) in a goroutine");
}

int go_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
            struct heapview *out, struct err *err) {
    struct heap h = {0};
    struct err why = {0};
    struct go_words words;
    struct gopprof at;
    struct go_state s;
    unsigned tried;
    uint64_t anon;
    int have_words, have_pprof;

    have_pprof = gopprof_find(p, ask->port, ask->ask.deadline_us, &at, &tried);
    if (have_pprof == 0)
        ask_pprof(p, &at, ask, out, &h);
    have_words = go_words_find(p, id, &words, &why);
    if (have_words == 0) {
        have_words = go_words_read(p, &words, &s);
        if (have_words < 0)
            (void)err_set(&why, have_words, "what is in its memory makes no sense as go %s",
                          id->version);
    }
    if (rtproc_same(p) < 0 || rtproc_rss(p, &h.rss, &anon) < 0)
        return err_set(err, -ESRCH, "process %d has ended", p->pid);
    heapview_figure(out, "rss", "resident", HEAP_BYTES, h.rss);
    if (!h.have && have_words == 0)
        figures_of_words(&s, out, &h);
    if (have_words == 0)
        figures_beside(&s, out, &h);
    if (!h.have && out->blobs == 0)
        return err_set(err, -EOPNOTSUPP,
                       "no pprof answers in process %d, and its memory cannot be read: %s; import "
                       "_ \"net/http/pprof\" and serve it on loopback",
                       p->pid, why.text);
    h.has_pprof = have_pprof == 0;
    if (h.have)
        add_verdict(out, &h, p->pid);
    if (!h.has_pprof)
        say_pprof_missing(p, ask, have_pprof, tried, out);
    return 0;
}
