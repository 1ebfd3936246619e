/* brake.h - a group slowed down or stopped, and let go again. Mechanical: a few writes or signals,
 * no allocation, on their way far below a millisecond.
 *
 * Throttle: a CPU quota so small that even 2.5 GB/s need BRAKE_HOLD_US to fill what is left below
 * the limit, and on v2 memory.high a little above what is used now, which slows down who allocates.
 * A quota begins at the next tick of each processor, so a fast allocator goes on for up to 4 ms on
 * each; memory.high alone lets two of them through 10 % in 6 s. Without either it is refused, and
 * so it is while another guard slows the group down.
 * Pause: cgroup.freeze of the unified tree, which stops within 50 us and needs nobody's help, else
 * SIGSTOP to every process that was not stopped before. A warden holds the way back: at our end
 * everything goes on. To be sure of those signals takes up to BRAKESTOP_US. Useless once a group
 * hangs (v1 tasks that wait for memory are never frozen): refused then, as for a group that we are
 * in ourselves.
 */
#pragma once
#include "act/grip.h"
#include "act/warden.h"
#include "model/action.h"

enum { BRAKE_HOLD_US = 10000000, BRAKE_SIGNALLED = 8 };

enum brake_kind { BRAKE_NONE, BRAKE_THROTTLE, BRAKE_PAUSE };

/* What a file held and what we wrote; ours "": left alone. */
struct brake_file {
    char was[WARDEN_VALUE], ours[WARDEN_VALUE];
};

/* Zeroed: BRAKE_NONE. */
struct brake {
    enum brake_kind kind;
    int hold; /* of the warden */
    int64_t since_us;
    bool signalled; /* by SIGSTOP, not by cgroup.freeze */
    unsigned slot;  /* signalled: which list */
    struct brake_file quota, period, high, freeze;
};

/* Room shared by all groups of a guard, taken here and not later: the list of processes, and
 * BRAKE_SIGNALLED lists of those that are stopped by signal, so many groups at once. A warden that
 * is started after it is told of the lists all the same. 0 or -errno. */
struct brakes;
int brakes_new(struct brakes **out);
void brakes_free(struct brakes *b); /* lets nobody go: brake_release before */

/* 0 and *report; the report's outcome says more: `b` holds something only when it is DONE or
 * PARTLY. until_us: the warden lets go then (monotonic). One that is held already is refused. */
int brake_throttle(struct brakes *room, struct brake *b, struct grip *g, struct warden *w,
                   int64_t until_us, struct action_report *report);
int brake_pause(struct brakes *room, struct brake *b, struct grip *g, struct warden *w,
                int64_t until_us, struct action_report *report);
/* Lets go, and tells the warden; a file that reads as we did not leave it is left alone. 0, also
 * for BRAKE_NONE and when the group is gone; -errno when a file cannot be written: the warden is
 * asked to do it at once. `b` holds nothing afterwards. */
int brake_release(struct brakes *room, struct brake *b, struct grip *g, struct warden *w);
