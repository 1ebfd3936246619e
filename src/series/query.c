#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "series/storeint.h"

/* --- chunks ----------------------------------------------------------------------------------- */

/* The longest chunk that was ever written, whatever the options were. */
static const int64_t longest[STORE_LEVELS] = {HEAD_SPAN_MS, 6 * 3600 * 1000, 48 * 3600 * 1000};

static int give(struct store *s, struct str body, int64_t from_ms, int64_t to_ms,
                int (*take)(void *ctx, const struct chunk *c), void *ctx) {
    struct chunk c;

    if (chunk_open(body, &c) < 0 || c.from_ms != from_ms || c.to_ms != to_ms) {
        s->damaged++;
        return 0;
    }
    return take(ctx, &c);
}

int chunks_in(struct store *s, int64_t series, unsigned level, int64_t from_ms, int64_t to_ms,
              int (*take)(void *ctx, const struct chunk *c), void *ctx) {
    sqlite3_stmt *st = db_stmt(&s->db, DB_CHUNK_IN + level);
    int r = 0;

    if (st) {
        sqlite3_bind_int64(st, 1, series);
        sqlite3_bind_int64(
            st, 2, from_ms < INT64_MIN + longest[level] ? from_ms : from_ms - longest[level]);
        sqlite3_bind_int64(st, 3, to_ms);
    }
    while (st && r == 0 && db_step(&s->db, st) > 0) {
        int64_t from = sqlite3_column_int64(st, 0), to = sqlite3_column_int64(st, 1);
        struct str body = db_text(st, 4);

        if (to < from_ms)
            continue;
        if (sqlite3_column_int64(st, 3) !=
            chunk_row_sum(series, from, to, sqlite3_column_int64(st, 2), body))
            s->damaged++;
        else
            r = give(s, body, from, to, take, ctx);
    }
    if (st)
        sqlite3_reset(st);
    if (level != LEVEL_RAW)
        return r;
    for (const struct item *item = s->data_queue.first; item && r == 0; item = item->next)
        if (item->kind == ITEM_CHUNK && item->series == series && item->from_ms <= to_ms &&
            item->to_ms >= from_ms)
            r = give(s, (struct str){item->body, item->n}, item->from_ms, item->to_ms, take, ctx);
    return r;
}

/* --- points ----------------------------------------------------------------------------------- */

enum { ROOM_FIRST = 256, ROOM_AHEAD = 128 << 10 };

struct range {
    struct store_points *out;
    size_t max;
    enum metric metric;
    int64_t from_ms, to_ms, step_ms;
    int64_t newest_ms; /* nothing is after it, if the clock was not set back */
    uint64_t parts;    /* samples in the last point, for its mean */
    unsigned __int128 sum;
    bool unsorted;
    int error;
    /* memory for columns, kept from chunk to chunk */
    uint64_t *memory;
    size_t room;
};

void store_points_done(struct store_points *p) {
    free(p->p);
    *p = (struct store_points){.p = NULL};
}

/* Room for `more` points, or as many as the maximum allows. */
static bool make_room(struct range *g, size_t more) {
    struct store_points *out = g->out;
    size_t room = more < g->max - out->n ? out->n + more : g->max;
    struct store_point *p;

    if (room <= out->room)
        return true;
    p = reallocarray(out->p, room, sizeof(*p));
    if (!p) {
        g->error = -ENOMEM;
        return false;
    }
    out->p = p;
    out->room = room;
    return true;
}

static struct store_point *new_point(struct range *g) {
    struct store_points *out = g->out;

    if (out->n >= g->max) {
        out->cut = true;
        g->error = 1;
        return NULL;
    }
    if (out->n == out->room && !make_room(g, out->n > ROOM_FIRST ? out->n : ROOM_FIRST))
        return NULL;
    return &out->p[out->n++];
}

static int64_t floor_step(int64_t at_ms, int64_t step) {
    int64_t rest = at_ms % step;

    return at_ms - (rest < 0 ? rest + step : rest);
}

static void merge(struct store_point *into, const struct store_point *p) {
    into->value = p->value;
    if (p->min < into->min)
        into->min = p->min;
    if (p->max > into->max)
        into->max = p->max;
}

static struct store_point *last_point(const struct store_points *out) {
    return out->p && out->n > 0 ? &out->p[out->n - 1] : NULL;
}

/* Once a step: a division of that many bits is slow. */
static void end_step(struct range *g) {
    struct store_point *last = last_point(g->out);

    if (!last || g->parts <= 1)
        return;
    last->mean =
        last->max == SAMPLE_NONE ? last->value : (uint64_t)((g->sum + g->parts / 2) / g->parts);
    g->parts = 1;
}

/* A point of its own: of the next step, or every sample. */
static void begin_point(struct range *g, const struct store_point *p) {
    struct store_point *last = last_point(g->out), *now;
    int64_t at = p->at_ms;

    if (g->step_ms > 0) {
        end_step(g);
        at = floor_step(at, g->step_ms);
    }
    if (last && at <= last->at_ms)
        g->unsorted = true;
    now = new_point(g);
    if (!now)
        return;
    *now = *p;
    now->at_ms = at;
    g->sum = p->mean;
    g->parts = 1;
}

static inline void add_point(struct range *g, const struct store_point *p) {
    uint64_t step = (uint64_t)g->step_ms;
    struct store_point *now = last_point(g->out);

    if (step == 0 || !now || p->at_ms < now->at_ms ||
        (uint64_t)p->at_ms - (uint64_t)now->at_ms >= step) {
        begin_point(g, p);
        return;
    }
    merge(now, p);
    g->sum += p->mean;
    g->parts++;
}

static int columns(struct range *g, const struct chunk *c, uint64_t *value[CHUNK_COLUMNS],
                   int64_t **at_out, bool **known_out) {
    int r;

    if (c->n > g->room) {
        free(g->memory);
        g->memory = malloc(c->n * ((1 + CHUNK_COLUMNS) * sizeof(uint64_t) + sizeof(bool)));
        g->room = g->memory ? c->n : 0;
        if (!g->memory)
            return -ENOMEM;
    }
    *at_out = (int64_t *)g->memory;
    *known_out = (bool *)(g->memory + (1 + CHUNK_COLUMNS) * c->n);
    value[CHUNK_LAST] = g->memory + c->n;
    r = chunk_column(c, g->metric, CHUNK_LAST, value[CHUNK_LAST], *known_out);
    for (unsigned k = CHUNK_MIN; k < CHUNK_COLUMNS && r == 0; k++) {
        value[k] = g->memory + (1 + k) * c->n;
        r = chunk_column(c, g->metric, k, value[k], *known_out);
        if (r == -ENODATA) { /* it stood still in each step, or they are samples */
            value[k] = value[CHUNK_LAST];
            r = 0;
        }
    }
    return r == 0 ? chunk_times(c, *at_out) : r;
}

/* Room for this chunk and all that follow, if they are like it: memory that grows again and again
 * takes longer than what is read into it. */
static void room_ahead(struct range *g, const struct chunk *c) {
    int64_t to_ms = g->to_ms < g->newest_ms ? g->to_ms : g->newest_ms;
    uint64_t span = (uint64_t)c->to_ms - (uint64_t)c->from_ms + 1, chunks = 1, n = c->n;

    if (g->step_ms > 0 && span / (uint64_t)g->step_ms + 2 < n)
        n = span / (uint64_t)g->step_ms + 2;
    if (g->out->room - g->out->n >= n)
        return;
    if (to_ms > c->to_ms)
        chunks += ((uint64_t)to_ms - (uint64_t)c->to_ms) / span;
    (void)make_room(g, chunks < ROOM_AHEAD / n ? n * chunks + n : ROOM_AHEAD);
}

static bool has_room(const struct range *g, size_t n) {
    size_t room = g->out->room < g->max ? g->out->room : g->max;

    return n <= room - g->out->n;
}

/* They are, and are wished as they are. */
static bool are_samples(const struct range *g, uint64_t *const value[CHUNK_COLUMNS]) {
    for (unsigned k = CHUNK_MIN; k < CHUNK_COLUMNS; k++)
        if (value[k] != value[CHUNK_LAST])
            return false;
    return g->step_ms == 0;
}

/* All at once. */
static void add_samples(struct range *g, const int64_t *at, const uint64_t *value,
                        const bool *known, size_t n) {
    struct store_points *out = g->out;
    int64_t last = out->n > 0 ? out->p[out->n - 1].at_ms : INT64_MIN;
    struct store_point *p = out->p + out->n;
    bool unsorted = false;

    for (size_t i = 0; i < n; i++) {
        if (!known[i])
            continue;
        unsorted |= at[i] <= last;
        last = at[i];
        *p++ = (struct store_point){at[i], value[i], value[i], value[i], value[i]};
    }
    g->unsorted |= unsorted;
    out->n = (size_t)(p - out->p);
}

static int range_chunk(void *ctx, const struct chunk *c) {
    struct range *g = ctx;
    uint64_t *value[CHUNK_COLUMNS];
    int64_t *at;
    bool *known;
    size_t from = 0, to = c->n;
    int r = columns(g, c, value, &at, &known);

    if (r == -ENOMEM)
        g->error = r;
    if (r != 0) /* or: another metric's chunk */
        return g->error;
    while (from < to && at[from] < g->from_ms)
        from++;
    while (to > from && at[to - 1] > g->to_ms)
        to--;
    room_ahead(g, c);
    if (are_samples(g, value) && has_room(g, to - from)) {
        add_samples(g, at + from, value[CHUNK_LAST] + from, known + from, to - from);
        return g->error;
    }
    for (size_t i = from; i < to && !g->error; i++) {
        struct store_point p = {at[i], value[CHUNK_LAST][i], value[CHUNK_MIN][i],
                                value[CHUNK_MAX][i], value[CHUNK_MEAN][i]};

        if (known[i])
            add_point(g, &p);
    }
    return g->error;
}

static void range_head(struct range *g, const struct store *s, const struct series *e) {
    struct head_walk w;

    head_walk_init(&w, &e->head, &s->ticks);
    while (!g->error && head_walk_next(&w)) {
        uint64_t value = w.now.value[g->metric];
        struct store_point p = {w.now.at_ms, value, value, value, value};

        if (sample_has(&w.now, g->metric) && p.at_ms >= g->from_ms && p.at_ms <= g->to_ms)
            add_point(g, &p);
    }
}

static int by_time(const void *a, const void *b) {
    int64_t x = ((const struct store_point *)a)->at_ms, y = ((const struct store_point *)b)->at_ms;

    return (x > y) - (x < y);
}

/* The clock was set back: what was sampled later comes earlier. */
static void sort_points(struct range *g) {
    struct store_points *out = g->out;
    size_t n = 0;

    qsort(out->p, out->n, sizeof(*out->p), by_time);
    for (size_t i = 1; i < out->n; i++) {
        if (out->p[i].at_ms != out->p[n].at_ms)
            out->p[++n] = out->p[i];
        else if (g->step_ms > 0)
            merge(&out->p[n], &out->p[i]);
    }
    out->n = n + 1;
}

/* --- levels ----------------------------------------------------------------------------------- */

static int first_time(void *ctx, const struct chunk *c) {
    *(int64_t *)ctx = c->from_ms;
    return 1;
}

/* When the level of that series begins; INT64_MAX: it has nothing there. */
static int64_t begins(struct store *s, const struct series *e, unsigned level, int64_t from_ms,
                      int64_t to_ms) {
    int64_t at = INT64_MAX;

    if (chunks_in(s, e->id, level, from_ms, to_ms, first_time, &at) == 0 && level == LEVEL_RAW &&
        e->head.open)
        at = e->head.first <= head_tick_now(&s->ticks) ? head_tick_at(&s->ticks, e->head.first)
                                                       : INT64_MAX;
    return at;
}

static int range_level(struct store *s, const struct series *e, unsigned level, int64_t from_ms,
                       int64_t to_ms, struct range *g) {
    if (from_ms > to_ms || g->error)
        return 0;
    g->from_ms = from_ms;
    g->to_ms = to_ms;
    chunks_in(s, e->id, level, from_ms, to_ms, range_chunk, g);
    if (level == LEVEL_RAW && !g->error)
        range_head(g, s, e);
    return g->error;
}

/* From hours on: coarse levels where the step allows them and they are made already, or where
 * finer ones are gone. */
static void range_all(struct store *s, const struct series *e, int64_t from_ms, int64_t to_ms,
                      struct range *g) {
    unsigned coarsest = LEVEL_RAW;
    int64_t until[STORE_LEVELS] = {INT64_MAX, e->minute_to, e->hour_to};
    int64_t at = from_ms;

    while (coarsest < LEVEL_HOUR && g->step_ms > 0 && g->step_ms % level_step[coarsest + 1] == 0)
        coarsest++;
    for (unsigned level = LEVEL_HOUR; level > LEVEL_RAW; level--) {
        int64_t end = until[level];

        if (level > coarsest) {
            int64_t finer = begins(s, e, level - 1, at, to_ms);

            if (level == LEVEL_HOUR && coarsest == LEVEL_RAW) {
                int64_t raw = begins(s, e, LEVEL_RAW, at, to_ms);

                finer = raw < finer ? raw : finer;
            }
            if (finer != INT64_MAX) /* no step of which finer ones have a part */
                finer = floor_step(finer, level_step[level]);
            end = finer < end ? finer : end;
        }
        if (end <= at)
            continue;
        range_level(s, e, level, at, end > to_ms ? to_ms : end - 1, g);
        at = end;
    }
    range_level(s, e, LEVEL_RAW, at, to_ms, g);
}

int store_range(struct store *s, int64_t series, enum metric metric, int64_t from_ms, int64_t to_ms,
                int64_t step_ms, size_t max, struct store_points *out) {
    struct range g = {
        .out = out,
        .max = max,
        .metric = metric,
        .step_ms = step_ms,
        .newest_ms = INT64_MAX,
    };
    struct series *e;
    int r = registry_find(s, series, &e);

    if (r < 0)
        return r == -ENOMEM ? r : -ENOENT;
    if (s->ticks.n > 0)
        g.newest_ms = head_tick_at(&s->ticks, head_tick_now(&s->ticks));
    out->n = 0;
    out->cut = false;
    if (step_ms > 0) { /* whole steps */
        from_ms = floor_step(from_ms, step_ms);
        to_ms = to_ms > INT64_MAX - step_ms ? to_ms : floor_step(to_ms, step_ms) + step_ms - 1;
    }
    range_all(s, e, from_ms, to_ms, &g);
    end_step(&g);
    free(g.memory);
    if (g.unsorted)
        sort_points(&g);
    return g.error < 0 ? g.error : 0;
}

/* --- a moment --------------------------------------------------------------------------------- */

struct moment {
    int64_t from_ms, to_ms;
    struct sample *out;
    bool found;
    int error;
};

static int moment_chunk(void *ctx, const struct chunk *c) {
    struct moment *m = ctx;
    auto_free uint64_t *value = malloc(c->n * (2 * sizeof(*value) + sizeof(bool)));
    uint64_t has = chunk_metrics(c, CHUNK_LAST);
    int64_t *at;
    bool *known;
    size_t i = c->n;

    if (!value)
        return m->error = -ENOMEM;
    at = (int64_t *)value;
    known = (bool *)(value + 2 * c->n);
    if (chunk_times(c, at) < 0)
        return 0;
    while (i > 0 && at[i - 1] > m->to_ms)
        i--;
    if (i == 0 || at[i - 1] < m->from_ms || (m->found && at[i - 1] < m->out->at_ms))
        return 0;
    m->found = true;
    *m->out = (struct sample){.at_ms = at[i - 1]};
    for (unsigned metric = 0; metric < METRIC_N; metric++)
        if (has >> metric & 1 && chunk_column(c, metric, CHUNK_LAST, value + c->n, known) == 0 &&
            known[i - 1])
            sample_set(m->out, metric, value[c->n + i - 1]);
    return 0;
}

static void moment_head(struct moment *m, const struct store *s, const struct series *e) {
    struct head_walk w;

    head_walk_init(&w, &e->head, &s->ticks);
    while (head_walk_next(&w))
        if (w.now.at_ms >= m->from_ms && w.now.at_ms <= m->to_ms &&
            (!m->found || w.now.at_ms >= m->out->at_ms)) {
            *m->out = w.now;
            m->found = true;
        }
}

int store_at(struct store *s, int64_t series, int64_t at_ms, struct sample *out) {
    struct sample best = {.have = 0};
    struct moment m = {at_ms - STORE_FRESH_MS, at_ms, &best, false, 0};
    struct series *e;
    int r = registry_find(s, series, &e);

    if (r < 0)
        return r == -ENOMEM ? r : -ENODATA;
    chunks_in(s, e->id, LEVEL_RAW, m.from_ms, m.to_ms, moment_chunk, &m);
    if (m.error == 0)
        moment_head(&m, s, e);
    /* Where samples are gone, the minute or hour that the moment is in. */
    for (unsigned level = LEVEL_MINUTE; level <= LEVEL_HOUR && !m.found && m.error == 0; level++) {
        m.from_ms = floor_step(at_ms, level_step[level]);
        if (begins(s, e, level - 1, at_ms - longest[level - 1], at_ms) > at_ms)
            chunks_in(s, e->id, level, m.from_ms, m.to_ms, moment_chunk, &m);
    }
    if (m.error < 0)
        return m.error;
    if (!m.found)
        return -ENODATA;
    *out = best;
    return 0;
}
