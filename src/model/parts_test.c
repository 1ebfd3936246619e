#include "model/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static struct sample sample_of(json_t *object) {
    struct sample s = {0};
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value) {
        enum metric m = 0;

        while (m < METRIC_N && strcmp(metric_info(m)->key, key) != 0)
            m++;
        if (m < METRIC_N)
            sample_set(&s, m, (uint64_t)json_integer_value(value));
        else
            fail_msg("there is no metric '%s'", key);
    }
    return s;
}

static void compare(const char *name, const struct parts *parts, json_t *wanted) {
    assert_int_equal(json_object_size(wanted), PART_N);
    for (enum part p = 0; p < PART_N; p++) {
        json_t *bytes = json_object_get(wanted, part_name(p));

        assert_true(json_is_integer(bytes));
        if (parts->bytes[p] != (uint64_t)json_integer_value(bytes))
            fail_msg("%s: %s is %llu, not %lld", name, part_name(p),
                     (unsigned long long)parts->bytes[p], (long long)json_integer_value(bytes));
    }
}

static void the_parts_are_those_of_the_fixture(void **state) {
    json_t *all = json_load_file("tests/fixtures/parts.json", 0, NULL), *one;
    size_t i;

    (void)state;
    assert_true(json_array_size(all) >= 12);
    json_array_foreach(all, i, one) {
        const char *name = json_string_value(json_object_get(one, "name"));
        struct sample s = sample_of(json_object_get(one, "sample"));
        json_t *wanted = json_object_get(one, "parts");
        struct parts parts;

        assert_int_equal(parts_of(&s, &parts), !json_is_null(wanted));
        if (!json_is_null(wanted))
            compare(name, &parts, wanted);
    }
    json_decref(all);
}

static uint64_t next(uint64_t *random) {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    return *random * 2685821657736338717ull;
}

/* Whatever is known, and however large. */
static void they_add_up_to_usage_and_what_stays_to_used(void **state) {
    static const enum metric metrics[] = {
        METRIC_ANON, METRIC_SHMEM,       METRIC_KERNEL,        METRIC_SLAB_RECLAIMABLE,
        METRIC_SOCK, METRIC_ACTIVE_FILE, METRIC_INACTIVE_FILE,
    };
    uint64_t random = 88172645463325252ull;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        struct sample s = {0};
        struct parts parts;
        uint64_t sum = 0, stays = 0, used;

        sample_set(&s, METRIC_USAGE, next(&random) >> next(&random) % 64);
        for (unsigned k = 0; k < sizeof(metrics) / sizeof(metrics[0]); k++)
            if (next(&random) % 4 > 0)
                sample_set(&s, metrics[k], next(&random) >> next(&random) % 64);
        assert_true(parts_of(&s, &parts));
        for (enum part p = 0; p < PART_N; p++) {
            sum += parts.bytes[p];
            stays += part_is_reclaimable(p) ? 0 : parts.bytes[p];
        }
        used = s.value[METRIC_USAGE];
        for (unsigned k = 0; k < 3; k++) {
            static const enum metric drops[] = {METRIC_INACTIVE_FILE, METRIC_ACTIVE_FILE,
                                                METRIC_SLAB_RECLAIMABLE};
            uint64_t drop = sample_has(&s, drops[k]) ? s.value[drops[k]] : 0;

            used -= drop < used ? drop : used;
        }
        assert_int_equal(sum, s.value[METRIC_USAGE]);
        assert_int_equal(stays, used);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_are_those_of_the_fixture),
        cmocka_unit_test(they_add_up_to_usage_and_what_stays_to_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
