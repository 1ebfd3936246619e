#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "runtime/goword.h"

enum { AMD64 = 62, ARM64 = 183, SIZE = 424 };

/* As a program with 8 MiB in use and 150 MiB of garbage has it. */
static void fill(char bytes[SIZE]) {
    const struct {
        size_t at;
        uint64_t value;
    } word[] = {{0, 100},         {8, INT64_MAX},   {16, 4194304},    {120, UINT64_MAX},
                {136, 166374568}, {184, 102845608}, {256, 47800000},  {304, 166633472},
                {312, 909312},    {320, 40960},     {328, 166270568}, {336, 27360},
                {344, 180352048}};

    memset(bytes, 0, SIZE);
    for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++)
        memcpy(bytes + word[i].at, &word[i].value, 8);
}

static void poke(char *bytes, size_t at, uint64_t value) {
    memcpy(bytes + at, &value, 8);
}

static void only_verified_versions_have_a_layout(void **state) {
    (void)state;
    assert_non_null(go_layout_of("1.19.8", AMD64));
    assert_null(go_layout_of("1.19.8", ARM64));
    static const char *const others[] = {
        "",        "1.19",    "1.19.7",    "1.19.9",  "1.20",         "1.21.8",
        "1.19.8 ", "1.19.8x", "1.19.08.1", "1.19rc8", "devel 1.19.8", "1.99999999999999999999.8",
        "..",      "1..8"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_null(go_layout_of(others[i], AMD64));
}

static void a_state_is_believed_only_if_it_is_consistent(void **state) {
    const struct go_layout *l = go_layout_of("1.19.8", AMD64);
    const struct {
        size_t at;
        uint64_t value;
    } wrong[] = {
        {0, 100 | UINT64_C(1) << 32}, /* padding */
        {0, 200},                     /* does not fit the heap's minimum */
        {0, 0xfffffffe},              /* GOGC -2 */
        {8, UINT64_MAX},              /* a negative limit */
        {16, 4194303},
        {120, UINT64_MAX - 1},
        {184, UINT64_C(1) << 50},
        {304, 166633473}, /* no whole spans */
        {304, 0},
        {312, 909313},
        {320, UINT64_C(1) << 60},
        {328, 27359},               /* more freed than allocated */
        {328, UINT64_C(500) << 20}, /* more objects than room */
        {344, 1000000},             /* less in all than in the heap */
    };
    char bytes[SIZE];

    (void)state;
    fill(bytes);
    assert_true(go_controller_fits(l, bytes));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        fill(bytes);
        poke(bytes, wrong[i].at, wrong[i].value);
        if (go_controller_fits(l, bytes))
            fail_msg("word %zu with %llu is believed", wrong[i].at,
                     (unsigned long long)wrong[i].value);
    }
    fill(bytes);
    poke(bytes, 0, 0xffffffff); /* GOGC=off */
    poke(bytes, 16, (UINT64_MAX - 4194303) / 100);
    assert_true(go_controller_fits(l, bytes));
}

static void pauses_must_add_up(void **state) {
    const struct go_layout *l = go_layout_of("1.19.8", AMD64);
    static char bytes[13512];
    const uint64_t second = 1000000000;

    (void)state;
    memset(bytes, 0, sizeof(bytes));
    bytes[7736] = 1;
    assert_true(go_stats_fit(l, bytes, 100 * second)); /* never collected */
    poke(bytes, 7704, 3);
    assert_false(go_stats_fit(l, bytes, 100 * second)); /* three collections, and none was last */
    poke(bytes, 7720, 90 * second);
    for (size_t i = 0; i < 3; i++)
        poke(bytes, 3608 + 8 * i, 2 * second);
    poke(bytes, 3600, 6 * second);
    assert_true(go_stats_fit(l, bytes, 100 * second));
    poke(bytes, 3600, 9 * second);
    assert_false(go_stats_fit(l, bytes, 100 * second));
    poke(bytes, 3600, 2 * second);
    assert_false(go_stats_fit(l, bytes, 100 * second));
    poke(bytes, 3600, 6 * second);
    assert_false(go_stats_fit(l, bytes, 80 * second)); /* the last one is to come */
    poke(bytes, 3608, UINT64_MAX);
    assert_false(go_stats_fit(l, bytes, 100 * second));
    memset(bytes, 0x41, sizeof(bytes));
    assert_false(go_stats_fit(l, bytes, 100 * second));
}

static void places_are_counted(void **state) {
    const struct go_layout *l = go_layout_of("1.19.8", AMD64);
    static char data[65536];
    struct go_hits hits = {0};

    (void)state;
    memset(data, 0, sizeof(data));
    fill(data + 4096);
    poke(data, 808, 120000000000);
    go_search(l, data, sizeof(data), 0x5000000, &hits);
    assert_int_equal(hits.controllers, 1);
    assert_int_equal(hits.controller, 0x5000000 + 4096);
    assert_int_equal(hits.periods, 1);
    assert_int_equal(hits.period, 0x5000000 + 808);
    fill(data + 8192);
    poke(data, 12288, 120000000000);
    hits = (struct go_hits){0};
    go_search(l, data, sizeof(data), 0x5000000, &hits);
    assert_int_equal(hits.controllers, 2);
    assert_int_equal(hits.periods, 2);
}

/* In the way a search goes: pieces that overlap by all but 8 bytes of what is looked for. */
static void a_place_across_two_pieces_counts_once(void **state) {
    const struct go_layout *l = go_layout_of("1.19.8", AMD64);
    static char data[16384];

    (void)state;
    for (size_t at = 7600; at <= 8200; at += 8) {
        struct go_hits hits = {0};

        memset(data, 0, sizeof(data));
        fill(data + at);
        poke(data, at + 1000, 120000000000);
        go_search(l, data, 8192, 0, &hits);
        go_search(l, data + 8192 - (SIZE - 8), 8192, 8192 - (SIZE - 8), &hits);
        assert_int_equal(hits.controllers, 1);
        assert_int_equal(hits.controller, at);
        assert_int_equal(hits.periods, 1);
    }
}

static void nothing_is_found_in_noise(void **state) {
    const struct go_layout *l = go_layout_of("1.19.8", AMD64);
    static char data[1 << 20];
    struct basetest_random random = {7};
    struct go_hits hits = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(data); i += 8)
        poke(data, i, basetest_next(&random) % 3 ? 0 : basetest_next(&random) >> i % 64);
    go_search(l, data, sizeof(data), 0, &hits);
    assert_int_equal(hits.controllers, 0);
    assert_int_equal(hits.periods, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_verified_versions_have_a_layout),
        cmocka_unit_test(a_state_is_believed_only_if_it_is_consistent),
        cmocka_unit_test(pauses_must_add_up),
        cmocka_unit_test(places_are_counted),
        cmocka_unit_test(a_place_across_two_pieces_counts_once),
        cmocka_unit_test(nothing_is_found_in_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
