#include <errno.h>
#include <string.h>

#include "series/storeint.h"

/* --- targets ---------------------------------------------------------------------------------- */

static void fill_target(const struct series *e, struct store_target *out) {
    *out = (struct store_target){
        .series = e->id,
        .key = {e->key, e->key_n},
        .identity = {e->identity, e->identity_n},
        .first_ms = e->first_ms,
        .last_ms = e->last_ms,
        .oom_kills = e->oom_kills,
        .instances = e->instances,
    };
}

int store_targets(struct store *s, int64_t from_ms, int64_t to_ms,
                  int (*take)(void *ctx, const struct store_target *t), void *ctx) {
    struct store_target t;
    sqlite3_stmt *st;
    int r = 0;

    for (size_t i = 0; i < s->n_series && r == 0; i++) {
        const struct series *e = s->series[i];
        int64_t last = e->head.alive && s->ticks.n
                           ? head_tick_at(&s->ticks, head_tick_now(&s->ticks))
                           : e->last_ms;

        fill_target(e, &t);
        t.last_ms = last > t.last_ms ? last : t.last_ms;
        if (t.first_ms <= to_ms && (e->head.alive || t.last_ms >= from_ms))
            r = take(ctx, &t);
    }
    st = db_stmt(&s->db, DB_SERIES_ALL);
    if (!st)
        return r;
    sqlite3_bind_int64(st, 1, 0);
    sqlite3_bind_int64(st, 2, from_ms);
    sqlite3_bind_int64(st, 3, to_ms);
    while (r == 0 && db_step(&s->db, st) > 0) {
        struct series row;

        if (registry_has(s, sqlite3_column_int64(st, 0)) || registry_read_row(s, st, &row) < 0)
            continue;
        fill_target(&row, &t);
        r = take(ctx, &t);
    }
    sqlite3_reset(st);
    return r;
}

/* --- OOM kills -------------------------------------------------------------------------------- */

int store_oom(struct store *s, int64_t series, int64_t at_ms, uint64_t kills, struct str json,
              bool fresh, uint64_t *total_out) {
    struct series *e;
    struct item *item;
    int r = registry_find(s, series, &e);

    if (r < 0)
        return r;
    if (fresh) {
        item = queue_add(&s->data_queue, ITEM_OOM, json);
        if (!item)
            return -ENOMEM;
        item->series = series;
        item->from_ms = at_ms;
        item->number = kills;
        e->oom_kills += kills;
        e->dirty = true;
    }
    *total_out = e->oom_kills;
    return 0;
}

uint64_t store_oom_total(struct store *s, int64_t series) {
    struct series *e;

    return registry_find(s, series, &e) == 0 ? e->oom_kills : 0;
}

struct oom_taker {
    int (*take)(void *ctx, int64_t id, int64_t series, int64_t at_ms, uint64_t kills,
                struct str json);
    void *ctx;
    size_t left;
};

/* What waits for its commit is the newest; it has no id yet: 0. */
static int waiting_ooms(struct store *s, int64_t series, int64_t from_ms, int64_t to_ms,
                        struct oom_taker *taker) {
    enum { MOST = 256 };
    const struct item *found[MOST];
    size_t n = 0;
    int r = 0;

    for (const struct item *item = s->data_queue.first; item; item = item->next)
        if (item->kind == ITEM_OOM && (series == 0 || item->series == series) &&
            item->from_ms >= from_ms && item->from_ms <= to_ms)
            found[n++ % MOST] = item;
    for (size_t i = 0; i < n && i < MOST && taker->left > 0 && r == 0; i++) {
        const struct item *item = found[(n - 1 - i) % MOST];

        taker->left--;
        r = taker->take(taker->ctx, 0, item->series, item->from_ms, item->number,
                        (struct str){item->body, item->n});
    }
    return r;
}

int store_ooms(struct store *s, int64_t series, int64_t from_ms, int64_t to_ms, size_t max,
               int (*take)(void *ctx, int64_t id, int64_t series, int64_t at_ms, uint64_t kills,
                           struct str json),
               void *ctx) {
    struct oom_taker taker = {take, ctx, max};
    int r = waiting_ooms(s, series, from_ms, to_ms, &taker);
    sqlite3_stmt *st = db_stmt(&s->db, series ? DB_OOM_OF : DB_OOM_ALL);

    if (!st)
        return r;
    sqlite3_bind_int64(st, 1, series);
    sqlite3_bind_int64(st, 2, from_ms);
    sqlite3_bind_int64(st, 3, to_ms);
    sqlite3_bind_int64(st, 4, taker.left < INT32_MAX ? (int64_t)taker.left : INT32_MAX);
    while (r == 0 && db_step(&s->db, st) > 0) {
        int64_t of = sqlite3_column_int64(st, 1), at = sqlite3_column_int64(st, 2);
        int64_t kills = sqlite3_column_int64(st, 3);
        struct str json = db_text(st, 5);
        uint32_t sum = sum_number(sum_number(sum_number(0, of), at), kills);

        if (sqlite3_column_int64(st, 4) != crc32c(sum, json))
            s->damaged++;
        else
            r = take(ctx, sqlite3_column_int64(st, 0), of, at, (uint64_t)kills, json);
    }
    sqlite3_reset(st);
    return r;
}

/* --- processes -------------------------------------------------------------------------------- */

/* The body begins with its uid and moment, which are another each time: what follows tells whether
 * anything changed. */
static struct str without_head(struct str body) {
    for (unsigned field = 0; field < 2; field++) {
        size_t i = 0;

        while (i < body.n && body.p[i] & 0x80)
            i++;
        body = str_from(body, i + 1);
    }
    return body;
}

static int put_procs(struct store *s, struct series *e, int64_t at_ms, struct str body) {
    struct item *item;
    int r;

    if (body.n == 0)
        return 0;
    r = pack(s, body, &s->scratch);
    if (r < 0)
        return r;
    item = queue_add(&s->data_queue, ITEM_PROCS, buf_str(&s->scratch));
    if (!item)
        return -ENOMEM;
    item->series = e->id;
    item->from_ms = item->to_ms = at_ms;
    item->size = (uint32_t)body.n;
    e->procs_at = e->procs_until = e->procs_saved = at_ms;
    return 0;
}

int procs_flush(struct store *s, struct series *e) {
    struct item *item;

    if (e->procs_until == e->procs_saved)
        return 0;
    item = queue_add(&s->data_queue, ITEM_PROCS_UNTIL, STR(""));
    if (!item)
        return -ENOMEM;
    item->series = e->id;
    item->from_ms = e->procs_at;
    item->to_ms = e->procs_until;
    e->procs_saved = e->procs_until;
    return 0;
}

int store_procs(struct store *s, int64_t series, int64_t at_ms, struct str body) {
    enum { SAVE_MS = 4 * 60 * 1000 };
    uint64_t hash = hash_str(&s->hash, without_head(body));
    struct series *e;
    int r = registry_find(s, series, &e);

    if (r < 0)
        return r;
    if (e->procs_at != 0 && e->procs_hash == hash && at_ms >= e->procs_until &&
        at_ms - e->procs_until <= STORE_PROCS_MS) {
        e->procs_until = at_ms;
        return at_ms - e->procs_saved >= SAVE_MS ? procs_flush(s, e) : 0;
    }
    r = procs_flush(s, e);
    e->procs_hash = hash;
    return r < 0 ? r : put_procs(s, e, at_ms, body);
}

static int procs_in_file(struct store *s, int64_t series, int64_t at_ms, int64_t *at_out,
                         int64_t *until_out, struct buf *body_out) {
    sqlite3_stmt *st = db_stmt(&s->db, DB_PROCS_AT);
    int r;

    if (!st)
        return -ENODATA;
    sqlite3_bind_int64(st, 1, series);
    sqlite3_bind_int64(st, 2, at_ms);
    r = -ENODATA;
    if (db_step(&s->db, st) > 0) {
        int64_t at = sqlite3_column_int64(st, 0), size = sqlite3_column_int64(st, 2);
        uint32_t sum = sum_number(sum_number(sum_number(0, series), at), size);
        struct str body = db_text(st, 4);

        if (sqlite3_column_int64(st, 3) != crc32c(sum, body) ||
            unpack(body, (size_t)size, body_out) < 0)
            s->damaged++;
        else {
            *at_out = at;
            *until_out = sqlite3_column_int64(st, 1);
            r = 0;
        }
    }
    sqlite3_reset(st);
    return r;
}

int store_procs_at(struct store *s, int64_t series, int64_t at_ms, int64_t *at_out,
                   struct buf *body_out) {
    const struct item *best = NULL;
    struct series *e;
    int64_t at = 0, until = 0;
    int r = registry_find(s, series, &e);

    if (r < 0)
        return -ENODATA;
    r = procs_in_file(s, series, at_ms, &at, &until, body_out);
    for (const struct item *item = s->data_queue.first; item; item = item->next)
        if (item->series == series && item->from_ms <= at_ms) {
            if (item->kind == ITEM_PROCS && (r < 0 || item->from_ms >= at))
                best = item;
            else if (item->kind == ITEM_PROCS_UNTIL && item->from_ms == at)
                until = item->to_ms;
        }
    if (best) {
        at = until = best->from_ms;
        r = unpack((struct str){best->body, best->n}, best->size, body_out);
    }
    if (r < 0)
        return -ENODATA;
    if (e->procs_at == at)
        until = e->procs_until;
    if (until > at_ms)
        until = at_ms;
    if (until < at || at_ms - until > STORE_PROCS_MS)
        return -ENODATA;
    *at_out = until;
    return 0;
}
