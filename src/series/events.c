/* What happened to targets beside OOM kills: a table of words with JSON. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series/storeint.h"

static uint32_t event_sum(int64_t series, int64_t at_ms, struct str kind, struct str json) {
    uint32_t sum = sum_number(sum_number(0, series), at_ms);

    return crc32c(sum_number(crc32c(sum, kind), (int64_t)kind.n), json);
}

static struct store_event event_of(const struct item *item) {
    return (struct store_event){
        .series = item->series,
        .at_ms = item->from_ms,
        .kind = {item->body, item->number},
        .json = {item->body + item->number, item->n - item->number},
    };
}

int store_event(struct store *s, int64_t series, int64_t at_ms, struct str kind, struct str json) {
    struct item *item;

    if (kind.n == 0 || kind.n > STORE_EVENT_KIND)
        return -EINVAL;
    buf_clear(&s->scratch);
    buf_add(&s->scratch, kind);
    buf_add(&s->scratch, json);
    if (buf_error(&s->scratch) < 0)
        return buf_error(&s->scratch);
    item = queue_add(&s->data_queue, ITEM_EVENT, buf_str(&s->scratch));
    if (!item)
        return -ENOMEM;
    item->series = series;
    item->from_ms = at_ms;
    item->number = kind.n;
    return 0;
}

int event_write(struct store *s, const struct item *item) {
    sqlite3_stmt *st = db_stmt(&s->db, DB_EVENT_PUT);
    struct store_event e = event_of(item);

    if (!st)
        return -EIO;
    sqlite3_bind_int64(st, 1, e.series);
    sqlite3_bind_int64(st, 2, e.at_ms);
    db_bind_text(st, 3, e.kind);
    sqlite3_bind_int64(st, 4, event_sum(e.series, e.at_ms, e.kind, e.json));
    db_bind_text(st, 5, e.json);
    return db_step(&s->db, st);
}

int events_sweep(struct store *s, int64_t before_ms) {
    const struct {
        unsigned which;
        int64_t number;
    } step[] = {{DB_EVENT_DROP, before_ms}, {DB_EVENT_CAP, STORE_EVENTS}};
    int r = 0;

    for (unsigned i = 0; i < 2 && r == 0; i++) {
        sqlite3_stmt *st = db_stmt(&s->db, step[i].which);

        if (!st)
            return -EIO;
        sqlite3_bind_int64(st, 1, step[i].number);
        r = db_step(&s->db, st);
    }
    return r;
}

/* --- reading ---------------------------------------------------------------------------------- */

struct waiting {
    struct place {
        const struct item *item;
        size_t number;
    } * at;
    size_t n, room;
};

/* Of two that are told of one moment the later is the newer. */
static int newest_first(const void *a, const void *b) {
    const struct place *x = a, *y = b;

    if (x->item->from_ms != y->item->from_ms)
        return x->item->from_ms < y->item->from_ms ? 1 : -1;
    return (x->number < y->number) - (x->number > y->number);
}

/* What waits for its commit: a few, but while the disk is away many. */
static int list_waiting(const struct store *s, int64_t series, int64_t from_ms, int64_t to_ms,
                        struct waiting *out) {
    for (const struct item *item = s->data_queue.first; item; item = item->next) {
        if (item->kind != ITEM_EVENT || (series != 0 && item->series != series) ||
            item->from_ms < from_ms || item->from_ms > to_ms)
            continue;
        if (out->n == out->room) {
            size_t room = out->room ? 2 * out->room : 64;
            struct place *grown = reallocarray(out->at, room, sizeof(*grown));

            if (!grown)
                return -ENOMEM;
            out->at = grown;
            out->room = room;
        }
        out->at[out->n] = (struct place){item, out->n};
        out->n++;
    }
    if (out->n > 1)
        qsort(out->at, out->n, sizeof(*out->at), newest_first);
    return 0;
}

/* The next of the table; false at the end. Damaged ones are counted and left out. */
static bool next_row(struct store *s, sqlite3_stmt *st, struct store_event *out) {
    while (st && db_step(&s->db, st) > 0) {
        struct store_event e = {
            .series = sqlite3_column_int64(st, 1),
            .at_ms = sqlite3_column_int64(st, 2),
            .kind = db_text(st, 3),
            .json = db_text(st, 5),
        };

        if (sqlite3_column_int64(st, 4) == event_sum(e.series, e.at_ms, e.kind, e.json)) {
            *out = e;
            return true;
        }
        s->damaged++;
    }
    return false;
}

static int merge(struct store *s, sqlite3_stmt *st, const struct waiting *w,
                 int (*take)(void *ctx, const struct store_event *e), void *ctx) {
    struct store_event row;
    bool have_row = next_row(s, st, &row);
    size_t i = 0;
    int r = 0;

    while (r == 0 && (have_row || i < w->n)) {
        if (i < w->n && (!have_row || w->at[i].item->from_ms >= row.at_ms)) {
            struct store_event e = event_of(w->at[i++].item);

            r = take(ctx, &e);
        } else {
            r = take(ctx, &row);
            if (r == 0)
                have_row = next_row(s, st, &row);
        }
    }
    return r;
}

int store_events(struct store *s, int64_t series, int64_t from_ms, int64_t to_ms,
                 int (*take)(void *ctx, const struct store_event *e), void *ctx) {
    sqlite3_stmt *st = db_stmt(&s->db, series ? DB_EVENT_OF : DB_EVENT_ALL);
    struct waiting w = {.at = NULL};
    int r = list_waiting(s, series, from_ms, to_ms, &w);

    if (st) {
        sqlite3_bind_int64(st, 1, series);
        sqlite3_bind_int64(st, 2, from_ms);
        sqlite3_bind_int64(st, 3, to_ms);
    }
    if (r == 0)
        r = merge(s, st, &w, take, ctx);
    if (st)
        sqlite3_reset(st);
    free(w.at);
    return r < 0 ? r : 0;
}
