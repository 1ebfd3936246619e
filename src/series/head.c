#include "series/head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "series/chunk.h"
#include "series/varint.h"

enum { PAGE = 4096, RECORD_MAX = 64 << 20 };

/* --- ticks ------------------------------------------------------------------------------------ */

void head_ticks_done(struct head_ticks *t) {
    free(t->at);
    *t = (struct head_ticks){.first = t->first};
}

int head_ticks_add(struct head_ticks *t, int64_t at_ms, bool round) {
    if (t->n == t->room) {
        size_t room = t->room ? t->room * 2 : 1024;
        int64_t *at = reallocarray(t->at, room, sizeof(*at));

        if (!at)
            return -ENOMEM;
        t->at = at;
        t->room = room;
    }
    t->at[t->n++] = at_ms * 2 + round;
    return 0;
}

int head_ticks_skip(struct head_ticks *t, uint64_t tick, int64_t at_ms) {
    enum { FAR = 1 << 20 };
    int r = 0;

    if (t->n == 0) {
        t->first = tick + 1;
        return 0;
    }
    if (tick <= head_tick_now(t))
        return 0;
    if (tick - head_tick_now(t) > FAR)
        return -ERANGE;
    while (r == 0 && head_tick_now(t) < tick)
        r = head_ticks_add(t, at_ms, false);
    return r;
}

void head_ticks_trim(struct head_ticks *t, uint64_t tick) {
    size_t drop = tick > t->first ? (size_t)(tick - t->first) : 0;

    /* Moved in large pieces only: the array is as long as the oldest head is old. */
    if (drop > t->n)
        drop = t->n;
    if (drop < 256 || drop < t->n / 4)
        return;
    memmove(t->at, t->at + drop, (t->n - drop) * sizeof(*t->at));
    t->n -= drop;
    t->first += drop;
}

/* --- records ---------------------------------------------------------------------------------- */

/* A record: ticks since the one before << 2 | kind, then for CHANGE and LOSS the metrics that are
 * set, for LOSS and BASE those that are lost (BASE: alive or not), and the values as differences.
 */
enum record { RECORD_TOUCH, RECORD_CHANGE, RECORD_LOSS, RECORD_GONE, RECORD_KINDS };

/* What a value is: a difference in pages, in bytes, or the value itself. */
enum { VALUE_PAGES, VALUE_DIFFERENCE, VALUE_WHOLE, VALUE_BITS = 2 };

static void add_value(struct buf *out, uint64_t before, uint64_t value) {
    uint64_t folded = zigzag(value - before);

    if ((value - before) % PAGE == 0) {
        varint_add(out, zigzag((uint64_t)((int64_t)(value - before) / PAGE)) << VALUE_BITS |
                            VALUE_PAGES);
    } else if (folded < UINT64_MAX >> VALUE_BITS) {
        varint_add(out, folded << VALUE_BITS | VALUE_DIFFERENCE);
    } else {
        varint_add(out, VALUE_WHOLE);
        varint_add(out, value);
    }
}

static bool cut_value(struct str *in, uint64_t before, uint64_t *out) {
    uint64_t code;

    if (!varint_cut(in, &code))
        return false;
    switch (code & ((1 << VALUE_BITS) - 1)) {
    case VALUE_PAGES:
        *out = before + unzigzag(code >> VALUE_BITS) * PAGE;
        return true;
    case VALUE_DIFFERENCE:
        *out = before + unzigzag(code >> VALUE_BITS);
        return true;
    default:
        return varint_cut(in, out);
    }
}

void head_init(struct head *h) {
    *h = (struct head){.open = false};
    buf_init(&h->record, RECORD_MAX);
}

void head_done(struct head *h) {
    buf_done(&h->record);
    h->open = false;
}

/* The metrics of `set` one after the other. */
static inline bool next_metric(uint64_t *set, unsigned *metric_out) {
    if (*set == 0)
        return false;
    *metric_out = (unsigned)__builtin_ctzll(*set);
    *set &= *set - 1;
    return true;
}

int head_open(struct head *h, uint64_t tick) {
    uint64_t set = h->have;
    unsigned m;

    buf_clear(&h->record);
    varint_add(&h->record, h->have);
    while (next_metric(&set, &m))
        add_value(&h->record, 0, h->value[m]);
    varint_add(&h->record, h->alive);
    if (buf_error(&h->record) < 0) {
        head_close(h);
        return -ENOMEM;
    }
    h->open = true;
    h->first = h->newest = tick;
    h->ever = h->have;
    h->moved = 0;
    return 0;
}

void head_close(struct head *h) {
    h->open = false;
    buf_done(&h->record);
    buf_init(&h->record, RECORD_MAX);
}

/* What does not fit is not there: a record is whole or none. */
static int settle(struct head *h, size_t before, uint64_t tick) {
    if (buf_error(&h->record) < 0) {
        h->record.n = before;
        h->record.error = 0;
        return -ENOMEM;
    }
    h->newest = tick;
    return 0;
}

static void add_changes(struct head *h, uint64_t tick, uint64_t set, uint64_t lost,
                        const uint64_t *value) {
    enum record kind = lost ? RECORD_LOSS : set ? RECORD_CHANGE : RECORD_TOUCH;
    unsigned m;

    varint_add(&h->record, (tick - h->newest) << 2 | kind);
    if (kind == RECORD_TOUCH)
        return;
    varint_add(&h->record, set);
    if (kind == RECORD_LOSS)
        varint_add(&h->record, lost);
    while (next_metric(&set, &m))
        add_value(&h->record, h->have >> m & 1 ? h->value[m] : 0, value[m]);
}

int head_put(struct head *h, uint64_t tick, uint64_t set, uint64_t lost,
             const uint64_t value[METRIC_N]) {
    uint64_t changed = 0, rest = set;
    size_t before = h->record.n;
    unsigned m;
    int r = 0;

    while (next_metric(&rest, &m))
        if (!(h->have >> m & 1) || h->value[m] != value[m])
            changed |= 1ull << m;
    lost &= h->have & ~set;
    /* A round samples what is alive anyway. */
    if (h->open) {
        add_changes(h, tick, changed, lost, value);
        r = settle(h, before, tick);
    }
    h->alive = true;
    h->have = (h->have | set) & ~lost;
    h->ever |= set;
    h->moved |= changed | lost;
    for (rest = changed; next_metric(&rest, &m);)
        h->value[m] = value[m];
    return r;
}

int head_gone(struct head *h, uint64_t tick) {
    size_t before = h->record.n;

    h->alive = false;
    h->moved |= h->have;
    h->have = 0;
    if (!h->open)
        return 0;
    if (tick < h->first) { /* nothing was sampled since it was opened */
        head_close(h);
        return 0;
    }
    varint_add(&h->record, (tick - h->newest) << 2 | RECORD_GONE);
    return settle(h, before, tick);
}

/* --- walking ---------------------------------------------------------------------------------- */

static void next_record(struct head_walk *w, uint64_t after) {
    struct str rest = w->rest;
    uint64_t code;

    w->have_record = varint_cut(&rest, &code);
    if (w->have_record)
        w->next = after + (code >> 2);
}

static void take_values(struct head_walk *w, uint64_t set) {
    unsigned m;

    while (next_metric(&set, &m)) {
        uint64_t before = w->now.have >> m & 1 ? w->now.value[m] : 0;

        if (!cut_value(&w->rest, before, &w->now.value[m]))
            w->rest.n = 0;
        w->now.have |= 1ull << m;
    }
}

void head_walk_init(struct head_walk *w, const struct head *h, const struct head_ticks *ticks) {
    uint64_t set = 0, alive = 0;

    w->head = h;
    w->ticks = ticks;
    w->now.have = 0;
    w->tick = 1;
    w->last = 0;
    w->have_record = false;
    if (!h->open || ticks->n == 0)
        return;
    w->rest = buf_str(&h->record);
    w->tick = h->first > ticks->first ? h->first : ticks->first;
    w->last = head_tick_now(ticks);
    varint_cut(&w->rest, &set);
    take_values(w, set);
    varint_cut(&w->rest, &alive);
    w->alive = alive;
    next_record(w, h->first);
}

/* Takes the records of this tick: whether one of them is a sample. */
static bool take_records(struct head_walk *w) {
    bool sampled = false;

    while (w->have_record && w->next <= w->tick) {
        uint64_t code = 0, set = 0, lost = 0, tick = w->next;

        varint_cut(&w->rest, &code);
        if ((code & 3) == RECORD_GONE) {
            /* In this tick it was still there, if it is a round. */
            sampled |= w->alive && head_tick_round(w->ticks, tick);
            w->alive = false;
            next_record(w, tick);
            continue;
        }
        if (!w->alive) /* another one: nothing is known of it yet */
            w->now.have = 0;
        if ((code & 3) == RECORD_CHANGE || (code & 3) == RECORD_LOSS)
            varint_cut(&w->rest, &set);
        if ((code & 3) == RECORD_LOSS)
            varint_cut(&w->rest, &lost);
        take_values(w, set);
        w->now.have &= ~lost;
        w->alive = sampled = true;
        next_record(w, tick);
    }
    return sampled;
}

bool head_walk_next(struct head_walk *w) {
    while (w->tick <= w->last) {
        uint64_t tick = w->tick;
        bool sampled = take_records(w);

        w->tick++;
        if (sampled || (w->alive && head_tick_round(w->ticks, tick))) {
            w->now.at_ms = head_tick_at(w->ticks, tick);
            return true;
        }
        /* Without a life there is nothing before the next record. */
        if (!w->alive) {
            if (!w->have_record)
                return false;
            if (w->next > w->tick)
                w->tick = w->next;
        }
    }
    return false;
}

/* --- to chunks -------------------------------------------------------------------------------- */

enum { BATCH = 8 };

struct columns {
    size_t n;
    int64_t *at;
    uint64_t *value[BATCH];
    bool *known[BATCH];
};

/* How many samples the chunk gets; their times in at (room for HEAD_CHUNK). */
static size_t measure(const struct head *h, const struct head_ticks *ticks, size_t skip,
                      int64_t *at) {
    struct head_walk w;
    size_t n = 0;

    head_walk_init(&w, h, ticks);
    while (n < HEAD_CHUNK && head_walk_next(&w)) {
        if (skip > 0) {
            skip--;
            continue;
        }
        if (n > 0 && (w.now.at_ms <= at[n - 1] || w.now.at_ms - at[0] >= HEAD_SPAN_MS))
            break;
        at[n++] = w.now.at_ms;
    }
    return n;
}

static void fill(const struct head *h, const struct head_ticks *ticks, size_t skip,
                 const struct columns *c, const unsigned *metric, unsigned count) {
    struct head_walk w;
    size_t n = 0;

    head_walk_init(&w, h, ticks);
    while (n < c->n && head_walk_next(&w)) {
        if (skip > 0) {
            skip--;
            continue;
        }
        for (unsigned i = 0; i < count; i++) {
            c->known[i][n] = w.now.have >> metric[i] & 1;
            c->value[i][n] = c->known[i][n] ? w.now.value[metric[i]] : 0;
        }
        n++;
    }
}

static bool any_known(const struct columns *c, unsigned i) {
    return memchr(c->known[i], 1, c->n);
}

static int add_moving(const struct head *h, const struct head_ticks *ticks, size_t skip,
                      const struct columns *c, struct buf *out) {
    uint64_t set = h->ever & h->moved;
    unsigned metric[BATCH], count;
    int r = 0;

    while (r == 0 && set != 0) {
        count = 0;
        while (count < BATCH && next_metric(&set, &metric[count]))
            count++;
        fill(h, ticks, skip, c, metric, count);
        for (unsigned i = 0; i < count && r == 0; i++)
            if (any_known(c, i))
                r = chunk_add(out, metric[i], CHUNK_LAST, c->value[i], c->known[i]);
    }
    return r;
}

/* What never moved is one value all the time. */
static int add_still(const struct head *h, const struct columns *c, struct buf *out) {
    uint64_t set = h->ever & ~h->moved;
    unsigned m;
    int r = 0;

    while (r == 0 && next_metric(&set, &m)) {
        for (size_t i = 0; i < c->n; i++)
            c->value[0][i] = h->value[m];
        r = chunk_add(out, m, CHUNK_LAST, c->value[0], NULL);
    }
    return r;
}

int head_chunk(const struct head *h, const struct head_ticks *ticks, size_t skip, struct buf *out) {
    auto_free void *memory = NULL;
    auto_free int64_t *at = malloc(HEAD_CHUNK * sizeof(*at));
    struct columns c = {.at = at};
    int r;

    buf_clear(out);
    if (!at)
        return -ENOMEM;
    c.n = measure(h, ticks, skip, at);
    if (c.n == 0)
        return 0;
    memory = malloc(c.n * BATCH * (sizeof(uint64_t) + sizeof(bool)));
    if (!memory)
        return -ENOMEM;
    for (unsigned i = 0; i < BATCH; i++) {
        c.value[i] = (uint64_t *)memory + i * c.n;
        c.known[i] = (bool *)((uint64_t *)memory + BATCH * c.n) + i * c.n;
    }
    r = chunk_begin(out, c.at, c.n);
    if (r == 0)
        r = add_moving(h, ticks, skip, &c, out);
    if (r == 0)
        r = add_still(h, &c, out);
    if (r == 0)
        r = chunk_end(out);
    return r < 0 ? r : (int)c.n;
}
