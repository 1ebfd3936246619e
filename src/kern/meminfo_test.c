#include "kern/meminfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/mem.h"
#include "kern/proctest.h"

static void values_are_bytes(void **state) {
    auto_close int v2 = proctest_open("tests/fixtures/v2/proc");
    struct meminfo m;

    (void)state;
    assert_int_equal(meminfo_read(v2, &m), 0);
    assert_int_equal(m.have, (1u << MEMINFO_N) - 1);
    assert_int_equal(m.value[MEMINFO_TOTAL], 653796ull * 1024);
    assert_int_equal(m.value[MEMINFO_FREE], 600012ull * 1024);
    assert_int_equal(m.value[MEMINFO_AVAILABLE], 560524ull * 1024);
    assert_int_equal(m.value[MEMINFO_BUFFERS], 4096);
    assert_int_equal(m.value[MEMINFO_CACHED], 15660ull * 1024);
    assert_int_equal(m.value[MEMINFO_SWAP_CACHED], 0);
    assert_int_equal(m.value[MEMINFO_SHMEM], 3300ull * 1024);
    assert_int_equal(m.value[MEMINFO_SLAB_RECLAIMABLE], 9400ull * 1024);
    assert_int_equal(m.value[MEMINFO_SWAP_TOTAL], 131068ull * 1024);
    assert_int_equal(m.value[MEMINFO_COMMITTED], 5016ull * 1024);
}

/* "Cached:" also ends "SwapCached:". */
static void keys_are_whole_words_in_any_order(void **state) {
    struct meminfo m;

    (void)state;
    assert_int_equal(meminfo_parse(STR("SwapCached: 1 kB\nHugePages_Total:       3\nCached: 2 kB\n"
                                       "Active(anon): 9 kB\nNewKey: 5 pages\n"),
                                   &m),
                     0);
    assert_int_equal(m.value[MEMINFO_SWAP_CACHED], 1024);
    assert_int_equal(m.value[MEMINFO_CACHED], 2048);
    assert_int_equal(m.value[MEMINFO_ACTIVE_ANON], 9 * 1024);
    assert_int_equal(m.have,
                     1u << MEMINFO_SWAP_CACHED | 1u << MEMINFO_CACHED | 1u << MEMINFO_ACTIVE_ANON);
}

static void bad_text_changes_nothing(void **state) {
    static const char *const bad[] = {"MemTotal: 1 kB",
                                      "MemTotal:\n",
                                      "MemTotal 1 kB\n",
                                      "MemTotal: x kB\n",
                                      "\n",
                                      "MemTotal: -1 kB\n",
                                      "MemTotal: 18446744073709551615 kB\n",
                                      "MemTotal: 99999999999999999999 kB\n"};
    struct meminfo before, m;

    (void)state;
    memset(&before, 0x5a, sizeof(before));
    m = before;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        if (meminfo_parse(str_of(bad[i]), &m) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_memory_equal(&m, &before, sizeof(m));
    }
}

static int try(struct str text) {
    struct meminfo before, m;
    int r;

    memset(&before, 0x5a, sizeof(before));
    m = before;
    r = meminfo_parse(text, &m);
    if (r < 0)
        assert_memory_equal(&m, &before, sizeof(m));
    return r;
}

static void prefixes_are_whole_lines_or_errors(void **state) {
    (void)state; /* as many good ones as there are lines */
    assert_int_equal(proctest_prefixes("tests/fixtures/v1/proc/meminfo", try), 54);
    assert_int_equal(proctest_prefixes("tests/fixtures/v2/proc/meminfo", try), 54);
}

static void reads_this_machine(void **state) {
    auto_close int proc = proctest_open("/proc");
    struct meminfo m;

    (void)state;
    assert_int_equal(meminfo_read(proc, &m), 0);
    assert_true(meminfo_has(&m, MEMINFO_TOTAL) && m.value[MEMINFO_TOTAL] > 16 << 20);
    assert_true(m.value[MEMINFO_AVAILABLE] <= m.value[MEMINFO_TOTAL]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_bytes),
        cmocka_unit_test(keys_are_whole_words_in_any_order),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(prefixes_are_whole_lines_or_errors),
        cmocka_unit_test(reads_this_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
