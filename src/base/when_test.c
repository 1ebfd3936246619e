#include "base/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <time.h>

#include "base/basetest.h"
#include "base/clock.h"
#include "base/mem.h"

#define NOW INT64_C(1795247296123) /* 2026-11-21T07:48:16.123Z, as date(1) says */

static void every_form_means_what_it_says(void **state) {
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"now", NOW},
        {"-10m", NOW - 600000},
        {"-0.5", NOW - 500},
        {"-1.5h", NOW - 5400000},
        {"-200ms", NOW - 200},
        {"0", 0},
        {"1795247296", 1795247296000},
        {"1795247296.5", 1795247296500},
        {"1795247296.123456", 1795247296123},
        {"99999999999", 99999999999000},
        {"100000000000", 100000000000},
        {"1795247296123", NOW},
        {"2026-11-21T07:48:16.123Z", NOW},
        {"2026-11-21t07:48:16.123z", NOW},
        {"2026-11-21 07:48:16.1239", NOW},
        {"2026-11-21T09:48:16.123+02:00", NOW},
        {"2026-11-21T02:18:16.123-05:30", NOW},
        {"2026-11-21T07:48", NOW - 16123},
        {"2026-11-21", NOW - 28096123},
        {"07:48:16", NOW - 123},
        {"07:48", NOW - 16123},
        {"00:00", NOW - 28096123},
        {"1970-01-01", 0},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"2000-03-01", 951868800000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
        {"2016-12-31T23:59:60Z", 1483228800000},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(good); i++) {
        int64_t ms = -1;

        if (when_parse(str_of(good[i].text), NOW, &ms) != 0 || ms != good[i].ms)
            fail_msg("'%s' gives %lld, not %lld", good[i].text, (long long)ms,
                     (long long)good[i].ms);
    }
}

static void anything_else_is_refused(void **state) {
    static const struct {
        const char *text;
        int error;
    } bad[] = {
        {"", -EBADMSG},
        {"-", -EBADMSG},
        {"-x", -EBADMSG},
        {"--1m", -EBADMSG},
        {"+1m", -EBADMSG},
        {" 1", -EBADMSG},
        {"1.", -EBADMSG},
        {".5", -EBADMSG},
        {"1.5.5", -EBADMSG},
        {"1e9", -EBADMSG},
        {"yesterday", -EBADMSG},
        {"7:48", -EBADMSG},
        {"07:48:1", -EBADMSG},
        {"07:48Z", -EBADMSG},
        {"24:00", -ERANGE},
        {"07:60", -ERANGE},
        {"2026-13-01", -ERANGE},
        {"2026-02-29", -ERANGE},
        {"1900-02-28", -ERANGE},
        {"2100-02-29", -ERANGE},
        {"2026-11-31", -ERANGE},
        {"2026-11-00", -ERANGE},
        {"2026-11-21T", -EBADMSG},
        {"2026-11-21T07", -EBADMSG},
        {"2026-11-21T07:48+2", -EBADMSG},
        {"2026-11-21T07:48+25:00", -ERANGE},
        {"2026-11-21T07:48Zx", -EBADMSG},
        {"1970-01-01T00:00+01:00", -ERANGE},
        {"18446744073709551616", -ERANGE},
        {"18446744073709551615", -ERANGE},
        {"-99999999999h", -ERANGE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        int64_t ms = -77;
        int r = when_parse(str_of(bad[i].text), NOW, &ms);

        if (r != bad[i].error || ms != -77)
            fail_msg("'%s' gives %d and %lld", bad[i].text, r, (long long)ms);
    }
}

/* What clock_add_rfc3339 writes is read back, and the C library agrees on the day. */
static void what_is_written_is_read_back(void **state) {
    struct basetest_random random = {.state = 7};
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    for (unsigned i = 0; i < 20000; i++) {
        int64_t ms = (int64_t)(basetest_next(&random) % 253402300800000u), back = -1;
        time_t seconds = ms / 1000;
        char text[40];
        struct tm tm;

        clock_add_rfc3339(&b, ms);
        assert_int_equal(when_parse(buf_str(&b), NOW, &back), 0);
        assert_true(back == ms);
        buf_clear(&b);
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_true(strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) > 0);
        assert_int_equal(when_parse(str_of(text), NOW, &back), 0);
        assert_true(back == ms - ms % 1000);
    }
    buf_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_means_what_it_says),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(what_is_written_is_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
