/* live.h - what is known now of every target: the newest sample of each, and since when it holds.
 *
 * Filled from the collector's messages (live_take), read by whoever answers: pages, streams,
 * exporters. Rows are in the order of their uid, which only grows, so a long answer can be made in
 * pieces: live_after(last uid). Strings are the row's own, raw bytes. One thread.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "model/trend.h"
#include "series/liveguard.h"
#include "wire/wire.h"

/* Fields of the front's own cost, beside the collector's in wire_self. */
enum live_self_field {
    LIVE_SELF_CPU_US,
    LIVE_SELF_RSS,
    LIVE_SELF_STORE_BYTES,   /* of the files on disk */
    LIVE_SELF_STORE_PENDING, /* bytes that wait in memory for the disk */
    LIVE_SELF_STORE_DROPPED, /* messages that never got to the disk */
    LIVE_SELF_STORE_ERRORS,  /* commits that failed */
    LIVE_SELF_STORE_BROKEN,  /* 1 while history cannot be written */
    LIVE_SELF_STORE_DAMAGED, /* chunks, rows and files that failed their checksum */
    LIVE_SELF_REQUESTS,      /* HTTP requests answered */
    LIVE_SELF_REFUSED,       /* ... and refused */
    LIVE_SELF_STREAMS,       /* open event streams */
    LIVE_SELF_N,
};

/* How much of something is left for now. */
struct live_rate {
    int64_t at_ms, left;
};

struct live_row {
    uint32_t uid;
    struct wire_target t;         /* its texts are owned by the row, a NUL follows each */
    int64_t series;               /* of the logical target: the same for all that bore this key */
    struct sample sample;         /* at_ms 0 until the first tick */
    int64_t changed_ms[METRIC_N]; /* the tick in which each metric last changed, came or went */
    int64_t told_ms;              /* when its identity last changed, after the tick before it */
    /* Kept over restarts, by the logical target: */
    uint64_t oom_kills;            /* all that were ever seen */
    int64_t killed_ms;             /* when the newest of them was; 0: not known, or none */
    uint64_t restarts;             /* instances and starts before this one since it is known */
    struct live_rate restart_rate; /* events of them that may be told */
    /* CPU use between the last two times that its CPU time moved or was looked at. */
    uint64_t cpu_us;
    int64_t cpu_at_ms;
    uint64_t cpu_centi; /* hundredths of a percent of one CPU */
    bool have_cpu;
    struct trend trend; /* of each round */
    bool trend_begun;   /* what was before it was here is in it too, or nobody knows it */
    /* What the trend told when it last told something new, and in which tick. Of live_moves. */
    struct trend_view moves;
    int64_t moved_ms, moves_block_ms;
    bool killed;              /* state_is_killed, at that look */
    struct live_guard *guard; /* NULL: nothing was told */
    void *labels;             /* of whoever renders it; freed with labels_free */
    /* the processes last told, as the body of the message */
    uint8_t *procs;
    size_t procs_n;
    char *texts; /* those of t */
};

struct live_gone {
    uint32_t uid;
    int64_t at_ms;
};

/* Who a target was that is gone, for OOM kills and what guards did that are told after its end, and
 * for the counters of those that had any. */
struct live_lost {
    uint32_t uid; /* LIVE_NO_UID: the numbers mean others by now */
    int64_t at_ms;
    int64_t series;
    uint64_t oom_kills;
    int64_t killed_ms;
    struct live_guard *guard; /* NULL: nothing was told */
    struct wire_target t;
    char *texts;
    void *labels;
};

#define LIVE_NO_UID UINT32_MAX

enum {
    LIVE_GONE = 256,          /* so many removals are remembered, for streams that resume */
    LIVE_LOST = 256,          /* and so many of who they were, first of all those with counters */
    LIVE_LOST_MS = 3600000,   /* for so long */
    LIVE_CPU_STILL_MS = 10000 /* CPU time that has not moved for so long: 0 % */
};

struct live {
    struct live_row **row; /* ascending by uid */
    size_t n, room;
    int64_t at_ms;    /* of the last tick */
    int64_t round_ms; /* of the last tick that looked at all */
    uint64_t wire_self[WIRE_SELF_N], self[LIVE_SELF_N];
    bool have_wire_self;
    struct live_gone gone[LIVE_GONE]; /* a ring */
    uint64_t gones;
    struct live_lost lost[LIVE_LOST]; /* in no order */
    size_t losts;
    uint64_t clears;                   /* grows by live_clear: uids mean something else since */
    int64_t started_ms;                /* of the agent */
    void (*labels_free)(void *labels); /* NULL: none */
};

void live_init(struct live *l);
void live_done(struct live *l);

/* A target came or changed; the row is new or the one of that uid. NULL: -ENOMEM. */
struct live_row *live_put(struct live *l, const struct wire_target *t);
/* It was started again in the same group: how it moves begins anew. */
void live_restart(struct live_row *row);
void live_remove(struct live *l, uint32_t uid, int64_t at_ms);
/* All of them, before a KEY tick: what was not told again is gone. The rings are emptied but for
 * those with counters. */
void live_clear(struct live *l);

/* Who had this number until a moment ago; NULL when nobody had, or it is there still. */
struct live_lost *live_lost(struct live *l, uint32_t uid);

/* Who was in this group last, of those that are gone. */
struct live_lost *live_lost_at(struct live *l, struct str path);

/* The row is of that logical target: what was counted of it by guards is its own. */
void live_set_series(struct live *l, struct live_row *row, int64_t series);

/* All OOM kills of a logical target (not 0), and when the newest was, for every row that is an
 * instance of it or was: a kill may be told when its group is gone, and the next one there. Rows
 * are told anew. A newest that is older than what is known changes nothing. */
void live_set_kills(struct live *l, int64_t series, uint64_t total, int64_t killed_ms);

/* Whether a row of that logical target is there again. */
bool live_has_series(const struct live *l, int64_t series);

/* Takes the changes of a tick: the message after its head was read. 0; -EBADMSG, with the changes
 * before the bad one taken. Changes of unknown uids are skipped. */
int live_tick(struct live *l, struct wire_in body);

/* Keeps the processes of a target. 0; -ENOMEM; -EBADMSG. */
int live_procs(struct live *l, struct wire_in body);

struct live_row *live_find(const struct live *l, uint32_t uid); /* NULL */
struct live_row *live_after(const struct live *l,
                            int64_t uid); /* the next larger; -1 starts; NULL */

/* The key of the logical target: what stays when it is made again. Appended to out: "host", or the
 * runtime, a colon (with the path of the container around it before another colon), and
 * namespace/pod/container, or the system's unit, or the name, or the path. Raw bytes. */
void live_add_key(struct buf *out, const struct wire_target *t);

/* The targets that a TARGET word means (the whole key, name, prefix of an id of 4 or more,
 * pod/container, namespace/pod/container, unit with or without .service, path, "host", pid as the
 * init's), as struct live_row *[] of at most `max`. How many there are, which may be more. */
size_t live_resolve(const struct live *l, struct str word, struct live_row **out, size_t max);

/* How it moves: looked at when somebody asks, and anew when a block of the trend is over.
 * Row->moved_ms tells since when that is so, and whether its newest OOM kill is lately: small
 * changes are none. */
const struct trend_view *live_moves(const struct live *l, struct live_row *row);

/* used of the limit in hundredths of a percent. */
bool live_used_pct(const struct live_row *row, uint64_t *centi_out);
