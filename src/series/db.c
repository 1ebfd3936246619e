#include "series/db.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "series/crc32c.h"
#include "series/store.h"
#include "series/walcheck.h"

static const char file_name[] = "plimsoll.db";

static const struct db_step schema[STORE_SCHEMA] = {
    {"CREATE TABLE meta(name TEXT PRIMARY KEY, value, sum INTEGER) WITHOUT ROWID;"
     "CREATE TABLE series(id INTEGER PRIMARY KEY, key BLOB, identity BLOB, first_ms INTEGER,"
     " last_ms INTEGER, oom_kills INTEGER, instances INTEGER, seen BLOB, closed_tick INTEGER,"
     " chunks INTEGER, raw_to INTEGER, minute_to INTEGER, hour_to INTEGER, sum INTEGER);"
     "CREATE INDEX series_key ON series(key);"
     "CREATE INDEX series_minute ON series(minute_to) WHERE raw_to >= minute_to;"
     "CREATE INDEX series_hour ON series(hour_to) WHERE minute_to > hour_to;"
     "CREATE TABLE raw(id INTEGER PRIMARY KEY, series INTEGER, from_ms INTEGER, to_ms INTEGER,"
     " number INTEGER, sum INTEGER, body BLOB);"
     "CREATE TABLE minute(id INTEGER PRIMARY KEY, series INTEGER, from_ms INTEGER, to_ms INTEGER,"
     " number INTEGER, sum INTEGER, body BLOB);"
     "CREATE TABLE hour(id INTEGER PRIMARY KEY, series INTEGER, from_ms INTEGER, to_ms INTEGER,"
     " number INTEGER, sum INTEGER, body BLOB);"
     "CREATE INDEX raw_series ON raw(series, from_ms);"
     "CREATE INDEX minute_series ON minute(series, from_ms);"
     "CREATE INDEX hour_series ON hour(series, from_ms);"
     "CREATE TABLE log(id INTEGER PRIMARY KEY, boot INTEGER, seq_from INTEGER, seq_to INTEGER,"
     " at_ms INTEGER, flags INTEGER, tick_from INTEGER, tick_to INTEGER, need INTEGER,"
     " size INTEGER, sum INTEGER, body BLOB);"
     "CREATE INDEX log_key ON log(id) WHERE flags<>0;"
     "CREATE TABLE oom(id INTEGER PRIMARY KEY, series INTEGER, at_ms INTEGER, kills INTEGER,"
     " sum INTEGER, json BLOB);"
     "CREATE INDEX oom_series ON oom(series, at_ms);"
     "CREATE INDEX oom_at ON oom(at_ms);"
     "CREATE TABLE procs(id INTEGER PRIMARY KEY, series INTEGER, at_ms INTEGER, until_ms INTEGER,"
     " size INTEGER, sum INTEGER, body BLOB);"
     "CREATE UNIQUE INDEX procs_series ON procs(series, at_ms);"},
    {"CREATE TABLE event(id INTEGER PRIMARY KEY, series INTEGER, at_ms INTEGER, kind BLOB,"
     " sum INTEGER, json BLOB);"
     "CREATE INDEX event_series ON event(series, at_ms);"
     "CREATE INDEX event_at ON event(at_ms);"},
};

#define CHUNK_SQL(table)                                                                           \
    [DB_CHUNK_PUT + table##_LEVEL] =                                                               \
        "INSERT INTO " #table "(series,from_ms,to_ms,number,sum,body) VALUES(?,?,?,?,?,?)",        \
                    [DB_CHUNK_IN + table##_LEVEL] =                                                \
                        "SELECT from_ms,to_ms,number,sum,body FROM " #table                        \
                        " WHERE series=?1 AND from_ms BETWEEN ?2 AND ?3 ORDER BY from_ms,id",      \
                    [DB_CHUNK_OLDEST + table##_LEVEL] =                                            \
                        "SELECT id,to_ms FROM " #table " ORDER BY id LIMIT 1",                     \
                    [DB_CHUNK_DROP + table##_LEVEL] = "DELETE FROM " #table " WHERE id=?"

enum { raw_LEVEL, minute_LEVEL, hour_LEVEL };

static const char *const sql[DB_STMTS] = {
    [DB_BEGIN] = "BEGIN IMMEDIATE",
    [DB_COMMIT] = "COMMIT",
    [DB_META_PUT] = "INSERT OR REPLACE INTO meta(name,value,sum) VALUES(?,?,?)",
#define SERIES_COLUMNS                                                                             \
    "id,key,identity,first_ms,last_ms,oom_kills,instances,seen,closed_tick,chunks,raw_to,"         \
    "minute_to,hour_to,sum"
    [DB_SERIES_BY_KEY] =
        "SELECT " SERIES_COLUMNS " FROM series WHERE key=? ORDER BY id DESC LIMIT 1",
    [DB_SERIES_BY_ID] = "SELECT " SERIES_COLUMNS " FROM series WHERE id=?",
    [DB_SERIES_PUT] =
        "INSERT OR REPLACE INTO series(" SERIES_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [DB_SERIES_ALL] =
        "SELECT " SERIES_COLUMNS " FROM series WHERE id>=?1 AND first_ms<=?3 AND last_ms>=?2",
    [DB_SERIES_DUE_MINUTE] = "SELECT id FROM series WHERE raw_to>=minute_to AND minute_to<=?"
                             " ORDER BY minute_to LIMIT 1",
    [DB_SERIES_DUE_HOUR] = "SELECT id FROM series WHERE minute_to>hour_to AND hour_to<=?"
                           " ORDER BY hour_to LIMIT 1",
    [DB_SERIES_DROP] = "DELETE FROM series WHERE id=?",
    [DB_LOG_PUT] = "INSERT INTO log(id,boot,seq_from,seq_to,at_ms,flags,tick_from,tick_to,need,"
                   "size,sum,body) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
    [DB_LOG_AFTER] = "SELECT id,boot,seq_from,seq_to,at_ms,flags,tick_from,tick_to,need,size,sum,"
                     "body FROM log WHERE id>=? ORDER BY id",
    [DB_LOG_KEYS] = "SELECT id,at_ms,tick_from,need FROM log WHERE flags<>0 ORDER BY id",
    [DB_LOG_LAST] = "SELECT id,boot,seq_to,tick_to FROM log ORDER BY id DESC LIMIT 1",
    [DB_LAST_TICK] = "SELECT coalesce(max(closed_tick),0) FROM series",
    [DB_LAST_SERIES] = "SELECT coalesce(max(id),0) FROM series",
    [DB_SERIES_OLD] = "SELECT id FROM series WHERE last_ms<? LIMIT 64",
    [DB_LOG_DROP] = "DELETE FROM log WHERE id<?",
    [DB_OOM_PUT] = "INSERT INTO oom(series,at_ms,kills,sum,json) VALUES(?,?,?,?,?)",
    [DB_OOM_OF] = "SELECT id,series,at_ms,kills,sum,json FROM oom WHERE series=?1 AND"
                  " at_ms BETWEEN ?2 AND ?3 ORDER BY at_ms DESC,id DESC LIMIT ?4",
    [DB_OOM_ALL] = "SELECT id,series,at_ms,kills,sum,json FROM oom WHERE at_ms BETWEEN ?2 AND ?3"
                   " ORDER BY at_ms DESC,id DESC LIMIT ?4",
    [DB_OOM_DROP] = "DELETE FROM oom WHERE at_ms<?",
    [DB_EVENT_PUT] = "INSERT INTO event(series,at_ms,kind,sum,json) VALUES(?,?,?,?,?)",
    [DB_EVENT_OF] = "SELECT id,series,at_ms,kind,sum,json FROM event WHERE series=?1 AND"
                    " at_ms BETWEEN ?2 AND ?3 ORDER BY at_ms DESC,id DESC",
    [DB_EVENT_ALL] = "SELECT id,series,at_ms,kind,sum,json FROM event WHERE at_ms BETWEEN ?2 AND ?3"
                     " ORDER BY at_ms DESC,id DESC",
    [DB_EVENT_DROP] = "DELETE FROM event WHERE at_ms<?",
    [DB_EVENT_CAP] = "DELETE FROM event WHERE id<=(SELECT max(id) FROM event)-?",
    [DB_PROCS_PUT] = "INSERT OR REPLACE INTO procs(series,at_ms,until_ms,size,sum,body)"
                     " VALUES(?,?,?,?,?,?)",
    [DB_PROCS_UNTIL] = "UPDATE procs SET until_ms=?3 WHERE series=?1 AND at_ms=?2",
    [DB_PROCS_AT] = "SELECT at_ms,until_ms,size,sum,body FROM procs WHERE series=? AND at_ms<=?"
                    " ORDER BY at_ms DESC LIMIT 1",
    [DB_PROCS_OLDEST] = "SELECT id,until_ms FROM procs ORDER BY id LIMIT 1",
    [DB_PROCS_DROP] = "DELETE FROM procs WHERE id=?",
    [DB_PAGES] = "PRAGMA page_count",
    [DB_FREE_PAGES] = "PRAGMA freelist_count",
    [DB_VACUUM] = "PRAGMA incremental_vacuum(64)",
    CHUNK_SQL(raw),
    CHUNK_SQL(minute),
    CHUNK_SQL(hour),
};

/* --- errors and statements -------------------------------------------------------------------- */

static int note(struct db *d, int rc) {
    const char *text = d->h ? sqlite3_errmsg(d->h) : sqlite3_errstr(rc);

    snprintf(d->why, sizeof(d->why), "%s", text);
    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_ERROR:      /* our statements fit our tables: these are others */
    case SQLITE_MISMATCH:   /* a key that is no number */
    case SQLITE_CONSTRAINT: /* an index that does not agree with its table */
    case SQLITE_TOOBIG:
        d->corrupt = true;
        return -EUCLEAN;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        d->busy = true;
        return -EBUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    default:
        return -EIO;
    }
}

sqlite3_stmt *db_stmt(struct db *d, unsigned which) {
    int rc;

    if (!d->h)
        return NULL;
    if (!d->stmt[which]) {
        rc = sqlite3_prepare_v3(d->h, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &d->stmt[which],
                                NULL);
        if (rc != SQLITE_OK) {
            note(d, rc);
            return NULL;
        }
    }
    sqlite3_reset(d->stmt[which]);
    return d->stmt[which];
}

int db_step(struct db *d, sqlite3_stmt *st) {
    int rc;

    if (!st)
        return d->corrupt ? -EUCLEAN : -EIO;
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        rc = note(d, rc);
    else
        rc = 0;
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return rc;
}

void db_rollback(struct db *d) {
    if (d->h && !sqlite3_get_autocommit(d->h))
        sqlite3_exec(d->h, "ROLLBACK", NULL, NULL, NULL); /* the reason is told, not this */
}

int db_run(struct db *d, unsigned which) {
    sqlite3_stmt *st = db_stmt(d, which);
    int r;

    do
        r = db_step(d, st);
    while (r > 0);
    return r;
}

void db_bind_text(sqlite3_stmt *st, int place, struct str s) {
    if (st)
        sqlite3_bind_blob64(st, place, s.n ? s.p : "", s.n, SQLITE_STATIC);
}

struct str db_text(sqlite3_stmt *st, int column) {
    const char *p = sqlite3_column_blob(st, column);
    int n = sqlite3_column_bytes(st, column);

    return p && n > 0 ? (struct str){p, (size_t)n} : STR("");
}

int64_t db_number(struct db *d, unsigned which) {
    sqlite3_stmt *st = db_stmt(d, which);
    int64_t value = -1;

    if (db_step(d, st) > 0) {
        value = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
    }
    return value;
}

static int execute(struct db *d, const char *text) {
    int rc = sqlite3_exec(d->h, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : note(d, rc);
}

static int number_of(struct db *d, const char *text, int64_t *out) {
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(d->h, text, -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : note(d, rc);
    sqlite3_finalize(st);
    return rc;
}

/* --- schema ----------------------------------------------------------------------------------- */

static int64_t version_sum(int64_t version) {
    return crc32c(0, (struct str){(const char *)&version, sizeof(version)});
}

/* The schema's number stands in the head of the file, where nothing checks it, and in a table with
 * a checksum, which is believed where it is readable. */
static int64_t version_of(struct db *d, int64_t in_head) {
    sqlite3_stmt *st = NULL;
    int64_t told = in_head;

    if (sqlite3_prepare_v2(d->h, "SELECT value,sum FROM meta WHERE name='version'", -1, &st,
                           NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW &&
        sqlite3_column_int64(st, 1) == version_sum(sqlite3_column_int64(st, 0)))
        told = sqlite3_column_int64(st, 0);
    else if (in_head < 0 || in_head > STORE_SCHEMA)
        told = -1; /* nobody stands by it */
    sqlite3_finalize(st);
    return told;
}

static int put_version(struct db *d, unsigned version) {
    sqlite3_stmt *st = db_stmt(d, DB_META_PUT);
    char text[64];

    if (!st)
        return -EUCLEAN;
    sqlite3_bind_text(st, 1, "version", -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, version);
    sqlite3_bind_int64(st, 3, version_sum(version));
    snprintf(text, sizeof(text), "PRAGMA user_version=%u", version);
    int r = db_step(d, st);
    return r < 0 ? r : execute(d, text);
}

int db_migrate(struct db *d, const struct db_step *step, unsigned steps) {
    int64_t version = -1;
    int r = number_of(d, "PRAGMA user_version", &version);

    if (r < 0)
        return r;
    version = version_of(d, version);
    if (version > steps)
        return -EPROTONOSUPPORT;
    if (version < 0) {
        snprintf(d->why, sizeof(d->why), "its schema has no number");
        d->corrupt = true;
        return -EUCLEAN;
    }
    for (unsigned i = (unsigned)version; i < steps; i++) {
        r = execute(d, "BEGIN IMMEDIATE");
        if (r == 0)
            r = execute(d, step[i].sql);
        if (r == 0)
            r = put_version(d, i + 1);
        if (r == 0)
            r = execute(d, "COMMIT");
        if (r < 0) {
            db_rollback(d);
            return r;
        }
    }
    return 0;
}

/* A file that is not empty and not ours is left alone; an empty one becomes ours. */
static int check_ours(struct db *d) {
    char text[64];
    int64_t id = 0, tables = 0;
    int r = number_of(d, "PRAGMA application_id", &id);

    if (r < 0 || id == DB_APPLICATION)
        return r;
    r = number_of(d, "SELECT count(*) FROM sqlite_schema", &tables);
    if (r < 0)
        return r;
    if (id != 0 || tables != 0) {
        snprintf(d->why, sizeof(d->why), "it is not a database of plimsoll");
        d->corrupt = true;
        return -EUCLEAN;
    }
    snprintf(text, sizeof(text), "PRAGMA application_id=%d", DB_APPLICATION);
    return execute(d, text);
}

/* Every statement is compiled once: a schema that is not ours shows here. */
static int check_statements(struct db *d) {
    for (unsigned i = 0; i < DB_STMTS; i++)
        if (!db_stmt(d, i))
            return d->corrupt ? -EUCLEAN : -EIO;
    return 0;
}

int db_init(struct db *d, const char *dir, uint64_t max_bytes) {
    size_t n = strlen(dir);
    uint64_t pages = max_bytes / DB_PAGE / 8;

    *d = (struct db){.h = NULL};
    d->wal_pages = pages < 16 ? 16 : pages > DB_WAL_PAGES ? DB_WAL_PAGES : (int)pages;
    while (n > 0 && dir[n - 1] == '/')
        n--;
    if (n > DB_PATH - 100)
        return -ENAMETOOLONG;
    snprintf(d->path, sizeof(d->path), "%.*s/%s", (int)n, dir, file_name);
    return 0;
}

static int set_up(struct db *d) {
    static const char *const before =
        "PRAGMA locking_mode=EXCLUSIVE;" /* first: else WAL has a file in shared memory */
        "PRAGMA mmap_size=0;"
        "PRAGMA temp_store=MEMORY;"
        "PRAGMA cache_size=-512;"
        "PRAGMA cell_size_check=ON;"
        "PRAGMA trusted_schema=OFF;"
        "PRAGMA auto_vacuum=INCREMENTAL;" /* of a new file; an old one is what it is */
        "PRAGMA journal_mode=WAL;"
        "PRAGMA synchronous=NORMAL;"
        "PRAGMA journal_size_limit=4194304;";
    int r = execute(d, before);

    if (r == 0)
        r = check_ours(d);
    if (r == 0)
        r = db_migrate(d, schema, STORE_SCHEMA);
    if (r == 0)
        r = check_statements(d);
    if (r < 0)
        return r;
    /* A file that cannot be written shows now; one without room can still be read. */
    r = db_run(d, DB_BEGIN);
    if (r == 0)
        r = put_version(d, STORE_SCHEMA);
    if (r == 0)
        r = db_run(d, DB_COMMIT);
    if (r < 0)
        db_rollback(d);
    return r == -ENOSPC ? 0 : r;
}

void db_checkpoint(struct db *d) {
    if (d->h) /* what cannot be copied now stays in the log */
        sqlite3_wal_checkpoint_v2(d->h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

int db_open(struct db *d) {
    char wal[sizeof(d->path) + 8];
    int rc, r;

    db_close(d);
    d->corrupt = d->busy = false;
    snprintf(wal, sizeof(wal), "%s-wal", d->path);
    d->log_damaged = walcheck(wal) > 0;
    rc = sqlite3_open_v2(d->path, &d->h,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                             SQLITE_OPEN_NOFOLLOW,
                         NULL);
    if (rc != SQLITE_OK)
        r = note(d, rc);
    else {
        sqlite3_extended_result_codes(d->h, 1);
        sqlite3_db_config(d->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_limit(d->h, SQLITE_LIMIT_LENGTH, 64 << 20);
        sqlite3_wal_autocheckpoint(d->h, d->wal_pages);
        sqlite3_busy_timeout(d->h, DB_BUSY_MS); /* one that is ending has it still */
        r = set_up(d);
    }
    if (r < 0)
        db_close(d);
    else
        db_checkpoint(d);
    return r;
}

void db_close(struct db *d) {
    for (unsigned i = 0; i < DB_STMTS; i++) {
        sqlite3_finalize(d->stmt[i]);
        d->stmt[i] = NULL;
    }
    sqlite3_close_v2(d->h);
    d->h = NULL;
}

/* --- setting aside ---------------------------------------------------------------------------- */

/* Of the files that were set aside two are kept, the newest: their names are their times. */
static void drop_old_ones(const char *dir) {
    auto_closedir DIR *all = opendir(dir);
    char name[2][64] = {{0}};
    struct dirent *e;

    if (!all)
        return;
    while ((e = readdir(all))) {
        size_t n = strlen(e->d_name);
        char *slot = name[0];

        if (!str_starts(str_of(e->d_name), STR("plimsoll.db.damaged-")) || n >= sizeof(name[0]) ||
            str_ends(str_of(e->d_name), STR("-wal")))
            continue;
        if (strcmp(name[1], slot) < 0)
            slot = name[1];
        if (slot[0] && strcmp(slot, e->d_name) < 0) {
            unlinkat(dirfd(all), slot, 0);
            strncat(slot, "-wal", sizeof(name[0]) - strlen(slot) - 1);
            unlinkat(dirfd(all), slot, 0);
        } else if (slot[0]) {
            unlinkat(dirfd(all), e->d_name, 0);
            continue;
        }
        memcpy(slot, e->d_name, n + 1);
    }
}

int db_set_aside(struct db *d, int64_t now_ms, struct buf *name_out) {
    char to[sizeof(d->path) + 64], from[sizeof(d->path) + 8], stamp[32] = "unknown";
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    size_t n;

    /* Without a checkpoint: what is damaged is kept as it is. */
    if (d->h)
        sqlite3_db_config(d->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    db_close(d);
    if (gmtime_r(&seconds, &tm))
        strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &tm);
    n = (size_t)snprintf(to, sizeof(to), "%s.damaged-%s", d->path, stamp);
    for (unsigned i = 2; access(to, F_OK) == 0 && i < 100; i++)
        n = (size_t)snprintf(to, sizeof(to), "%s.damaged-%s.%u", d->path, stamp, i);
    if (rename(d->path, to) < 0)
        return -errno;
    buf_add(name_out, str_of(strrchr(to, '/') + 1));
    snprintf(to + n, sizeof(to) - n, "-wal");
    snprintf(from, sizeof(from), "%s-wal", d->path);
    /* A log that stayed would be taken for the new file's. */
    if (rename(from, to) < 0 && errno != ENOENT && unlink(from) < 0)
        return -errno;
    snprintf(from, sizeof(from), "%s", d->path);
    *(strrchr(from, '/') + (strrchr(from, '/') == from)) = 0;
    drop_old_ones(from);
    d->corrupt = false;
    return 0;
}

static uint64_t size_of(const char *path) {
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

uint64_t db_disk_bytes(const struct db *d) {
    char wal[sizeof(d->path) + 8];

    snprintf(wal, sizeof(wal), "%s-wal", d->path);
    return size_of(d->path) + size_of(wal);
}
