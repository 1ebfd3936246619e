/* cdp.h - the DevTools protocol, as V8's inspector speaks it: JSON calls with a number over a
 * WebSocket, answers with the same number, events in between.
 *
 * Whoever listens there may be hostile: messages are bounded in bytes, depth and number of values
 * before they are parsed, answers to what was not asked are dropped, and everything ends at the
 * deadline.
 */
#pragma once
#include <jansson.h>

#include "net/websocket.h"

enum {
    CDP_MESSAGE_MAX = 32 << 20,
    CDP_DEPTH_MAX = 1000,     /* a stack of V8's sampling profile has 128 frames at most */
    CDP_VALUES_MAX = 1000000, /* of one message */
};

/* --- pure --- */

/* Parses a message. 0 and a new reference; -EFBIG beyond the bounds; -EBADMSG when it is no JSON
 * object; -ENOMEM. */
int cdp_parse(struct str text, json_t **out);

/* {"id":..,"method":..,"params":..}; `params` may be NULL. 0 or -ENOMEM, -EFBIG. */
int cdp_add_call(struct buf *out, uint64_t id, const char *method, const json_t *params);

/* The member of an object at a path "result.result.value", borrowed, or NULL. */
const json_t *cdp_at(const json_t *from, const char *path);
struct str cdp_text(const json_t *from, const char *path); /* "" when it is no string */

/* --- a session --- */

struct cdp {
    int fd; /* owned */
    struct websocket ws;
    uint64_t last_id;
    char said[200]; /* the other side's own words, when a call is -EREMOTEIO */
    /* What events go to; may be NULL. A negative result ends the call with it. */
    int (*event)(void *ctx, struct str method, const json_t *params);
    void *ctx;
};

/* Takes the descriptor, also on failure. 0; as websocket_open. */
int cdp_open(struct cdp *c, int fd, const char *host, const char *path, int64_t deadline_us);
void cdp_done(struct cdp *c); /* closes; legal on one that was set to CDP_NONE */
#define CDP_NONE ((struct cdp){.fd = -1})

/* Calls and waits for the answer. `params` is taken, NULL: none. 0 and *result (a new reference,
 * may be NULL when not wanted); -EREMOTEIO when it answered with an error (see said); -EPIPE when
 * the other side has closed; -ETIMEDOUT; -EBADMSG, -EFBIG. */
int cdp_call(struct cdp *c, const char *method, json_t *params, int64_t deadline_us,
             json_t **result);

/* Calls without waiting. */
int cdp_send(struct cdp *c, const char *method, json_t *params, int64_t deadline_us);

/* Reads what comes until `done(ctx)`; answers are dropped, events are delivered. As cdp_call. */
int cdp_wait(struct cdp *c, bool (*done)(void *ctx), int64_t deadline_us);

/* Runtime.evaluate with the value given back: 0 and *value, a new reference. An exception in the
 * program is -EREMOTEIO. */
int cdp_evaluate(struct cdp *c, const char *expression, int64_t deadline_us, json_t **value);
