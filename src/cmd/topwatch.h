/* topwatch.h - which targets there are for `plimsoll top` without an agent, what they are called,
 * and what happens to them: joins discover, the tally of OOM kills and the log of events.
 */
#pragma once
#include "cmd/tophistory.h"
#include "cmd/toplog.h"
#include "discover/targets.h"
#include "engine/oomtally.h"
#include "net/loop.h"
#include "sampler/tick.h"

/* What is kept of a slot of the table of targets. */
struct seen {
    const struct target *target; /* NULL: nobody has the slot */
    uint64_t id;
    bool fresh; /* has come since the last tick */
    bool have_limit;
    uint64_t own_limit, run; /* run: which start of its first process; 0: not known */
    int64_t came_ms;         /* 0: it was there before us */
    char *key, *pod, *compose;
    uint64_t restarts, kills_before; /* since our start, of earlier instances under the key */
    uint64_t kills_told;             /* by the tally, of this one */
    int64_t killed_ms;               /* the newest under the key; 0: none */
    struct trend trend;
    struct trend_view view;
    int64_t viewed_ms; /* the block that was the newest at the last look */
    struct tophistory history;
    struct tui_row row;
};

struct topwatch {
    const struct host *host;
    const struct cgfs *fs;
    struct ticker *ticker;
    int64_t step_ms;   /* of histories */
    struct loop *loop; /* what comes, goes and is killed */
    struct targets *targets;
    struct oomtally *oom;
    uint64_t boot;
    struct seen *seen; /* by slot */
    uint32_t slots;
    uint64_t next_id;
    struct toplog log;
    bool begun;  /* what comes from now on is told as an event */
    bool failed; /* out of memory */
};

/* Finds what there is. host, fs and ticker are borrowed. 0 or -errno with a text; topwatch_close in
 * any case. */
int topwatch_open(struct topwatch *w, const struct host *host, const struct cgfs *fs,
                  struct ticker *ticker, int64_t step_ms, struct err *err);
void topwatch_close(struct topwatch *w); /* legal on a zeroed struct */

/* Takes in what has happened; never waits. Pointers into `seen` may move. 0 or -errno. */
int topwatch_update(struct topwatch *w, int64_t now_us);

/* Its limit as it is now: another one is told. */
void topwatch_limit(struct topwatch *w, struct seen *x, const struct sample *now);

/* NULL when it is gone. */
struct seen *topwatch_find(struct topwatch *w, uint64_t id);
