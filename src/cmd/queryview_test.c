#include "cmd/queryview.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/basetest.h"

#define INSTANT                                                                                    \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["                     \
    "{\"metric\":{\"__name__\":\"plimsoll_memory_used_bytes\",\"id\":\"/docker/4f\","              \
    "\"name\":\"web\",\"image\":\"nginx\"},\"value\":[1763711296.123,\"12582912\"]},"              \
    "{\"metric\":{\"__name__\":\"plimsoll_pids\",\"id\":\"/a\\u001Bb\"},"                          \
    "\"value\":[1763711296,\"2.5\"]}]}}"

#define RANGE                                                                                      \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":["                     \
    "{\"metric\":{\"__name__\":\"plimsoll_memory_used_bytes\",\"name\":\"web\"},"                  \
    "\"values\":[[1763711290,\"1024\"],[1763711291,\"2048\"],[1763711292,\"NaN\"],"                \
    "[1763711293,\"8192\"]]}]}}"

static int show(struct queryview v, const char *text, struct buf *out) {
    json_t *answer = json_loads(text, 0, NULL);
    struct err err;
    size_t n = 77;
    int r;

    assert_non_null(answer);
    buf_init(out, 1 << 20);
    r = queryview_print(&v, answer, out, &n, &err);
    json_decref(answer);
    if (r < 0)
        assert_int_equal(n, 77);
    return r < 0 ? r : (int)n;
}

static void shows(struct queryview v, const char *text, const char *wanted) {
    struct buf out;

    assert_true(show(v, text, &out) >= 0);
    basetest_holds(&out, wanted);
    buf_done(&out);
}

static void a_key_stands_for_its_metric(void **state) {
    static const char *const pairs[][2] = {
        {"used", "plimsoll_memory_used_bytes"},
        {" used {name=~\"web.*\"} ", "plimsoll_memory_used_bytes{name=~\"web.*\"}"},
        {"plimsoll_memory_used_bytes{name=\"a{b\"}", "plimsoll_memory_used_bytes{name=\"a{b\"}"},
        {"{name=\"used\"}", "{name=\"used\"}"},
        {"use", "use"},
        {"cpu_us", "plimsoll_cpu_seconds_total"},
        {"psi_some_avg10{}", "plimsoll_memory_pressure_some_avg10_ratio{}"},
        {"net_rx", "plimsoll_network_receive_bytes_total"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct buf out;

        buf_init(&out, 1000);
        queryview_expression(str_of(pairs[i][0]), &out);
        basetest_holds(&out, pairs[i][1]);
        buf_done(&out);
    }
}

static void an_instant_is_a_table_of_values(void **state) {
    (void)state;
    shows((struct queryview){.width = 0}, INSTANT,
          "NAME     METRIC                      LABELS       VALUE\n"
          "web      plimsoll_memory_used_bytes  image=nginx  12.0M\n"
          "/a\\x1bb  plimsoll_pids               -              2.5\n");
    shows((struct queryview){.plain = true}, INSTANT,
          "NAME\tMETRIC\tLABELS\tVALUE\n"
          "web\tplimsoll_memory_used_bytes\timage=nginx\t12582912\n"
          "/a\\x1bb\tplimsoll_pids\t-\t2.5\n");
    shows((struct queryview){.json = true}, INSTANT,
          "{\"metric\":{\"__name__\":\"plimsoll_memory_used_bytes\",\"id\":\"/docker/4f\","
          "\"name\":\"web\",\"image\":\"nginx\"},\"at_ms\":1763711296123,\"value\":12582912}\n"
          "{\"metric\":{\"__name__\":\"plimsoll_pids\",\"id\":\"/a\\u001Bb\"},"
          "\"at_ms\":1763711296000,\"value\":2.5}\n");
}

static void a_range_has_bounds_and_points(void **state) {
    (void)state;
    shows((struct queryview){.graph = true}, RANGE,
          "NAME  METRIC                      LABELS   LAST    MIN    MAX  POINTS  GRAPH\n"
          "web   plimsoll_memory_used_bytes  -       8.00K  1.00K  8.00K       4  "
          "\xe2\x96\x81\xe2\x96\x82 \xe2\x96\x88\n");
    shows((struct queryview){.points = true}, RANGE,
          "NAME  METRIC                      LABELS   LAST    MIN    MAX  POINTS\n"
          "web   plimsoll_memory_used_bytes  -       8.00K  1.00K  8.00K       4\n"
          "\n"
          "NAME  METRIC                      LABELS  TIME                      VALUE\n"
          "web   plimsoll_memory_used_bytes  -       2025-11-21T07:48:10.000Z  1.00K\n"
          "web   plimsoll_memory_used_bytes  -       2025-11-21T07:48:11.000Z  2.00K\n"
          "web   plimsoll_memory_used_bytes  -       2025-11-21T07:48:12.000Z    NaN\n"
          "web   plimsoll_memory_used_bytes  -       2025-11-21T07:48:13.000Z  8.00K\n");
    shows((struct queryview){.plain = true}, RANGE,
          "NAME\tMETRIC\tLABELS\tTIME\tVALUE\n"
          "web\tplimsoll_memory_used_bytes\t-\t2025-11-21T07:48:10.000Z\t1024\n"
          "web\tplimsoll_memory_used_bytes\t-\t2025-11-21T07:48:11.000Z\t2048\n"
          "web\tplimsoll_memory_used_bytes\t-\t2025-11-21T07:48:12.000Z\tNaN\n"
          "web\tplimsoll_memory_used_bytes\t-\t2025-11-21T07:48:13.000Z\t8192\n");
    shows((struct queryview){.json = true}, RANGE,
          "{\"metric\":{\"__name__\":\"plimsoll_memory_used_bytes\",\"name\":\"web\"},\"points\":["
          "[1763711290000,1024],[1763711291000,2048],[1763711292000,null],[1763711293000,8192]]}"
          "\n");
}

static void what_is_no_answer_is_refused(void **state) {
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"1\"]}}",
        "{\"data\":{\"resultType\":\"vector\",\"result\":{}}}",
        "{\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{}}]}}",
        "{\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1,2]}]}}",
        "{\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[1,\"x\"]}]}}",
        "{\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[]}]}}",
        "{\"data\":{\"resultType\":\"matrix\",\"result\":[7]}}",
    };
    struct buf out;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (show((struct queryview){.json = true}, bad[i], &out) != -EBADMSG)
            fail_msg("'%s' is taken", bad[i]);
        assert_int_equal(out.n, 0);
        buf_done(&out);
    }
    assert_int_equal(show((struct queryview){.plain = false},
                          "{\"data\":{\"resultType\":\"vector\",\"result\":[]}}", &out),
                     0);
    buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_stands_for_its_metric),
        cmocka_unit_test(an_instant_is_a_table_of_values),
        cmocka_unit_test(a_range_has_bounds_and_points),
        cmocka_unit_test(what_is_no_answer_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
