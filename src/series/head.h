/* head.h - the samples of one logical target that are not in a chunk yet: records of what changed.
 *
 * The ticks of all targets are one array of times; a head keeps what its target was like when it
 * was opened and a record for each tick in which something changed. In a round every target that is
 * alive is sampled, so a target that stands still costs nothing. Ticks are numbered from the first
 * day of the database on, whatever the clock does.
 */
#pragma once
#include "base/buf.h"
#include "model/sample.h"

struct head_ticks {
    int64_t *at; /* at_ms << 1 | round */
    size_t n, room;
    uint64_t first; /* number of at[0] */
};

void head_ticks_done(struct head_ticks *t);

/* Number of the newest; first - 1 when there is none. */
static inline uint64_t head_tick_now(const struct head_ticks *t) {
    return t->first + t->n - 1;
}

static inline int64_t head_tick_at(const struct head_ticks *t, uint64_t tick) {
    return t->at[tick - t->first] >> 1;
}

static inline bool head_tick_round(const struct head_ticks *t, uint64_t tick) {
    return t->at[tick - t->first] & 1;
}

int head_ticks_add(struct head_ticks *t, int64_t at_ms, bool round); /* -ENOMEM */

/* Goes on at that number: the ticks between are known to nobody and no round. */
int head_ticks_skip(struct head_ticks *t, uint64_t tick, int64_t at_ms);

/* Forgets what is before that number. */
void head_ticks_trim(struct head_ticks *t, uint64_t tick);

struct head {
    bool open, alive;
    uint64_t first;  /* number of the first tick in it */
    uint64_t newest; /* tick of the last record */
    uint64_t have;   /* what is known now ... */
    uint64_t value[METRIC_N];
    uint64_t ever;  /* what was known at any time since it was opened */
    uint64_t moved; /* what came, went or changed since it was opened */
    struct buf record;
};

void head_init(struct head *h);
void head_done(struct head *h);

/* Begins at that tick with what is known now. What was in it is dropped. -ENOMEM. */
int head_open(struct head *h, uint64_t tick);

/* Closes it: the records are gone, what is known now stays. */
void head_close(struct head *h);

/* What a tick tells of the target; not open: what is known now changes, nothing else. */
int head_put(struct head *h, uint64_t tick, uint64_t set, uint64_t lost,
             const uint64_t value[METRIC_N]);

/* It is not sampled in what follows that tick, and nothing is known of it any more. */
int head_gone(struct head *h, uint64_t tick);

/* Walks the samples from the first to the last tick. */
struct head_walk {
    const struct head *head;
    const struct head_ticks *ticks;
    struct str rest;
    uint64_t tick, last;     /* the next one to be looked at, the last one */
    uint64_t next;           /* tick of the next record */
    bool have_record, alive; /* there is a next record */
    struct sample now;
};

void head_walk_init(struct head_walk *w, const struct head *h, const struct head_ticks *ticks);
bool head_walk_next(struct head_walk *w); /* the next sample is in w->now; false at the end */

/* Makes a chunk of the samples from number `skip` on, as many as are in ascending order, within an
 * hour and at most HEAD_CHUNK. How many there are in it; 0: none left; -ENOMEM. */
enum { HEAD_CHUNK = 8192, HEAD_SPAN_MS = 3600 * 1000 };

int head_chunk(const struct head *h, const struct head_ticks *ticks, size_t skip, struct buf *out);
