#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Key and texts 00 01 02 ... as in the tables that the algorithm's authors published. */
static void known_answers(void **state) {
    static const struct {
        size_t n;
        uint64_t hash;
    } rows[] = {
        {0, 0x726fdb47dd0e0e31u},
        {1, 0x74f839c593dc67fdu},
        {8, 0x93f5f5799a932462u},
        {15, 0xa129ca6149be45e5u},
    };
    const struct hash_key key = {{0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};
    char text[16];

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)i;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(hash_str(&key, (struct str){text, rows[i].n}), rows[i].hash);
    assert_int_equal(hash_str(&key, (struct str){0}), rows[0].hash);
}

static void every_byte_and_both_keys_count(void **state) {
    const struct hash_key key = {{1, 2}}, first = {{3, 2}}, second = {{1, 3}};
    char text[20] = {0};
    uint64_t zero = hash_str(&key, (struct str){text, sizeof(text)});

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)0x80;
        assert_int_not_equal(hash_str(&key, (struct str){text, sizeof(text)}), zero);
        text[i] = 0;
        assert_int_not_equal(hash_str(&key, (struct str){text, i}), zero);
    }
    assert_int_not_equal(hash_str(&first, (struct str){text, sizeof(text)}), zero);
    assert_int_not_equal(hash_str(&second, (struct str){text, sizeof(text)}), zero);
}

/* Two of them are alike once in 2^128 runs. */
static void keys_differ(void **state) {
    struct hash_key a, b;

    (void)state;
    hash_key_init(&a);
    hash_key_init(&b);
    assert_memory_not_equal(&a, &b, sizeof(a));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(every_byte_and_both_keys_count),
        cmocka_unit_test(keys_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
