#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "series/storeint.h"

enum { KEY_MAX = 16 << 10, IDENTITY_MAX = 320 << 10, BUCKETS = 256 };

static size_t id_bucket(const struct store *s, int64_t id) {
    return (size_t)((uint64_t)id * 0x9e3779b97f4a7c15ull >> 20) & (s->buckets - 1);
}

static void insert(struct store *s, struct series *e) {
    struct series **k = &s->by_key[e->key_hash & (s->buckets - 1)];
    struct series **i = &s->by_id[id_bucket(s, e->id)];

    e->next_by_key = *k;
    *k = e;
    e->next_by_id = *i;
    *i = e;
}

static int set_buckets(struct store *s, size_t buckets) {
    struct series **by_key = buckets ? calloc(buckets, sizeof(struct series *)) : NULL;
    struct series **by_id = buckets ? calloc(buckets, sizeof(struct series *)) : NULL;

    if (!by_key || !by_id) {
        free(by_key);
        free(by_id);
        return -ENOMEM;
    }
    free(s->by_key);
    free(s->by_id);
    s->by_key = by_key;
    s->by_id = by_id;
    s->buckets = buckets;
    for (size_t i = 0; i < s->n_series; i++)
        insert(s, s->series[i]);
    return 0;
}

int registry_init(struct store *s) {
    hash_key_init(&s->hash);
    return set_buckets(s, BUCKETS);
}

static void series_free(struct series *e) {
    head_done(&e->head);
    free(e->key);
    free(e->identity);
    free(e);
}

void registry_done(struct store *s) {
    for (size_t i = 0; i < s->n_series; i++)
        series_free(s->series[i]);
    free(s->series);
    free(s->by_key);
    free(s->by_id);
    free(s->full);
}

static void take_out(struct series **place, struct series *e, bool by_key) {
    while (*place && *place != e)
        place = by_key ? &(*place)->next_by_key : &(*place)->next_by_id;
    if (*place)
        *place = by_key ? e->next_by_key : e->next_by_id;
}

void registry_evict(struct store *s, size_t place) {
    struct series *e = s->series[place];

    take_out(&s->by_key[e->key_hash & (s->buckets - 1)], e, true);
    take_out(&s->by_id[id_bucket(s, e->id)], e, false);
    s->series[place] = s->series[--s->n_series];
    series_free(e);
}

static char *copy(struct str s) {
    char *p = malloc(s.n + 1);

    if (p && s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

/* Takes a series whose texts are somebody else's into memory. */
static int keep(struct store *s, const struct series *from, struct series **out) {
    struct series *e = malloc(sizeof(*e));

    if (s->n_series >= s->buckets)
        set_buckets(s, s->buckets * 2); /* else they are merely slower */
    if (s->n_series == s->series_room) {
        size_t room = s->series_room ? s->series_room * 2 : 64;
        struct series **all = reallocarray(s->series, room, sizeof(struct series *));

        if (all) {
            s->series = all;
            s->series_room = room;
        }
    }
    if (!e || s->n_series == s->series_room) {
        free(e);
        return -ENOMEM;
    }
    *e = *from;
    e->key = copy((struct str){from->key, from->key_n});
    e->identity = copy((struct str){from->identity, from->identity_n});
    if (!e->key || !e->identity) {
        free(e->key);
        free(e->identity);
        free(e);
        return -ENOMEM;
    }
    head_init(&e->head);
    e->key_hash = hash_str(&s->hash, (struct str){e->key, e->key_n});
    /* At the start all heads begin at once: their first ends are spread. */
    e->age_ms = STORE_AGE_MS / 2 + (int64_t)((uint64_t)e->id * 7919 % 900) * (STORE_AGE_MS / 1800);
    s->series[s->n_series++] = e;
    insert(s, e);
    *out = e;
    return 0;
}

/* --- rows ------------------------------------------------------------------------------------- */

uint32_t sum_number(uint32_t sum, int64_t value) {
    return crc32c(sum, (struct str){(const char *)&value, sizeof(value)});
}

/* The numbers of a row in the order of SERIES_COLUMNS, behind the texts. */
enum { NUMBERS = 9 };

static void numbers_of(const struct series *e, int64_t out[NUMBERS]) {
    const int64_t all[NUMBERS] = {
        e->first_ms,
        e->last_ms,
        (int64_t)e->oom_kills,
        (int64_t)e->instances,
        (int64_t)e->closed_tick,
        (int64_t)e->chunks,
        e->raw_to,
        e->minute_to,
        e->hour_to,
    };

    memcpy(out, all, sizeof(all));
}

static int64_t row_sum(const struct series *e) {
    int64_t number[NUMBERS];
    uint32_t sum = sum_number(0, e->id);

    numbers_of(e, number);
    sum = crc32c(sum, (struct str){e->key, e->key_n});
    sum = sum_number(sum, (int64_t)e->key_n);
    sum = crc32c(sum, (struct str){e->identity, e->identity_n});
    sum = crc32c(sum, (struct str){(const char *)e->seen, sizeof(e->seen)});
    return crc32c(sum, (struct str){(const char *)number, sizeof(number)});
}

/* Places of the columns: id 0, key 1, identity 2, four numbers, seen 7, five numbers, sum 13. */
static const int number_column[NUMBERS] = {3, 4, 5, 6, 8, 9, 10, 11, 12};

int registry_read_row(struct store *s, sqlite3_stmt *st, struct series *out) {
    struct str key = db_text(st, 1), identity = db_text(st, 2), seen = db_text(st, 7);
    int64_t n[NUMBERS];
    char *texts[2];

    for (unsigned i = 0; i < NUMBERS; i++)
        n[i] = sqlite3_column_int64(st, number_column[i]);
    memcpy(texts, (const char *[]){key.p, identity.p}, sizeof(texts));
    *out = (struct series){
        .id = sqlite3_column_int64(st, 0),
        .key = texts[0],
        .key_n = key.n,
        .identity = texts[1],
        .identity_n = identity.n,
        .first_ms = n[0],
        .last_ms = n[1],
        .oom_kills = (uint64_t)n[2],
        .instances = (uint64_t)n[3],
        .closed_tick = (uint64_t)n[4],
        .chunks = (uint64_t)n[5],
        .raw_to = n[6],
        .minute_to = n[7],
        .hour_to = n[8],
    };
    if (seen.n == sizeof(out->seen))
        memcpy(out->seen, seen.p, sizeof(out->seen));
    if (seen.n != sizeof(out->seen) || key.n > KEY_MAX ||
        sqlite3_column_int64(st, 13) != row_sum(out)) {
        s->damaged++;
        return -EBADMSG;
    }
    return 0;
}

static int write_row(struct store *s, const struct series *e) {
    sqlite3_stmt *st = db_stmt(&s->db, DB_SERIES_PUT);
    int64_t n[NUMBERS];

    if (!st)
        return -EIO;
    numbers_of(e, n);
    sqlite3_bind_int64(st, 1, e->id);
    db_bind_text(st, 2, (struct str){e->key, e->key_n});
    db_bind_text(st, 3, (struct str){e->identity, e->identity_n});
    for (unsigned i = 0; i < NUMBERS; i++)
        sqlite3_bind_int64(st, number_column[i] + 1, n[i]);
    db_bind_text(st, 8, (struct str){(const char *)e->seen, sizeof(e->seen)});
    sqlite3_bind_int64(st, 14, row_sum(e));
    return db_step(&s->db, st);
}

int registry_write(struct store *s) {
    for (size_t i = 0; i < s->n_series; i++) {
        int r = s->series[i]->dirty ? write_row(s, s->series[i]) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

void registry_written(struct store *s) {
    for (size_t i = 0; i < s->n_series; i++)
        s->series[i]->dirty = false;
}

void registry_all_dirty(struct store *s) {
    for (size_t i = 0; i < s->n_series; i++)
        s->series[i]->dirty = true;
}

/* --- finding ---------------------------------------------------------------------------------- */

static int load(struct store *s, sqlite3_stmt *st, struct series **out) {
    struct series row;
    int r = db_step(&s->db, st);

    if (r <= 0)
        return r == 0 ? -ENOENT : r;
    r = registry_read_row(s, st, &row);
    if (r == 0)
        r = keep(s, &row, out);
    sqlite3_reset(st);
    return r == -EBADMSG ? -ENOENT : r;
}

struct series *registry_has(const struct store *s, int64_t id) {
    struct series *e = s->by_id[id_bucket(s, id)];

    while (e && e->id != id)
        e = e->next_by_id;
    return e;
}

int registry_find(struct store *s, int64_t id, struct series **out) {
    struct series *e = registry_has(s, id);
    sqlite3_stmt *st;

    if (e) {
        *out = e;
        return 0;
    }
    st = db_stmt(&s->db, DB_SERIES_BY_ID);
    if (!st)
        return -ENOENT;
    sqlite3_bind_int64(st, 1, id);
    return load(s, st, out);
}

int registry_find_key(struct store *s, struct str key, struct series **out) {
    uint64_t hash = hash_str(&s->hash, key);
    sqlite3_stmt *st;

    for (struct series *e = s->by_key[hash & (s->buckets - 1)]; e; e = e->next_by_key)
        if (e->key_hash == hash && str_eq(key, (struct str){e->key, e->key_n})) {
            *out = e;
            return 0;
        }
    st = db_stmt(&s->db, DB_SERIES_BY_KEY);
    if (!st)
        return -ENOENT;
    db_bind_text(st, 1, key);
    return load(s, st, out);
}

int registry_add(struct store *s, struct str key, int64_t now_ms, struct series **out) {
    struct series fresh = {
        .id = s->last_series + 1, .first_ms = now_ms, .last_ms = now_ms, .raw_to = -1};
    auto_free char *text = copy(key);
    int r;

    if (key.n > KEY_MAX)
        return -E2BIG;
    if (!text)
        return -ENOMEM;
    fresh.key = text;
    fresh.key_n = key.n;
    fresh.dirty = true;
    r = keep(s, &fresh, out);
    if (r == 0)
        s->last_series++;
    return r;
}

int registry_set_identity(struct store *s, struct series *e, struct str identity) {
    char *text;

    (void)s;
    if (str_eq(identity, (struct str){e->identity, e->identity_n}))
        return 0;
    if (identity.n > IDENTITY_MAX)
        return -E2BIG;
    text = copy(identity);
    if (!text)
        return -ENOMEM;
    free(e->identity);
    e->identity = text;
    e->identity_n = identity.n;
    e->dirty = true;
    return 0;
}
