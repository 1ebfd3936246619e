/* restart.h - whether to start again, and when: pure.
 *
 * Back-off first, 2 x first ... up to the longest; after 60 s of health it begins anew. At most
 * `max` restarts within `window`.
 *
 * Policies: "oom" starts again after an OOM kill, of the program or of the child that a wrapper
 * waited for; "failure" after every end but exit code 0, as Docker's on-failure does, so also after
 * a TERM that somebody else sent; "always" after exit code 0 too.
 */
#pragma once
#include "act/exitcause.h"

enum restart_policy { RESTART_OOM, RESTART_FAILURE, RESTART_ALWAYS, RESTART_NEVER, RESTART_N };

#define RESTART_UNLIMITED UINT32_MAX
enum { RESTART_WINDOW_MAX = 1000 };

struct restart {
    enum restart_policy policy;
    uint32_t max;      /* RESTART_UNLIMITED, or at most RESTART_WINDOW_MAX; 0: none */
    int64_t window_us; /* 0: the whole life */
    int64_t first_us;  /* first delay; 1 s if 0 */
    int64_t most_us;   /* longest delay; 60 s if 0 */
    /* state, zeroed: */
    int64_t delay_us;                  /* of the last restart, 0: none yet */
    uint32_t done;                     /* restarts in all, with those decided and not begun yet */
    uint32_t kept;                     /* how many of `at_us` are filled */
    int64_t at_us[RESTART_WINDOW_MAX]; /* when the last restarts were decided, a ring */
};

enum restart_answer {
    RESTART_END, /* the policy wants none: end with the child's code */
    RESTART_AGAIN,
    RESTART_GIVE_UP, /* it would, but there were too many */
};

/* now_us: monotonic; ran_us: how long it lived. *delay_out, written with RESTART_AGAIN. A cause of
 * EXIT_CAUSE_NO_START or EXIT_CAUSE_STOPPED is never restarted. A first delay above the longest
 * stays as it is. */
enum restart_answer restart_decide(struct restart *r, const struct exit_cause *cause,
                                   int64_t now_us, int64_t ran_us, int64_t *delay_out);

const char *restart_policy_name(enum restart_policy policy); /* "oom" ... */

/* The reverse: 0, or -EBADMSG when it is none of them. */
int restart_parse_policy(struct str word, enum restart_policy *out);
