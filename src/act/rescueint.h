/* rescueint.h - inside of a rescue: looks at the group, and what is told of each step.
 */
#pragma once
#include "act/rescue.h"

struct rescuego;

struct rescue_run {
    struct grip *g;
    const struct rescue_terms *terms;
    struct rescue_result *out;
    struct rescuego *go; /* NULL: none */
    struct lend loan;
    unsigned level;        /* of the grip: whose limit it hangs at */
    uint64_t budget, size; /* that may be lent; that is tried now */
    bool refused;          /* the last collection was: perhaps for want of room */
    bool unrecorded;       /* something was not done, since no record of it could be made */
    int64_t began_us;
    char file[REPORT_FILE]; /* the dump */
    char killed[200];       /* what is said of the last kill; "" */
    bool over;              /* since then it does not hang, or nothing is left in it */
};

/* Until it is certain. 1: it hangs at its limit, or would have to be forced; 0: it does not; -errno
 * (-ENODEV: gone). */
int rescue_observe(struct rescue_run *r);

/* After a loan: whether it runs. Waits for Go's collection as long as that may come. */
bool rescue_await(struct rescue_run *r);

/* Whether what reclaim cannot take is below the limit as it was. */
bool rescue_fits(struct rescue_run *r);

/* Whether it hangs at this moment: some 100 ms of looking. */
bool rescue_hangs_now(struct rescue_run *r);

/* Watches for the time that was asked for: whether it does not hang again. */
bool rescue_stays(struct rescue_run *r);

/* Whether there is anything to collect but the Go programs whose words are held. */
bool rescue_has_others(struct rescue_run *r);

/* Ends whom the policy chooses, one after the other, when that was asked for and it still hangs.
 * hangs: that was seen just now. */
void rescue_kill(struct rescue_run *r, bool hangs);
/* What would be done so, for a dry run; nothing when it was not asked for. */
void rescue_would_kill(struct rescue_run *r, char *out, size_t size);

void rescue_tell(const struct rescue_run *r, const char *step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* False: it could not be recorded, and is not to be done. */
bool rescue_begins(struct rescue_run *r, enum action action, int32_t pid, const char *why);
void rescue_ended(const struct rescue_run *r, enum action action,
                  const struct action_report *report);
void rescue_size(uint64_t bytes, char *out, size_t size); /* "16.0M" */
