#include "guard/hand.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

/* Groups that nothing is done to: a job that a hand has no way to do says so. */
#define TAKEN "not done in a process of its own"
#define UNKNOWN "the group is not known here"

struct world {
    struct loop *loop;
    struct hands *hands;
    struct grip grip;
    uint64_t generation; /* of the group 0 */
    bool may_fork;
    unsigned ended;
    uint64_t of;
    enum action action;
    struct action_report report;
};

static struct grip *grip_of(void *ctx, unsigned group) {
    struct world *w = ctx;

    (void)group;
    return &w->grip;
}

static uint64_t generation_of(void *ctx, unsigned group) {
    const struct world *w = ctx;

    (void)group;
    return w->generation;
}

static bool may_fork(void *ctx) {
    const struct world *w = ctx;

    return w->may_fork;
}

static void on_ended(void *ctx, unsigned group, uint64_t generation, enum action action,
                     const struct action_report *report, int64_t took_us) {
    struct world *w = ctx;

    (void)group, (void)took_us;
    w->ended++;
    w->action = action;
    w->of = generation;
    w->report = *report;
    loop_stop(w->loop);
}

static int on_late(struct loop *loop, uint32_t what, void *ctx) {
    (void)what, (void)ctx;
    loop_stop(loop);
    return 0;
}

static void begin(struct world *w) {
    struct hands_options o = {.group = grip_of,
                              .generation = generation_of,
                              .may_fork = may_fork,
                              .ended = on_ended,
                              .ctx = w};
    struct err err;

    *w = (struct world){.generation = 1, .may_fork = true};
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(loop_add_timer(w->loop, 10000000, 0, on_late, w, NULL), 0);
    o.loop = w->loop;
    assert_int_equal(hands_new(&o, 1, &w->hands, &err), 0);
    hands_stale(w->hands, w->generation);
}

/* As soon as one is due. */
static void make_one(struct world *w) {
    (void)hands_tick(w->hands, clock_mono_us() + 3000000);
}

static int give(struct world *w, enum action action) {
    const struct hand_job job = {.action = action, .deadline_us = clock_mono_us() + 5000000};

    return hands_give(w->hands, &job);
}

static void done(struct world *w) {
    hands_free(w->hands);
    loop_free(w->loop);
}

static void a_job_is_done_by_the_one_that_stands_ready(void **state) {
    struct world w;

    (void)state;
    begin(&w);
    make_one(&w);
    w.may_fork = false;
    assert_int_equal(give(&w, ACTION_KILL), 0);
    assert_int_equal(give(&w, ACTION_KILL), -EBUSY);
    assert_int_equal(loop_run(w.loop), 0);
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.of, 1);
    assert_int_equal(w.action, ACTION_KILL);
    assert_string_equal(w.report.text, TAKEN);
    done(&w);
}

static void none_stands_ready(void **state) {
    struct world w;

    (void)state;
    begin(&w);
    w.may_fork = false;
    assert_int_equal(give(&w, ACTION_KILL), -ENOMEM);
    w.may_fork = true;
    assert_int_equal(give(&w, ACTION_KILL), 0);
    assert_int_equal(loop_run(w.loop), 0);
    assert_string_equal(w.report.text, TAKEN);
    done(&w);
}

static void one_that_is_older_than_the_group_gets_nothing(void **state) {
    struct world w;

    (void)state;
    begin(&w);
    make_one(&w);
    hands_stale(w.hands, w.generation = 2); /* another group has the index */
    w.may_fork = false;
    assert_int_equal(give(&w, ACTION_KILL), -ENOMEM);
    w.may_fork = true;
    assert_int_equal(give(&w, ACTION_KILL), 0);
    assert_int_equal(loop_run(w.loop), 0);
    assert_int_equal(w.of, 2);
    assert_string_equal(w.report.text, TAKEN);
    done(&w);
}

/* Should one get it all the same, it compares with what it knows itself. */
static void a_hand_touches_no_other_group(void **state) {
    struct world w;

    (void)state;
    begin(&w);
    make_one(&w);
    w.generation = 0;
    assert_int_equal(give(&w, ACTION_KILL), 0);
    assert_int_equal(loop_run(w.loop), 0);
    assert_string_equal(w.report.text, UNKNOWN);
    make_one(&w);
    hands_stale(w.hands, 7);
    make_one(&w); /* made while 0 was removed */
    w.generation = 7;
    assert_int_equal(give(&w, ACTION_KILL), 0);
    assert_int_equal(loop_run(w.loop), 0);
    assert_string_equal(w.report.text, UNKNOWN);
    done(&w);
}

static void one_that_was_ended_is_replaced(void **state) {
    struct world w;

    (void)state;
    begin(&w);
    make_one(&w);
    assert_int_equal(give(&w, ACTION_KILL), 0);
    hands_end(w.hands, 2); /* nobody */
    hands_end(w.hands, 1);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(loop_turn(w.loop), 0);
    assert_int_equal(w.ended, 0); /* without a word */
    assert_int_equal(give(&w, ACTION_KILL), 0);
    assert_int_equal(loop_run(w.loop), 0);
    assert_string_equal(w.report.text, TAKEN);
    done(&w);
}

/* A hook may take as long as it is given: something else may be urgent. */
static void the_last_hand_is_not_for_a_hook(void **state) {
    struct world w;

    (void)state;
    begin(&w); /* with one */
    make_one(&w);
    assert_int_equal(give(&w, ACTION_NOTIFY), -EBUSY);
    assert_int_equal(give(&w, ACTION_KILL), 0);
    done(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_done_by_the_one_that_stands_ready),
        cmocka_unit_test(none_stands_ready),
        cmocka_unit_test(one_that_is_older_than_the_group_gets_nothing),
        cmocka_unit_test(a_hand_touches_no_other_group),
        cmocka_unit_test(one_that_was_ended_is_replaced),
        cmocka_unit_test(the_last_hand_is_not_for_a_hook),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
