/* replay.h - the log's messages become samples at even steps of time.
 *
 * Keeps what is known of every target as of the last message (series/live.h), and at each multiple
 * of the interval gives all of it, as requests of whole targets in the order of their uid. A sample
 * tells what was known at its time, which is the multiple itself: a replay of the same messages
 * gives the same times and values, so what was given up to the cursor is left out, and what is sent
 * twice is the same. A series that ends (its target is gone, its value is no longer known, or
 * nothing was recorded for REPLAY_FRESH_MS) gets a stale marker. No I/O.
 */
#pragma once
#include "remote/cursor.h"
#include "remote/prw.h"
#include "series/live.h"
#include "series/store.h"

enum {
    REPLAY_FRESH_MS = 15000,         /* what is older is not known any more, as with --at */
    REPLAY_BACK_MS = 10 * 60 * 1000, /* a clock set back so far makes us begin there anew */
};

/* Takes a request that is ready; *c is the cursor for when it is served. 0, or what replay_row is
 * to return at once: the replay cannot go on then. */
typedef int replay_give(void *ctx, const struct prw *request, const struct cursor *c);

struct replay_options {
    int64_t interval_ms;
    struct prw_label label[PRW_LABELS]; /* beside the target's own, and weaker; borrowed */
    unsigned labels;
    replay_give *give;
    void *ctx;
};

struct replay_counts {
    uint64_t bad;                   /* messages that could not be read */
    uint64_t gaps;                  /* times that a part of the log was missing */
    int64_t gap_from_ms, gap_to_ms; /* the last one */
    uint64_t set_back;              /* times that the clock was set back by much */
};

struct replay;

int replay_new(const struct replay_options *options, const struct cursor *from,
               struct replay **out); /* 0 or -ENOMEM */
void replay_free(struct replay *r);

/* The row behind which the log is wanted. */
int64_t replay_after(const struct replay *r);

/* The log begins anew, or elsewhere: whatever comes next is taken, from its first KEY on. */
void replay_lose(struct replay *r);

/* Takes a row. 0; -ENOMEM; what `give` returned. */
int replay_row(struct replay *r, const struct store_log_row *row);

const struct replay_counts *replay_counts(const struct replay *r);
size_t replay_targets(const struct replay *r);
int64_t replay_at_ms(const struct replay *r); /* of the last tick; 0: none */
