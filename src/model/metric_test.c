#include "model/metric.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "base/basetest.h"

static void the_exported_name_has_the_unit_of_prometheus(void **state) {
    static const struct {
        enum metric m;
        const char *name;
    } known[] = {
        {METRIC_USAGE, "plimsoll_memory_usage_bytes"},
        {METRIC_CPU_US, "plimsoll_cpu_seconds_total"},
        {METRIC_PSI_SOME_US, "plimsoll_memory_pressure_waiting_seconds_total"},
        {METRIC_PSI_FULL, "plimsoll_memory_pressure_full_avg10_ratio"},
        {METRIC_OOM_KILLS, "plimsoll_memory_oom_kills_total"},
        {METRIC_PIDS, "plimsoll_pids"},
    };
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        buf_clear(&b);
        metric_add_exported(&b, known[i].m);
        basetest_holds(&b, known[i].name);
    }
    buf_done(&b);
}

static void no_exported_name_has_microseconds_or_a_namesake(void **state) {
    struct buf all, one;

    (void)state;
    buf_init(&all, 1 << 20);
    buf_init(&one, 1000);
    buf_add_char(&all, '\n');
    for (unsigned m = 0; m < METRIC_N; m++) {
        buf_clear(&one);
        buf_add_char(&one, '\n');
        metric_add_exported(&one, m);
        buf_add_char(&one, '\n');
        assert_null(memmem(one.p, one.n, "_us_", 4));
        assert_null(memmem(all.p, all.n, one.p, one.n));
        buf_add(&all, str_from(buf_str(&one), 1));
    }
    buf_done(&all);
    buf_done(&one);
}

static void each_metric_says_what_it_is_and_where_it_stands(void **state) {
    (void)state;
    for (unsigned m = 0; m < METRIC_N; m++) {
        const struct metric_info *info = metric_info(m);
        struct str help = str_of(info->help), source = str_of(info->source);

        if (!str_drop(&help, STR(".")) || help.n == 0 || strstr(info->help, ". "))
            fail_msg("'%s' is not one sentence", info->help);
        if (source.n == 0 || str_ends(source, STR(".")) ||
            !(strchr(info->source, '.') || strstr(info->source, "/proc/") || m == METRIC_HEADROOM))
            fail_msg("'%s' names no file of the kernel", info->source);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exported_name_has_the_unit_of_prometheus),
        cmocka_unit_test(no_exported_name_has_microseconds_or_a_namesake),
        cmocka_unit_test(each_metric_says_what_it_is_and_where_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
