/* ladder.h - which action is next: a pure state machine. Facts in, a decision out.
 *
 * A mark is passed when `used` (never cache) reaches it, and left when used falls LADDER_BACK_CENTI
 * of the limit below it. What stands in a passed mark's list is taken one after the other as long
 * as used stays above the mark; the highest passed mark comes first, then what lower ones have not
 * got to: a notify of any of them before all else. An action that may take long keeps others
 * waiting, but not the quick ones of a higher mark; a notify keeps nobody waiting. Nobody else is
 * ended before a kill has had its effect. When used was
 * below the mark since, and the cool-down is over, its list begins anew; when all of it was in
 * vain, after LADDER_REPEAT_US: of what holds the group after as long a time without that, of what
 * changes nothing (notify, dump) after twice the time of before each, up to LADDER_RARELY_S.
 *
 * A hang starts `rescue` at once where the policy has it, whatever the marks say; when that has
 * failed, or has not lasted twice, the list behind it is walked, and what hangs yet after
 * LADDER_RESCUE_US is rescued again: what was lacking may be there.
 *
 * Never reads a clock: facts carry the time. A look that changes nothing (*change) and decides
 * nothing leaves no trace, so that records of the others suffice to decide the same (replay.h).
 */
#pragma once
#include "model/audit.h"

enum {
    LADDER_BACK_CENTI = 500,
    LADDER_RELAPSE_US = 10000000, /* a hang so soon after a rescue: that rescue has not lasted */
    LADDER_RELAPSES = 2,
    LADDER_REPEAT_US = 10000000, /* a list that did not help begins anew after that */
    LADDER_RARELY_S = 3600,      /* ... and what changes nothing so often at least */
    LADDER_HOLD_US = 10000000,   /* so long a throttle or pause holds */
    LADDER_RESCUE_US = 60000000, /* a rescue that did not help */
    LADDER_MINUTES = 60,
};

struct ladder {
    const struct policy *policy;      /* borrowed */
    unsigned above;                   /* marks that are passed now: the first so many */
    unsigned step[POLICY_MARKS];      /* of each mark's list, the next to take */
    bool eased[POLICY_MARKS];         /* used was below the mark since the last step */
    int64_t stepped_us[POLICY_MARKS]; /* when the last step began */
    uint64_t used, limit;             /* at the last look */
    int64_t taken_us[POLICY_ACTIONS]; /* of all lists: when it was begun; 0: not above the mark */
    uint8_t times[POLICY_ACTIONS];    /* since used was below the mark */
    uint32_t owed;                    /* bits: a notify that others have passed by */
    bool busy;                        /* an action that takes long goes on: */
    enum action doing;
    unsigned doing_mark;
    bool term; /* a TERM has its grace */
    unsigned term_mark;
    bool killing;                                           /* a kill whose effect is awaited */
    int64_t started_us[ACTION_N];                           /* last start; 0: never */
    int64_t minute_at;                                      /* number of the newest bucket; */
    uint16_t minute[LADDER_MINUTES], kills[LADDER_MINUTES]; /* what was done in each */
    bool hung, hung_failed; /* failed: rescue is no way out of this hang */
    int64_t failed_us;      /* since then */
    int64_t rescued_us;
    unsigned relapses;
    unsigned bounded; /* decisions not taken because of the bound per hour, since the last taken */
    int64_t again_us; /* something is due then, without an event; 0: no */
};

struct decision {
    bool any;
    enum action action;
    unsigned mark; /* from 1; 0: a hang */
    char why[160]; /* "used 243M of 256M (95.0 %)" */
};

struct ladder_change {
    unsigned before, above; /* marks passed */
    bool hang;              /* it begins to hang, or no longer does */
    unsigned eased; /* from 1: used is below this mark, which is not left yet, since the last
                       step; 0: none is */
};

void ladder_init(struct ladder *l, const struct policy *p);

/* Takes in a look. h: the state of the hang detector at that look. At most one decision: the caller
 * carries it out, or begins to (ladder_begun), and asks again. */
void ladder_see(struct ladder *l, const struct facts *f, const struct hang *h,
                struct ladder_change *change, struct decision *out);

/* What was decided begins now, or somebody asked for it: mark 0. */
void ladder_begun(struct ladder *l, enum action action, unsigned mark, int64_t now_us);
/* ... and has ended. */
void ladder_ended(struct ladder *l, enum action action, unsigned mark, enum outcome outcome,
                  int64_t now_us);

/* Quick: a few writes or signals, done in the caller's loop (term's grace goes on beside); others
 * take their time elsewhere. */
bool ladder_is_quick(enum action action);

/* Whether an action that somebody asks for is within the bounds per hour and its cool-down. */
bool ladder_allows(struct ladder *l, enum action action, int64_t now_us);

/* Bytes of `used` at which the next mark upwards lies; 0: all are passed, or it is not known. */
uint64_t ladder_next_mark(const struct ladder *l, const struct facts *f);
