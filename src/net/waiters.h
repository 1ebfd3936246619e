/* waiters.h - those who have connected to a socket of ours and wait to be told: a byte each time.
 *
 * A bounded number; further ones wait in the kernel's queue, unread and in peace, until one leaves.
 * What they write means nothing: a piece of it is read a second, and dropped. Who comes and goes so
 * much that it would cost us time waits for the next second, and so do those who come then. Nobody
 * is ever waited for, and nothing is allocated once it is made.
 */
#pragma once
#include <stdbool.h>

#include "net/loop.h"

enum {
    WAITERS_TAKEN = 8192, /* so many are taken from the kernel's queue within a second, */
    WAITERS_ASKED = 2048, /* of which so many that have not left again: `admit` is asked */
};

struct waiters;

struct waiters_options {
    struct loop *loop;
    int listener; /* listens, non-blocking; stays the caller's, and open until waiters_free */
    unsigned most;
    bool (*admit)(void *ctx, unsigned number, int fd); /* NULL: everybody. False: hung up on */
    void (*came)(void *ctx, unsigned number);          /* NULL: no matter */
    void (*left)(void *ctx);                           /* NULL: no matter. Not while it is freed */
    void *ctx;
};

int waiters_new(const struct waiters_options *o, struct waiters **out); /* 0 or -errno */
void waiters_free(struct waiters *w);                                   /* hangs up; NULL is fine */

unsigned waiters_count(const struct waiters *w);
bool waiters_has(const struct waiters *w, unsigned number); /* below `most` */

/* Whether it is told: now, or before and it has not read that yet: then it gets no second byte. Who
 * is gone is dropped. */
bool waiters_tell(struct waiters *w, unsigned number);
