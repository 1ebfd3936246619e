/* facts.h - what a guard sees of a group at one moment: all that it decides on. Plain data.
 *
 * Decisions are made from these and from what came of earlier actions, and from nothing else: who
 * has the recorded facts can make the same decisions again (guard/ladder.h).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum fact {
    FACT_USAGE,         /* bytes charged, page cache included: what the limit is compared with */
    FACT_USED,          /* bytes that reclaim cannot take (kern/limit.h) */
    FACT_LIMIT,         /* bytes: the effective limit */
    FACT_FILE,          /* bytes of page cache */
    FACT_REFAULTS,      /* pages of files read again after they were reclaimed, since its start */
    FACT_ANON,          /* bytes */
    FACT_UNDER_OOM,     /* v1: 1 while tasks wait for memory */
    FACT_KILL_DISABLED, /* v1: 1 when they wait instead of being killed */
    FACT_OOMS,          /* v2: times the limit could not be met, in it or below */
    FACT_OOM_KILLS,     /* v1: of this group and those below when read with GRIP_KILLS_BELOW */
    FACT_SOME_AVG10,    /* memory PSI, hundredths of a percent */
    FACT_FULL_AVG10,
    FACT_PGMAJFAULTS, /* since its start */
    FACT_LEVEL,       /* whose usage, used and limit these are: 0 the group's own, else those of the
                         group so many levels above it */
    FACT_OWN_USED,    /* bytes: what the group itself uses, whichever level the others are of */
    FACT_N,
};

struct facts {
    int64_t at_us; /* monotonic */
    uint32_t have; /* bit (1u << fact) */
    uint64_t value[FACT_N];
};

static inline bool facts_has(const struct facts *f, enum fact fact) {
    return f->have >> fact & 1;
}
