#include "series/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "series/storeint.h"

/* Ticks come a second apart as a rule: each is committed, so that also on a busy machine none waits
 * longer than STORE_COMMIT_MS. */
enum { COMMIT_AFTER_MS = STORE_COMMIT_MS - 1300 };

/* --- opening ---------------------------------------------------------------------------------- */

/* The damaged file goes, a new one comes. The notice, or the error when the file cannot be renamed,
 * is what a person should know. */
static int set_aside(struct store *s) {
    char why[sizeof(s->db.why)];
    struct buf name;
    int r;

    memcpy(why, s->db.why, sizeof(why));
    buf_init(&name, 200);
    r = db_set_aside(&s->db, clock_wall_ms(), &name);
    if (r < 0) {
        snprintf(s->error, sizeof(s->error),
                 "the database is damaged (%.80s) and cannot be renamed: %s", why, strerror(-r));
    } else {
        snprintf(s->notice, sizeof(s->notice),
                 "the database was damaged (%.70s); it is kept as %.*s, and a new one was begun",
                 why, STR_ARG(buf_str(&name)));
        s->set_aside++;
        s->damaged++;
    }
    buf_done(&name);
    return r < 0 ? r : db_open(&s->db);
}

/* What is in the file and must be known: numbers go on. */
static int load(struct store *s) {
    int64_t last = db_number(&s->db, DB_LAST_SERIES), row = clock_wall_ms();
    sqlite3_stmt *st = db_stmt(&s->db, DB_LOG_LAST);

    if (last > s->last_series)
        s->last_series = last;
    if (db_step(&s->db, st) > 0) {
        row = sqlite3_column_int64(st, 0) + 1;
        s->log.state = LOG_LOST; /* until it is replayed */
        sqlite3_reset(st);
    }
    if (row > s->log.next_row)
        s->log.next_row = row;
    return log_load(s);
}

static int open_file(struct store *s, struct buf *told, struct err *err) {
    int r = db_open(&s->db);

    if (s->db.log_damaged) {
        s->damaged++;
        if (told)
            buf_add(told, STR("the end of the database's write-ahead log is damaged: what was "
                              "written last before is lost"));
    }
    if (r == 0)
        r = load(s);
    for (unsigned i = 0; i < 2 && (r == -EUCLEAN || s->db.corrupt); i++) {
        uint64_t before = s->set_aside;

        r = set_aside(s);
        if (told) {
            if (told->n > 0)
                buf_add_char(told, '\n');
            buf_add(told, str_of(s->set_aside > before ? s->notice : s->error));
        }
        if (r == 0)
            r = load(s);
    }
    if (r == -EPROTONOSUPPORT)
        return err_set(err, r, "'%s' was made by a newer plimsoll", s->db.path);
    if (r == -EBUSY)
        return err_set(err, r, "'%s' is in use by another process", s->db.path);
    if (r == -ENOMEM)
        return err_set(err, r, "cannot open '%s':", s->db.path);
    return r;
}

static int begin(struct store *s, struct buf *told, struct err *err) {
    int r = registry_init(s);

    s->ticks.first = 1;
    if (r == 0)
        r = db_init(&s->db, s->options.dir, s->options.max_bytes);
    if (r < 0)
        return err_set(err, r, "cannot open the history in '%s':", s->options.dir);
    if (access(s->options.dir, W_OK | X_OK) < 0)
        return err_set(err, -errno, "cannot write in '%s':", s->options.dir);
    r = open_file(s, told, err);
    if (r == -EPROTONOSUPPORT || r == -EBUSY || r == -ENOMEM)
        return r;
    if (r < 0) {
        /* Without a file for now. Numbers are those that no file can have. */
        snprintf(s->error, sizeof(s->error), "cannot open '%.100s': %.80s", s->db.path, s->db.why);
        if (told)
            buf_add(told, str_of(s->error));
        db_close(&s->db);
        s->last_series = clock_wall_ms();
        s->ticks.first = (uint64_t)clock_wall_ms();
    }
    s->log.tick_to = s->ticks.first - 1;
    return 0;
}

int store_open(const struct store_options *options, struct store **out, struct buf *told,
               struct err *err) {
    struct store *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_set(err, -ENOMEM, "cannot open the history:");
    s->options = *options;
    queue_init(&s->log_queue);
    queue_init(&s->data_queue);
    buf_init(&s->scratch, (size_t)STORE_PENDING_MAX * 2);
    buf_init(&s->chunk, STORE_PENDING_MAX);
    log_init(s);
    r = begin(s, told, err);
    if (r < 0) {
        s->error[0] = 0;
        db_close(&s->db);
        store_close(s);
        return r;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s) {
    uint64_t acked;

    if (!s)
        return;
    if (s->db.h)
        store_commit(s, s->commit_ms, true, &acked);
    db_close(&s->db);
    registry_done(s);
    queue_clear(&s->log_queue);
    queue_clear(&s->data_queue);
    log_done(s);
    head_ticks_done(&s->ticks);
    ZSTD_freeCCtx(s->zip);
    buf_done(&s->scratch);
    buf_done(&s->chunk);
    free(s);
}

/* --- what is told ----------------------------------------------------------------------------- */

int store_series(struct store *s, struct str key, struct str identity, int64_t now_ms,
                 int64_t *out) {
    struct series *e;
    int r = registry_find_key(s, key, &e);

    if (r < 0 && r != -ENOMEM)
        r = registry_add(s, key, now_ms, &e);
    if (r == 0)
        r = registry_set_identity(s, e, identity);
    if (r == 0)
        *out = e->id;
    return r;
}

/* How a life is kept: the group above, below the run, which is 0 as long as it is not known. */
struct life_hash {
    uint64_t now;
    uint64_t before_runs; /* as it was kept before runs were told apart: of the group alone */
};

static struct life_hash hash_life(const struct store_life *life) {
    /* The same in every process: it is kept in the file. */
    static const struct hash_key key = {{0x706c696d736f6c6c, 0x696e7374616e6365}};
    const uint64_t part[2] = {hash_str(&key, life->id), life->group & INT64_MAX};
    uint64_t group = hash_str(&key, (struct str){(const char *)part, sizeof(part)});
    uint64_t run = hash_str(&key, (struct str){(const char *)&life->run, sizeof(life->run)});

    run = life->run ? (run & UINT32_MAX) | 1 : 0;
    return (struct life_hash){(group & ~(uint64_t)UINT32_MAX) | 1ull << 32 | run, group | 1};
}

/* The place among those seen; STORE_SEEN: it is none of them. */
static unsigned find_life(struct series *e, const struct life_hash *hash) {
    bool known = (uint32_t)hash->now != 0;

    for (unsigned i = 0; i < STORE_SEEN; i++) {
        bool unknown = e->seen[i] == hash->before_runs || (uint32_t)e->seen[i] == 0;

        if (e->seen[i] != hash->before_runs && e->seen[i] >> 32 != hash->now >> 32)
            continue;
        if (unknown && known) {
            e->seen[i] = hash->now; /* its run is known now */
            e->dirty = true;
        }
        if (!known || e->seen[i] == hash->now)
            return i;
    }
    return STORE_SEEN;
}

int store_life(struct store *s, int64_t series, const struct store_life *life, bool fresh,
               uint64_t *restarts_out) {
    struct life_hash hash = hash_life(life);
    struct series *e;
    int r = registry_find(s, series, &e);
    unsigned i;

    if (r < 0)
        return r;
    i = find_life(e, &hash);
    if (i < STORE_SEEN || (!fresh && e->instances > 0)) {
        *restarts_out = e->instances > i + 1 ? e->instances - i - 1 : 0;
        return 0;
    }
    memmove(e->seen + 1, e->seen, (STORE_SEEN - 1) * sizeof(e->seen[0]));
    e->seen[0] = hash.now;
    *restarts_out = e->instances++;
    e->dirty = true;
    return 1;
}

int store_tick(struct store *s, int64_t at_ms, bool round) {
    struct head_ticks *t = &s->ticks;
    int64_t *last = t->n > 0 ? &t->at[t->n - 1] : NULL;

    if (s->pinned) {
        if (last)
            *last = at_ms * 2 | (*last & 1);
        return 0;
    }
    if (last && *last >> 1 == at_ms) {
        *last |= round;
        return 0;
    }
    return head_ticks_add(t, at_ms, round);
}

/* In a tick that is in a chunk already: only what is known now changes. */
static int put_late(struct series *e, uint64_t tick, uint64_t set, uint64_t lost,
                    const uint64_t *value) {
    bool open = e->head.open;
    int r;

    e->head.open = false;
    r = head_put(&e->head, tick, set, lost, value);
    return open ? head_open(&e->head, e->head.first) : r;
}

/* A head begins where the last one ended, or with the life of its target: in a replay there are
 * ticks between in which it stood still. */
static int open_now(struct store *s, struct series *e, uint64_t tick) {
    uint64_t first = e->head.alive ? e->closed_tick + 1 : tick;

    if (e->head.open)
        return 0;
    return head_open(&e->head, first > s->ticks.first ? first : s->ticks.first);
}

int store_put(struct store *s, int64_t series, uint64_t set, uint64_t lost,
              const uint64_t value[METRIC_N]) {
    uint64_t tick = head_tick_now(&s->ticks);
    struct series *e;
    int r = registry_find(s, series, &e);

    if (r < 0)
        return r;
    e->in_key = s->key_number;
    if (s->key_base && e->closed_tick < tick)
        e->closed_tick = tick;
    if (s->ticks.n == 0 || tick <= e->closed_tick)
        return put_late(e, tick, set, lost, value);
    r = open_now(s, e, tick);
    if (r == 0)
        r = head_put(&e->head, tick, set, lost, value);
    e->last_ms = head_tick_at(&s->ticks, tick);
    closing_note(s, e);
    return r;
}

int store_gone(struct store *s, int64_t series, int64_t at_ms) {
    uint64_t tick = head_tick_now(&s->ticks);
    struct series *e;
    int r = registry_find(s, series, &e);

    if (r < 0)
        return r;
    e->gone_ms = at_ms;
    e->dirty = true;
    if (e->head.alive && s->ticks.n > 0) {
        e->last_ms = head_tick_at(&s->ticks, tick);
        if (tick > e->closed_tick)
            r = open_now(s, e, tick);
    }
    (void)procs_flush(s, e);
    return r < 0 ? r : head_gone(&e->head, tick);
}

void store_gone_but_key(struct store *s) {
    for (size_t i = 0; i < s->n_series; i++)
        if (s->series[i]->head.alive && s->series[i]->in_key != s->key_number)
            store_gone(s, s->series[i]->id, s->series[i]->last_ms);
}

/* --- commits ---------------------------------------------------------------------------------- */

static void bound_pending(struct store *s) {
    while (s->log_queue.bytes + s->data_queue.bytes > STORE_PENDING_MAX) {
        if (s->log_queue.first)
            log_give_up(s);
        else {
            queue_drop_first(&s->data_queue);
            s->dropped++;
        }
    }
}

static bool nothing_to_do(const struct store *s, int64_t now_ms) {
    enum { CHORES_MS = 10 * 1000 };

    if (s->log_queue.first || s->data_queue.first || s->shrink || s->error[0])
        return false;
    return now_ms - s->scan_ms < CHORES_MS && now_ms >= s->scan_ms;
}

static int write_all(struct store *s, int64_t now_ms) {
    int r = db_run(&s->db, DB_BEGIN);

    if (r == 0)
        r = rollup_some(s, now_ms);
    if (r == 0)
        r = retain_some(s, now_ms);
    if (r == 0)
        r = log_trim(s, now_ms);
    if (r == 0)
        r = queue_write(s, &s->data_queue);
    if (r == 0)
        r = queue_write(s, &s->log_queue);
    if (r == 0)
        r = registry_write(s);
    if (r == 0)
        r = db_run(&s->db, DB_COMMIT);
    if (r < 0) {
        db_rollback(&s->db);
        rollup_undo(s);
        s->unclean = true;
        return r;
    }
    registry_written(s);
    queue_clear(&s->data_queue);
    log_committed(s);
    s->scan_ms = now_ms;
    if (s->unclean)
        db_checkpoint(&s->db);
    s->unclean = false;
    return 0;
}

static void look_at_file(struct store *s) {
    s->disk_bytes = db_disk_bytes(&s->db);
    s->oldest_ms = 0;
    for (unsigned level = 0; level < STORE_LEVELS; level++) {
        sqlite3_stmt *st = db_stmt(&s->db, DB_CHUNK_OLDEST + level);

        if (db_step(&s->db, st) > 0) {
            int64_t at = sqlite3_column_int64(st, 1);

            if (s->oldest_ms == 0 || at < s->oldest_ms)
                s->oldest_ms = at;
            sqlite3_reset(st);
        }
    }
}

/* Everything that memory has goes to the new file: targets, the heads as chunks, and the log begins
 * with the next KEY. */
static int begin_anew(struct store *s) {
    int r = set_aside(s);

    s->errors++;
    log_restart(s);
    registry_all_dirty(s);
    if (r == 0)
        r = load(s);
    s->log.state = LOG_LOST;
    closing_unlogged(s, UINT32_MAX);
    return r;
}

static int try_commit(struct store *s, int64_t now_ms) {
    int r = 0;

    if (s->db.corrupt) {
        r = begin_anew(s);
        return r < 0 ? r : write_all(s, now_ms);
    }
    if (!s->db.h) {
        r = open_file(s, NULL, NULL);
        if (r < 0)
            db_close(&s->db);
    }
    if (r == 0 && !s->db.corrupt)
        r = write_all(s, now_ms);
    if (r == 0)
        s->error[0] = 0;
    return s->db.corrupt ? try_commit(s, now_ms) : r;
}

void store_commit(struct store *s, int64_t now_ms, bool force, uint64_t *acked_out) {
    struct log *l = &s->log;
    int64_t passed = now_ms - s->commit_ms;
    int r;

    *acked_out = l->acked;
    if (!force && passed >= 0 && passed < COMMIT_AFTER_MS && !s->db.corrupt)
        return;
    s->commit_ms = now_ms;
    log_seal(s);
    closing_full(s);
    closing_old(s);
    if (!s->error[0])
        closing_unlogged(s, 50);
    bound_pending(s);
    head_ticks_trim(&s->ticks, store_need(s));
    if (!nothing_to_do(s, now_ms) || s->db.corrupt) {
        r = try_commit(s, now_ms);
        if (r < 0) {
            s->errors++;
            if (!s->db.corrupt)
                snprintf(s->error, sizeof(s->error),
                         "%s%.100s: what is not written waits in memory, and is tried again",
                         s->db.h ? "" : "cannot open the database: ", s->db.why);
        }
        look_at_file(s);
    }
    if (l->given_up > l->acked)
        l->acked = l->given_up;
    *acked_out = l->acked;
}

void store_health(struct store *s, struct store_health *out) {
    uint64_t memory = s->ticks.room * sizeof(*s->ticks.at) + s->n_series * sizeof(struct series);

    for (size_t i = 0; i < s->n_series; i++)
        memory += s->series[i]->head.record.size + s->series[i]->key_n + s->series[i]->identity_n;
    *out = (struct store_health){
        .broken = s->error[0],
        .errors = s->errors,
        .dropped = s->dropped,
        .pending_bytes = s->log_queue.bytes + s->data_queue.bytes + s->log.raw.n,
        .damaged = s->damaged,
        .set_aside = s->set_aside,
        .disk_bytes = s->disk_bytes,
        .memory_bytes = memory,
        .oldest_ms = s->oldest_ms,
    };
    memcpy(out->text, s->error, sizeof(out->text));
    memcpy(out->notice, s->notice, sizeof(out->notice));
    if (out->oldest_ms == 0 && s->ticks.n > 0)
        out->oldest_ms = head_tick_at(&s->ticks, s->ticks.first);
}
