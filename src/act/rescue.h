/* rescue.h - a group that hangs at its limit brought back to work without losing its program.
 *
 * Dump; write a limit into Go's runtime and make it collect (works while it waits for memory); lend
 * memory, LEND_FIRST and doubling within the budget, until it runs; make the other runtimes
 * collect; take the loan back; watch whether it hangs again. A container engine's exec that is
 * stuck inside (runc init) is ended first: as long as it waits, the engine's own stop does nothing.
 * Only when all that does not last, and it is asked for, the process that is to blame is killed.
 * Never done: ptrace of a task that waits (D), moving tasks to another group, the v1 freezer,
 * exec or stop by the engine, memory.max below usage.
 */
#pragma once
#include "act/dump.h"
#include "act/lend.h"
#include "model/hang.h"

enum { RESCUE_TRIES = 3 }; /* loans, each larger than the one before */

struct rescue_terms {
    const struct policy *policy; /* inject, lend, rt_limit, dry_run, protect, prefer, kill_init */
    struct warden *warden;       /* NULL is fine for a dry run */
    const char *dump_dir;        /* NULL: no dump */
    const char *agent_socket;    /* for the dump; NULL: none */
    const struct audit *why;     /* for the dump; may be NULL */
    bool force;                  /* also when no hang is seen */
    bool kill;                   /* when it still hangs in the end: whom the policy chooses */
    bool hung;                   /* somebody has seen the hang already: `seen` */
    struct hang seen;
    int64_t deadline_us; /* on the monotonic clock, for all of it; the loan's too */
    int64_t watch_us;    /* after it runs again: so long without a hang is a success */
    void (*tell)(void *ctx, const char *step, const char *text); /* progress; may be NULL */
    /* Each thing that is done to the group, before (report NULL) and after: for the audit. pid 0:
     * about none alone. May be NULL. -errno before: it is not done (but what is lent is taken
     * back). */
    int (*acts)(void *ctx, enum action action, int32_t pid, const char *why,
                const struct action_report *report);
    void *ctx;
};

struct rescue_result {
    struct hang hang;             /* as found; NONE: nothing was done, unless forced */
    uint64_t limit;               /* the one it hangs at, as it was; 0: none */
    uint64_t lent_peak, lent_now; /* bytes; lent_now: could not be taken back yet */
    uint64_t needs; /* a limit that would do, as far as can be told; 0: `limit` does */
    unsigned stuck_execs, collected; /* ended; processes whose garbage was collected */
    int32_t killed;                  /* the last one that was, since nothing else helped; 0: none */
    bool gone;                       /* the group, meanwhile */
    bool running;                    /* it runs, and has not hung again within watch_us */
    bool restored;                   /* all limits are what they were */
    int64_t running_us;              /* from the start until it ran again; 0: it does not */
};

/* Blocks; forks children (collections). 0 and *report, *result. */
int rescue_run(struct grip *g, const struct rescue_terms *terms, struct rescue_result *result,
               struct action_report *report);
