/* db.h - the database file: opened, made, migrated, set aside when it is damaged.
 *
 * SQLite in WAL mode with an exclusive lock, so that there is no shared memory file; a kill at any
 * moment leaves what was committed. Errors are remembered here: `corrupt` asks for db_set_aside.
 */
#pragma once
#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    DB_APPLICATION = 0x504c4d53,
    DB_PATH = 3800,
    DB_PAGE = 4096,
    DB_WAL_PAGES = 512,
    DB_BUSY_MS = 2000
};

/* The statements that are kept prepared. Of chunks: each three times, raw, minute, hour. */
enum db_stmt {
    DB_BEGIN,
    DB_COMMIT,
    DB_META_PUT,
    DB_SERIES_BY_KEY,
    DB_SERIES_BY_ID,
    DB_SERIES_PUT,
    DB_SERIES_ALL,
    DB_SERIES_DUE_MINUTE,
    DB_SERIES_DUE_HOUR,
    DB_SERIES_DROP,
    DB_LOG_PUT,
    DB_LOG_AFTER,
    DB_LOG_KEYS,
    DB_LOG_LAST,
    DB_LAST_TICK,
    DB_LAST_SERIES,
    DB_SERIES_OLD,
    DB_LOG_DROP,
    DB_OOM_PUT,
    DB_OOM_OF,
    DB_OOM_ALL,
    DB_OOM_DROP,
    DB_EVENT_PUT,
    DB_EVENT_OF,
    DB_EVENT_ALL,
    DB_EVENT_DROP,
    DB_EVENT_CAP,
    DB_PROCS_PUT,
    DB_PROCS_UNTIL,
    DB_PROCS_AT,
    DB_PROCS_OLDEST,
    DB_PROCS_DROP,
    DB_PAGES,
    DB_FREE_PAGES,
    DB_VACUUM,
    DB_CHUNK_PUT,
    DB_CHUNK_PUT_END = DB_CHUNK_PUT + 2,
    DB_CHUNK_IN,
    DB_CHUNK_IN_END = DB_CHUNK_IN + 2,
    DB_CHUNK_OLDEST,
    DB_CHUNK_OLDEST_END = DB_CHUNK_OLDEST + 2,
    DB_CHUNK_DROP,
    DB_CHUNK_DROP_END = DB_CHUNK_DROP + 2,
    DB_STMTS,
};

struct db {
    sqlite3 *h; /* NULL: not open */
    sqlite3_stmt *stmt[DB_STMTS];
    bool corrupt, busy; /* the file is damaged; another process has it */
    int wal_pages;      /* so long the write-ahead log becomes, about */
    bool log_damaged;   /* the end of its write-ahead log was, when it was opened: it is lost */
    char path[DB_PATH + 16];
    char why[160]; /* of the last error */
};

/* One step from a schema to the next, in a transaction with the new number. */
struct db_step {
    const char *sql;
};

/* max_bytes: of all files, so that the write-ahead log stays a part of it. -ENAMETOOLONG. */
int db_init(struct db *d, const char *dir, uint64_t max_bytes);

/* Opens or makes the file. 0; -EUCLEAN: damaged or foreign, d->why says how; -EPROTONOSUPPORT:
 * newer than we are; -EBUSY; else -EIO, -ENOSPC ... Half-open is closed again. */
int db_open(struct db *d);
void db_close(struct db *d);

/* From whatever it is to the number of steps; the rest as db_open. */
int db_migrate(struct db *d, const struct db_step *step, unsigned steps);

/* Closes it, renames the file and its log to NAME.damaged-TIME, and keeps two such. The new name
 * (without the directory) is written to name_out. 0 or -errno: it is still there. */
int db_set_aside(struct db *d, int64_t now_ms, struct buf *name_out);

/* A statement ready to be bound, NULL when there is no database or it does not compile. */
sqlite3_stmt *db_stmt(struct db *d, unsigned which);

/* 1 a row, 0 the end; -errno, remembered. NULL is -EIO. Resets the statement but on a row. */
int db_step(struct db *d, sqlite3_stmt *st);
int db_run(struct db *d, unsigned which); /* one without parameters */
void db_rollback(struct db *d);           /* if anything is begun */

/* Empties the write-ahead log. After a transaction that failed: its frames would look like a loss
 * to whoever opens the file next. */
void db_checkpoint(struct db *d);

void db_bind_text(sqlite3_stmt *st, int place, struct str s); /* a blob, borrowed until the step */
struct str db_text(sqlite3_stmt *st, int column);             /* until the next step */

int64_t db_number(struct db *d, unsigned which); /* the one number it gives; -1 */

uint64_t db_disk_bytes(const struct db *d); /* of the file and its log */
