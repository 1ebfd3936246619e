/* Which records are lines of the agent's log, what they say, and how many there are at most. */
#include "engine/guardlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct audit record(enum audit_kind kind) {
    struct audit a = {.kind = kind,
                      .name = "web",
                      .path = "/docker/a",
                      .mark = 2,
                      .up = true,
                      .action = ACTION_KILL,
                      .have_before = true,
                      .have_after = true,
                      .before = 480 << 20,
                      .after = 12 << 20,
                      .took_us = 3000};

    a.report.outcome = OUTCOME_DONE;
    a.report.pid = 4711;
    return a;
}

static void says(struct guardlog *g, const struct audit *a, int64_t at_ms, const char *line) {
    char memory[1000];
    struct buf out;

    buf_fixed(&out, memory, sizeof(memory) - 1);
    assert_int_equal(guardlog_line(g, a, at_ms, &out), line != NULL);
    memory[out.n] = '\0';
    if (line && strcmp(memory, line) != 0)
        fail_msg("'%s' is not '%s'", memory, line);
}

static void what_is_done_is_a_line_and_what_is_quiet_is_none(void **state) {
    struct guardlog g = {.at_ms = 0};
    struct audit a = record(AUDIT_END);

    (void)state;
    for (unsigned kind = 0; kind < AUDIT_N; kind++) {
        const struct audit other = {.kind = (enum audit_kind)kind};

        assert_int_equal(guardlog_wants(&other),
                         kind == AUDIT_END || kind == AUDIT_UNDO || kind == AUDIT_HANG);
    }
    says(&g, &a, 1, "'web': mark 2: kill 4711: done in 3.00 ms, 480M -> 12.0M");
    a.name[0] = '\0';
    a.report = (struct action_report){.outcome = OUTCOME_REFUSED, .text = "protected"};
    says(&g, &a, 1, "'/docker/a': mark 2: kill: refused: protected");
    a = record(AUDIT_HANG);
    a.up = false;
    says(&g, &a, 1, "'web': hangs no more");
}

/* A thousand that are acted on at once are not a thousand lines, and how many are missing is told.
 */
static void lines_are_bounded_and_what_is_left_out_is_counted(void **state) {
    const char *line = "'web': mark 2: kill 4711: done in 3.00 ms, 480M -> 12.0M";
    const struct audit a = record(AUDIT_END);
    struct guardlog g = {.at_ms = 0};
    char more[200];

    (void)state;
    for (unsigned i = 0; i < GUARDLOG_LINES; i++)
        says(&g, &a, 5000, line);
    for (unsigned i = 0; i < 900; i++)
        says(&g, &a, 5000 + i, NULL);
    snprintf(more, sizeof(more), "%s (left out before it, and in the audit: 900)", line);
    says(&g, &a, 5000 + GUARDLOG_MS, more);
    says(&g, &a, 5001 + GUARDLOG_MS, NULL);
    snprintf(more, sizeof(more), "%s (left out before it, and in the audit: 1)", line);
    says(&g, &a, 1000000000, more);
    for (unsigned i = 1; i < GUARDLOG_LINES; i++)
        says(&g, &a, 1000000000, line);
    says(&g, &a, 1000000000, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_done_is_a_line_and_what_is_quiet_is_none),
        cmocka_unit_test(lines_are_bounded_and_what_is_left_out_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
