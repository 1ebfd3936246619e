#include "sampler/pssplan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)

/* Processes made up for a test: what a read would say and cost. */
struct fake {
    struct pss_figures figures;
    int64_t cost_us;
    int error;
    unsigned reads;
    unsigned order; /* in which it was read last, from 1 */
};

struct world {
    struct fake fake[64];
    unsigned reads;
};

static int read_fake(void *ctx, size_t index, struct pss_figures *figures_out,
                     int64_t *cost_us_out) {
    struct world *w = ctx;
    struct fake *f = &w->fake[index];

    f->reads++;
    f->order = ++w->reads;
    *cost_us_out = f->cost_us;
    if (f->error)
        return f->error;
    *figures_out = f->figures;
    return 0;
}

/* A round with these sizes in MiB; pids are 1, 2, ... */
static void begin(struct pssplan *plan, const unsigned *mib, size_t n) {
    assert_int_equal(pssplan_begin(plan, n), 0);
    for (size_t i = 0; i < n; i++) {
        plan->entry[i].pid = (int32_t)i + 1;
        plan->entry[i].start_ticks = 1000 + i;
        plan->entry[i].res = mib[i] * MIB;
    }
    pssplan_remember(plan);
}

static void the_largest_are_read_first_while_money_lasts(void **state) {
    static const unsigned mib[] = {10, 500, 1000, 20, 4000};
    struct world w = {.reads = 0};
    struct pssplan plan;

    (void)state;
    pssplan_init(&plan);
    for (size_t i = 0; i < 5; i++)
        w.fake[i].cost_us = 20 + 8 * (int64_t)mib[i];
    begin(&plan, mib, 5);
    pssplan_earn(&plan, 20000);
    assert_int_equal(pssplan_spend(&plan, false, read_fake, &w), 0);
    assert_int_equal(w.fake[4].reads, 0); /* 32 ms: never fits into 20 */
    assert_int_equal(w.fake[2].order, 1);
    assert_int_equal(w.fake[1].order, 2);
    assert_int_equal(w.fake[3].order, 3);
    assert_int_equal(w.fake[0].order, 4);
    assert_true(plan.credit_us >= 0);
    pssplan_done(&plan);
}

static void prices_are_learnt(void **state) {
    static const unsigned mib[] = {100, 100, 100, 100, 100, 100, 100, 100, 100, 100};
    struct world w = {.reads = 0};
    struct pssplan plan;
    struct pss_entry large = {.res = 100 * MIB};
    int64_t before;

    (void)state;
    pssplan_init(&plan);
    for (size_t i = 0; i < 10; i++)
        w.fake[i].cost_us = 3200; /* four times what is usual */
    begin(&plan, mib, 10);
    before = pssplan_price_us(&plan, &large);
    pssplan_earn(&plan, 1000000);
    assert_int_equal(pssplan_spend(&plan, false, read_fake, &w), 0);
    assert_int_equal(w.reads, 10);
    assert_in_range(before, 700, 900);
    assert_true(pssplan_price_us(&plan, &large) > 2 * before);
    /* What a process itself cost is believed before any rate. */
    w.fake[0].cost_us = 70;
    begin(&plan, mib, 10);
    pssplan_read_all(&plan, read_fake, &w);
    begin(&plan, mib, 10);
    assert_in_range(pssplan_price_us(&plan, &plan.entry[0]), 70, 71);
    plan.entry[0].res = 50 * MIB;
    assert_in_range(pssplan_price_us(&plan, &plan.entry[0]), 35, 36);
    pssplan_done(&plan);
}

static void change_and_age_take_turns(void **state) {
    static const unsigned then[] = {100, 100, 100, 100};
    static const unsigned now[] = {100, 100, 300, 110};
    struct world w = {.reads = 0};
    struct pssplan plan;

    (void)state;
    pssplan_init(&plan);
    for (size_t i = 0; i < 4; i++)
        w.fake[i].cost_us = 1000;
    /* The first process was read a round before the others. */
    begin(&plan, then, 1);
    pssplan_read_all(&plan, read_fake, &w);
    begin(&plan, then, 4);
    for (size_t i = 0; i < 4; i++)
        plan.entry[i].skip = i == 0;
    pssplan_read_all(&plan, read_fake, &w);
    begin(&plan, now, 4);
    assert_false(plan.entry[0].skip);
    w.reads = 0;
    plan.credit_us = 0;
    pssplan_earn(&plan, 1000000);
    assert_int_equal(pssplan_spend(&plan, true, read_fake, &w), 0);
    assert_int_equal(w.fake[2].order, 1); /* changed most */
    assert_int_equal(w.fake[0].order, 2); /* oldest */
    assert_int_equal(w.fake[3].order, 3); /* changed next */
    assert_int_equal(w.fake[1].order, 4);
    pssplan_done(&plan);
}

/* Many rounds of 20 ms: nobody starves, and no more is spent than was earned. */
static void everybody_gets_a_turn(void **state) {
    unsigned mib[40];
    struct world w = {.reads = 0};
    struct pssplan plan;
    int64_t spent = 0;

    (void)state;
    pssplan_init(&plan);
    for (size_t i = 0; i < 40; i++) {
        mib[i] = i == 0 ? 4500 : 200; /* one costs 36 ms: nearly two rounds */
        w.fake[i].cost_us = 8 * (int64_t)mib[i];
    }
    for (unsigned round = 0; round < 100; round++) {
        mib[5] += 10; /* one that grows all the time must not keep the others out */
        begin(&plan, mib, 40);
        pssplan_earn(&plan, 20000);
        assert_int_equal(pssplan_spend(&plan, true, read_fake, &w), 0);
    }
    for (size_t i = 0; i < 40; i++) {
        assert_true(w.fake[i].reads >= 3);
        spent += w.fake[i].reads * w.fake[i].cost_us;
    }
    assert_true(spent <= 100 * 20000);
    assert_true(spent > 100 * 20000 / 2);
    pssplan_done(&plan);
}

static void figures_scale_with_the_size(void **state) {
    static const unsigned mib[] = {100};
    static const unsigned grown[] = {150};
    struct world w = {.fake = {{.figures = {60 * MIB, 40 * MIB, 2 * MIB}, .cost_us = 800}}};
    struct pss_figures f;
    struct pssplan plan;

    (void)state;
    pssplan_init(&plan);
    begin(&plan, mib, 1);
    assert_false(pssplan_estimate(&plan.entry[0], 100 * MIB, &f));
    pssplan_read_all(&plan, read_fake, &w);
    begin(&plan, grown, 1);
    assert_false(plan.entry[0].now);
    assert_true(pssplan_estimate(&plan.entry[0], 150 * MIB, &f));
    assert_int_equal(f.pss, 90 * MIB);
    assert_int_equal(f.uss, 60 * MIB);
    assert_int_equal(f.lazyfree, 3 * MIB);
    /* No overflow on the way. */
    plan.entry[0].figures.pss = (uint64_t)1 << 50;
    plan.entry[0].res_then = (uint64_t)1 << 51;
    assert_true(pssplan_estimate(&plan.entry[0], (uint64_t)1 << 52, &f));
    assert_int_equal(f.pss, (uint64_t)1 << 51);
    pssplan_done(&plan);
}

static void a_pid_given_again_is_another_process(void **state) {
    static const unsigned mib[] = {100, 100};
    struct world w = {.reads = 0};
    struct pssplan plan;

    (void)state;
    pssplan_init(&plan);
    begin(&plan, mib, 2);
    pssplan_read_all(&plan, read_fake, &w);
    assert_int_equal(pssplan_begin(&plan, 2), 0);
    plan.entry[0] = (struct pss_entry){.pid = 1, .start_ticks = 9999, .res = MIB};
    plan.entry[1] = (struct pss_entry){.pid = 2, .start_ticks = 1001, .res = MIB};
    pssplan_remember(&plan);
    assert_false(plan.entry[0].have);
    assert_true(plan.entry[1].have);
    pssplan_done(&plan);
}

static void what_was_refused_is_not_tried_again(void **state) {
    static const unsigned mib[] = {100, 100};
    struct world w = {.fake = {{.error = -EACCES, .cost_us = 5}, {.error = -ESRCH, .cost_us = 5}}};
    struct pssplan plan;

    (void)state;
    pssplan_init(&plan);
    for (unsigned round = 0; round < 3; round++) {
        begin(&plan, mib, 2);
        pssplan_read_all(&plan, read_fake, &w);
    }
    assert_int_equal(w.fake[0].reads, 1);
    assert_true(plan.entry[0].denied && !plan.entry[1].denied);
    assert_int_equal(w.fake[1].reads, 3);
    pssplan_done(&plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_are_read_first_while_money_lasts),
        cmocka_unit_test(prices_are_learnt),
        cmocka_unit_test(change_and_age_take_turns),
        cmocka_unit_test(everybody_gets_a_turn),
        cmocka_unit_test(figures_scale_with_the_size),
        cmocka_unit_test(a_pid_given_again_is_another_process),
        cmocka_unit_test(what_was_refused_is_not_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
