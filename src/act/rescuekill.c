#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "act/killer.h"
#include "act/rescueint.h"
#include "base/clock.h"

enum {
    KILLS = 4, /* one after the other, as long as it hangs */
    ENDS_US = 3 * 1000000,
    STEP_MS = 20,
};

static bool is_empty(const struct rescue_run *r) {
    struct pidlist pids = {0};
    int s = grip_pids(r->g, &pids);
    size_t n = pids.n;

    pidlist_done(&pids);
    return s == -ENODEV || s == -ENOENT || (s == 0 && n == 0);
}

/* It hangs no more, or nothing is left in it. */
static bool await_end(struct rescue_run *r) {
    int64_t until = clock_mono_us() + ENDS_US;

    do {
        if (is_empty(r))
            return true;
        r->out->running = !rescue_hangs_now(r);
        if (r->out->running)
            return true;
        (void)poll(NULL, 0, STEP_MS);
    } while (clock_mono_us() < until);
    return false;
}

/* False: nobody was ended. */
static bool kill_one(struct rescue_run *r, struct killer *k) {
    struct action_report report = {.pid = 0};

    if (!rescue_begins(r, ACTION_KILL, 0, "it hangs, and nothing else has helped"))
        return false;
    (void)killer_kill(k, r->g, r->terms->policy, false, &report);
    if (report.outcome == OUTCOME_DONE)
        r->over = await_end(r); /* its memory is back then: that is recorded */
    rescue_ended(r, ACTION_KILL, &report);
    rescue_tell(r, "kill", "%s%s%s", report.text, report.next[0] ? "; would work: " : "",
                report.next);
    (void)str_copy(str_head(str_of(report.text), sizeof(r->killed) - 1), r->killed,
                   sizeof(r->killed));
    if (report.outcome != OUTCOME_DONE)
        return false;
    r->out->killed = report.pid;
    return true;
}

void rescue_kill(struct rescue_run *r, bool hangs) {
    struct killer *k = NULL;

    if (!r->terms->kill || is_empty(r) || !(hangs || rescue_hangs_now(r)))
        return;
    if (killer_new(&k) < 0) {
        rescue_tell(r, "kill", "no memory to choose whom");
        return;
    }
    for (int i = 0; i < KILLS && !r->over; i++)
        if (!kill_one(r, k))
            break;
    killer_free(k);
}

void rescue_would_kill(struct rescue_run *r, char *out, size_t size) {
    struct action_report report = {.pid = 0};
    struct killer *k = NULL;

    if (!r->terms->kill || killer_new(&k) < 0)
        return;
    (void)killer_kill(k, r->g, r->terms->policy, true, &report);
    (void)snprintf(out, size, "; if it still hangs then: %s", report.text);
    killer_free(k);
}
