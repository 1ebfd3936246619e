#include "cmd/statsview.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

#include "base/basetest.h"
#include "kern/cgtest.h"

#define ID "4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a"
#define GROUP "/system.slice/docker-" ID ".scope"

/* One container of a captured v2 machine: usage 85544960 of 256 MiB, and nothing that names it. */
struct shown {
    struct cgtest t;
    struct session session;
    struct stats_view view;
    struct buf out;
};

static void show(struct shown *s, enum stats_format format, const char *template) {
    struct cmd_context context = {.root = NULL};
    struct session_options options = {.scope = TARGETS_CONTAINERS};
    struct err err = {0};
    uint32_t slot = 0;
    struct session_rows of = {.session = &s->session, .slot = &slot};
    struct stats_rows rows = {1, session_row, &of};

    cgtest_init(&s->t);
    cgtest_make_v2(&s->t);
    cgtest_copy(&s->t, "tests/fixtures/v2/parent", "/sys/fs/cgroup/system.slice");
    cgtest_copy(&s->t, "tests/fixtures/v2/app", "/sys/fs/cgroup" GROUP);
    context.root = s->t.top;
    s->view = (struct stats_view){.format = format};
    if (template &&
        template_parse(str_of(template), stats_fields, stats_fields_n, &s->view.template, &err) < 0)
        fail_msg("%s", err.text);
    options.want = stats_view_wants(&s->view);
    if (session_open(&s->session, &context, &options, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(targets_shown(s->session.targets), 1);
    while (!targets_at(s->session.targets, slot))
        slot++;
    assert_int_equal(ticker_run(s->session.ticker), 0);
    buf_init(&s->out, 1 << 20);
    stats_view_init(&s->view);
    stats_view_print(&s->view, &rows, 0, &s->out);
    assert_int_equal(buf_error(&s->out), 0);
}

static void done(struct shown *s) {
    stats_view_done(&s->view);
    session_close(&s->session);
    cgtest_done(&s->t);
    buf_done(&s->out);
}

static void prints(const char *template, const char *wanted) {
    struct shown s;

    show(&s, STATS_TEMPLATE, template);
    basetest_holds(&s.out, wanted);
    done(&s);
}

static void docker_columns_are_dockers_own(void **state) {
    struct shown s;

    (void)state;
    show(&s, STATS_DOCKER, NULL);
    /* usage less inactive_file: 80.73 MiB; no second tick yet, so no CPU; no process, so no network
     */
    basetest_holds(&s.out, "CONTAINER ID   NAME           CPU %     MEM USAGE / LIMIT   MEM %     "
                           "NET I/O   BLOCK I/O   PIDS\n"
                           "4f2a4f2a4f2a   4f2a4f2a4f2a   --        80.73MiB / 256MiB   31.54%    "
                           "--        --          2\n");
    done(&s);
}

static void templates_know_dockers_fields_and_ours(void **state) {
    (void)state;
    prints("{{.ID}} {{.MemUsage}} {{.MemPerc}} {{.PIDs}}",
           "4f2a4f2a4f2a 80.73MiB / 256MiB 31.54% 2\n");
    prints("{{json .MemUsage}}", "\"80.73MiB / 256MiB\"\n");
    prints("{{.Used}} {{.Limit}} {{.LimitFrom}} {{.Runtime}}", "80.7M 256M " GROUP " docker\n");
    prints("table {{.ID}}\\t{{.MemPerc}}", "CONTAINER ID   MEM %\n4f2a4f2a4f2a   31.54%\n");
}

static void json_has_every_metric_and_null_for_the_unknown(void **state) {
    json_error_t error;
    struct shown s;
    json_t *row;

    (void)state;
    show(&s, STATS_JSON, NULL);
    row = json_loadb(s.out.p, s.out.n, 0, &error);
    if (!row)
        fail_msg("%s", error.text);
    for (unsigned m = 0; m < METRIC_N; m++)
        if (!json_object_get(row, metric_info(m)->key))
            fail_msg("%s is missing", metric_info(m)->key);
    assert_int_equal(json_integer_value(json_object_get(row, "usage")), 85544960);
    assert_int_equal(json_integer_value(json_object_get(row, "own_limit")), 268435456);
    assert_true(json_is_null(json_object_get(row, "swap_limit"))); /* none */
    assert_true(json_is_null(json_object_get(row, "blk_read")));   /* no such file */
    assert_true(json_is_null(json_object_get(row, "under_oom")));  /* v1 alone has it */
    assert_true(json_is_null(json_object_get(row, "cpu_pct")));    /* one tick is not enough */
    assert_int_equal(json_integer_value(json_object_get(row, "oom_kills")), 0);
    assert_true(json_is_integer(json_object_get(row, "oom_kills")));
    assert_string_equal(json_string_value(json_object_get(row, "id")), ID);
    assert_string_equal(json_string_value(json_object_get(row, "cgroup")), GROUP);
    assert_string_equal(json_string_value(json_object_get(row, "runtime")), "docker");
    assert_string_equal(json_string_value(json_object_get(row, "version")), "v2");
    assert_true(json_is_true(json_object_get(row, "limit_certain")));
    json_decref(row);
    done(&s);
}

static void a_view_reads_only_what_it_shows(void **state) {
    struct stats_view v = {.format = STATS_JSON};
    struct err err;

    (void)state;
    assert_int_equal(stats_view_wants(&v), TICK_ALL);
    v.format = STATS_DOCKER;
    assert_false(stats_view_wants(&v) & (TICK_PSI | TICK_KERNEL | TICK_PEAK));
    v.format = STATS_TEMPLATE;
    assert_int_equal(
        template_parse(STR("{{.Used}}"), stats_fields, stats_fields_n, &v.template, &err), 0);
    assert_true(stats_view_wants(&v) != 0); /* 0 would mean that no sampler is needed */
    assert_false(stats_view_wants(&v) & (TICK_CPU | TICK_IO | TICK_NET | TICK_PSI));
    template_done(&v.template);
    assert_int_equal(
        template_parse(STR("{{.PSI}}"), stats_fields, stats_fields_n, &v.template, &err), 0);
    assert_true(stats_view_wants(&v) & TICK_PSI);
    template_done(&v.template);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(docker_columns_are_dockers_own),
        cmocka_unit_test(templates_know_dockers_fields_and_ours),
        cmocka_unit_test(json_has_every_metric_and_null_for_the_unknown),
        cmocka_unit_test(a_view_reads_only_what_it_shows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
