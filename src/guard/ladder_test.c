#include "guard/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MS = 1000, S = 1000000, LIMIT = 1000 };

struct world {
    struct policy policy;
    struct ladder ladder;
    struct hang hang;
    int64_t now_us;
    struct ladder_change change;
    struct decision decision;
};

static void begin(struct world *w, const char *at, const char *doing) {
    struct err err;

    memset(w, 0, sizeof(*w));
    policy_defaults(&w->policy);
    assert_int_equal(policy_parse_marks(str_of(at), &w->policy, &err), 0);
    assert_int_equal(policy_parse_actions(str_of(doing), &w->policy, &err), 0);
    assert_int_equal(policy_check(&w->policy, &err), 0);
    ladder_init(&w->ladder, &w->policy);
    w->now_us = 100 * S;
}

static void see(struct world *w, uint64_t used) {
    struct facts f = {.at_us = w->now_us,
                      .have = 1U << FACT_USED | 1U << FACT_LIMIT,
                      .value = {[FACT_USED] = used, [FACT_LIMIT] = LIMIT}};

    ladder_see(&w->ladder, &f, &w->hang, &w->change, &w->decision);
}

/* Begins what was decided, which must be this. */
static void does(struct world *w, uint64_t used, const char *action, unsigned mark) {
    see(w, used);
    assert_true(w->decision.any);
    assert_string_equal(action_name(w->decision.action), action);
    assert_int_equal(w->decision.mark, mark);
    ladder_begun(&w->ladder, w->decision.action, w->decision.mark, w->now_us);
}

static void waits(struct world *w, uint64_t used) {
    see(w, used);
    assert_false(w->decision.any);
}

static void ends(struct world *w, enum action a, enum outcome o) {
    ladder_ended(&w->ladder, a, 0, o, w->now_us);
}

static void each_mark_starts_its_action(void **state) {
    struct world w;

    (void)state;
    begin(&w, "80%,90%,95%", "notify,gc,reclaim");
    waits(&w, 799);
    assert_int_equal(w.change.above, 0);
    does(&w, 800, "notify", 1);
    assert_int_equal(w.change.above, 1);
    assert_string_equal(w.decision.why, "used 800B of 1000B (80.0 %)");
    ends(&w, ACTION_NOTIFY, OUTCOME_DONE);
    waits(&w, 810); /* once */
    does(&w, 900, "gc", 2);
    waits(&w, 949); /* busy */
    waits(&w, 960);
    ends(&w, ACTION_GC, OUTCOME_DONE);
    does(&w, 960, "reclaim", 3);
}

static void a_mark_is_left_with_hysteresis(void **state) {
    struct world w;

    (void)state;
    begin(&w, "80%", "gc");
    does(&w, 850, "gc", 1);
    ends(&w, ACTION_GC, OUTCOME_DONE);
    waits(&w, 751);
    assert_int_equal(w.ladder.above, 1);
    waits(&w, 749);
    assert_int_equal(w.ladder.above, 0);
    assert_int_equal(w.change.before, 1);
    waits(&w, 800); /* passed again, but gc was begun in this very moment */
    assert_int_equal(w.ladder.again_us, w.now_us + w.policy.cooldown_us);
    w.now_us = w.ladder.again_us;
    does(&w, 800, "gc", 1);
}

static void what_helped_is_repeated_before_the_next_is_taken(void **state) {
    struct world w;

    (void)state;
    begin(&w, "90%", "gc,kill");
    does(&w, 905, "gc", 1);
    ends(&w, ACTION_GC, OUTCOME_DONE);
    waits(&w, 890); /* helped, though the mark is not left */
    w.now_us += 2 * S;
    does(&w, 900, "gc", 1);
    ends(&w, ACTION_GC, OUTCOME_DONE);
    does(&w, 905, "kill", 1); /* did not help */
    ends(&w, ACTION_KILL, OUTCOME_DONE);
    w.now_us += 2 * S;
    waits(&w, 905);
    w.now_us += LADDER_REPEAT_US;
    does(&w, 905, "gc", 1); /* from the beginning */
}

static void quick_ones_of_a_higher_mark_do_not_wait(void **state) {
    struct world w;

    (void)state;
    begin(&w, "80%,95%", "gc,pause,kill");
    does(&w, 800, "gc", 1);
    waits(&w, 940);
    does(&w, 950, "pause", 2);
    does(&w, 950, "kill", 2); /* the next of the list is quick too, and pausing frees nothing */
    assert_true(w.ladder.busy);
}

static void term_does_not_wait_for_what_is_slow(void **state) {
    struct world w;

    (void)state;
    begin(&w, "50%,90%,95%", "gc,term,kill");
    does(&w, 500, "gc", 1);
    does(&w, 900, "term", 2);
    waits(&w, 940); /* its grace */
    does(&w, 950, "kill", 3);
    ends(&w, ACTION_TERM, OUTCOME_DONE);
    assert_false(w.ladder.term);
    assert_true(w.ladder.busy);
}

static void a_fast_grower_is_told_of_and_meets_the_highest_mark_first(void **state) {
    struct world w;

    (void)state;
    begin(&w, "70%,80%,90%,95%", "reclaim,notify,gc,pause");
    does(&w, 970, "notify", 2);
    does(&w, 970, "pause", 4);
    does(&w, 970, "gc", 3);
    ends(&w, ACTION_GC, OUTCOME_DONE);
    does(&w, 970, "reclaim", 1);
}

static void a_notify_keeps_nobody_waiting_and_is_not_forgotten(void **state) {
    struct world w;

    (void)state;
    begin(&w, "80%,90%", "notify,notify,gc,notify,kill");
    does(&w, 800, "notify", 1);
    does(&w, 900, "gc", 2); /* the cool-down of notify */
    ends(&w, ACTION_NOTIFY, OUTCOME_DONE);
    waits(&w, 900);
    w.now_us += w.policy.cooldown_us;
    does(&w, 900, "notify", 2);
    ends(&w, ACTION_NOTIFY, OUTCOME_DONE);
    waits(&w, 900); /* gc is before what follows in its list */
    ends(&w, ACTION_GC, OUTCOME_DONE);
    does(&w, 900, "kill", 2);
    w.now_us += w.policy.cooldown_us;
    does(&w, 900, "notify", 2);
    ends(&w, ACTION_NOTIFY, OUTCOME_DONE);
    w.now_us += w.policy.cooldown_us;
    waits(&w, 900);
}

/* At these seconds it is begun, while used stays above the mark: nobody is told 360 times an hour.
 */
static void begins_at(struct world *w, enum action a, const unsigned *second, size_t n) {
    int64_t since_us = w->now_us;

    for (unsigned s = 0, i = 0; i < n; s++) {
        w->now_us = since_us + s * (int64_t)S;
        for (see(w, 950); w->decision.any; see(w, 950)) {
            ladder_begun(&w->ladder, w->decision.action, w->decision.mark, w->now_us);
            ends(w, w->decision.action, OUTCOME_DONE);
            if (w->decision.action == a)
                assert_int_equal(s, second[i++]);
        }
    }
}

static void what_changes_nothing_is_repeated_ever_more_rarely(void **state) {
    static const unsigned rarely[] = {0, 10, 30, 70, 150, 310, 630, 1270, 2550, 5110, 8710, 12310},
                          often[] = {0, 10, 20, 30, 40, 50, 60};
    struct world w;

    (void)state;
    begin(&w, "90%", "notify");
    begins_at(&w, ACTION_NOTIFY, rarely, sizeof(rarely) / sizeof(rarely[0]));
    waits(&w, 899); /* below the mark, if only just */
    w.now_us += 2 * S;
    begins_at(&w, ACTION_NOTIFY, rarely, 4);
    begin(&w, "90%", "dump,reclaim");
    begins_at(&w, ACTION_DUMP, rarely, 6);
    begin(&w, "90%", "notify,reclaim");
    begins_at(&w, ACTION_RECLAIM, often, sizeof(often) / sizeof(often[0]));
}

static void who_was_held_is_given_time_to_free_something(void **state) {
    static const unsigned seconds[] = {0, 20, 40, 60}, often[] = {0, 10, 20, 30};
    struct world w;

    (void)state;
    begin(&w, "90%", "throttle");
    begins_at(&w, ACTION_THROTTLE, seconds, 4);
    begin(&w, "90%", "throttle,pause,kill");
    begins_at(&w, ACTION_PAUSE, seconds, 4);
    begin(&w, "90%", "throttle,kill");
    begins_at(&w, ACTION_KILL, often, 4);
    begin(&w, "90%", "throttle,gc"); /* gc lets go of it */
    begins_at(&w, ACTION_THROTTLE, often, 4);
}

static void a_hang_is_rescued_first(void **state) {
    struct world w;

    (void)state;
    begin(&w, "90%", "gc,rescue,kill");
    does(&w, 950, "gc", 1);
    ends(&w, ACTION_GC, OUTCOME_FAILED);
    w.hang.kind = HANG_OOM_WAIT;
    does(&w, 1000, "rescue", 0);
    assert_true(w.change.hang);
    assert_string_equal(w.decision.why, "it hangs (oom-wait): used 1000B of 1000B (100.0 %)");
    waits(&w, 1000);
    ends(&w, ACTION_RESCUE, OUTCOME_FAILED);
    does(&w, 1000, "kill", 1);
}

static void a_rescue_that_does_not_last(void **state) {
    struct world w;

    (void)state;
    begin(&w, "90%", "rescue,kill");
    for (unsigned i = 0; i < LADDER_RELAPSES; i++) {
        w.hang.kind = HANG_REFAULT;
        does(&w, 1000, "rescue", 0);
        ends(&w, ACTION_RESCUE, OUTCOME_DONE);
        w.hang.kind = HANG_NONE;
        waits(&w, 700);
        w.now_us += 5 * S;
    }
    w.hang.kind = HANG_REFAULT;
    does(&w, 1000, "kill", 1);
}

/* What was lacking for it may be there later. */
static void a_rescue_that_has_failed_is_tried_again(void **state) {
    static const enum outcome bad[] = {OUTCOME_FAILED, OUTCOME_REFUSED};
    struct world w;

    (void)state;
    begin(&w, "90%", "rescue");
    w.hang.kind = HANG_OOM_WAIT;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        does(&w, 1000, "rescue", 0);
        ends(&w, ACTION_RESCUE, bad[i]);
        waits(&w, 1000);
        w.now_us += LADDER_RESCUE_US - 1;
        waits(&w, 1000);
        w.now_us++;
    }
    does(&w, 1000, "rescue", 0);
    ends(&w, ACTION_RESCUE, OUTCOME_DONE);
    w.hang.kind = HANG_NONE;
    waits(&w, 700);
    w.now_us += LADDER_RESCUE_US;
    waits(&w, 700);
}

static void a_hang_later_is_another_one(void **state) {
    struct world w;

    (void)state;
    begin(&w, "90%", "rescue,kill");
    for (unsigned i = 0; i < 5; i++) {
        w.hang.kind = HANG_REFAULT;
        does(&w, 1000, "rescue", 0);
        ends(&w, ACTION_RESCUE, OUTCOME_DONE);
        w.hang.kind = HANG_NONE;
        waits(&w, 700);
        w.now_us += 60 * S;
    }
}

static void what_cannot_help_a_hang_is_passed_over(void **state) {
    struct world w;

    (void)state;
    begin(&w, "90%", "gc,throttle,pause,dump,kill");
    w.hang.kind = HANG_OOM_WAIT;
    does(&w, 1000, "dump", 1);
    ends(&w, ACTION_DUMP, OUTCOME_DONE);
    does(&w, 1000, "kill", 1);
}

/* A large one takes longer to give its memory back than the cool-down. */
static void nobody_else_is_ended_before_a_kill_has_had_its_effect(void **state) {
    struct world w;

    (void)state;
    begin(&w, "70%,80%,90%", "pause,term,kill");
    w.policy.cooldown_us = 1;
    does(&w, 920, "kill", 3);
    does(&w, 920, "pause", 1);
    ends(&w, ACTION_PAUSE, OUTCOME_DONE);
    for (unsigned i = 0; i < 5; i++) {
        w.now_us += S;
        waits(&w, 920);
    }
    ends(&w, ACTION_KILL, OUTCOME_DONE);
    does(&w, 920, "term", 2);
}

static void bounds_per_hour(void **state) {
    struct world w;
    unsigned kills = 0, minutes = 0;

    (void)state;
    begin(&w, "90%", "kill");
    w.policy.kills_per_hour = 3;
    for (; minutes < 59; minutes++) {
        see(&w, 950);
        if (w.decision.any) {
            ladder_begun(&w.ladder, ACTION_KILL, 1, w.now_us);
            ends(&w, ACTION_KILL, OUTCOME_DONE);
            kills++;
        }
        w.now_us += 60 * (int64_t)S;
    }
    assert_int_equal(kills, 3);
    assert_true(w.ladder.bounded > 0);
    w.now_us += 5 * 60 * (int64_t)S;
    does(&w, 950, "kill", 1);
}

static void notes_are_not_bounded(void **state) {
    struct world w;

    (void)state;
    begin(&w, "90%", "notify");
    w.policy.per_hour = 2;
    for (unsigned i = 0; i < 10; i++) {
        does(&w, 950, "notify", 1);
        ends(&w, ACTION_NOTIFY, OUTCOME_DONE);
        waits(&w, 700);
        w.now_us += 2 * S;
    }
}

static void without_a_limit_sizes_still_count(void **state) {
    struct world w;
    struct facts f = {
        .at_us = 1, .have = 1U << FACT_USED, .value = {[FACT_USED] = 500 << 20, [FACT_LIMIT] = 7}};

    (void)state;
    begin(&w, "80%", "gc");
    ladder_see(&w.ladder, &f, &w.hang, &w.change, &w.decision);
    assert_false(w.decision.any); /* a share of nothing */
    assert_int_equal(ladder_next_mark(&w.ladder, &f), 0);
    begin(&w, "400M", "gc");
    ladder_see(&w.ladder, &f, &w.hang, &w.change, &w.decision);
    assert_true(w.decision.any);
    assert_string_equal(w.decision.why, "used 500M");
}

static void nothing_known_changes_nothing(void **state) {
    struct world w;
    struct facts f = {.at_us = 101 * S};

    (void)state;
    begin(&w, "80%", "gc");
    does(&w, 850, "gc", 1);
    ladder_see(&w.ladder, &f, &w.hang, &w.change, &w.decision);
    assert_int_equal(w.ladder.above, 1);
}

static void a_dry_rescue_is_said_now_and_then(void **state) {
    struct world w;

    (void)state;
    begin(&w, "90%", "rescue,kill");
    w.hang.kind = HANG_OOM_WAIT;
    does(&w, 1000, "rescue", 0);
    ends(&w, ACTION_RESCUE, OUTCOME_DRY);
    w.now_us += 5 * S;
    waits(&w, 1000);
    w.now_us += 6 * S;
    does(&w, 1000, "rescue", 0);
}

/* --- replay ----------------------------------------------------------------------------------- */

/* A guard's life, as carry.c makes it: records are kept of changes and decisions, not of looks. */
struct life {
    struct world world;
    struct replay replay;
    uint64_t used, seed;
    int64_t slow_us, note_us, term_us; /* ends then; 0: none */
    enum action slow;
};

static unsigned roll(struct life *x, unsigned n) {
    x->seed = x->seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(x->seed >> 33) % n;
}

static void keep(struct life *x, enum audit_kind kind, enum action action, unsigned mark,
                 enum outcome outcome) {
    struct world *w = &x->world;
    struct audit a = {.kind = kind,
                      .by = "guard",
                      .action = action,
                      .mark = mark,
                      .hang = w->hang,
                      .up = kind == AUDIT_HANG && w->ladder.hung,
                      .report.outcome = outcome,
                      .facts = {.at_us = w->now_us,
                                .have = 1U << FACT_USED | 1U << FACT_LIMIT,
                                .value = {[FACT_USED] = x->used, [FACT_LIMIT] = LIMIT}}};
    struct decision out;

    if (replay_take(&x->replay, &a, &w->policy, &out) == REPLAY_OTHER)
        fail_msg("seed %llu: %s at mark %u, but decided again %s at mark %u",
                 (unsigned long long)x->seed, action_name(action), mark,
                 out.any ? action_name(out.action) : "nothing", out.mark);
}

static void end_one(struct life *x, enum action a, int64_t *at_us) {
    static const enum outcome outcomes[] = {OUTCOME_DONE, OUTCOME_PARTLY, OUTCOME_FAILED,
                                            OUTCOME_DRY};
    enum outcome o = outcomes[roll(x, 4)];

    if (at_us && (*at_us == 0 || x->world.now_us < *at_us))
        return;
    if (at_us)
        *at_us = 0;
    ladder_ended(&x->world.ladder, a, 0, o, x->world.now_us);
    keep(x, AUDIT_END, a, 0, o);
    if (a == ACTION_RESCUE)
        x->world.hang = (struct hang){0};
}

static void begin_one(struct life *x, enum action a, unsigned mark) {
    int64_t until_us = x->world.now_us + roll(x, 2) * (int64_t)roll(x, 12 * S) + 1;

    keep(x, AUDIT_BEGIN, a, mark, OUTCOME_NONE);
    ladder_begun(&x->world.ladder, a, mark, x->world.now_us);
    if (a == ACTION_NOTIFY)
        x->note_us = until_us;
    else if (a == ACTION_TERM)
        x->term_us = until_us;
    else if (ladder_is_quick(a))
        end_one(x, a, NULL);
    else {
        x->slow = a;
        x->slow_us = until_us;
    }
}

static void look(struct life *x) {
    struct world *w = &x->world;

    end_one(x, x->slow, &x->slow_us);
    end_one(x, ACTION_NOTIFY, &x->note_us);
    end_one(x, ACTION_TERM, &x->term_us);
    for (unsigned i = 0; i < 16; i++) {
        see(w, x->used);
        if (w->change.before != w->change.above || w->change.eased > 0)
            keep(x, AUDIT_MARK, ACTION_N, 1, OUTCOME_NONE);
        if (w->change.hang)
            keep(x, AUDIT_HANG, ACTION_N, 0, OUTCOME_NONE);
        if (!w->decision.any)
            return;
        begin_one(x, w->decision.action, w->decision.mark);
    }
    assert_true(w->policy.cooldown_us == 0); /* else it comes to an end */
}

static void live(struct life *x, const char *doing, uint64_t seed) {
    static const int64_t cooldowns[] = {S, 0, 3 * S, 30 * S};
    struct world *w = &x->world;
    uint64_t aim = 0;

    begin(w, "80%,90%,95%", doing);
    *x = (struct life){.world = *w, .seed = seed, .used = 500};
    w->ladder.policy = &w->policy;
    w->policy.cooldown_us = cooldowns[seed % 4];
    w->policy.per_hour = seed % 5 ? 1200 : 10;
    replay_init(&x->replay);
    keep(x, AUDIT_GUARD, ACTION_N, 0, OUTCOME_NONE);
    for (unsigned i = 0; i < 4000; i++) {
        w->now_us += roll(x, 20) ? 50 * MS : (int64_t)roll(x, 30 * S);
        if (roll(x, 100) == 0)
            aim = 720 + roll(x, 280);
        x->used = aim ? aim + roll(x, roll(x, 3) ? 2 : 30) : x->used;
        if (roll(x, 200) == 0)
            w->hang.kind = roll(x, 2) ? HANG_OOM_WAIT : HANG_NONE;
        if (roll(x, 500) == 0 && !w->ladder.busy && !w->ladder.term)
            begin_one(x, ACTION_GC, 0); /* somebody asks for it */
        look(x);
    }
}

static void what_is_recorded_decides_the_same_again(void **state) {
    static const char *const doing[] = {
        "notify,gc,reclaim",
        "notify,notify,notify,reclaim",
        "notify,reclaim,throttle,kill",
        "throttle,pause,term",
        "notify,notify,dump",
        "gc,throttle,rescue,kill",
        "gc,gc,rescue",
        "notify,term,notify,dump,reclaim,notify,kill",
        "reclaim,notify,pause,notify",
    };
    static struct life x;
    unsigned same = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        live(&x, doing[seed % (sizeof(doing) / sizeof(doing[0]))], seed);
        same += x.replay.same;
    }
    assert_in_range(same, 10000, UINT32_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mark_starts_its_action),
        cmocka_unit_test(a_mark_is_left_with_hysteresis),
        cmocka_unit_test(what_helped_is_repeated_before_the_next_is_taken),
        cmocka_unit_test(quick_ones_of_a_higher_mark_do_not_wait),
        cmocka_unit_test(term_does_not_wait_for_what_is_slow),
        cmocka_unit_test(a_fast_grower_is_told_of_and_meets_the_highest_mark_first),
        cmocka_unit_test(a_notify_keeps_nobody_waiting_and_is_not_forgotten),
        cmocka_unit_test(what_changes_nothing_is_repeated_ever_more_rarely),
        cmocka_unit_test(who_was_held_is_given_time_to_free_something),
        cmocka_unit_test(a_hang_is_rescued_first),
        cmocka_unit_test(a_rescue_that_does_not_last),
        cmocka_unit_test(a_rescue_that_has_failed_is_tried_again),
        cmocka_unit_test(a_hang_later_is_another_one),
        cmocka_unit_test(what_cannot_help_a_hang_is_passed_over),
        cmocka_unit_test(nobody_else_is_ended_before_a_kill_has_had_its_effect),
        cmocka_unit_test(bounds_per_hour),
        cmocka_unit_test(notes_are_not_bounded),
        cmocka_unit_test(without_a_limit_sizes_still_count),
        cmocka_unit_test(nothing_known_changes_nothing),
        cmocka_unit_test(a_dry_rescue_is_said_now_and_then),
        cmocka_unit_test(what_is_recorded_decides_the_same_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
