/* nodecount.h - the objects of a Node program by constructor, asked through its inspector. Two
 * ways:
 *
 * Counted (node_count_objects): V8 lists all objects that inherit from Object.prototype, after a
 *   collection, and a function of ours in the program counts them by the constructor that their
 *   prototype names. Costs about 100 bytes an object for the time of it. No sizes; no strings,
 * code, objects without a prototype or of other contexts (vm). Weighed (node_weigh_objects): a heap
 * snapshot, read as it streams by (nodesnap.h). Everything there is, with sizes: but what the
 * program needs for it was measured to be 8 to 14 times heap_used (Node 20, small objects), and
 * malloc keeps most of that afterwards.
 */
#pragma once
#include "runtime/cdp.h"
#include "runtime/heapview.h"

enum {
    NODE_COUNT_FACTOR = 2, /* of heap_used: room that the ways need, at most */
    NODE_WEIGH_FACTOR = 16,
};

/* Gets hold of Node's modules v8 and util from a fresh turn of the event loop, where loading a
 * module cannot come amid another's: 0 and V8's name for an object { v8, types }; -EREMOTEIO,
 * -ETIMEDOUT when the loop does not come round, -EPIPE, -EBADMSG. */
enum { NODE_KIT = 128 };
int node_get_kit(struct cdp *c, int64_t deadline_us, char out[NODE_KIT]);

/* Calls a function in the program with the kit as `this`: 0 and its value, a new reference. */
int node_with_kit(struct cdp *c, const char *kit, const char *function, int64_t deadline_us,
                  json_t **value);

/* How many worker threads the program has, each with a heap of its own that is not ours to see. 0
 * also when it does not tell. */
unsigned node_count_workers(struct cdp *c, int64_t deadline_us);

/* 0 and rows added; -EREMOTEIO (see said), -ETIMEDOUT, -EPIPE, -EBADMSG, -E2BIG, -ENOMEM. */
int node_count_objects(struct cdp *c, const char *kit, int64_t deadline_us, struct tally *into);
int node_weigh_objects(struct cdp *c, int64_t deadline_us, struct tally *into);
