/* basetest.h - for unit tests: repeatable random bytes, text of a buffer, and a validator of JSON
 * that shares nothing with the writer. Included after <cmocka.h>.
 */
#pragma once
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* xorshift64*: the same bytes in every run, so that a failure can be repeated. */
struct basetest_random {
    uint64_t state;
};

static inline uint64_t basetest_next(struct basetest_random *r) {
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * 2685821657736338717ull;
}

/* Bytes with the troublesome ones much more often than chance would have them. */
static inline size_t basetest_bytes(struct basetest_random *r, char *out, size_t max) {
    static const char *const odd[] = {
        "\n",           "\t",           "\\",       "\"",           "\x1b[31m",         "\x7f",
        "\xc2\x9b",     "\xe2\x80\xae", "\xc0\xaf", "\xed\xa0\x80", "\xf0\x9f\x90\xb3", "\xc3",
        "\xe2\x80\x8b", "\xff",         "\\x1b",    "\\u{200b}",    "\xc3\xa4",         "a",
    };
    size_t n = 0, want = basetest_next(r) % (max + 1);

    while (n < want) {
        uint64_t dice = basetest_next(r);

        if (dice % 3 == 0) {
            const char *text = odd[(dice >> 8) % (sizeof(odd) / sizeof(odd[0]))];
            size_t length = strlen(text);

            if (n + length > want)
                break;
            memcpy(out + n, text, length);
            n += length;
        } else {
            out[n++] = (char)(dice >> 16);
        }
    }
    return n;
}

/* Whether the buffer holds exactly this text; says what it holds when not. */
static inline void basetest_holds(struct buf *b, const char *wanted) {
    struct str s = buf_str(b);

    if (!str_eq(s, str_of(wanted)))
        fail_msg("it is '%.*s', not '%s'", STR_ARG(s), wanted);
    buf_clear(b);
}

/* RFC 8259, one value. Returns what follows it, or NULL. Valid UTF-8 is the caller's to check. */
static inline const char *basetest_json_value(const char *p, const char *end, unsigned depth);

static inline const char *basetest_json_blank(const char *p, const char *end) {
    while (p && p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

static inline const char *basetest_json_string(const char *p, const char *end) {
    if (p == end || *p++ != '"')
        return NULL;
    for (; p < end && *p != '"'; p++) {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p != '\\')
            continue;
        if (++p == end || !*p || !strchr("\"\\/bfnrtu", *p))
            return NULL;
        if (*p != 'u')
            continue;
        for (unsigned i = 0; i < 4; i++)
            if (++p == end || !*p || !strchr("0123456789abcdefABCDEF", *p))
                return NULL;
    }
    return p < end ? p + 1 : NULL;
}

static inline const char *basetest_json_digits(const char *p, const char *end) {
    const char *from = p;

    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p > from ? p : NULL;
}

static inline const char *basetest_json_number(const char *p, const char *end) {
    if (p < end && *p == '-')
        p++;
    if (p + 1 < end && p[0] == '0' && p[1] >= '0' && p[1] <= '9')
        return NULL;
    p = basetest_json_digits(p, end);
    if (p && p < end && *p == '.')
        p = basetest_json_digits(p + 1, end);
    return p;
}

static inline const char *basetest_json_list(const char *p, const char *end, unsigned depth) {
    bool object = *p++ == '{';
    char close = object ? '}' : ']';

    p = basetest_json_blank(p, end);
    if (p < end && *p == close)
        return p + 1;
    for (;;) {
        if (object) {
            p = basetest_json_blank(basetest_json_string(p, end), end);
            if (!p || p == end || *p++ != ':')
                return NULL;
        }
        p = basetest_json_value(p, end, depth + 1);
        if (!p || p == end)
            return NULL;
        if (*p == close)
            return p + 1;
        if (*p++ != ',')
            return NULL;
        p = basetest_json_blank(p, end);
    }
}

static inline const char *basetest_json_value(const char *p, const char *end, unsigned depth) {
    static const char *const words[] = {"true", "false", "null"};

    p = basetest_json_blank(p, end);
    if (p == end || depth > 100)
        return NULL;
    if (*p == '{' || *p == '[')
        return basetest_json_blank(basetest_json_list(p, end, depth), end);
    if (*p == '"')
        return basetest_json_blank(basetest_json_string(p, end), end);
    for (unsigned i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);

        if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0)
            return basetest_json_blank(p + n, end);
    }
    return basetest_json_blank(basetest_json_number(p, end), end);
}

static inline bool basetest_is_json(struct str s) {
    return basetest_json_value(s.p, s.p + s.n, 0) == s.p + s.n;
}
