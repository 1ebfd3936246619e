#include "kern/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define V1_NONE 9223372036854771712ull /* as the kernel writes it into memory.stat */

static struct limit_level level(uint64_t limit, uint64_t used) {
    return (struct limit_level){
        .limit = limit, .used = used, .have_limit = true, .have_used = true};
}

static struct limit_input input(const struct limit_level *level_of, unsigned levels) {
    return (struct limit_input){
        .level = level_of, .levels = levels, .at_top = true, .host_total = 1000 * MIB};
}

static struct limit found(struct limit_input in) {
    struct limit l;

    assert_true(limit_find(&in, &l));
    return l;
}

static void the_tightest_of_own_and_ancestors_counts(void **state) {
    struct limit_level chain[] = {level(300 * MIB, 10 * MIB), level(200 * MIB, 50 * MIB),
                                  level(250 * MIB, 240 * MIB), level(CGROUP_NO_LIMIT, 0)};
    struct limit l = found(input(chain, 4));

    (void)state;
    assert_int_equal(l.from, LIMIT_LEVEL);
    assert_int_equal(l.level, 1);
    assert_int_equal(l.bytes, 200 * MIB);
    assert_true(l.certain);
    chain[0].limit = 100 * MIB;
    l = found(input(chain, 4));
    assert_int_equal(l.level, 0);
    assert_int_equal(l.bytes, 100 * MIB);
}

static void of_equal_limits_the_nearest_is_named(void **state) {
    struct limit_level chain[] = {level(200 * MIB, 0), level(200 * MIB, 0)};
    struct limit l = found(input(chain, 2));

    (void)state;
    assert_int_equal(l.from, LIMIT_LEVEL);
    assert_int_equal(l.level, 0);
    chain[0].limit = CGROUP_NO_LIMIT;
    l = found(input(chain, 2));
    assert_int_equal(l.level, 1);
}

/* v1 repeats the tightest limit in memory.stat: that is no limit from elsewhere. */
static void the_kernels_own_minimum_names_no_stranger_when_it_is_ours(void **state) {
    struct limit_level chain[] = {level(200 * MIB, 0), level(CGROUP_NO_LIMIT, 0)};
    struct limit_input in = input(chain, 2);
    struct limit l;

    (void)state;
    in.hier_limit = 200 * MIB;
    l = found(in);
    assert_int_equal(l.from, LIMIT_LEVEL);
    assert_int_equal(l.level, 0);
}

static void a_limit_above_the_machines_memory_is_none(void **state) {
    struct limit_level chain[] = {level(1000 * MIB, 100 * MIB), level(4000 * MIB, 100 * MIB)};
    struct limit_input in = input(chain, 2);
    struct limit l;

    (void)state;
    in.hier_limit = 1000 * MIB;
    l = found(in);
    assert_int_equal(l.from, LIMIT_HOST);
    assert_int_equal(l.bytes, 1000 * MIB);
    assert_true(l.have_headroom);
    assert_int_equal(l.headroom, 900 * MIB);
    chain[1].limit = 1000 * MIB - 1;
    l = found(in);
    assert_int_equal(l.from, LIMIT_LEVEL);
    assert_int_equal(l.level, 1);
}

static void a_limit_outside_of_the_namespace_is_known_on_v1(void **state) {
    struct limit_level own = level(CGROUP_NO_LIMIT, 40 * MIB);
    struct limit_input in = input(&own, 1);
    struct limit l;

    (void)state;
    in.at_top = false;
    in.hier_limit = 100 * MIB;
    l = found(in);
    assert_int_equal(l.from, LIMIT_OUTSIDE);
    assert_int_equal(l.bytes, 100 * MIB);
    assert_true(l.certain);
    assert_int_equal(l.headroom, 60 * MIB);
    in.hier_limit = V1_NONE;
    l = found(in);
    assert_int_equal(l.from, LIMIT_HOST);
    assert_true(l.certain);
}

static void a_limit_that_cannot_be_seen_is_admitted(void **state) {
    struct limit_level chain[] = {level(200 * MIB, 0), level(CGROUP_NO_LIMIT, 0)};
    struct limit_input in = input(chain, 2);

    (void)state;
    assert_true(found(in).certain);
    in.at_top = false; /* v2 in a namespace: no file tells */
    assert_false(found(in).certain);
    in.at_top = true;
    chain[1].have_limit = false; /* v2's true root has no memory.max */
    assert_true(found(in).certain);
    chain[0].have_limit = false; /* but a group whose limit could not be read */
    assert_false(found(in).certain);
    assert_int_equal(found(in).from, LIMIT_HOST);
}

static void headroom_is_the_least_room_of_the_chain(void **state) {
    struct limit_level chain[] = {level(200 * MIB, 50 * MIB), level(300 * MIB, 290 * MIB),
                                  level(CGROUP_NO_LIMIT, 900 * MIB)};
    struct limit_input in = input(chain, 3);
    struct limit l = found(in);

    (void)state;
    assert_int_equal(l.bytes, 200 * MIB); /* its own limit is the tightest, */
    assert_int_equal(l.level, 0);
    assert_int_equal(l.headroom, 10 * MIB); /* but its parent's is met first */
    in.host_available = 3 * MIB;
    assert_int_equal(found(in).headroom, 3 * MIB);
    chain[1].used = 301 * MIB; /* the two numbers are not of the same moment */
    assert_int_equal(found(in).headroom, 0);
    chain[0].have_used = chain[1].have_used = false;
    in.host_available = 0;
    assert_false(found(in).have_headroom);
}

static void nothing_known_is_said_so(void **state) {
    struct limit_level own = {.have_limit = false};
    struct limit_input in = input(&own, 1);
    struct limit l = {.bytes = 77};

    (void)state;
    in.host_total = 0;
    assert_false(limit_find(&in, &l));
    own = level(CGROUP_NO_LIMIT, 0);
    assert_false(limit_find(&in, &l));
    in.hier_limit = V1_NONE; /* no limit up to the top is no limit, not one of 8 EiB */
    assert_false(limit_find(&in, &l));
    in.hier_limit = INT64_MAX - 65535; /* the same with pages of 64 KiB */
    assert_false(limit_find(&in, &l));
    assert_int_equal(l.bytes, 77);
    own = level(5 * MIB, 0);
    assert_true(limit_find(&in, &l));
    assert_int_equal(l.bytes, 5 * MIB);
}

static void stat_set(struct memstat *m, enum memstat_field field, uint64_t value) {
    m->value[field] = value;
    m->have |= 1ull << field;
}

static void used_is_what_reclaim_leaves(void **state) {
    struct cgroup_numbers n = {.have = 1ull << CGROUP_USAGE};
    struct memstat m = {.have = 0};
    uint64_t bytes = 77;

    (void)state;
    n.value[CGROUP_USAGE] = 100 * MIB;
    assert_false(limit_used(&n, &m, &bytes));
    assert_false(limit_working_set(&n, &m, &bytes));
    stat_set(&m, MEMSTAT_INACTIVE_FILE, 30 * MIB);
    assert_false(limit_used(&n, &m, &bytes));
    assert_int_equal(bytes, 77);
    assert_true(limit_working_set(&n, &m, &bytes));
    assert_int_equal(bytes, 70 * MIB);
    stat_set(&m, MEMSTAT_ACTIVE_FILE, 20 * MIB);
    assert_true(limit_used(&n, &m, &bytes));
    assert_int_equal(bytes, 50 * MIB);
    stat_set(&m, MEMSTAT_SLAB_RECLAIMABLE, 5 * MIB);
    assert_true(limit_used(&n, &m, &bytes));
    assert_int_equal(bytes, 45 * MIB);
    n.have = 0;
    assert_false(limit_used(&n, &m, &bytes));
}

static void used_is_never_negative(void **state) {
    struct cgroup_numbers n = {.have = 1ull << CGROUP_USAGE};
    struct memstat m = {.have = 0};
    uint64_t bytes = 77;

    (void)state;
    n.value[CGROUP_USAGE] = 5 * MIB;
    stat_set(&m, MEMSTAT_INACTIVE_FILE, 5 * MIB);
    stat_set(&m, MEMSTAT_ACTIVE_FILE, 1);
    assert_true(limit_used(&n, &m, &bytes));
    assert_int_equal(bytes, 0);
    stat_set(&m, MEMSTAT_INACTIVE_FILE, 6 * MIB);
    assert_true(limit_working_set(&n, &m, &bytes));
    assert_int_equal(bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tightest_of_own_and_ancestors_counts),
        cmocka_unit_test(of_equal_limits_the_nearest_is_named),
        cmocka_unit_test(the_kernels_own_minimum_names_no_stranger_when_it_is_ours),
        cmocka_unit_test(a_limit_above_the_machines_memory_is_none),
        cmocka_unit_test(a_limit_outside_of_the_namespace_is_known_on_v1),
        cmocka_unit_test(a_limit_that_cannot_be_seen_is_admitted),
        cmocka_unit_test(headroom_is_the_least_room_of_the_chain),
        cmocka_unit_test(nothing_known_is_said_so),
        cmocka_unit_test(used_is_what_reclaim_leaves),
        cmocka_unit_test(used_is_never_negative),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
