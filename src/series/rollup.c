#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "series/storeint.h"

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS };

/* Later than this after its samples every head is in a chunk. */
enum { LATE_MS = STORE_AGE_MS + 10 * 60 * 1000 };

int64_t rollup_span(const struct store *s, unsigned level) {
    if (level == LEVEL_RAW)
        return HEAD_SPAN_MS;
    if (level == LEVEL_MINUTE)
        return s->options.raw_ms >= 12LL * HOUR_MS ? 6LL * HOUR_MS : HOUR_MS;
    return s->options.minute_ms >= 8LL * DAY_MS ? 2LL * DAY_MS : 6LL * HOUR_MS;
}

static int64_t floor_to(int64_t at_ms, int64_t step) {
    int64_t rest = at_ms % step;

    return at_ms - (rest < 0 ? rest + step : rest);
}

/* --- adding up -------------------------------------------------------------------------------- */

struct bin {
    unsigned __int128 sum;
    uint64_t count, min, max, last;
};

struct rollup {
    struct bin *bin; /* of each metric `steps` */
    int64_t from_ms, to_ms, step_ms;
    size_t steps;
    uint64_t any; /* metrics that have a value */
    int error;
};

/* The columns of one metric in a chunk; those that are not there are as the last. */
struct part {
    uint64_t *value[CHUNK_COLUMNS];
    bool *known;
    int64_t *at;
};

static int part_init(struct part *p, size_t n) {
    uint64_t *memory = malloc(n * (5 * sizeof(uint64_t) + sizeof(bool)));

    if (!memory)
        return -ENOMEM;
    p->at = (int64_t *)memory;
    for (unsigned i = 0; i < CHUNK_COLUMNS; i++)
        p->value[i] = memory + (i + 1) * n;
    p->known = (bool *)(memory + 5 * n);
    return 0;
}

static int part_read(struct part *p, const struct chunk *c, enum metric m,
                     const uint64_t has[CHUNK_COLUMNS]) {
    int r = chunk_column(c, m, CHUNK_LAST, p->value[CHUNK_LAST], p->known);

    for (unsigned k = CHUNK_MIN; k < CHUNK_COLUMNS && r == 0; k++) {
        if (has[k] >> m & 1)
            r = chunk_column(c, m, k, p->value[k], p->known);
        else
            memcpy(p->value[k], p->value[CHUNK_LAST], c->n * sizeof(uint64_t));
    }
    return r;
}

static void add_part(struct rollup *roll, const struct part *p, size_t n, enum metric m) {
    for (size_t i = 0; i < n; i++) {
        struct bin *bin;

        if (!p->known[i] || p->at[i] < roll->from_ms || p->at[i] >= roll->to_ms)
            continue;
        bin = &roll->bin[m * roll->steps + (size_t)((p->at[i] - roll->from_ms) / roll->step_ms)];
        if (bin->count == 0 || p->value[CHUNK_MIN][i] < bin->min)
            bin->min = p->value[CHUNK_MIN][i];
        if (bin->count == 0 || p->value[CHUNK_MAX][i] > bin->max)
            bin->max = p->value[CHUNK_MAX][i];
        bin->last = p->value[CHUNK_LAST][i];
        bin->sum += p->value[CHUNK_MEAN][i];
        bin->count++;
        roll->any |= 1ull << m;
    }
}

static int add_chunk(void *ctx, const struct chunk *c) {
    struct rollup *roll = ctx;
    uint64_t has[CHUNK_COLUMNS];
    struct part p;
    int r = part_init(&p, c->n);

    if (r == 0) {
        for (unsigned k = 0; k < CHUNK_COLUMNS; k++)
            has[k] = chunk_metrics(c, k);
        r = chunk_times(c, p.at);
        for (unsigned m = 0; m < METRIC_N && r == 0; m++) {
            if (!(has[CHUNK_LAST] >> m & 1))
                continue;
            r = part_read(&p, c, m, has);
            if (r == 0)
                add_part(roll, &p, c->n, m);
        }
        free(p.at);
    }
    if (r == -ENOMEM)
        roll->error = r;
    return roll->error;
}

/* --- making the chunk ------------------------------------------------------------------------- */

static bool step_known(const struct rollup *roll, size_t step) {
    for (unsigned m = 0; m < METRIC_N; m++)
        if (roll->bin[m * roll->steps + step].count > 0)
            return true;
    return false;
}

static uint64_t mean_of(const struct bin *bin) {
    /* "None" among numbers has no mean. */
    return bin->max == SAMPLE_NONE ? bin->last
                                   : (uint64_t)((bin->sum + bin->count / 2) / bin->count);
}

static int add_metric(const struct rollup *roll, enum metric m, const struct part *p, size_t n,
                      struct buf *out) {
    const struct bin *bins = &roll->bin[m * roll->steps];
    bool moved = false;
    int r;

    for (size_t i = 0; i < n; i++) {
        const struct bin *bin = &bins[(p->at[i] - roll->from_ms) / roll->step_ms];

        p->known[i] = bin->count > 0;
        p->value[CHUNK_LAST][i] = bin->last;
        p->value[CHUNK_MIN][i] = bin->min;
        p->value[CHUNK_MAX][i] = bin->max;
        p->value[CHUNK_MEAN][i] = p->known[i] ? mean_of(bin) : 0;
        moved |= bin->min != bin->max;
    }
    r = chunk_add(out, m, CHUNK_LAST, p->value[CHUNK_LAST], p->known);
    for (unsigned k = CHUNK_MIN; k < CHUNK_COLUMNS && moved && r == 0; k++)
        r = chunk_add(out, m, k, p->value[k], p->known);
    return r;
}

/* How many steps are in it. */
static int make_chunk(const struct rollup *roll, struct buf *out) {
    struct part p;
    size_t n = 0;
    int r = part_init(&p, roll->steps);

    if (r < 0)
        return r;
    buf_clear(out);
    for (size_t i = 0; i < roll->steps; i++)
        if (step_known(roll, i))
            p.at[n++] = roll->from_ms + (int64_t)i * roll->step_ms;
    r = n > 0 ? chunk_begin(out, p.at, n) : 0;
    for (unsigned m = 0; m < METRIC_N && n > 0 && r == 0; m++)
        if (roll->any >> m & 1)
            r = add_metric(roll, m, &p, n, out);
    if (r == 0 && n > 0)
        r = chunk_end(out);
    free(p.at);
    return r < 0 ? r : (int)n;
}

static int write_chunk(struct store *s, int64_t series, unsigned level, struct str body) {
    sqlite3_stmt *st = db_stmt(&s->db, DB_CHUNK_PUT + level);
    struct chunk c;
    int r = chunk_open(body, &c);

    if (!st || r < 0)
        return st ? r : -EIO;
    sqlite3_bind_int64(st, 1, series);
    sqlite3_bind_int64(st, 2, c.from_ms);
    sqlite3_bind_int64(st, 3, c.to_ms);
    sqlite3_bind_int64(st, 4, 0);
    sqlite3_bind_int64(st, 5, chunk_row_sum(series, c.from_ms, c.to_ms, 0, body));
    db_bind_text(st, 6, body);
    return db_step(&s->db, st);
}

static int roll_up(struct store *s, int64_t series, unsigned level, int64_t from_ms,
                   int64_t to_ms) {
    struct rollup roll = {.step_ms = level_step[level]};
    auto_free struct bin *bin = NULL;
    int r;

    roll.from_ms = floor_to(from_ms, roll.step_ms);
    roll.to_ms = to_ms;
    roll.steps = (size_t)((to_ms - roll.from_ms) / roll.step_ms);
    bin = calloc(roll.steps * METRIC_N, sizeof(*bin));
    if (!bin)
        return -ENOMEM;
    roll.bin = bin;
    r = chunks_in(s, series, level - 1, from_ms, to_ms - 1, add_chunk, &roll);
    if (r == 0)
        r = make_chunk(&roll, &s->chunk);
    return r > 0 ? write_chunk(s, series, level, buf_str(&s->chunk)) : r;
}

void rollup_begin(struct store *s, struct series *e, int64_t from_ms) {
    if (e->minute_to == 0)
        e->minute_to = floor_to(from_ms, rollup_span(s, LEVEL_MINUTE));
    if (e->hour_to == 0)
        e->hour_to = floor_to(from_ms, rollup_span(s, LEVEL_HOUR));
}

/* --- what is due ------------------------------------------------------------------------------ */

static int64_t due(struct store *s, unsigned which, int64_t before_ms) {
    sqlite3_stmt *st = db_stmt(&s->db, which);
    int64_t id = 0;

    if (!st)
        return 0;
    sqlite3_bind_int64(st, 1, before_ms);
    if (db_step(&s->db, st) > 0) {
        id = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
    }
    return id;
}

static int roll_level(struct store *s, unsigned level, int64_t now_ms) {
    int64_t span = rollup_span(s, level), end;
    int64_t late = level == LEVEL_MINUTE ? LATE_MS : LATE_MS + rollup_span(s, LEVEL_MINUTE);
    int64_t id = due(s, level == LEVEL_MINUTE ? DB_SERIES_DUE_MINUTE : DB_SERIES_DUE_HOUR,
                     now_ms - late - span);
    struct series *e;
    int64_t *done;
    int r;

    if (id <= 0 || registry_find(s, id, &e) < 0)
        return 0;
    done = level == LEVEL_MINUTE ? &e->minute_to : &e->hour_to;
    end = floor_to(*done, span) + span;
    /* Not before what it is made of is complete: a slow disk, a clock that was set. */
    if (level == LEVEL_MINUTE && e->head.open && e->head.first <= head_tick_now(&s->ticks) &&
        head_tick_at(&s->ticks, e->head.first) < end)
        return 0;
    if (level == LEVEL_HOUR && e->minute_to < end && e->raw_to >= e->minute_to)
        return 0;
    r = roll_up(s, id, level, *done, end);
    if (r < 0)
        return r;
    s->undo[s->undos++] = (struct undo){e, e->minute_to, e->hour_to};
    *done = end;
    e->dirty = true;
    return 0;
}

int rollup_some(struct store *s, int64_t now_ms) {
    int r;

    s->undos = 0;
    r = roll_level(s, LEVEL_MINUTE, now_ms);
    return r < 0 ? r : roll_level(s, LEVEL_HOUR, now_ms);
}

void rollup_undo(struct store *s) {
    while (s->undos > 0) {
        struct undo *u = &s->undo[--s->undos];

        u->series->minute_to = u->minute_to;
        u->series->hour_to = u->hour_to;
    }
}

/* --- retention -------------------------------------------------------------------------------- */

/* The oldest row of a level: its time and id; false when there is none. */
static bool oldest(struct store *s, unsigned which, int64_t *id_out, int64_t *to_out) {
    sqlite3_stmt *st = db_stmt(&s->db, which);

    if (db_step(&s->db, st) <= 0)
        return false;
    *id_out = sqlite3_column_int64(st, 0);
    *to_out = sqlite3_column_int64(st, 1);
    sqlite3_reset(st);
    return true;
}

static int drop(struct store *s, unsigned which, int64_t id) {
    sqlite3_stmt *st = db_stmt(&s->db, which);

    if (!st)
        return -EIO;
    sqlite3_bind_int64(st, 1, id);
    return db_step(&s->db, st);
}

static int drop_before(struct store *s, unsigned find, unsigned remove, int64_t before_ms) {
    enum { AT_ONCE = 64 };
    int64_t id, to;
    int r = 0;

    for (unsigned i = 0; i < AT_ONCE && r == 0 && oldest(s, find, &id, &to) && to < before_ms; i++)
        r = drop(s, remove, id);
    return r;
}

/* Of raw samples, minutes and hours whichever ends first; then processes. */
static int drop_oldest(struct store *s) {
    int64_t best = INT64_MAX, best_id = 0, id, to;
    unsigned which = 0;

    for (unsigned level = 0; level < STORE_LEVELS; level++)
        if (oldest(s, DB_CHUNK_OLDEST + level, &id, &to) && to < best) {
            best = to;
            best_id = id;
            which = DB_CHUNK_DROP + level;
        }
    if (oldest(s, DB_PROCS_OLDEST, &id, &to) && to < best) {
        best_id = id;
        which = DB_PROCS_DROP;
    }
    return which ? drop(s, which, best_id) : 0;
}

static int keep_cap(struct store *s) {
    enum { AT_ONCE = 64 };
    int64_t pages = db_number(&s->db, DB_PAGES), unused = db_number(&s->db, DB_FREE_PAGES);
    uint64_t cap = s->options.max_bytes;
    uint64_t reserve = (uint64_t)s->db.wal_pages * DB_PAGE * 3 / 2 + cap / 32;
    int r = 0;

    if (pages < 0 || unused < 0 || cap == 0)
        return 0;
    if (reserve > cap / 2)
        reserve = cap / 2;
    s->shrink = (uint64_t)(pages - unused) * DB_PAGE > cap - reserve;
    for (unsigned i = 0; i < AT_ONCE && s->shrink && r == 0; i++)
        r = drop_oldest(s);
    if (r == 0 && (uint64_t)pages * DB_PAGE > cap - reserve && unused > 0)
        r = db_run(&s->db, DB_VACUUM);
    return r;
}

/* What nothing is known of any more. */
static int sweep(struct store *s, int64_t now_ms) {
    int64_t before = now_ms - s->options.hour_ms, id[64];
    sqlite3_stmt *st = db_stmt(&s->db, DB_SERIES_OLD);
    unsigned n = 0;
    int r = 0;

    if (!st)
        return -EIO;
    sqlite3_bind_int64(st, 1, before);
    while (n < ARRAY_N(id) && db_step(&s->db, st) > 0)
        id[n++] = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    while (n-- > 0 && r == 0) {
        struct series *e;

        if (registry_find(s, id[n], &e) < 0 ||
            (!e->head.alive && !e->head.open && e->last_ms < before && !e->dirty))
            r = drop(s, DB_SERIES_DROP, id[n]);
    }
    if (r == 0)
        r = drop(s, DB_OOM_DROP, before);
    return r < 0 ? r : events_sweep(s, before);
}

int retain_some(struct store *s, int64_t now_ms) {
    /* What is not rolled up yet must stay. */
    int64_t least = rollup_span(s, LEVEL_MINUTE) + 2 * LATE_MS;
    int64_t keep[STORE_LEVELS] = {s->options.raw_ms, s->options.minute_ms, s->options.hour_ms};
    int r = 0;

    for (unsigned level = 0; level < STORE_LEVELS && r == 0; level++) {
        if (level == LEVEL_MINUTE)
            least += rollup_span(s, LEVEL_HOUR);
        if (keep[level] < least)
            keep[level] = least;
        r = drop_before(s, DB_CHUNK_OLDEST + level, DB_CHUNK_DROP + level, now_ms - keep[level]);
    }
    if (r == 0)
        r = drop_before(s, DB_PROCS_OLDEST, DB_PROCS_DROP, now_ms - keep[LEVEL_RAW]);
    if (r == 0)
        r = keep_cap(s);
    if (r == 0 && (now_ms - s->sweep_ms >= HOUR_MS || now_ms < s->sweep_ms)) {
        r = sweep(s, now_ms);
        s->sweep_ms = now_ms;
    }
    return r;
}
