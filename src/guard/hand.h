/* hand.h - the process that does what may take long, forked before it is needed.
 *
 * Fork fails where memory is gone, and takes a while: so one hand always stands ready, made after
 * the groups that it may be asked about were opened. It gets one job through a socket, does it,
 * answers, and ends; the next is made then, or when there is memory again. A hand that does not
 * answer by its deadline is killed; what it changed the warden undoes.
 */
#pragma once
#include "act/rescue.h"
#include "net/loop.h"

struct hand_job {
    enum action action;
    unsigned group;      /* index that the caller knows it by, see hands_options */
    uint64_t generation; /* of that group: an index is used again. hands_give fills it in */
    int64_t deadline_us;
    struct audit why;
    struct policy policy;
    uint64_t bytes; /* reclaim: how much */
};

struct hands;

/* Told in the caller's loop; report->outcome FAILED with a text when the hand died or was late. */
typedef void hands_ended(void *ctx, unsigned group, uint64_t generation, enum action action,
                         const struct action_report *report, int64_t took_us);

struct hands_options {
    struct loop *loop;
    struct warden *warden;
    struct grip *(*group)(void *ctx,
                          unsigned group); /* in the hand: what index means; NULL: gone */
    /* Of who has the index now: a number that is never used twice, and grows; 0: nobody has it. In
     * a hand: of who had it when the hand was made. */
    uint64_t (*generation)(void *ctx, unsigned group);
    bool (*may_fork)(void *ctx); /* there is memory for that now */
    hands_ended *ended;
    void *ctx;
    const char *dump_dir, *agent_socket;
};

/* `most` jobs at once. 0 or -errno. */
int hands_new(const struct hands_options *o, unsigned most, struct hands **out, struct err *err);
void hands_free(struct hands *h); /* running jobs are killed */

/* Does what is due: makes a hand ready, ends what is late. When to call again (monotonic), 0: at no
 * given time. After hands_give it is due at once. */
int64_t hands_tick(struct hands *h, int64_t now_us);

/* Groups came or went: the one that stands ready is made anew soon. `newest`: the largest
 * generation that there is. */
void hands_stale(struct hands *h, uint64_t newest);

/* 0: it is being done. -EBUSY: all hands are; for notify, whose hook may take its time while others
 * are to be done, also when it would be the last. When none stands ready that was made after the
 * group was opened, one is made at once: that takes a millisecond, and may fail: -ENOMEM, ... */
int hands_give(struct hands *h, const struct hand_job *job);

/* Ends those that work on this generation, without a word. A hook goes on, to its end or deadline:
 * the group's end may be what it is to tell of. */
void hands_end(struct hands *h, uint64_t generation);
