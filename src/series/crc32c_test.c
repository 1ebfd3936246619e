#include "series/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* RFC 3720, B.4, and the usual check value. */
static void known_sums(void **state) {
    char bytes[32];

    (void)state;
    assert_int_equal(crc32c(0, STR("")), 0);
    assert_int_equal(crc32c(0, STR("123456789")), 0xe3069283);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = 0;
    assert_int_equal(crc32c(0, (struct str){bytes, 32}), 0x8a9136aa);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    assert_int_equal(crc32c(0, (struct str){bytes, 32}), 0x46dd794e);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)0xff;
    assert_int_equal(crc32c_plain(0, (struct str){bytes, 32}), 0x62a8ab43);
}

static void both_ways_agree_at_every_length(void **state) {
    char bytes[200];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 37 + i / 7);
    for (size_t from = 0; from < 9; from++)
        for (size_t n = 0; from + n <= sizeof(bytes); n++) {
            struct str text = {bytes + from, n};
            uint32_t parts = crc32c(crc32c(0, str_head(text, n / 3)), str_from(text, n / 3));

            assert_int_equal(crc32c(0, text), crc32c_plain(0, text));
            assert_int_equal(crc32c(0, text), parts);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_sums),
        cmocka_unit_test(both_ways_agree_at_every_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
