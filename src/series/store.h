/* store.h - the agent's history: on disk in SQLite, the newest part in memory.
 *
 * Ticks come in as changes (store_tick, store_put), are kept in memory per logical target and
 * closed into chunks by size and age. Until then they are safe in a log of the messages they came
 * from, committed at most every two seconds and replayed by whoever opens the store again. Chunks
 * are rolled up to minutes and hours; each level has its retention, and the whole has a cap. Plain
 * tables hold targets, OOM kills, events and processes. A disk that is full or broken stops history
 * and nothing else: what is to be written waits in memory up to a bound, and store_health tells. A
 * damaged database is set aside under another name and a new one begun, which is told as well. One
 * process, one thread; calls may block on the disk.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "model/sample.h"

enum { STORE_SCHEMA = 2 };

struct store_options {
    const char *dir;                    /* where plimsoll.db lies, as a path that stays valid */
    int64_t raw_ms, minute_ms, hour_ms; /* retention of each level */
    uint64_t max_bytes;                 /* of all files on disk; the oldest goes first */
    uint64_t memory;                    /* bytes for chunks that are still open, about */
    int64_t log_ms; /* the log is kept at least so long (remote writers read it) */
};

void store_defaults(struct store_options *out); /* 24 h, 30 d, 1 y, 2 GiB, 4 MiB, 0 */

struct store;

/* Opens or makes it. A damaged or foreign file is renamed to plimsoll.db.damaged-TIME (two of them
 * are kept), with a text in `told` (which may be NULL) and 0. A newer schema than ours is an error:
 * -EPROTONOSUPPORT; an older one is migrated. A file in use by another process, after two seconds:
 * -EBUSY; a folder that cannot be written: -EACCES ... Without room for a file it begins in memory,
 * told, and goes on trying. */
int store_open(const struct store_options *options, struct store **out, struct buf *told,
               struct err *err);
void store_close(struct store *s); /* commits what it can */

/* --- the log ---------------------------------------------------------------------------------- */

/* Gives every message of the log since the newest KEY that all open chunks need, in their order:
 * before anything else is called, and always. The callback feeds them to the same functions that
 * fed them the first time (store_tick, store_put ...), without store_log. KEYs that follow are left
 * out, but for one behind a loss: what is not in that one is gone. Chunks that were closed before
 * are not touched: nothing is there twice. */
int store_replay(struct store *s, int (*take)(void *ctx, struct str message), void *ctx);

/* The collector's boot and the number of its last message in the log; 0 when there is none, or when
 * the log was damaged so that the replay did not reach its end: all must be told anew. */
void store_last(const struct store *s, uint64_t *boot_out, uint64_t *seq_out);

/* Appends a message to the log, before or after it was taken, but in the same order. `boot` is the
 * collector's. It is safe after the next commit. */
int store_log(struct store *s, uint64_t boot, uint64_t seq, int64_t at_ms, struct str message);

/* Whether the log wants a KEY now (it begins here, something was lost, or five minutes passed).
 * Asked when a tick is whole, before store_commit: the caller then logs with store_log_key all
 * targets and a KEY tick made from what is known, as messages (store_log_add). */
bool store_wants_key(const struct store *s, int64_t now_ms);
int store_log_key(struct store *s, uint64_t boot, uint64_t seq, int64_t at_ms, struct str messages);

/* Reads the log after the row `after` (0: from its oldest KEY; a row that is gone: the oldest KEY
 * behind it): rows as "row id, flags, at_ms, length, messages" in out, whole rows up to about
 * max bytes, each message preceded by its length. See store_log_next. */
int store_log_read(struct store *s, int64_t after, size_t max, struct buf *out);

struct store_log_row {
    int64_t row, at_ms;
    bool key;            /* begins with all targets and a KEY tick */
    struct str messages; /* each a u32 length, little endian, and the message */
};

/* Adds a message as rows have them, its length before it: for store_log_key. */
void store_log_add(struct buf *out, struct str message);

/* Walks what store_log_read gave: 1, 0 at the end, -EBADMSG. */
int store_log_next(struct str *rest, struct store_log_row *out);
int store_log_message(struct str *messages, struct str *out); /* 1, 0, -EBADMSG */

/* --- writing ---------------------------------------------------------------------------------- */

/* The logical target of that key, made when it is new; identity is JSON of what it is called now
 * (web_add_identity; the last one is kept). -errno; the id is > 0. Works without a disk. */
int store_series(struct store *s, struct str key, struct str identity, int64_t now_ms,
                 int64_t *out);

/* One life of a logical target. */
struct store_life {
    struct str id;  /* of its engine, or its path */
    uint64_t group; /* which making of the group */
    uint64_t run;   /* which start in that group; 0: not known, which is that of before */
};

/* A life of it: counted the first time. The number of lives before it. 1: it is new; 0: it was
 * known. A run that is learnt later is none of its own. `fresh` false: from a replay, counted when
 * it was committed. */
int store_life(struct store *s, int64_t series, const struct store_life *life, bool fresh,
               uint64_t *restarts_out);

/* A tick; one of the same time as the last goes on with that. With `round` every series that is
 * alive (has had store_put and no store_gone) is sampled in it, changed or not; else only
 * those that store_put tells. After store_gone nothing is known of it any more. */
int store_tick(struct store *s, int64_t at_ms, bool round);
int store_put(struct store *s, int64_t series, uint64_t set, uint64_t lost,
              const uint64_t value[METRIC_N]);
int store_gone(struct store *s, int64_t series, int64_t at_ms);

/* What the kernel killed for memory. JSON of the details as the API gives them. The total of that
 * series in *total_out. `fresh` false: from a replay, already in the table when it was committed.
 */
int store_oom(struct store *s, int64_t series, int64_t at_ms, uint64_t kills, struct str json,
              bool fresh, uint64_t *total_out);
uint64_t store_oom_total(struct store *s, int64_t series);

/* Something else that happened to a target, of that kind ("start"), which is a word of at most
 * STORE_EVENT_KIND bytes; JSON of the details as the API gives them. Kept like OOM kills, and at
 * most STORE_EVENTS of them. Not to be called in a replay: it was in the table when its message was
 * in the log. */
enum { STORE_EVENT_KIND = 32, STORE_EVENTS = 50000 };
int store_event(struct store *s, int64_t series, int64_t at_ms, struct str kind, struct str json);

/* The processes of a target at a moment, as the body of the message. Kept for the raw retention. */
int store_procs(struct store *s, int64_t series, int64_t at_ms, struct str body);

/* Commits when 1.5 s passed since the last (ticks are a second apart at most: so none waits longer
 * than two), closes chunks, drops what is too old. The number of the last message that is safe (or
 * was given up) in *acked_out. Never fails: see store_health. Call it when a tick is whole, and
 * once with `force` before an orderly end. Not from within a callback of the store. */
void store_commit(struct store *s, int64_t now_ms, bool force, uint64_t *acked_out);

struct store_health {
    bool broken;            /* the last commit failed: what is told now is not on disk */
    char text[200];         /* why, and what is done about it; empty when not broken */
    uint64_t set_aside;     /* damaged files since it was opened, then too: another was begun */
    char notice[200];       /* of the last of them, with its new name; it stays */
    uint64_t errors;        /* commits that failed */
    uint64_t dropped;       /* messages given up for want of memory while the disk was away */
    uint64_t pending_bytes; /* wait in memory */
    uint64_t damaged; /* files set aside; chunks and rows that failed their checksum, each time they
                       are read */
    uint64_t disk_bytes, memory_bytes;
    int64_t oldest_ms; /* 0: nothing yet */
};

void store_health(struct store *s, struct store_health *out);

/* --- reading ---------------------------------------------------------------------------------- */

struct store_point {
    int64_t at_ms;
    uint64_t value, min, max, mean; /* value: the last in the step; raw points: all the same */
};

struct store_points {
    struct store_point *p;
    size_t n, room;
    bool cut; /* there were more than the caller's maximum */
};

void store_points_done(struct store_points *p);

/* One metric of one series in [from, to], oldest first; unknown is no point. step_ms 0: every
 * sample; else one point for each step that has any, its time the multiple of step_ms that begins
 * it, from raw samples, minutes or hours, whichever is the coarsest that the step allows and the
 * range needs. Where finer levels are gone already, coarser ones answer whatever the step is, with
 * the times of their own steps. The mean of coarse levels is the mean of their minutes' means. 0;
 * -ENOENT: no such series; -ENOMEM. */
int store_range(struct store *s, int64_t series, enum metric metric, int64_t from_ms, int64_t to_ms,
                int64_t step_ms, size_t max, struct store_points *out);

/* All metrics of a series as of a moment: the last sample at or before it, at most 15 s older.
 * Where samples are gone already, the minute or hour that the moment is in, as of its end.
 * -ENODATA: none. */
int store_at(struct store *s, int64_t series, int64_t at_ms, struct sample *out);

struct store_target {
    int64_t series;
    struct str key, identity; /* valid until the callback returns or calls the store */
    int64_t first_ms, last_ms;
    uint64_t oom_kills, instances;
};

/* Every logical target that was alive in [from, to]; nonzero of the callback ends it. One that was
 * not told gone is alive since its last tick too, however long ago that was. */
int store_targets(struct store *s, int64_t from_ms, int64_t to_ms,
                  int (*take)(void *ctx, const struct store_target *t), void *ctx);

/* The newest processes at or before the moment, at most 2 min older. -ENODATA. */
int store_procs_at(struct store *s, int64_t series, int64_t at_ms, int64_t *at_out,
                   struct buf *body_out);

/* OOM kills in [from, to], newest first, at most `max`; series 0: of all. id 0: not committed yet.
 */
int store_ooms(struct store *s, int64_t series, int64_t from_ms, int64_t to_ms, size_t max,
               int (*take)(void *ctx, int64_t id, int64_t series, int64_t at_ms, uint64_t kills,
                           struct str json),
               void *ctx);

struct store_event {
    int64_t series, at_ms;
    struct str kind, json; /* valid until the callback returns or calls the store */
};

/* Events in [from, to], newest first; series 0: of all. Nonzero of the callback ends it. */
int store_events(struct store *s, int64_t series, int64_t from_ms, int64_t to_ms,
                 int (*take)(void *ctx, const struct store_event *e), void *ctx);
