#include "base/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/basetest.h"

static void sizes_are_read_as_docker_reads_them(void **state) {
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"1", 1},
        {"512b", 512},
        {"64kb", 65536},
        {"64K", 65536},
        {"60M", 62914560},
        {"60m", 62914560},
        {"512MiB", 536870912},
        {"512mib", 536870912},
        {"1.5G", 1610612736},
        {"0.5k", 512},
        {"1.0000000009k", 1024},
        {"2TiB", 2199023255552},
        {"1P", 1125899906842624},
        {"9223372036854775807", INT64_MAX},
        {"8191P", 9222246136947933184},
    };
    static const struct {
        const char *text;
        int error;
    } bad[] = {
        {"", -EBADMSG},
        {"M", -EBADMSG},
        {".5G", -EBADMSG},
        {"1.G", -EBADMSG},
        {"1.5", -EBADMSG},
        {"1.5b", -EBADMSG},
        {"-1", -EBADMSG},
        {"+1", -EBADMSG},
        {" 1", -EBADMSG},
        {"1 G", -EBADMSG},
        {"1GG", -EBADMSG},
        {"1iB", -EBADMSG},
        {"1Gi", -EBADMSG},
        {"1E", -EBADMSG},
        {"0x10", -EBADMSG},
        {"1,5G", -EBADMSG},
        {"8192P", -ERANGE},
        {"9223372036854775808", -ERANGE},
        {"99999999999999999999", -ERANGE},
    };
    uint64_t bytes = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (num_parse_size(str_of(good[i].text), &bytes) != 0)
            fail_msg("'%s' is refused", good[i].text);
        assert_int_equal(bytes, good[i].bytes);
    }
    bytes = 77;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (num_parse_size(str_of(bad[i].text), &bytes) != bad[i].error)
            fail_msg("'%s' is not refused as it should be", bad[i].text);
        assert_int_equal(bytes, 77);
    }
}

static void durations_are_milliseconds(void **state) {
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"2", 2000},      {"0.5", 500},       {"1.5s", 1500},     {"200ms", 200},
                {"5m", 300000},   {"1h", 3600000},    {"1d", 86400000},   {"0.0009", 0},
                {"1.9999", 1999}, {"2w", 1209600000}, {"1y", 31536000000}};
    static const char *const bad[] = {"", "s", "1 s", "-1", "1S", "1W", "1.", ".5", "1ss"};
    uint64_t ms = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(num_parse_ms(str_of(good[i].text), &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    ms = 77;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(num_parse_ms(str_of(bad[i]), &ms), -EBADMSG);
    assert_int_equal(num_parse_ms(STR("999999999999999999d"), &ms), -ERANGE);
    assert_int_equal(ms, 77);
}

static void iec(struct buf *b, uint64_t bytes, const char *wanted) {
    num_add_iec(b, bytes);
    basetest_holds(b, wanted);
}

static void iec_sizes_have_three_digits(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    iec(&b, 0, "0B");
    iec(&b, 999, "999B");
    iec(&b, 1023, "1023B");
    iec(&b, 1024, "1.00K");
    iec(&b, 1536, "1.50K");
    iec(&b, 62914560, "60.0M");
    iec(&b, 10234, "9.99K");   /* 9.994 */
    iec(&b, 10235, "10.0K");   /* 9.9951: rounded up, a digit goes */
    iec(&b, 102348, "99.9K");  /* 99.949 */
    iec(&b, 102349, "100K");   /* 99.950 and a bit */
    iec(&b, 1047552, "1023K"); /* 1023 KiB exactly */
    iec(&b, 1048575, "1.00M"); /* 1023.999 KiB: not 1024K */
    iec(&b, 1073741823, "1.00G");
    iec(&b, 25276502016, "23.5G");
    iec(&b, UINT64_MAX, "16.0E");
    buf_done(&b);
}

static void iec_sizes_are_never_wider_than_six_and_never_far_off(void **state) {
    static const char letters[] = "BKMGTPE";
    struct basetest_random random = {31415926535};
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t bytes = basetest_next(&random) >> (basetest_next(&random) % 64);
        double unit = 1, off;
        struct str s;

        if (i % 4 == 0) /* about the places where the unit changes */
            bytes = (1ull << (10 * (1 + i % 6))) - (i >> 3) % 2000;
        buf_clear(&b);
        num_add_iec(&b, bytes);
        s = buf_str(&b);
        assert_true(s.n <= 6);
        for (const char *l = letters; *l != s.p[s.n - 1]; l++)
            unit *= 1024;
        buf_add_char(&b, '\0');
        off = strtod(b.p, NULL) * unit - (double)bytes;
        assert_true(off <= (double)bytes / 180 + 1 && -off <= (double)bytes / 180 + 1);
    }
    buf_done(&b);
}

static void docker(struct buf *b, uint64_t bytes, const char *binary, const char *si) {
    num_add_docker_iec(b, bytes);
    basetest_holds(b, binary);
    num_add_docker_si(b, bytes);
    basetest_holds(b, si);
}

/* Pairs of bytes and texts as the engine's own command prints them. */
static void docker_sizes_are_spelled_like_docker(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    docker(&b, 0, "0B", "0B");
    docker(&b, 656, "656B", "656B");
    docker(&b, 2480, "2.422KiB", "2.48kB");
    docker(&b, 5902336, "5.629MiB", "5.9MB");
    docker(&b, 2095944040, "1.952GiB", "2.1GB");
    docker(&b, 13600000, "12.97MiB", "13.6MB");
    docker(&b, 33554432, "32MiB", "33.6MB");
    docker(&b, 67108864, "64MiB", "67.1MB");
    docker(&b, 25276502016, "23.54GiB", "25.3GB");
    docker(&b, 1000, "1000B", "1kB");
    docker(&b, 1024, "1KiB", "1.02kB");
    buf_done(&b);
}

static void percentages_round_to_nearest(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    num_add_centi(&b, 1234, 2);
    basetest_holds(&b, "12.34");
    num_add_centi(&b, 1239, 1);
    basetest_holds(&b, "12.3");
    num_add_centi(&b, 1299, 0);
    basetest_holds(&b, "12");
    num_add_centi(&b, 5, 2);
    basetest_holds(&b, "0.05");
    buf_done(&b);
    assert_int_equal(num_centi_pct(1, 3), 3333);
    assert_int_equal(num_centi_pct(2, 3), 6667);
    assert_int_equal(num_centi_pct(1, 1), 10000);
    assert_int_equal(num_centi_pct(0, 5), 0);
    assert_true(num_centi_pct(UINT64_MAX, UINT64_MAX) == 10000);
    assert_true(num_centi_pct(UINT64_MAX, 1) == UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read_as_docker_reads_them),
        cmocka_unit_test(durations_are_milliseconds),
        cmocka_unit_test(iec_sizes_have_three_digits),
        cmocka_unit_test(iec_sizes_are_never_wider_than_six_and_never_far_off),
        cmocka_unit_test(docker_sizes_are_spelled_like_docker),
        cmocka_unit_test(percentages_round_to_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
