#include "kern/memstat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "kern/proctest.h"

#define APP_V1 "tests/fixtures/v1/app/memory.stat"
#define APP_V2 "tests/fixtures/v2/app/memory.stat"

static struct memstat parsed(struct str text, enum cg_version version) {
    struct memstat m;

    assert_int_equal(memstat_parse(text, version, NULL, &m), 0);
    return m;
}

static void holds(const struct memstat *m, enum memstat_field field, uint64_t value) {
    assert_true(memstat_has(m, field));
    assert_int_equal(m->value[field], value);
}

static void v1_values_are_those_of_the_file(void **state) {
    struct str text = proctest_load(APP_V1);
    struct memstat m = parsed(text, CG_V1);

    (void)state;
    holds(&m, MEMSTAT_ANON, 90955776);
    holds(&m, MEMSTAT_FILE, 58949632);
    holds(&m, MEMSTAT_SHMEM, 16777216);
    holds(&m, MEMSTAT_MAPPED, 21000192);
    holds(&m, MEMSTAT_DIRTY, 8192);
    holds(&m, MEMSTAT_INACTIVE_ANON, 107728896);
    holds(&m, MEMSTAT_ACTIVE_ANON, 4096);
    holds(&m, MEMSTAT_INACTIVE_FILE, 42037248);
    holds(&m, MEMSTAT_ACTIVE_FILE, 135168);
    holds(&m, MEMSTAT_FAULTS, 35353);
    holds(&m, MEMSTAT_MAJOR_FAULTS, 2);
    holds(&m, MEMSTAT_REFAULT_FILE, 33);
    holds(&m, MEMSTAT_SWAP, 0);
    holds(&m, MEMSTAT_ANON_THP, 0);
    holds(&m, MEMSTAT_HIER_LIMIT, 268435456);
    holds(&m, MEMSTAT_HIER_MEMSW_LIMIT, 314572800);
    assert_false(memstat_has(&m, MEMSTAT_KERNEL));
    assert_false(memstat_has(&m, MEMSTAT_SLAB_RECLAIMABLE));
    assert_false(memstat_has(&m, MEMSTAT_SOCK));
    proctest_free(text);
}

static void v2_values_are_those_of_the_file(void **state) {
    struct str text = proctest_load(APP_V2);
    struct memstat m = parsed(text, CG_V2);

    (void)state;
    holds(&m, MEMSTAT_ANON, 67276800);
    holds(&m, MEMSTAT_FILE, 17674240);
    holds(&m, MEMSTAT_SHMEM, 16777216);
    holds(&m, MEMSTAT_MAPPED, 659456);
    holds(&m, MEMSTAT_KERNEL, 311296);
    holds(&m, MEMSTAT_PAGETABLES, 192512);
    holds(&m, MEMSTAT_SLAB_RECLAIMABLE, 45904);
    holds(&m, MEMSTAT_SLAB_UNRECLAIMABLE, 18424);
    holds(&m, MEMSTAT_INACTIVE_FILE, 892928);
    holds(&m, MEMSTAT_ACTIVE_FILE, 4096);
    holds(&m, MEMSTAT_FAULTS, 17154);
    holds(&m, MEMSTAT_MAJOR_FAULTS, 3);
    holds(&m, MEMSTAT_SOCK, 0);
    holds(&m, MEMSTAT_ZSWAP, 0);
    assert_false(memstat_has(&m, MEMSTAT_SWAP));
    assert_false(memstat_has(&m, MEMSTAT_HIER_LIMIT));
    proctest_free(text);
}

/* In both captures: shmem lies inside file and on the anonymous lists, the lists add up to anon and
 * file within what a batch of pages may lag. */
static void versions_agree_on_meaning(void **state) {
    struct str text[2] = {proctest_load(APP_V1), proctest_load(APP_V2)};

    (void)state;
    for (unsigned version = CG_V1; version <= CG_V2; version++) {
        struct memstat m = parsed(text[version], version);
        uint64_t lists = m.value[MEMSTAT_INACTIVE_ANON] + m.value[MEMSTAT_ACTIVE_ANON] +
                         m.value[MEMSTAT_INACTIVE_FILE] + m.value[MEMSTAT_ACTIVE_FILE] +
                         m.value[MEMSTAT_UNEVICTABLE];
        uint64_t kinds = m.value[MEMSTAT_ANON] + m.value[MEMSTAT_FILE];
        uint64_t off = lists > kinds ? lists - kinds : kinds - lists;

        assert_true(m.value[MEMSTAT_SHMEM] <= m.value[MEMSTAT_FILE]);
        assert_true(m.value[MEMSTAT_SHMEM] <=
                    m.value[MEMSTAT_INACTIVE_ANON] + m.value[MEMSTAT_ACTIVE_ANON]);
        assert_true(off <= 64 * 4096);
        proctest_free(text[version]);
    }
}

static void v1_counts_the_groups_below_and_keys_are_whole_words(void **state) {
    struct memstat m = parsed(STR("rss 1\nrss_huge 2\ncache 3\ntotal_rss_huge 4\ntotal_rss 5\n"
                                  "xtotal_rss 6\ntotal_rss_hugex 7\n"),
                              CG_V1);

    (void)state;
    holds(&m, MEMSTAT_ANON, 5);
    holds(&m, MEMSTAT_ANON_THP, 4);
    assert_false(memstat_has(&m, MEMSTAT_FILE));
    m = parsed(STR("anon_thp 1\nanon 2\nfile_thp 3\nfile_mapped 4\nfile 5\n"), CG_V2);
    holds(&m, MEMSTAT_ANON, 2);
    holds(&m, MEMSTAT_ANON_THP, 1);
    holds(&m, MEMSTAT_FILE, 5);
    holds(&m, MEMSTAT_MAPPED, 4);
    m = parsed(STR("total_rss 5\n"), CG_V2); /* the other version's word means nothing */
    assert_int_equal(m.have, 0);
}

static void a_key_from_the_future_is_skipped(void **state) {
    struct memstat m =
        parsed(STR("brand_new_key_that_is_much_longer_than_any_key_known_today 18\nanon 4096\n"
                   "another:kind/of.key 0\n"),
               CG_V2);

    (void)state;
    holds(&m, MEMSTAT_ANON, 4096);
    assert_int_equal(m.have, 1ull << MEMSTAT_ANON);
}

static void a_missing_key_is_not_zero(void **state) {
    struct memstat m = parsed(STR(""), CG_V2);

    (void)state;
    assert_int_equal(m.have, 0);
    m = parsed(STR("anon 0\n"), CG_V2);
    assert_int_equal(m.have, 1ull << MEMSTAT_ANON);
    holds(&m, MEMSTAT_ANON, 0);
}

static void bad_text_changes_nothing(void **state) {
    static const char *const bad[] = {
        "anon 1",    "anon\n",       "anon 1 \n",      "anon  1\n",
        "anon -1\n", "\n",           " 1\n",           "anon 1\n\nfile 2\n",
        "anon x\n",  "anon 1\nfile", "anon\nfile 1\n", "anon 0x1\n"};
    struct memstat before, m;

    (void)state;
    memset(&before, 0x5a, sizeof(before));
    m = before;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        struct memstat_order order = {0};

        if (memstat_parse(str_of(bad[i]), CG_V2, NULL, &m) != -EBADMSG)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(memstat_parse(str_of(bad[i]), CG_V2, &order, &m), -EBADMSG);
        assert_int_equal(memstat_parse(str_of(bad[i]), CG_V2, &order, &m), -EBADMSG);
        assert_memory_equal(&m, &before, sizeof(m));
    }
}

static void the_largest_number_fits_and_one_more_is_refused(void **state) {
    struct memstat m = parsed(STR("anon 18446744073709551615\n"), CG_V2);

    (void)state;
    assert_true(m.value[MEMSTAT_ANON] == UINT64_MAX);
    assert_int_equal(memstat_parse(STR("anon 18446744073709551616\n"), CG_V2, NULL, &m), -ERANGE);
    assert_int_equal(memstat_parse(STR("new 99999999999999999999\n"), CG_V2, NULL, &m), -ERANGE);
    assert_true(m.value[MEMSTAT_ANON] == UINT64_MAX);
}

/* Lines of the text in an order of their own: every step-th, some left out, one added. */
static struct str shuffled(struct str text, unsigned round, char *out) {
    struct str line[128], rest = text;
    unsigned lines = 0, step = 1 + 2 * (round % 7);
    size_t n = 0;

    while (lines < ARRAY_N(line) && str_cut(&rest, '\n', &line[lines]))
        lines++;
    while (lines % step == 0 && step > 1)
        step += 2;
    for (unsigned i = 0; i < lines; i++) {
        struct str l = line[(unsigned long)i * step % lines];

        if (round > 20 && (i + round) % 11 == 0)
            continue;
        if (round > 10 && i == round)
            n += (size_t)sprintf(out + n, "inserted_key_%u 5\n", round);
        memcpy(out + n, l.p, l.n);
        out[n + l.n] = '\n';
        n += l.n + 1;
    }
    return (struct str){out, n};
}

static void the_remembered_order_never_changes_the_result(void **state) {
    struct str text[2] = {proctest_load(APP_V1), proctest_load(APP_V2)};
    char buf[8192];

    (void)state;
    for (unsigned version = CG_V1; version <= CG_V2; version++) {
        struct memstat_order order = {0};

        for (unsigned round = 0; round < 60; round++) {
            struct str mixed = shuffled(text[version], round, buf);
            struct memstat with, without = parsed(mixed, version);

            for (unsigned again = 0; again < 2; again++) {
                memset(&with, 0xa5, sizeof(with));
                assert_int_equal(memstat_parse(mixed, version, &order, &with), 0);
                assert_memory_equal(&with, &without, sizeof(with));
            }
        }
        proctest_free(text[version]);
    }
}

static void the_memory_of_the_order_is_bounded(void **state) {
    struct memstat_order order = {0};
    struct memstat m;
    char buf[16384];
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < 2 * MEMSTAT_LINES; i++)
        n += (size_t)sprintf(buf + n, "k%u_%.*s 1\n", i, (int)(i % 60),
                             "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    n += (size_t)sprintf(buf + n, "anon 9\n");
    for (unsigned again = 0; again < 3; again++) {
        assert_int_equal(memstat_parse((struct str){buf, n}, CG_V2, &order, &m), 0);
        holds(&m, MEMSTAT_ANON, 9);
        assert_true(order.lines <= MEMSTAT_LINES);
    }
}

static enum cg_version tried;

static int try(struct str text) {
    struct memstat before, m;
    int r;

    memset(&before, 0x5a, sizeof(before));
    m = before;
    r = memstat_parse(text, tried, NULL, &m);
    if (r < 0)
        assert_memory_equal(&m, &before, sizeof(m));
    return r;
}

static void prefixes_are_whole_lines_or_errors(void **state) {
    (void)state;
    tried = CG_V1; /* 42 lines: 41 prefixes end with a newline, and the empty one */
    assert_int_equal(proctest_prefixes(APP_V1, try), 42);
    tried = CG_V2;
    assert_int_equal(proctest_prefixes(APP_V2, try), 51);
    assert_int_equal(proctest_prefixes("tests/fixtures/v2/root/memory.stat", try) > 40, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v1_values_are_those_of_the_file),
        cmocka_unit_test(v2_values_are_those_of_the_file),
        cmocka_unit_test(versions_agree_on_meaning),
        cmocka_unit_test(v1_counts_the_groups_below_and_keys_are_whole_words),
        cmocka_unit_test(a_key_from_the_future_is_skipped),
        cmocka_unit_test(a_missing_key_is_not_zero),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(the_largest_number_fits_and_one_more_is_refused),
        cmocka_unit_test(the_remembered_order_never_changes_the_result),
        cmocka_unit_test(the_memory_of_the_order_is_bounded),
        cmocka_unit_test(prefixes_are_whole_lines_or_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
