/* pssplan.h - whose PSS to read with a limited amount of CPU time, and what to say of the others.
 *
 * The price of a read is foretold from the process's resident size, and from what it cost the last
 * time. Those whose size changed most and those whose figure is oldest take turns; at the beginning
 * that means the largest first. The figure of a process that was not read now is its resident size
 * times the ratio measured before.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pss_figures {
    uint64_t pss, uss, lazyfree;
};

struct pss_entry {
    int32_t pid;
    uint64_t start_ticks;
    uint64_t res; /* now */
    bool skip;    /* is not to be read: no memory, or not ours to read */
    bool have;    /* `figures` were read at some time, when the size was `res_then` */
    bool now;     /* they are of this round */
    bool denied;  /* reading it was refused: not tried again */
    uint64_t res_then;
    uint64_t round;   /* in which they were read */
    uint32_t cost_us; /* of that read */
    struct pss_figures figures;
};

struct pssplan {
    struct pss_entry *entry, *last; /* this round's, in the caller's order; the one's before */
    size_t n, last_n, size, last_size;
    uint64_t round;
    int64_t credit_us;          /* CPU time that may be spent */
    int64_t cap_us;             /* most that is saved up */
    double base_us, us_per_mib; /* what a read costs, learnt */
};

void pssplan_init(struct pssplan *plan);
void pssplan_done(struct pssplan *plan); /* legal on a zeroed struct */

/* A new round: `n` entries, ascending by pid, which the caller fills with pid, start_ticks, res and
 * skip, all else zero; pssplan_remember then brings over what earlier rounds know. 0 or -ENOMEM. */
int pssplan_begin(struct pssplan *plan, size_t n);
void pssplan_remember(struct pssplan *plan);

/* More CPU time to spend. What was saved up beyond twice that, or 40 ms, is lost. */
void pssplan_earn(struct pssplan *plan, int64_t us);

/* Reads one process: 0, and the figures and the CPU time it took, or a negative errno. */
typedef int pssplan_read_fn(void *ctx, size_t index, struct pss_figures *figures_out,
                            int64_t *cost_us_out);

/* Spends the credit. With `save` a process that is next but too dear for what is left ends the
 * round, so that it can be paid from the next; without, smaller ones are read instead. -ENOMEM. */
int pssplan_spend(struct pssplan *plan, bool save, pssplan_read_fn *read, void *ctx);

/* Reads all that are not to be skipped. */
void pssplan_read_all(struct pssplan *plan, pssplan_read_fn *read, void *ctx);

/* What an entry's figures amount to at its present size; false when they were never read. */
bool pssplan_estimate(const struct pss_entry *e, uint64_t res, struct pss_figures *out);

/* The price of a read. */
int64_t pssplan_price_us(const struct pssplan *plan, const struct pss_entry *e);
