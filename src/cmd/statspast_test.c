#include "cmd/statspast.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/basetest.h"
#include "cmd/statsview.h"
#include "kern/cgtest.h"

#define ID "4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a4f2a"
#define GROUP "/system.slice/docker-" ID ".scope"

/* A captured v2 machine with one container, all of it read. */
struct live {
    struct cgtest t;
    struct session session;
    uint32_t slot[64];
    size_t n;
};

static void look(struct live *l) {
    struct session_options options = {.scope = TARGETS_ALL, .want = TICK_ALL};
    struct cmd_context context = {.root = NULL};
    struct err err = {0};

    cgtest_init(&l->t);
    cgtest_make_v2(&l->t);
    cgtest_copy(&l->t, "tests/fixtures/v2/parent", "/sys/fs/cgroup/system.slice");
    cgtest_copy(&l->t, "tests/fixtures/v2/app", "/sys/fs/cgroup" GROUP);
    context.root = l->t.top;
    if (session_open(&l->session, &context, &options, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(ticker_run(l->session.ticker), 0);
    l->n = 0;
    for (uint32_t slot = 0; slot < targets_slots(l->session.targets); slot++)
        if (targets_at(l->session.targets, slot) && l->n < 64)
            l->slot[l->n++] = slot;
    assert_true(l->n >= 2);
}

static void done(struct live *l) {
    session_close(&l->session);
    cgtest_done(&l->t);
}

static void print(enum stats_format format, const struct stats_rows *rows, struct buf *out) {
    struct stats_view view = {.format = format};

    buf_init(out, 1 << 20);
    stats_view_init(&view);
    stats_view_print(&view, rows, 0, out);
    stats_view_done(&view);
    assert_int_equal(buf_error(out), 0);
}

/* The rows as the agent would send them. */
static json_t *answer_of(const struct stats_rows *rows) {
    struct buf lines;
    struct str rest, line;
    json_t *list = json_array();

    print(STATS_JSON, rows, &lines);
    rest = buf_str(&lines);
    while (str_cut(&rest, '\n', &line))
        assert_int_equal(json_array_append_new(list, json_loadb(line.p, line.n, 0, NULL)), 0);
    buf_done(&lines);
    return json_pack("{s:I, s:o}", "at_ms", (json_int_t)1763711296123, "targets", list);
}

static void what_was_prints_as_what_is(void **state) {
    static const enum stats_format formats[] = {STATS_JSON, STATS_TEXT, STATS_PLAIN};
    struct live l;
    struct session_rows of = {.session = &l.session, .slot = l.slot};
    struct stats_rows now = {.at = session_row, .ctx = &of};
    struct statspast past = {.row = NULL};
    struct stats_rows then = {.at = statspast_row, .ctx = &past};
    json_t *answer;

    (void)state;
    look(&l);
    now.n = l.n;
    answer = answer_of(&now);
    assert_int_equal(statspast_add(&past, answer, STATSPAST_ALL), 0);
    json_decref(answer);
    assert_int_equal(past.n, l.n);
    then.n = past.n;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct buf a, b;

        print(formats[i], &now, &a);
        print(formats[i], &then, &b);
        buf_add_char(&b, '\0');
        assert_true(a.n > 100);
        basetest_holds(&a, b.p);
        buf_done(&a);
        buf_done(&b);
    }
    statspast_done(&past);
    done(&l);
}

#define ROW(name, kind, used)                                                                      \
    "{\"name\":\"" name "\",\"kind\":\"" kind "\",\"cgroup\":\"/" name "\",\"id\":null,"           \
    "\"usage\":50,\"used\":" used ",\"own_limit\":null,\"cpu_pct\":12.34,\"state\":\"at-limit\","  \
    "\"version\":\"v1\",\"limit\":1000,\"limit_from\":\"host\",\"limit_certain\":true}"

static json_t *parse(const char *text) {
    json_t *answer = json_loads(text, 0, NULL);

    assert_non_null(answer);
    return answer;
}

static void rows_are_chosen_and_sorted(void **state) {
    struct statspast past = {.row = NULL};
    json_t *answer = parse("{\"at_ms\":5000,\"targets\":[" ROW("b", "container", "7") "," ROW(
        "a", "container", "9") "," ROW("c", "service", "8") "," ROW("d", "container", "null") "]}");
    struct stats_row row;

    (void)state;
    assert_int_equal(statspast_add(&past, answer, STATSPAST_CONTAINERS), 0);
    assert_int_equal(past.n, 3);
    assert_int_equal(statspast_add(&past, answer, STATSPAST_ALL),
                     0); /* the same again, and the service */
    assert_int_equal(past.n, 4);
    json_decref(answer);
    statspast_sort(&past, SORT_NAME);
    assert_string_equal(statspast_row(&past, 0).target->name, "c"); /* shown as "/c" */
    assert_string_equal(statspast_row(&past, 1).target->name, "a");
    assert_string_equal(statspast_row(&past, 3).target->name, "d");
    statspast_sort(&past, SORT_USED);
    assert_string_equal(statspast_row(&past, 0).target->name, "a");
    assert_string_equal(statspast_row(&past, 1).target->name, "c");
    row = statspast_row(&past, 3); /* unknown comes last */
    assert_string_equal(row.target->name, "d");
    assert_false(row_has(&row, METRIC_USED));
    assert_int_equal(row_value(&row, METRIC_OWN_LIMIT), SAMPLE_NONE);
    assert_int_equal(row.sample->at_ms, 5000);
    assert_int_equal(row.state, STATE_FULL);
    assert_int_equal(row.cpu_centi, 1234);
    assert_int_equal(row.host_memory, 1000);
    assert_true(row.v1 && row.have_cpu);
    statspast_done(&past);
}

static void the_machine_is_no_group(void **state) {
    struct statspast past = {.row = NULL};
    json_t *answer = parse("{\"targets\":[{\"name\":\"host\",\"kind\":\"group\",\"cgroup\":\"/\"},"
                           "{\"name\":\"/\",\"kind\":\"group\",\"cgroup\":\"/\"}]}");

    (void)state;
    assert_int_equal(statspast_add(&past, answer, STATSPAST_ALL), 0);
    assert_int_equal(past.n, 1);
    assert_string_equal(past.row[0].target.name, "/");
    statspast_done(&past);
    assert_int_equal(statspast_add(&past, answer, STATSPAST_EVERY), 0);
    assert_int_equal(past.n, 2);
    statspast_done(&past);
    json_decref(answer);
}

static void odd_answers_do_no_harm(void **state) {
    static const char *const bad[] = {"{}", "[]", "{\"targets\":7}", "{\"targets\":[7]}"};
    struct statspast past = {.row = NULL};
    struct stats_rows rows = {.at = statspast_row, .ctx = &past};
    json_t *answer;
    struct buf out;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        answer = parse(bad[i]);
        assert_int_equal(statspast_add(&past, answer, STATSPAST_ALL), -EBADMSG);
        assert_int_equal(past.n, 0);
        json_decref(answer);
    }
    answer = parse("{\"targets\":[{},{\"name\":7,\"used\":\"x\",\"usage\":-1,\"kind\":\"x\","
                   "\"state\":null,\"pids\":1e300,\"under_oom\":3,\"ts\":\"soon\"}]}");
    assert_int_equal(statspast_add(&past, answer, STATSPAST_ALL), 0);
    json_decref(answer);
    rows.n = past.n;
    assert_int_equal(past.row[1].sample.have, 0);
    print(STATS_JSON, &rows, &out);
    assert_true(out.n > 100);
    buf_done(&out);
    statspast_done(&past);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_prints_as_what_is),
        cmocka_unit_test(rows_are_chosen_and_sorted),
        cmocka_unit_test(the_machine_is_no_group),
        cmocka_unit_test(odd_answers_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
