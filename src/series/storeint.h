/* storeint.h - what the files of the store share: its struct, and what each does for the others.
 *
 * registry: logical targets in memory and in their table. pending: what waits for a commit.
 * storelog, replay: the log. rollup: minutes, hours, retention and the cap. query, tables: reading.
 * closing: heads to chunks. events: their table. store: ticks and commits.
 */
#pragma once
#include <zstd.h>

#include "base/hash.h"
#include "series/chunk.h"
#include "series/crc32c.h"
#include "series/db.h"
#include "series/head.h"
#include "series/store.h"

enum {
    STORE_SEEN = 8,                /* instances that are remembered one by one */
    STORE_PENDING_MAX = 16 << 20,  /* bytes that wait for the disk */
    STORE_COMMIT_MS = 2000,        /* what a kill may cost */
    STORE_KEY_MS = 5 * 60 * 1000,  /* between two KEYs */
    STORE_AGE_MS = 30 * 60 * 1000, /* of a head when it is closed */
    STORE_GONE_MS = 60 * 1000,     /* a head whose target is gone is closed after */
    STORE_FRESH_MS = 15 * 1000,    /* a sample answers for so long after it */
    STORE_PROCS_MS = 2 * 60 * 1000,
    STORE_LEVELS = 3,
};

/* A logical target. */
struct series {
    struct series *next_by_key, *next_by_id;
    int64_t id;
    uint64_t key_hash;
    char *key, *identity; /* malloc'ed */
    size_t key_n, identity_n;
    int64_t first_ms, last_ms;
    uint64_t oom_kills, instances;
    uint64_t seen[STORE_SEEN];  /* hashes of the newest instances, the newest first */
    uint64_t closed_tick;       /* up to it everything is in chunks */
    uint64_t chunks;            /* raw chunks that were ever made of it */
    int64_t raw_to;             /* time of the last sample in a chunk */
    int64_t minute_to, hour_to; /* before them everything is rolled up */
    bool dirty;                 /* its row is to be written */
    bool full;                  /* waits in store.full */
    uint64_t in_key;            /* the KEY of a replay that it was last in */
    int64_t age_ms;             /* so old its head may become */
    struct head head;
    int64_t gone_ms;
    /* The processes last told: not written again while they stay the same. */
    uint64_t procs_hash;
    int64_t procs_at, procs_until, procs_saved;
};

/* What waits for a commit. */
enum item_kind { ITEM_LOG, ITEM_CHUNK, ITEM_OOM, ITEM_EVENT, ITEM_PROCS, ITEM_PROCS_UNTIL };

struct item {
    struct item *next;
    enum item_kind kind;
    int64_t series, from_ms, to_ms; /* OOM, EVENT, PROCS: from_ms is at_ms */
    uint64_t number; /* CHUNK: its number; OOM: kills; LOG: messages in it; EVENT: length of the
                        kind, which is in front of the JSON */
    /* of LOG */
    uint64_t boot, seq_from, seq_to, tick_from, tick_to, need;
    unsigned flags;
    uint32_t size; /* LOG, PROCS: before compression */
    size_t n;
    char body[];
};

struct queue {
    struct item *first, **end;
    size_t bytes;
};

enum { LOG_KEY = 1 << 0, LOG_BEGIN = 1 << 1, LOG_RESYNC = 1 << 2 };

struct log_key {
    int64_t row, at_ms;
    uint64_t tick, need;
};

enum log_state {
    LOG_EMPTY, /* nothing was ever logged: the first row is a beginning */
    LOG_GOOD,
    LOG_LOST, /* something is missing: nothing is logged before the next KEY */
};

struct log {
    enum log_state state;
    struct buf raw; /* messages of the row that is being made */
    uint64_t messages, boot, seq_from, seq_to;
    uint64_t tick_to; /* up to it ticks are in rows */
    int64_t at_ms;
    int64_t next_row;
    uint64_t last_boot, last_seq; /* in the file when it was opened */
    uint64_t given_up;            /* number of the last message that was dropped */
    uint64_t acked;
    int64_t key_ms;
    bool have_key;
    struct log_key *key; /* rows that a replay may begin with */
    size_t keys, keys_room;
};

struct store {
    struct store_options options;
    struct db db;
    char error[200];  /* why the last commit failed; empty: it did not */
    char notice[200]; /* of the last file that was set aside */
    uint64_t disk_bytes;
    int64_t oldest_ms;
    bool unclean; /* a transaction failed since the last that did not */
    uint64_t errors, dropped, damaged, set_aside;

    struct hash_key hash;
    struct series **series;
    size_t n_series, series_room;
    struct series **by_key, **by_id;
    size_t buckets;
    int64_t last_series;
    size_t cursor; /* of the scan for old heads */
    struct series **full;
    size_t n_full, full_room;

    struct head_ticks ticks;
    bool pinned;         /* a KEY is being replayed: its tick has its number already */
    bool key_base;       /* ... and is where the replay begins */
    uint64_t key_number; /* counts them */
    uint64_t flush_tick; /* heads that begin before it are closed soon: the log has not all */
    int64_t commit_ms, scan_ms, sweep_ms; /* when each was last done */
    bool shrink;                          /* the cap is met: the oldest goes */
    struct undo {                         /* what a commit that fails did not do */
        struct series *series;
        int64_t minute_to, hour_to;
    } undo[2];
    unsigned undos;

    struct log log;
    struct queue log_queue, data_queue;
    ZSTD_CCtx *zip;
    struct buf scratch, chunk;
};

/* --- registry --------------------------------------------------------------------------------- */

int registry_init(struct store *s);
void registry_done(struct store *s);
int registry_find(struct store *s, int64_t id, struct series **out); /* -ENOENT */
struct series *registry_has(const struct store *s, int64_t id);      /* in memory; NULL */
int registry_find_key(struct store *s, struct str key, struct series **out);
int registry_add(struct store *s, struct str key, int64_t now_ms, struct series **out);
int registry_set_identity(struct store *s, struct series *e, struct str identity);
void registry_evict(struct store *s, size_t place);
int registry_write(struct store *s);    /* all that are dirty; they stay so until ... */
void registry_written(struct store *s); /* ... the commit is done */
void registry_all_dirty(struct store *s);
/* Reads a row of a statement that selects SERIES_COLUMNS; texts are the statement's. -EBADMSG. */
int registry_read_row(struct store *s, sqlite3_stmt *st, struct series *out);

/* --- pending ---------------------------------------------------------------------------------- */

void queue_init(struct queue *q);
void queue_clear(struct queue *q);
struct item *queue_add(struct queue *q, enum item_kind kind, struct str body); /* NULL: -ENOMEM */
void queue_drop_first(struct queue *q);
int queue_write(struct store *s, const struct queue *q);

/* zstd, and back: exactly `size` bytes. */
int pack(struct store *s, struct str text, struct buf *out);
int unpack(struct str text, size_t size, struct buf *out);

/* Sums of rows, so that a damaged one is told. */
uint32_t sum_number(uint32_t sum, int64_t value);
uint32_t chunk_row_sum(int64_t series, int64_t from_ms, int64_t to_ms, int64_t number,
                       struct str body);

/* --- log -------------------------------------------------------------------------------------- */

void log_init(struct store *s);
void log_done(struct store *s);
int log_load(struct store *s);     /* after the file was opened */
void log_seal(struct store *s);    /* what was logged becomes a row that waits */
void log_give_up(struct store *s); /* makes room: the oldest goes */
void log_restart(struct store *s); /* another file: it begins anew */
int log_write(struct store *s, const struct item *item, int64_t row);
void log_committed(struct store *s);
int log_trim(struct store *s, int64_t now_ms);

/* Columns of DB_LOG_AFTER and DB_LOG_PUT. */
enum { LOG_ROW_NUMBERS = 10 };

struct log_row {
    int64_t number[LOG_ROW_NUMBERS]; /* id, boot, seq_from, seq_to, at_ms, flags, tick_from,
                                    tick_to, need, size */
    struct str body;
};

/* A row of DB_LOG_AFTER, its messages unpacked into out. -EBADMSG: damaged. */
int log_read_row(struct store *s, sqlite3_stmt *st, struct log_row *row, struct buf *out);

/* The newest row from which everything that is in memory alone can be had again, and that is old
 * enough for readers, in log.key: -1 none. */
ptrdiff_t log_base(const struct log *l, uint64_t need, int64_t before_ms);

/* --- rollup ----------------------------------------------------------------------------------- */

int64_t rollup_span(const struct store *s, unsigned level); /* of a chunk of that level, ms */
/* A bounded piece of work each, within a transaction and before the queues are written. */
int rollup_some(struct store *s, int64_t now_ms);
void rollup_undo(struct store *s);
int retain_some(struct store *s, int64_t now_ms);
void rollup_begin(struct store *s, struct series *e, int64_t from_ms); /* of its first sample */

/* --- reading ---------------------------------------------------------------------------------- */

enum { LEVEL_RAW, LEVEL_MINUTE, LEVEL_HOUR };

static const int64_t level_step[STORE_LEVELS] = {0, 60 * 1000, 3600 * 1000};

/* Chunks of a series that overlap [from, to], those that wait included, oldest first. The callback
 * returns nonzero to end it. Damaged ones are counted and left out. */
int chunks_in(struct store *s, int64_t series, unsigned level, int64_t from_ms, int64_t to_ms,
              int (*take)(void *ctx, const struct chunk *c), void *ctx);

/* --- closing ---------------------------------------------------------------------------------- */

void closing_note(struct store *s, struct series *e); /* its head grew */

/* What is full; a part of all series, of which what is old is closed, and what is dead and written
 * forgotten; heads that the log cannot bring back any more. Each closes a few at a time. */
void closing_full(struct store *s);
void closing_old(struct store *s);
void closing_unlogged(struct store *s, unsigned at_once);

/* --- store ------------------------------------------------------------------------------------ */

uint64_t store_need(const struct store *s); /* the first tick that is in memory alone */
void store_gone_but_key(struct store *s);   /* what the KEY that was replayed has not */

/* --- events ----------------------------------------------------------------------------------- */

int event_write(struct store *s, const struct item *item);
int events_sweep(struct store *s, int64_t before_ms);

/* --- tables ----------------------------------------------------------------------------------- */

int procs_flush(struct store *s, struct series *e); /* how long the newest processes held */
