#include "act/rescuego.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "runtime/goguard.h"
#include "runtime/goword.h"
#include "runtime/recognise.h"

enum {
    LOOKS = 20,           /* one that makes no sense was made in the middle of a change */
    LEAST = 4 << 20,      /* of anonymous memory: smaller ones are not what fills the group */
    SLACK = 2 << 20,      /* above what is in use that a limit leaves */
    PERIOD_NS = 20000000, /* one collection, and not many */
};

enum word { WORD_PERIOD, WORD_LIMIT };

struct one {
    struct rtproc proc;
    struct go_words words;
    struct go_state first, now;
    struct goguard guard;
    uint64_t resident, limit;
    bool guarded, limited, forced, collected;
    bool again;             /* squeezed: one more collection is forced */
    struct go_state before; /* ... since then */
    uint64_t squeezed;      /* the limit that stands there now */
};

struct rescuego {
    struct one one[RESCUEGO_MOST];
    unsigned n;
    uint64_t room; /* for all of them together */
    int64_t deadline_us;
};

static int look(struct one *o, struct go_state *out) {
    int r = -ENODATA;

    for (int i = 0; i < LOOKS && r == -ENODATA; i++) {
        if (i > 0)
            (void)poll(NULL, 0, 1);
        r = go_words_read(&o->proc, &o->words, out);
    }
    return r;
}

static uint64_t less(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Memory that counts against the limit, less what is unused. */
static uint64_t in_use(const struct go_state *s) {
    uint64_t ready = s->value[GO_READY], unused = s->value[GO_FREE];

    return (ready > unused ? ready - unused : 0) + SLACK;
}

/* 0: it is one; -ENODATA: not Go, or too small; -errno with the reason. */
static int open_one(const struct grip *g, int32_t pid, struct one *o, struct err *err) {
    uint64_t rss, anon;
    struct rt_id id = {.kind = RT_UNKNOWN};
    int r;

    *o = (struct one){.guarded = false};
    if (rtproc_open(g->host, pid, &o->proc, err) < 0)
        return -ENODATA;
    r = rtproc_rss(&o->proc, &rss, &anon) < 0 || anon < LEAST ? -ENODATA : 0;
    if (r == 0 && (rt_recognise(&o->proc, &id) < 0 || id.kind != RT_GO))
        r = -ENODATA;
    if (r == 0)
        r = go_words_find(&o->proc, &id, &o->words, err);
    if (r == 0) {
        r = look(o, &o->first);
        if (r < 0 || o->first.value[GO_LIMIT] < LEAST)
            r = err_set(err, -EPROTO,
                        "what is in its memory does not look like the collector of "
                        "go %s",
                        id.version);
    }
    if (r < 0) {
        rtproc_done(&o->proc);
        return r;
    }
    o->now = o->first;
    o->resident = less(anon, o->first.value[GO_READY]);
    return 0;
}

/* What the group uses beside their heaps stays; the rest is shared by size. */
static void share(struct rescuego *r, const struct grip *g, uint64_t goal) {
    struct grip copy = *g; /* the order of lines is remembered in it */
    struct facts now;
    uint64_t all = 0, used = 0, other;

    if (grip_read(&copy, GRIP_STAT, &now) == 0 && facts_has(&now, FACT_USED))
        used = now.value[FACT_USED];
    for (unsigned i = 0; i < r->n; i++)
        all += r->one[i].resident;
    other = used > all ? used - all : 0;
    r->room = goal > other ? goal - other : 0;
    for (unsigned i = 0; i < r->n; i++)
        r->one[i].limit =
            (uint64_t)((unsigned __int128)r->room * r->one[i].resident / (all ? all : 1));
}

int rescuego_new(const struct grip *g, uint64_t goal, int64_t deadline_us, struct rescuego **out,
                 char *refused_out, size_t refused_size) {
    auto_free struct rescuego *made = calloc(1, sizeof(*made));
    struct pidlist pids = {0};
    struct err err;
    int r;

    *out = NULL;
    if (refused_out)
        refused_out[0] = '\0';
    if (!made)
        return -ENOMEM;
    made->deadline_us = deadline_us;
    r = grip_pids(g, &pids);
    for (size_t i = 0; r == 0 && i < pids.n && made->n < RESCUEGO_MOST; i++) {
        int s = open_one(g, pids.pid[i], &made->one[made->n], &err);

        if (s == 0)
            made->n++;
        else if (s != -ENODATA && s != -ESRCH && refused_out)
            (void)str_copy(str_head(str_of(err.text), refused_size - 1), refused_out, refused_size);
    }
    pidlist_done(&pids);
    if (r == 0 && made->n > 0) {
        share(made, g, goal);
        *out = take_ptr(&made);
    }
    return r;
}

unsigned rescuego_count(const struct rescuego *r) {
    return r ? r->n : 0;
}

int32_t rescuego_pid(const struct rescuego *r) {
    return r && r->n == 1 ? r->one[0].proc.pid : 0;
}

/* A limit that is lower already stays as it is. */
static bool write_limit(struct one *o) {
    uint64_t was = o->first.value[GO_LIMIT];

    if (o->limit >= was || o->limited)
        return true;
    o->limited =
        goguard_write(&o->guard, WORD_LIMIT,
                      o->words.controller + o->words.layout->controller.limit, was, o->limit) == 0;
    return o->limited;
}

/* With GOGC=off nothing is due by time, but the limit is still heeded. */
static bool write_period(struct one *o) {
    if ((int64_t)o->first.value[GO_PERCENT] < 0 || o->forced)
        return true;
    o->forced = goguard_write(&o->guard, WORD_PERIOD, o->words.period,
                              (uint64_t)o->words.layout->period, PERIOD_NS) == 0;
    return o->forced;
}

static bool write_one(struct one *o, int64_t deadline_us) {
    bool limited;

    if (!o->guarded && goguard_start(&o->guard, &o->proc, deadline_us, NULL) < 0)
        return false;
    o->guarded = true;
    limited = write_limit(o);
    return write_period(o) && limited;
}

unsigned rescuego_write(struct rescuego *r) {
    unsigned written = 0;

    for (unsigned i = 0; r && i < r->n; i++)
        written += r->one[i].collected || write_one(&r->one[i], r->deadline_us);
    return written;
}

static bool has_collected(const struct go_state *before, const struct go_state *now) {
    if (go_has(before, GO_COUNT) && go_has(now, GO_COUNT))
        return now->value[GO_COUNT] != before->value[GO_COUNT];
    return now->value[GO_START] != before->value[GO_START] &&
           now->value[GO_TRIGGERED] == UINT64_MAX;
}

unsigned rescuego_poll(struct rescuego *r) {
    unsigned collected = 0;

    for (unsigned i = 0; r && i < r->n; i++) {
        struct one *o = &r->one[i];

        if (!o->collected && go_words_read(&o->proc, &o->words, &o->now) == 0 &&
            has_collected(&o->first, &o->now)) {
            o->collected = true;
            if (o->forced)
                (void)goguard_restore(&o->guard, WORD_PERIOD);
        }
        if (o->again && go_words_read(&o->proc, &o->words, &o->now) == 0 &&
            has_collected(&o->before, &o->now)) {
            o->again = false;
            (void)goguard_restore(&o->guard, WORD_PERIOD);
        }
        collected += o->collected;
    }
    return collected;
}

bool rescuego_is_done(const struct rescuego *r) {
    for (unsigned i = 0; r && i < r->n; i++)
        if ((r->one[i].limited || r->one[i].forced) && !r->one[i].collected)
            return false;
    return true;
}

/* A limit just above what is in use, and one more collection: after that what is unused goes back
 * at once, not by and by. */
void rescuego_squeeze(struct rescuego *r) {
    for (unsigned i = 0; r && i < r->n; i++) {
        struct one *o = &r->one[i];

        if (!o->limited || !o->collected || go_words_read(&o->proc, &o->words, &o->now) < 0)
            continue;
        if (in_use(&o->now) < o->squeezed &&
            goguard_write(&o->guard, WORD_LIMIT,
                          o->words.controller + o->words.layout->controller.limit,
                          o->first.value[GO_LIMIT], in_use(&o->now)) == 0)
            o->squeezed = in_use(&o->now);
        if (o->again || (int64_t)o->first.value[GO_PERCENT] < 0)
            continue;
        o->again = goguard_write(&o->guard, WORD_PERIOD, o->words.period,
                                 (uint64_t)o->words.layout->period, PERIOD_NS) == 0;
        o->before = o->now;
    }
}

/* The limit that is to stay, where it was squeezed below. */
static bool let_out(struct one *o) {
    return o->squeezed == o->limit ||
           goguard_write(&o->guard, WORD_LIMIT,
                         o->words.controller + o->words.layout->controller.limit,
                         o->first.value[GO_LIMIT], o->limit) == 0;
}

static void tell_one(const struct one *o, bool kept, bool undone, struct buf *text) {
    if (text->n > 0)
        buf_add(text, STR("; "));
    buf_add_format(text, "Go process %d ", o->proc.pid);
    if (!o->limited && !o->forced) {
        buf_add(text, STR("could not be written to"));
        return;
    }
    buf_add(text, o->collected ? STR("has collected") : STR("has not collected"));
    if (kept) {
        buf_add(text, STR(", its soft limit is "));
        num_add_iec(text, o->limit);
        buf_add(text, STR(" from now on"));
    } else if (undone) {
        buf_add(text, STR(", what was written is put back"));
    } else {
        buf_add(text, STR(", what was written could not be put back: restart it when it can be"));
    }
}

void rescuego_end(struct rescuego *r, bool keep, struct buf *text, uint64_t *in_use_out) {
    uint64_t too_much = 0;

    for (unsigned i = 0; r && i < r->n; i++) {
        struct one *o = &r->one[i];
        bool fits, kept, undone;

        (void)look(o, &o->now);
        fits = in_use(&o->now) <= o->limit;
        kept = keep && o->limited && o->collected && fits && let_out(o);
        if (o->limited && !fits)
            too_much += in_use(&o->now);
        if (kept)
            goguard_keep(&o->guard, WORD_LIMIT);
        undone = !o->guarded || goguard_end(&o->guard) == 0 || rtproc_same(&o->proc) < 0;
        tell_one(o, kept, undone, text);
        rtproc_done(&o->proc);
    }
    free(r);
    *in_use_out = too_much;
}
