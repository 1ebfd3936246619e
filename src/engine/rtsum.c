#include "engine/rtsum.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    FORGET_US = 600 * 1000000
}; /* unseen for so long, in looks that did not come to their end */

struct known {
    int32_t pid;
    uint32_t uid;
    uint64_t start_ticks, dev, inode;
    struct rt_id id;
    bool bad;
    uint32_t counted; /* bits: these counters were told once, and last so: */
    uint64_t value[RT_FIGURES];
    int64_t seen_us;
};

struct rtsum {
    struct known *known; /* ascending by pid, then uid */
    size_t n;
    struct rtanswer *answer;
};

int rtsum_new(struct rtsum **out) {
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : -ENOMEM;
}

void rtsum_free(struct rtsum *s) {
    if (!s)
        return;
    free(s->known);
    free(s->answer);
    free(s);
}

static int by_pid(const void *left, const void *right) {
    const struct known *a = left, *b = right;

    return a->pid != b->pid ? (a->pid > b->pid) - (a->pid < b->pid)
                            : (a->uid > b->uid) - (a->uid < b->uid);
}

/* The first of a pid; its place or where it would be. */
static size_t first_of(const struct rtsum *s, int32_t pid) {
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (s->known[middle].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct rt_id *rtsum_recall(const struct rtsum *s, int32_t pid, uint64_t start_ticks,
                                 uint64_t dev, uint64_t inode) {
    size_t at = first_of(s, pid);

    for (; at < s->n && s->known[at].pid == pid; at++) {
        const struct known *k = &s->known[at];

        if (!k->bad && k->start_ticks == start_ticks && k->dev == dev && k->inode == inode)
            return &k->id;
    }
    return NULL;
}

bool rtsum_is_bad(const struct rtsum *s, int32_t pid, uint64_t start_ticks) {
    size_t at = first_of(s, pid);

    for (; at < s->n && s->known[at].pid == pid; at++)
        if (s->known[at].bad && s->known[at].start_ticks == start_ticks)
            return true;
    return false;
}

/* The same process under the same target, before this look. */
static const struct known *before(const struct rtsum *s, const struct rtfound *f) {
    const struct known key = {.pid = f->pid, .uid = f->uid};
    const struct known *k = s->n ? bsearch(&key, s->known, s->n, sizeof(*s->known), by_pid) : NULL;

    return k && k->start_ticks == f->start_ticks && k->dev == f->dev && k->inode == f->inode ? k
                                                                                             : NULL;
}

bool rtsum_tells(enum rt_kind kind) {
    return kind == RT_GO || kind == RT_JVM || kind == RT_PYTHON;
}

static bool is_counter(enum rt_figure f) {
    return f == RT_GC_COUNT || f == RT_GC_US;
}

/* A runtime that collects says more of a target than a shell that started it. */
static bool is_more(const struct rtfound *f, const struct rtfound *than) {
    unsigned a = rt_rank(f->id.kind), b = than ? rt_rank(than->id.kind) : 0;

    return a != b ? a > b : a > 0 && f->res_pages > than->res_pages;
}

/* Adds a process's figures; those that it should have told and did not are `missing`. */
static void add_figures(const struct rtsum *s, const struct rtfound *f, struct rtanswer *a,
                        uint32_t *missing) {
    const struct known *old = before(s, f);

    for (enum rt_figure i = 0; i < RT_FIGURES; i++) {
        uint32_t bit = 1U << i;
        uint64_t now = f->figures.value[i], then = old && old->counted & bit ? old->value[i] : 0;

        if (!(f->figures.have & bit)) {
            /* Python has no heap to tell of. */
            *missing |= f->id.kind == RT_PYTHON && i < RT_GC_COUNT ? 0 : bit;
            continue;
        }
        a->now.have |= bit;
        if (is_counter(i))
            a->added[i] += now > then ? now - then : 0;
        else
            a->now.value[i] += now;
    }
}

/* Of one target: found[0..n), all of its processes. */
static void sum_up(const struct rtsum *s, const struct rtfound *found, size_t n,
                   struct rtanswer *out) {
    const struct rtfound *largest = NULL;
    uint32_t missing = 0;
    struct buf lang;

    for (size_t i = 0; i < n; i++) {
        if (found[i].kind != RTFOUND_PROCESS)
            continue;
        if (is_more(&found[i], largest))
            largest = &found[i];
        if (rtsum_tells(found[i].id.kind))
            add_figures(s, &found[i], out, &missing);
    }
    out->now.have &= ~missing;
    if (!largest)
        return;
    buf_init(&lang, 256);
    rt_add_id(&lang, &largest->id);
    (void)snprintf(out->lang, sizeof(out->lang), "%.*s", STR_ARG(buf_str(&lang)));
    buf_done(&lang);
}

bool rtsum_blame(const struct rtfound *found, size_t n, int32_t *pid_out) {
    if (n == 0 || found[n - 1].kind != RTFOUND_BEGIN)
        return false;
    *pid_out = found[n - 1].pid;
    return true;
}

/* --- remembering ------------------------------------------------------------------------------ */

static struct known make_known(const struct rtsum *s, const struct rtfound *f, bool bad,
                               int64_t at_us) {
    const struct known *old = before(s, f);
    struct known k = {
        .pid = f->pid,
        .uid = f->uid,
        .start_ticks = f->start_ticks,
        .dev = f->dev,
        .inode = f->inode,
        .id = f->id,
        .bad = bad,
        .seen_us = at_us,
    };

    for (enum rt_figure i = 0; i < RT_FIGURES; i++) {
        bool told = f->figures.have & 1U << i;

        if (!is_counter(i) || (!told && !(old && old->counted & 1U << i)))
            continue;
        k.counted |= 1U << i;
        k.value[i] = told ? f->figures.value[i] : old->value[i];
    }
    return k;
}

/* `whole`: every target was looked at to its end, so what was not seen is no more. */
static int remember(struct rtsum *s, const struct rtfound *found, size_t n, bool whole,
                    int64_t at_us) {
    struct known *known = calloc(n + s->n + 1, sizeof(*known));
    size_t kept = 0, seen;

    if (!known)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (found[i].kind == RTFOUND_PROCESS || (found[i].kind == RTFOUND_BEGIN && i + 1 == n))
            known[kept++] = make_known(s, &found[i], found[i].kind == RTFOUND_BEGIN, at_us);
    qsort(known, kept, sizeof(*known), by_pid);
    seen = kept;
    for (size_t i = 0; i < s->n; i++) {
        const struct known *k = &s->known[i];
        bool stays =
            k->bad ? at_us - k->seen_us < FORGET_US : !whole && at_us - k->seen_us < FORGET_US;

        if (stays && !bsearch(k, known, seen, sizeof(*known), by_pid))
            known[kept++] = *k;
    }
    qsort(known, kept, sizeof(*known), by_pid);
    free(s->known);
    s->known = known;
    s->n = kept;
    return 0;
}

int rtsum_take(struct rtsum *s, const struct rtfound *found, size_t n, size_t targets,
               int64_t at_us, const struct rtanswer **answers_out, size_t *n_out) {
    size_t from = 0, answers = 0, done = 0;

    free(s->answer);
    s->answer = calloc(targets ? targets : 1, sizeof(*s->answer));
    if (!s->answer)
        return -ENOMEM;
    for (size_t i = 0; i < n && answers < targets; i++) {
        if (found[i].kind != RTFOUND_DONE && found[i].kind != RTFOUND_SKIPPED)
            continue;
        s->answer[answers] = (struct rtanswer){.uid = found[i].uid};
        if (found[i].kind == RTFOUND_DONE) {
            sum_up(s, &found[from], i - from, &s->answer[answers]);
            done++;
        }
        answers++;
        from = i + 1;
    }
    *answers_out = s->answer;
    *n_out = answers;
    return remember(s, found, n, done == targets, at_us);
}
