#include "cmd/toprows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/basetest.h"

static json_t *parsed(const char *text) {
    json_t *tree = json_loads(text, 0, NULL);

    assert_non_null(tree);
    return tree;
}

static int load(struct toprows *t, const char *text) {
    json_t *tree = parsed(text);
    int r = toprows_load(t, tree);

    json_decref(tree);
    return r;
}

static int apply(struct toprows *t, const char *text) {
    json_t *tree = parsed(text);
    int r = toprows_apply(t, tree);

    json_decref(tree);
    return r;
}

#define HOST                                                                                       \
    "{\"uid\":0,\"key\":\"host\",\"series\":1,\"name\":\"host\",\"kind\":\"group\","               \
    "\"cgroup\":\"/\",\"version\":\"v1\",\"usage\":1000}"
#define WEB                                                                                        \
    "{\"uid\":7,\"key\":\"docker:web\",\"series\":8,\"name\":\"web\",\"kind\":\"container\","      \
    "\"runtime\":\"docker\",\"image\":\"nginx\",\"pod\":\"shop\",\"namespace\":\"prod\","          \
    "\"compose\":\"site\",\"inside\":null,\"labels\":{\"tier\":\"front\",\"a\":\"b\\n=c\"},"       \
    "\"cgroup\":\"/docker/abc\",\"version\":\"v1\",\"restarts\":2,"                                \
    "\"oom_kills_total\":3,\"cpu_pct\":10.85,\"limit_from\":\"/docker/"                            \
    "abc\",\"state\":\"growing\","                                                                 \
    "\"trend\":\"growing\",\"trend_bytes_per_h\":-12,\"trend_window_s\":60,"                       \
    "\"time_to_limit_s\":3600,\"refaults_per_s\":2,\"usage\":200,\"used\":100,\"limit\":1000,"     \
    "\"own_limit\":null,\"psi_some_avg10\":1.25,\"under_oom\":true}"
#define ALL "{\"at_ms\":5000,\"targets\":[" HOST "," WEB "]}"

static void kills_of_the_past_are_those_of_the_instance(void **state) {
    struct toprows t = {.row = NULL};
    const struct tui_row *row;

    (void)state;
    assert_int_equal(load(&t,
                          "{\"at_ms\":5000,\"targets\":[{\"uid\":7,\"key\":\"k\",\"name\":\"n\","
                          "\"cgroup\":\"/x\",\"oom_kills\":2,\"oom_kills_total\":null}]}"),
                     0);
    row = toprows_at(&t, 0);
    assert_true(row->have_kills && row->kills == 2);
    assert_int_equal(apply(&t, "{\"at_ms\":6000,\"targets\":[{\"uid\":7,\"oom_kills\":3}]}"), 0);
    row = toprows_at(&t, 0);
    assert_true(row->have_kills && row->kills == 3);
    assert_int_equal(apply(&t, "{\"at_ms\":7000,\"targets\":[{\"uid\":7,\"oom_kills_total\":9}]}"),
                     0);
    row = toprows_at(&t, 0);
    assert_true(row->have_kills && row->kills == 9);
    toprows_done(&t);
}

static void a_row_says_what_the_agent_said(void **state) {
    struct toprows t = {.row = NULL};
    const struct tui_row *row;

    (void)state;
    assert_int_equal(load(&t, ALL), 0);
    assert_int_equal(toprows_count(&t), 1);
    row = toprows_at(&t, 0);
    assert_true(str_eq(row->name, STR("web")) && str_eq(row->key, STR("docker:web")));
    assert_true(str_eq(row->pod, STR("prod/shop")) && str_eq(row->compose, STR("site")));
    assert_true(str_eq(row->slice, STR("/docker")) && str_eq(row->limit_from, STR("/docker/abc")));
    assert_true(str_eq(row->labels, STR("a=b\\n=c\ntier=front\n")) && !row->is_inside);
    assert_int_equal(row->state, STATE_GROWING);
    assert_int_equal(row->trend.word, TREND_GROWING);
    assert_true(row->trend.bytes_per_h == -12 && row->trend.window_s == 60);
    assert_true(row->have_time_to_limit && row->time_to_limit_s == 3600);
    assert_true(row->trend.have_refaults && row->trend.refaults_per_s == 2);
    assert_true(row->have_cpu && row->cpu_centi == 1085);
    assert_true(row->have_restarts && row->restarts == 2 && row->have_kills && row->kills == 3);
    assert_true(row->v1);
    assert_non_null(row->sample);
    assert_true(row->sample->at_ms == 5000 && row->sample->value[METRIC_USED] == 100);
    assert_int_equal(row->sample->value[METRIC_PSI_SOME], 125);
    assert_int_equal(row->sample->value[METRIC_UNDER_OOM], 1);
    assert_true(row->sample->value[METRIC_OWN_LIMIT] == SAMPLE_NONE);
    assert_false(sample_has(row->sample, METRIC_SWAP));
    assert_int_equal(row->id, 8);
    assert_non_null(t.machine);
    assert_int_equal(t.machine->sample.value[METRIC_USAGE], 1000);
    toprows_done(&t);
}

static void a_tick_changes_what_it_tells_and_nothing_else(void **state) {
    struct toprows t = {.row = NULL};
    const struct tui_row *row;

    (void)state;
    assert_int_equal(load(&t, ALL), 0);
    assert_int_equal(apply(&t, "{\"at_ms\":6000,\"targets\":[{\"uid\":7,\"used\":150,"
                               "\"psi_some_avg10\":null,\"limit_from\":\"host\","
                               "\"state\":\"at-limit\",\"trend\":null,\"trend_bytes_per_h\":null,"
                               "\"time_to_limit_s\":null,\"refaults_per_s\":null}],\"gone\":[]}"),
                     0);
    row = toprows_at(&t, 0);
    assert_int_equal(row->sample->value[METRIC_USED], 150);
    assert_int_equal(row->sample->value[METRIC_USAGE], 200);
    assert_false(sample_has(row->sample, METRIC_PSI_SOME));
    assert_true(str_eq(row->limit_from, STR("host")));
    assert_int_equal(row->state, STATE_FULL);
    assert_int_equal(row->trend.word, TREND_UNKNOWN);
    assert_false(row->have_time_to_limit || row->trend.have_refaults);
    assert_true(row->have_cpu && row->cpu_centi == 1085);
    assert_true(str_eq(row->name, STR("web")));
    assert_true(row->sample->at_ms == 6000 && row->id == 8);
    toprows_done(&t);
}

static void targets_come_are_told_anew_and_go(void **state) {
    struct toprows t = {.row = NULL};

    (void)state;
    assert_int_equal(load(&t, "{\"at_ms\":1,\"targets\":[" HOST "]}"), 0);
    assert_int_equal(toprows_count(&t), 0);
    assert_int_equal(apply(&t, "{\"at_ms\":2,\"targets\":[" WEB "],\"gone\":[99]}"), 0);
    assert_int_equal(toprows_count(&t), 1);
    assert_int_equal(apply(&t, "{\"at_ms\":3,\"targets\":[{\"uid\":7,\"cgroup\":\"/docker/abc\","
                               "\"series\":8,\"name\":\"shop\"}]}"),
                     0);
    assert_int_equal(toprows_count(&t), 1);
    assert_true(str_eq(toprows_at(&t, 0)->name, STR("shop")));
    assert_null(toprows_at(&t, 0)->sample); /* told whole, and nothing of it is known */
    /* of one that nobody has told of */
    assert_int_equal(apply(&t, "{\"at_ms\":4,\"targets\":[{\"uid\":1234,\"used\":1}]}"), 0);
    assert_int_equal(toprows_count(&t), 1);
    assert_int_equal(apply(&t, "{\"at_ms\":5,\"targets\":[],\"gone\":[7,0]}"), 0);
    assert_int_equal(toprows_count(&t), 0);
    assert_null(t.machine);
    toprows_done(&t);
}

static void an_id_is_the_series_and_differs_for_twins(void **state) {
    struct toprows t = {.row = NULL};
    uint64_t first;

    (void)state;
    assert_int_equal(load(&t, "{\"targets\":[{\"uid\":1,\"series\":5},{\"uid\":2,\"series\":5},"
                              "{\"uid\":3,\"series\":null},{\"uid\":4}]}"),
                     0);
    first = toprows_at(&t, 0)->id;
    assert_int_equal(first, 5);
    assert_true(toprows_at(&t, 1)->id != first);
    assert_int_equal(toprows_at(&t, 1)->id & TOPROWS_SERIES, 5);
    assert_true(toprows_at(&t, 2)->id & TOPROWS_NO_SERIES);
    assert_true(toprows_at(&t, 2)->id != toprows_at(&t, 3)->id);
    toprows_done(&t);
}

static void nonsense_is_refused_or_unknown(void **state) {
    static const char *const bad[] = {
        "[]", "{}", "{\"targets\":{}}", "{\"targets\":[1]}", "{\"targets\":[null]}",
    };
    struct toprows t = {.row = NULL};
    const struct tui_row *row;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(load(&t, ALL), 0);
        assert_int_equal(load(&t, bad[i]), -EBADMSG);
        assert_int_equal(toprows_count(&t), 0);
    }
    assert_int_equal(apply(&t, "{\"targets\":[{\"used\":1}]}"), -EBADMSG); /* whose? */
    assert_int_equal(load(&t, "{\"targets\":[{\"uid\":-1,\"name\":7,\"cgroup\":[],\"kind\":null,"
                              "\"used\":-5,\"usage\":1e300,\"limit\":\"1\",\"series\":-3,"
                              "\"under_oom\":7,\"trend\":\"up\",\"trend_bytes_per_h\":\"x\","
                              "\"trend_window_s\":1e15,\"cpu_pct\":{},\"state\":\"fine\"}]}"),
                     0);
    row = toprows_at(&t, 0);
    assert_true(row->name.n == 0 && row->path.n == 0);
    assert_int_equal(row->state, STATE_UNKNOWN);
    assert_int_equal(row->trend.word, TREND_UNKNOWN);
    assert_false(row->have_cpu || row->have_kills);
    assert_null(row->sample);
    toprows_done(&t);
}

/* Whatever can be parsed is taken without harm. */
static void damaged_answers_do_no_harm(void **state) {
    struct basetest_random random = {42};
    struct toprows t = {.row = NULL};
    char text[sizeof(ALL)];
    unsigned taken = 0;

    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        json_t *tree;

        memcpy(text, ALL, sizeof(ALL));
        for (unsigned i = 0; i < 1 + round % 3; i++)
            text[basetest_next(&random) % (sizeof(ALL) - 1)] =
                "0123456789\",:{}[]-nulltrue"[basetest_next(&random) % 27];
        tree = json_loadb(text, sizeof(ALL) - 1, 0, NULL);
        if (!tree)
            continue;
        taken++;
        if (round % 2)
            (void)toprows_load(&t, tree);
        else
            (void)toprows_apply(&t, tree);
        json_decref(tree);
        for (size_t i = 0; i < toprows_count(&t); i++)
            assert_true(toprows_at(&t, i)->name.n < sizeof(ALL));
    }
    assert_true(taken > 100);
    toprows_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kills_of_the_past_are_those_of_the_instance),
        cmocka_unit_test(a_row_says_what_the_agent_said),
        cmocka_unit_test(a_tick_changes_what_it_tells_and_nothing_else),
        cmocka_unit_test(targets_come_are_told_anew_and_go),
        cmocka_unit_test(an_id_is_the_series_and_differs_for_twins),
        cmocka_unit_test(nonsense_is_refused_or_unknown),
        cmocka_unit_test(damaged_answers_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
