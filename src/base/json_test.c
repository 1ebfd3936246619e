#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/basetest.h"

static void commas_and_nesting_are_its_own_job(void **state) {
    struct json j;
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    json_start(&j, &b);
    json_begin_object(&j);
    json_key_str(&j, "name", STR("a\"b"));
    json_key(&j, "empty");
    json_begin_object(&j);
    json_end(&j);
    json_key(&j, "list");
    json_begin_array(&j);
    json_u64(&j, UINT64_MAX);
    json_begin_array(&j);
    json_end(&j);
    json_begin_object(&j);
    json_key_u64(&j, "n", 0);
    json_end(&j);
    json_i64(&j, INT64_MIN);
    json_i64(&j, 5);
    json_bool(&j, true);
    json_bool(&j, false);
    json_unknown(&j);
    json_end(&j);
    json_key_maybe(&j, "unknown", false, 5);
    json_key_maybe(&j, "known", true, 5);
    json_key_maybe_str(&j, "none", STR(""));
    json_key_maybe_str(&j, "text", STR("t"));
    json_key_text(&j, STR("k\"\n"));
    json_i64(&j, 1);
    json_key(&j, "pct");
    json_centi(&j, 1205);
    json_key(&j, "ts");
    json_time_ms(&j, 1);
    json_end(&j);
    assert_int_equal(j.depth, 0);
    assert_true(basetest_is_json(buf_str(&b)));
    basetest_holds(&b,
                   "{\"name\":\"a\\\"b\",\"empty\":{},\"list\":[18446744073709551615,[],{\"n\":0},"
                   "-9223372036854775808,5,true,false,null],\"unknown\":null,\"known\":5,"
                   "\"none\":null,\"text\":\"t\","
                   "\"k\\\"\\n\":1,\"pct\":12.05,\"ts\":\"1970-01-01T00:00:00.001Z\"}");
    buf_done(&b);
}

static void any_tree_of_values_parses(void **state) {
    struct basetest_random random = {271828};
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 20);
    for (unsigned round = 0; round < 2000; round++) {
        bool object[32] = {false};
        struct json j;
        unsigned depth = 0;

        buf_clear(&b);
        json_start(&j, &b);
        do {
            uint64_t dice = basetest_next(&random) >> 20;

            if (depth > 0 && dice % 4 == 0) {
                json_end(&j);
                depth--;
                continue;
            }
            if (depth > 0 && object[depth])
                json_key(&j, "k");
            if (depth < 31 && (depth == 0 || dice % 4 == 1)) {
                object[++depth] = dice & 16;
                if (object[depth])
                    json_begin_object(&j);
                else
                    json_begin_array(&j);
            } else {
                json_i64(&j, (int64_t)dice);
            }
        } while (depth > 0);
        assert_true(basetest_is_json(buf_str(&b)));
    }
    buf_done(&b);
}

static void the_validator_itself_can_say_no(void **state) {
    static const char *const bad[] = {
        "",     "{",         "{}}",    "[1,]", "[,1]",  "{\"a\"}",  "{1:2}",       "[01]",
        "[1.]", "\"\\x41\"", "\"\n\"", "nul",  "[1 2]", "{\"a\":}", "\"\\u12g4\"", "{\"a\":1,}"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (basetest_is_json(str_of(bad[i])))
            fail_msg("'%s' was taken for JSON", bad[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_nesting_are_its_own_job),
        cmocka_unit_test(any_tree_of_values_parses),
        cmocka_unit_test(the_validator_itself_can_say_no),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
