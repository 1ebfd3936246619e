/* guardfeed.h - the collector's end of what it has to say to the agent's guard, and hears from it.
 *
 * The guard asks (HELLO with a number of its own), and is told: START with that number, every
 * target, a KEY tick as the end of that; then what comes, changes and goes. What it was told in
 * answer to an older question it does not believe. Nothing here blocks: while the socket is full,
 * telling waits, and when something could not be told in time, all is told anew. Records of the
 * guard go on to the front as messages of the link.
 */
#pragma once
#include "net/loop.h"
#include "wire/wireact.h"

struct guardfeed;

struct guardfeed_caller {
    /* Targets by slot, as they would be told; false: nobody has that slot. */
    uint32_t (*slots)(void *ctx);
    bool (*target)(void *ctx, uint32_t slot, struct wire_target *out);
    /* The guard wrote a record; its uid is one of ours, or WIRE_UID_HOST. */
    void (*audit)(void *ctx, struct wire_audit *a);
    void (*acted)(void *ctx, const struct wire_acted *a);
    void *ctx;
};

/* fd: one end of a SOCK_SEQPACKET pair, stays the caller's. boot: of this collector. 0 or -errno.
 */
int guardfeed_new(struct loop *loop, int fd, uint64_t boot, const struct guardfeed_caller *caller,
                  struct guardfeed **out);
void guardfeed_free(struct guardfeed *f);

/* Targets are there to be told: from now on, and again when they were made anew. `settled`: with
 * the settings that are to stay; what is not told then is not guarded any more. NULL is fine for
 * these three. */
void guardfeed_begin(struct guardfeed *f, bool settled);
void guardfeed_stop(struct guardfeed *f); /* there are none now */
void guardfeed_target(struct guardfeed *f, uint32_t slot, const struct wire_target *t);
void guardfeed_gone(struct guardfeed *f, uint32_t slot, uint32_t uid);

/* Somebody asks for an action; the answer comes by `acted`, before this returns when there is no
 * guard to ask. */
void guardfeed_act(struct guardfeed *f, const struct wire_act *a);

/* What the guard says that it costs: the fields from WIRE_SELF_GUARDS on. */
void guardfeed_self(const struct guardfeed *f, int64_t now_us, uint64_t value[WIRE_SELF_N]);
