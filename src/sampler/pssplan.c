#include "sampler/pssplan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MIB (1024.0 * 1024.0)

/* Linux 6.18: 14 to 20 us of a tiny process, 8 us a MiB of 4 KiB pages beyond. */
#define FIRST_BASE_US 20.0
#define FIRST_US_PER_MIB 8.0

/* A process so large that its price tells the rate, and one so small that it tells the base. */
#define LARGE (8U << 20)
#define SMALL (2U << 20)

void pssplan_init(struct pssplan *plan) {
    *plan = (struct pssplan){.base_us = FIRST_BASE_US, .us_per_mib = FIRST_US_PER_MIB};
}

void pssplan_done(struct pssplan *plan) {
    free(plan->entry);
    free(plan->last);
    *plan = (struct pssplan){0};
}

int pssplan_begin(struct pssplan *plan, size_t n) {
    struct pss_entry *entry = plan->last;
    size_t size = plan->last_size;

    if (n > size) {
        struct pss_entry *grown = reallocarray(entry, n, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        entry = grown;
        size = n;
    }
    plan->last = plan->entry;
    plan->last_n = plan->n;
    plan->last_size = plan->size;
    plan->entry = entry;
    plan->n = n;
    plan->size = size;
    plan->round++;
    if (n > 0)
        memset(entry, 0, n * sizeof(*entry));
    return 0;
}

void pssplan_remember(struct pssplan *plan) {
    size_t at = 0;

    for (size_t i = 0; i < plan->n; i++) {
        struct pss_entry *e = &plan->entry[i];
        const struct pss_entry *old;

        while (at < plan->last_n && plan->last[at].pid < e->pid)
            at++;
        if (at == plan->last_n)
            return;
        old = &plan->last[at];
        if (old->pid != e->pid || old->start_ticks != e->start_ticks)
            continue;
        e->denied = old->denied;
        e->skip |= old->denied;
        e->have = old->have;
        e->res_then = old->res_then;
        e->round = old->round;
        e->cost_us = old->cost_us;
        e->figures = old->figures;
    }
}

void pssplan_earn(struct pssplan *plan, int64_t us) {
    plan->cap_us = us * 2 > 40000 ? us * 2 : 40000;
    plan->credit_us += us;
    if (plan->credit_us > plan->cap_us)
        plan->credit_us = plan->cap_us;
}

int64_t pssplan_price_us(const struct pssplan *plan, const struct pss_entry *e) {
    double mib = (double)e->res / MIB;

    /* What it cost before knows of huge pages and page tables that the size does not tell. */
    if (e->have && e->res_then > 0 && e->cost_us > 0)
        return (int64_t)((double)e->cost_us * (double)e->res / (double)e->res_then) + 1;
    return (int64_t)(plan->base_us + plan->us_per_mib * mib) + 1;
}

/* One read more to learn the prices from: moves by an eighth towards it. */
static void learn(struct pssplan *plan, uint64_t res, int64_t cost_us) {
    double cost = (double)cost_us;

    if (res >= LARGE) {
        double rate = (cost - plan->base_us) / ((double)res / MIB);

        /* Never cheaper than a quarter of what is usual: processes on huge pages, whose price is
         * nearly nothing, must not make the next of 4 KiB pages a surprise. */
        if (rate < FIRST_US_PER_MIB / 4)
            rate = FIRST_US_PER_MIB / 4;
        plan->us_per_mib += (rate - plan->us_per_mib) / 8;
    } else if (res <= SMALL) {
        plan->base_us += (cost - plan->base_us) / 8;
    }
}

static void read_one(struct pssplan *plan, size_t index, pssplan_read_fn *read, void *ctx) {
    struct pss_entry *e = &plan->entry[index];
    int64_t cost_us = 0;
    struct pss_figures figures;
    int r = read(ctx, index, &figures, &cost_us);

    plan->credit_us -= cost_us;
    if (r < 0) {
        e->skip = true;
        e->denied = r == -EACCES || r == -EPERM;
        return;
    }
    e->figures = figures;
    e->have = e->now = true;
    e->res_then = e->res;
    e->round = plan->round;
    e->cost_us = cost_us < UINT32_MAX ? (uint32_t)cost_us : UINT32_MAX;
    learn(plan, e->res, cost_us);
}

static uint64_t change(const struct pss_entry *e) {
    uint64_t then = e->have ? e->res_then : 0;

    return e->res > then ? e->res - then : then - e->res;
}

struct candidate {
    uint64_t change, res, round;
    size_t index;
};

static int by_change(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;

    if (x->change != y->change)
        return x->change > y->change ? -1 : 1;
    return (x->res < y->res) - (x->res > y->res);
}

static int by_age(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;

    if (x->round != y->round)
        return x->round < y->round ? -1 : 1;
    return (x->res < y->res) - (x->res > y->res);
}

/* The next of a list that was not read in this round; `n` at its end. */
static size_t next_unread(const struct pssplan *plan, const struct candidate *list, size_t n,
                          size_t at) {
    while (at < n && (plan->entry[list[at].index].now || plan->entry[list[at].index].skip))
        at++;
    return at;
}

static void take_turns(struct pssplan *plan, const struct candidate *list[2], size_t n, bool save,
                       pssplan_read_fn *read, void *ctx) {
    size_t at[2] = {0, 0};

    for (unsigned turn = 0; at[0] < n || at[1] < n; turn ^= 1) {
        const struct candidate *next;
        int64_t price;

        at[turn] = next_unread(plan, list[turn], n, at[turn]);
        if (at[turn] == n)
            continue;
        next = &list[turn][at[turn]++];
        price = pssplan_price_us(plan, &plan->entry[next->index]);
        if (price <= plan->credit_us)
            read_one(plan, next->index, read, ctx);
        else if (save && price <= plan->cap_us)
            return;
        if ((double)plan->credit_us < plan->base_us / 2)
            return;
    }
}

int pssplan_spend(struct pssplan *plan, bool save, pssplan_read_fn *read, void *ctx) {
    auto_free struct candidate *changed = calloc(plan->n + 1, sizeof(*changed));
    auto_free struct candidate *old = calloc(plan->n + 1, sizeof(*old));
    const struct candidate *list[2] = {changed, old};
    size_t n = 0;

    if (!changed || !old)
        return -ENOMEM;
    for (size_t i = 0; i < plan->n; i++) {
        const struct pss_entry *e = &plan->entry[i];

        if (!e->skip)
            changed[n++] = (struct candidate){change(e), e->res, e->have ? e->round : 0, i};
    }
    if (n > 0)
        memcpy(old, changed, n * sizeof(*old));
    qsort(changed, n, sizeof(*changed), by_change);
    qsort(old, n, sizeof(*old), by_age);
    take_turns(plan, list, n, save, read, ctx);
    return 0;
}

void pssplan_read_all(struct pssplan *plan, pssplan_read_fn *read, void *ctx) {
    for (size_t i = 0; i < plan->n; i++)
        if (!plan->entry[i].skip)
            read_one(plan, i, read, ctx);
}

static uint64_t scale(uint64_t value, uint64_t to, uint64_t from) {
    return (uint64_t)((unsigned __int128)value * to / from);
}

bool pssplan_estimate(const struct pss_entry *e, uint64_t res, struct pss_figures *out) {
    if (!e->have)
        return false;
    if (res == e->res_then) {
        *out = e->figures;
        return true;
    }
    if (e->res_then == 0)
        return false;
    *out = (struct pss_figures){scale(e->figures.pss, res, e->res_then),
                                scale(e->figures.uss, res, e->res_then),
                                scale(e->figures.lazyfree, res, e->res_then)};
    return true;
}
