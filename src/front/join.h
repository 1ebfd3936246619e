/* join.h - takes the collector's messages into the live table and the store.
 *
 * The same function takes them when they come and when the store's log is replayed, so both lead to
 * the same state. No I/O of its own.
 */
#pragma once
#include "front/events.h"

struct join {
    struct live *live;
    struct store *store;     /* NULL: no history; series are then made up */
    uint64_t boot, seq;      /* the collector's, and its last message that was taken */
    int64_t at_ms;           /* of the last tick */
    bool replaying, started; /* started: a START has been taken since join_init */
    bool end_of_tick;        /* the last message ended a tick */
    struct events events;
    struct buf text, identity;                 /* scratch */
    void (*oom)(void *ctx, struct str json);   /* a kill was told; not while replaying; or NULL */
    void (*audit)(void *ctx, struct str json); /* the same of a guard's record */
    void *ctx;
};

void join_init(struct join *j, struct live *live, struct store *store);
void join_done(struct join *j);

/* Replays the store's log: the state as of the last commit. 0 or -errno. */
int join_replay(struct join *j);

/* Takes a message. 0; 1 for a START with `ask` that wants a HELLO; -EBADMSG: not a message, or not
 * in order (the front then says HELLO again); -ENOMEM. */
int join_take(struct join *j, struct str message);

/* Gives the store the KEY that its log wants, if it wants one. */
void join_key(struct join *j, int64_t now_ms);
