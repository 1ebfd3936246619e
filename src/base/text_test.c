#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/basetest.h"

static struct str visible(struct buf *b, struct str s, bool plain) {
    buf_clear(b);
    text_add_visible(b, s, plain);
    assert_int_equal(buf_error(b), 0);
    return buf_str(b);
}

static void shows(struct buf *b, struct str s, const char *wanted) {
    (void)visible(b, s, false);
    basetest_holds(b, wanted);
}

/* UTF-8 of any code point below 2^21, surrogates and overlong lengths too. */
static size_t encode(uint32_t code, size_t length, char *out) {
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

    if (length == 1) {
        out[0] = (char)code;
        return 1;
    }
    for (size_t i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)(lead[length] | code);
    return length;
}

static size_t shortest(uint32_t code) {
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

static void every_control_is_escaped(void **state) {
    struct buf b;
    char raw[4], wanted[16];

    (void)state;
    buf_init(&b, 4096);
    for (unsigned c = 0; c < 0x20; c++) {
        raw[0] = (char)c;
        snprintf(wanted, sizeof(wanted), "\\x%02x", c);
        shows(&b, (struct str){raw, 1}, c == '\n' ? "\\n" : c == '\t' ? "\\t" : wanted);
    }
    shows(&b, STR("\x7f"), "\\x7f");
    for (unsigned c = 0x80; c < 0xa0; c++) { /* C1: a terminal takes U+009B for ESC [ */
        snprintf(wanted, sizeof(wanted), "\\u{%04x}", c);
        shows(&b, (struct str){raw, encode(c, 2, raw)}, wanted);
    }
    buf_done(&b);
}

static void what_cannot_be_seen_is_spelled(void **state) {
    static const uint32_t unseen[] = {0xad,   0x61c,  0x200b, 0x200e, 0x200f, 0x2028, 0x2029,
                                      0x202a, 0x202d, 0x202e, 0x2066, 0x2069, 0xfeff, 0xe0041};
    struct buf b;
    char raw[4], wanted[16];

    (void)state;
    buf_init(&b, 4096);
    for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++) {
        snprintf(wanted, sizeof(wanted), "\\u{%04x}", unseen[i]);
        shows(&b, (struct str){raw, encode(unseen[i], shortest(unseen[i]), raw)}, wanted);
    }
    shows(&b, STR("caf\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x90\xb3"),
          "caf\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x90\xb3");
    (void)visible(&b, STR("caf\xc3\xa9 \xf0\x9f\x90\xb3"), true);
    basetest_holds(&b, "caf\\u{00e9} \\u{1f433}");
    buf_done(&b);
}

static void bytes_that_are_no_utf8_are_shown_as_bytes(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    shows(&b, STR("\xff\xfe"), "\\xff\\xfe");
    shows(&b, STR("\x80"), "\\x80");                            /* a continuation alone */
    shows(&b, STR("\xc3"), "\\xc3");                            /* cut off */
    shows(&b, STR("\xc3(x"), "\\xc3(x");                        /* what follows is not swallowed */
    shows(&b, STR("\xc0\xaf"), "\\xc0\\xaf");                   /* overlong '/' */
    shows(&b, STR("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");          /* the same in three bytes */
    shows(&b, STR("\xed\xa0\x80"), "\\xed\\xa0\\x80");          /* a surrogate */
    shows(&b, STR("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"); /* above U+10FFFF */
    shows(&b, STR("a\\b\\x1b"), "a\\\\b\\\\x1b");               /* an escape cannot be forged */
    shows(&b, STR(""), "");
    buf_done(&b);
}

static void decoding_takes_each_character_in_its_one_form(void **state) {
    (void)state;
    for (uint32_t code = 0; code < 0x110400; code += code < 0x11000 || code > 0x10fe00 ? 1 : 61) {
        bool valid = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);

        for (size_t length = 1; length <= 4; length++) {
            uint32_t out = 0xabcdef;
            char raw[4];
            size_t n;

            if (length < 4 && code >= (uint32_t[]){0, 0x80, 0x800, 0x10000}[length])
                continue;
            n = text_decode((struct str){raw, encode(code, length, raw)}, &out);
            if (valid && length == shortest(code)) {
                assert_int_equal(n, length);
                assert_int_equal(out, code);
            } else {
                assert_int_equal(n, 0);
                assert_int_equal(out, 0xabcdef);
            }
        }
    }
}

static unsigned hex(char c) {
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The way back: if every text can be had back from what is shown, no two texts look alike. */
static size_t undo(struct str s, char *out) {
    size_t n = 0;

    for (size_t i = 0; i < s.n;) {
        uint32_t code = 0;

        if (s.p[i] != '\\') {
            out[n++] = s.p[i++];
        } else if (s.p[i + 1] == 'x') {
            out[n++] = (char)(hex(s.p[i + 2]) << 4 | hex(s.p[i + 3]));
            i += 4;
        } else if (s.p[i + 1] == 'u') {
            for (i += 3; s.p[i] != '}'; i++)
                code = code << 4 | hex(s.p[i]);
            n += encode(code, shortest(code), out + n);
            i++;
        } else {
            out[n++] = s.p[i + 1] == 'n' ? '\n' : s.p[i + 1] == 't' ? '\t' : '\\';
            i += 2;
        }
    }
    return n;
}

static void nothing_that_is_shown_is_a_control_and_no_two_look_alike(void **state) {
    struct basetest_random random = {20251121};
    char raw[64], back[256];
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    for (unsigned round = 0; round < 40000; round++) {
        struct str s = {raw, basetest_bytes(&random, raw, sizeof(raw))};
        bool plain = round % 2;
        struct str shown = visible(&b, s, plain);
        struct str rest = shown;

        while (rest.n > 0) {
            uint32_t code = 0;
            size_t n = text_decode(rest, &code);

            assert_true(n > 0);
            assert_true(code >= 0x20 && (code < 0x7f || code >= 0xa0));
            assert_true(!plain || code < 0x7f);
            rest = str_from(rest, n);
        }
        assert_true(str_eq((struct str){back, undo(shown, back)}, s));
    }
    buf_done(&b);
}

static void wide_characters_take_two_columns_and_marks_none(void **state) {
    (void)state;
    assert_int_equal(text_columns(STR("abc")), 3);
    assert_int_equal(text_columns(STR("\xe6\xbc\xa2\xe5\xad\x97")), 4);
    assert_int_equal(text_columns(STR("e\xcc\x81")), 1);
    assert_int_equal(text_columns(STR("\xf0\x9f\x90\xb3")), 2);
    assert_int_equal(text_columns(STR("")), 0);
    assert_true(str_eq(text_head(STR("abc"), 2), STR("ab")));
    assert_int_equal(text_head(STR("abc"), 0).n, 0);
    /* half of a wide character cannot be drawn */
    assert_true(str_eq(text_head(STR("\xe6\xbc\xa2\xe5\xad\x97"), 3), STR("\xe6\xbc\xa2")));
    /* a mark stays with its letter */
    assert_true(str_eq(text_head(STR("e\xcc\x81x"), 1), STR("e\xcc\x81")));
}

static void json_text_parses_whatever_the_bytes(void **state) {
    struct basetest_random random = {1123581321};
    char raw[64];
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    for (unsigned round = 0; round < 40000; round++) {
        struct str s = {raw, basetest_bytes(&random, raw, sizeof(raw))}, rest;

        buf_clear(&b);
        buf_add_char(&b, '"');
        text_add_json(&b, s);
        buf_add_char(&b, '"');
        assert_true(basetest_is_json(buf_str(&b)));
        for (rest = buf_str(&b); rest.n > 0;) {
            uint32_t code = 0;
            size_t n = text_decode(rest, &code);

            assert_true(n > 0); /* valid UTF-8 */
            assert_true(code != 0x7f && (code < 0x80 || code >= 0xa0) && code != 0x202e);
            rest = str_from(rest, n);
        }
    }
    buf_done(&b);
}

static void json_escapes_are_those_of_the_standard(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    text_add_json(&b, STR("a\"b\\c\n\t\x1b\0/\x7f"));
    basetest_holds(&b, "a\\\"b\\\\c\\n\\t\\u001b\\u0000/\\u007f");
    text_add_json(&b, STR("\xff\xc3\xa4\xe2\x80\xae\xf0\x9f\x90\xb3"));
    basetest_holds(&b, "\xef\xbf\xbd\xc3\xa4\\u202e\xf0\x9f\x90\xb3");
    buf_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_control_is_escaped),
        cmocka_unit_test(what_cannot_be_seen_is_spelled),
        cmocka_unit_test(bytes_that_are_no_utf8_are_shown_as_bytes),
        cmocka_unit_test(decoding_takes_each_character_in_its_one_form),
        cmocka_unit_test(nothing_that_is_shown_is_a_control_and_no_two_look_alike),
        cmocka_unit_test(wide_characters_take_two_columns_and_marks_none),
        cmocka_unit_test(json_text_parses_whatever_the_bytes),
        cmocka_unit_test(json_escapes_are_those_of_the_standard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
