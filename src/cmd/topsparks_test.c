#include "cmd/topsparks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/basetest.h"

static int read_text(const char *text, const struct topsparks_query *q, uint64_t *out) {
    json_t *tree = json_loads(text, 0, NULL);
    int r;

    assert_non_null(tree);
    r = topsparks_read(tree, q, out);
    json_decref(tree);
    return r;
}

static void values_come_in_our_units_and_steps(void **state) {
    struct topsparks_query q = {
        .metric = METRIC_USED, .series = 7, .from_ms = 10000, .to_ms = 14000, .n = 4};
    uint64_t out[4];

    (void)state;
    assert_int_equal(read_text("{\"from_ms\":10000,\"step_ms\":1000,\"series\":{\"7\":[1,null,3,4],"
                               "\"8\":[9,9,9,9]}}",
                               &q, out),
                     0);
    assert_true(out[0] == 1 && out[1] == TUI_UNKNOWN && out[2] == 3 && out[3] == 4);
    q.n = 2;
    assert_int_equal(
        read_text("{\"from_ms\":10000,\"step_ms\":1000,\"series\":{\"7\":[1,3,5,7]}}", &q, out), 0);
    assert_true(out[0] == 2 && out[1] == 6);
    q.metric = METRIC_PSI_SOME; /* told as a share of one */
    assert_int_equal(
        read_text("{\"from_ms\":10000,\"step_ms\":2000,\"series\":{\"7\":[0.25,1]}}", &q, out), 0);
    assert_true(out[0] == 2500 && out[1] == 10000);
    q.metric = METRIC_CPU_US; /* in seconds */
    assert_int_equal(
        read_text("{\"from_ms\":10000,\"step_ms\":2000,\"series\":{\"7\":[1.5,2]}}", &q, out), 0);
    assert_true(out[0] == 1500000 && out[1] == 2000000);
}

static void nonsense_is_refused(void **state) {
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"series\":[]}",
        "{\"from_ms\":0,\"step_ms\":0,\"series\":{\"7\":[1]}}",
        "{\"from_ms\":-1,\"step_ms\":1,\"series\":{\"7\":[1]}}",
        "{\"from_ms\":9223372036854775807,\"step_ms\":1,\"series\":{\"7\":[1]}}",
        "{\"from_ms\":1,\"step_ms\":9223372036854775807,\"series\":{\"7\":[1]}}",
    };
    struct topsparks_query q = {
        .metric = METRIC_USED, .series = 7, .from_ms = 0, .to_ms = 4000, .n = 4};
    uint64_t out[4];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(read_text(bad[i], &q, out), -EBADMSG);
    assert_int_equal(read_text("{\"from_ms\":1,\"step_ms\":1,\"series\":{}}", &q, out), -ENODATA);
    assert_int_equal(read_text("{\"from_ms\":0,\"step_ms\":1000,\"series\":{\"7\":[-1,\"x\",{},"
                               "1e300]}}",
                               &q, out),
                     0);
    for (unsigned i = 0; i < 4; i++)
        assert_true(out[i] == TUI_UNKNOWN);
}

struct asked {
    unsigned times, all;
    int result;
};

static int answer(void *ctx, const struct topsparks_query *q, struct str key, json_t **out) {
    struct asked *asked = ctx;

    (void)q;
    asked->times++;
    asked->all += key.n == 0;
    if (asked->result == 0)
        *out = json_pack("{s:I,s:I,s:{s:[i,i],s:[i,i]}}", "from_ms", (json_int_t)0, "step_ms",
                         (json_int_t)30000, "series", "7", 1, 2, "8", 3, 4);
    return asked->result;
}

static void the_second_row_makes_it_a_question_about_all(void **state) {
    struct topsparks t = {.kept = {{.n = 0}}};
    struct asked asked = {0};
    struct topsparks_query a = {METRIC_USED, 7, STR("docker:a"), 0, 60000, 2, true}, b = a;
    uint64_t out[2];

    (void)state;
    b.series = 8;
    b.key = STR("docker:b");
    for (int64_t second = 1; second < 9; second++) {
        assert_int_equal(topsparks_get(&t, &a, second * 1000000, answer, &asked, out), 0);
        assert_int_equal(out[1], 2);
        assert_int_equal(topsparks_get(&t, &b, second * 1000000, answer, &asked, out), 0);
        assert_int_equal(out[1], 4);
    }
    assert_int_equal(asked.times, 2); /* of one, of all; half a step long that is new enough */
    assert_int_equal(asked.all, 1);
    assert_int_equal(topsparks_get(&t, &a, 60000000, answer, &asked, out), 0);
    assert_int_equal(topsparks_get(&t, &b, 60000000, answer, &asked, out), 0);
    assert_true(asked.times == 3 && asked.all == 2);
    topsparks_done(&t);
}

static void what_was_is_asked_for_once(void **state) {
    struct topsparks t = {.kept = {{.n = 0}}};
    struct asked asked = {0};
    struct topsparks_query q = {METRIC_USED, 7, STR("docker:a"), 0, 60000, 2, false};
    uint64_t out[2];

    (void)state;
    for (int64_t i = 1; i < 100; i++)
        assert_int_equal(topsparks_get(&t, &q, i * 100000000, answer, &asked, out), 0);
    assert_int_equal(asked.times, 1);
    q.from_ms += 1000;
    q.to_ms += 1000;
    assert_int_equal(topsparks_get(&t, &q, 1, answer, &asked, out), 0);
    assert_int_equal(asked.times, 2);
    topsparks_done(&t);
}

static void failures_are_not_repeated_at_once(void **state) {
    struct topsparks t = {.kept = {{.n = 0}}};
    struct asked asked = {.result = -ETIMEDOUT};
    uint64_t out[2];

    (void)state;
    for (unsigned now = 0; now < 2; now++) {
        struct topsparks_query q = {METRIC_USED, 7, STR("docker:a"), 0, 60000, 2, now};

        asked.times = 0;
        for (int64_t i = 0; i < 10; i++)
            assert_int_equal(
                topsparks_get(&t, &q, 5000000 + now * 50000000 + i * 100000, answer, &asked, out),
                -ENODATA);
        assert_int_equal(asked.times, 1);
    }
    /* an older answer is better than none, and when there is a new one it is asked for soon */
    struct topsparks_query q = {METRIC_USED, 7, STR("docker:c"), 0, 60000, 1, true};

    asked = (struct asked){.result = 0};
    assert_int_equal(topsparks_get(&t, &q, 1000000, answer, &asked, out), 0);
    asked.result = -EAGAIN;
    assert_int_equal(topsparks_get(&t, &q, 30000000, answer, &asked, out), 0);
    assert_int_equal(topsparks_get(&t, &q, 30100000, answer, &asked, out), 0);
    assert_int_equal(asked.times, 2);
    asked.result = 0;
    assert_int_equal(topsparks_get(&t, &q, 33000000, answer, &asked, out), 0);
    assert_int_equal(asked.times, 3);
    /* more questions than are kept */
    asked.result = 0;
    for (size_t i = 0; i < 3 * TOPSPARKS_KEPT; i++) {
        struct topsparks_query one = {METRIC_USED, 7, STR("a"), 0, 60000 + (int64_t)i, 2, false};

        assert_int_equal(topsparks_get(&t, &one, 90000000 + (int64_t)i, answer, &asked, out), 0);
    }
    topsparks_done(&t);
}

static int many_answers(void *ctx, const struct topsparks_query *q, struct str key, json_t **out) {
    json_t *list = json_array();

    (void)ctx, (void)q, (void)key;
    for (unsigned i = 0; i < 50000; i++)
        json_array_append_new(list, json_integer(i));
    *out = json_pack("{s:i,s:i,s:{s:o}}", "from_ms", 0, "step_ms", 1000, "series", "7", list);
    return 0;
}

static void what_is_kept_has_a_limit_and_an_end(void **state) {
    struct topsparks t = {.kept = {{.n = 0}}};
    size_t bytes = 0, used = 0;
    uint64_t out[2];

    (void)state;
    for (int64_t i = 0; i < 20; i++) {
        struct topsparks_query q = {METRIC_USED, 7, STR("a"), 0, 60000 + i, 2, false};

        assert_int_equal(topsparks_get(&t, &q, 1000000 + i, many_answers, NULL, out), 0);
    }
    for (size_t i = 0; i < TOPSPARKS_KEPT; i++) {
        bytes += t.kept[i].bytes;
        used += t.kept[i].answer != NULL;
    }
    assert_true(bytes > TOPSPARKS_BYTES / 2 && bytes <= TOPSPARKS_BYTES && used > 1);
    struct topsparks_query last = {METRIC_USED, 7, STR("a"), 0, 70000, 2, false};

    assert_int_equal(topsparks_get(&t, &last, 70000000, many_answers, NULL, out), 0);
    used = 0;
    for (size_t i = 0; i < TOPSPARKS_KEPT; i++)
        used += t.kept[i].answer != NULL;
    assert_int_equal(used, 1);
    topsparks_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_in_our_units_and_steps),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(the_second_row_makes_it_a_question_about_all),
        cmocka_unit_test(what_was_is_asked_for_once),
        cmocka_unit_test(failures_are_not_repeated_at_once),
        cmocka_unit_test(what_is_kept_has_a_limit_and_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
