/* agentstream.h - the agent's event stream (/api/v1/stream), read without ever waiting.
 *
 * Connects by itself, and again after a pause when the connection is lost.
 */
#pragma once
#include "base/buf.h"

enum { AGENTSTREAM_EVENT_MAX = 64 << 20 };

struct agentstream {
    const char *socket; /* borrowed */
    int fd;             /* -1: not connected */
    bool past_head;
    unsigned status;  /* of the last answer that was none: 503 when there are too many; or 0 */
    struct buf text;  /* what was read and not told yet */
    size_t looked;    /* so far into it there is no newline */
    char event[32];   /* the name of the event that is being read */
    int64_t retry_us; /* not to be tried again before */
};

/* One event. `data` lives during the call. A negative result ends the connection. */
typedef int agentstream_fn(void *ctx, struct str event, struct str data);

void agentstream_init(struct agentstream *s, const char *socket);
void agentstream_done(struct agentstream *s);

/* Connects if need be, and tells what has come. The number of events, or -errno when there is no
 * connection now: it is tried again by a later call. */
int agentstream_poll(struct agentstream *s, agentstream_fn *fn, void *ctx);

/* Waits until there may be something to tell, at most until the moment on the monotonic clock. */
void agentstream_wait(const struct agentstream *s, int64_t until_us);

/* For tests: text as if it had been read. The number of events or -errno. */
int agentstream_feed(struct agentstream *s, struct str text, agentstream_fn *fn, void *ctx);
