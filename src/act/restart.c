#include "act/restart.h"

#include <assert.h>
#include <errno.h>

static const int64_t second = 1000000;

static const char *const names[RESTART_N] = {
    [RESTART_OOM] = "oom",
    [RESTART_FAILURE] = "failure",
    [RESTART_ALWAYS] = "always",
    [RESTART_NEVER] = "never",
};

static bool wanted(enum restart_policy policy, const struct exit_cause *cause) {
    if (cause->kind == EXIT_CAUSE_STOPPED || cause->kind == EXIT_CAUSE_NO_START)
        return false;
    switch (policy) {
    case RESTART_OOM:
        return cause->kind == EXIT_CAUSE_OOM || cause->kind == EXIT_CAUSE_OOM_CHILD;
    case RESTART_FAILURE:
        return cause->kind != EXIT_CAUSE_EXITED || cause->exit_code != 0;
    case RESTART_ALWAYS:
        return true;
    case RESTART_NEVER:
    case RESTART_N:
        break;
    }
    return false;
}

/* The place in the ring that the next restart goes to holds the one that was `max` restarts ago. */
static uint32_t slot_of(const struct restart *r) {
    return r->done % r->max;
}

static bool too_many(const struct restart *r, int64_t now_us) {
    if (r->max == RESTART_UNLIMITED)
        return false;
    if (r->max == 0 || r->window_us <= 0)
        return r->done >= r->max;
    return r->kept == r->max && now_us - r->at_us[slot_of(r)] < r->window_us;
}

static int64_t next_delay(const struct restart *r, int64_t ran_us) {
    int64_t first = r->first_us > 0 ? r->first_us : second;
    int64_t most = r->most_us > 0 ? r->most_us : 60 * second;

    if (most < first)
        most = first;
    if (r->delay_us == 0 || ran_us >= 60 * second)
        return first;
    return r->delay_us > most / 2 ? most : 2 * r->delay_us;
}

enum restart_answer restart_decide(struct restart *r, const struct exit_cause *cause,
                                   int64_t now_us, int64_t ran_us, int64_t *delay_out) {
    assert(r->max == RESTART_UNLIMITED || r->max <= RESTART_WINDOW_MAX);
    if (!wanted(r->policy, cause))
        return RESTART_END;
    if (too_many(r, now_us))
        return RESTART_GIVE_UP;
    if (r->max != RESTART_UNLIMITED) {
        r->at_us[slot_of(r)] = now_us;
        r->kept += r->kept < r->max;
    }
    r->done++;
    r->delay_us = *delay_out = next_delay(r, ran_us);
    return RESTART_AGAIN;
}

const char *restart_policy_name(enum restart_policy policy) {
    return names[policy];
}

int restart_parse_policy(struct str word, enum restart_policy *out) {
    for (unsigned i = 0; i < RESTART_N; i++) {
        if (!str_eq(word, str_of(names[i])))
            continue;
        *out = (enum restart_policy)i;
        return 0;
    }
    return -EBADMSG;
}
