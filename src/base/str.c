#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

struct str str_of(const char *text) {
    return text ? (struct str){text, strlen(text)} : (struct str){"", 0};
}

bool str_eq(struct str a, struct str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_starts(struct str s, struct str prefix) {
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix) {
    return s.n >= suffix.n && str_eq(str_from(s, s.n - suffix.n), suffix);
}

ptrdiff_t str_find(struct str s, char byte) {
    const char *at = s.n ? memchr(s.p, byte, s.n) : NULL;

    return at ? at - s.p : -1;
}

ptrdiff_t str_rfind(struct str s, char byte) {
    const char *at = s.n ? memrchr(s.p, byte, s.n) : NULL;

    return at ? at - s.p : -1;
}

struct str str_from(struct str s, size_t from) {
    if (from > s.n)
        from = s.n;
    if (from == 0)
        return s; /* the pointer of an empty text may be NULL */
    return (struct str){s.p + from, s.n - from};
}

struct str str_head(struct str s, size_t n) {
    return (struct str){s.p, n < s.n ? n : s.n};
}

bool str_cut(struct str *rest, char byte, struct str *head) {
    ptrdiff_t at = str_find(*rest, byte);

    if (at < 0)
        return false;
    *head = str_head(*rest, (size_t)at);
    *rest = str_from(*rest, (size_t)at + 1);
    return true;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

bool str_word(struct str *rest, struct str *word) {
    size_t from = 0, to;

    while (from < rest->n && is_blank(rest->p[from]))
        from++;
    if (from == rest->n)
        return false;
    for (to = from; to < rest->n && !is_blank(rest->p[to]);)
        to++;
    *word = (struct str){rest->p + from, to - from};
    *rest = str_from(*rest, to);
    return true;
}

struct str str_trim(struct str s) {
    while (s.n > 0 && (is_blank(s.p[0]) || s.p[0] == '\n'))
        s = str_from(s, 1);
    while (s.n > 0 && (is_blank(s.p[s.n - 1]) || s.p[s.n - 1] == '\n'))
        s.n--;
    return s;
}

bool str_skip(struct str *s, struct str prefix) {
    if (!str_starts(*s, prefix))
        return false;
    *s = str_from(*s, prefix.n);
    return true;
}

bool str_drop(struct str *s, struct str suffix) {
    if (!str_ends(*s, suffix))
        return false;
    s->n -= suffix.n;
    return true;
}

int str_to_u64(struct str s, uint64_t *out) {
    uint64_t value = 0;

    if (s.n == 0)
        return -EBADMSG;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';

        if (digit > 9)
            return -EBADMSG;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return -ERANGE;
    }
    *out = value;
    return 0;
}

int str_to_i64(struct str s, int64_t *out) {
    bool negative = str_skip(&s, STR("-"));
    uint64_t magnitude;
    int r = str_to_u64(s, &magnitude);

    if (r < 0)
        return r;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return -ERANGE;
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return 0;
}

int str_hex(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

int str_to_hex(struct str s, uint64_t *out) {
    uint64_t value = 0;

    if (s.n == 0 || s.n > 16)
        return -EBADMSG;
    for (size_t i = 0; i < s.n; i++) {
        int digit = str_hex(s.p[i]);

        if (digit < 0)
            return -EBADMSG;
        value = value << 4 | (unsigned)digit;
    }
    *out = value;
    return 0;
}

int str_copy(struct str s, char *dst, size_t size) {
    if (s.n >= size)
        return -ENAMETOOLONG;
    if (str_find(s, '\0') >= 0)
        return -EILSEQ;
    if (s.n > 0)
        memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return 0;
}

static unsigned min3(unsigned a, unsigned b, unsigned c) {
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

unsigned str_distance(struct str a, struct str b) {
    unsigned row[3][64]; /* the last two rows of the table and the one being filled */

    if (a.n > 63 || b.n > 63)
        return UINT_MAX;
    for (unsigned j = 0; j <= b.n; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];

        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned change = last[j - 1] + (a.p[i - 1] != b.p[j - 1]);

            now[j] = min3(change, last[j] + 1, now[j - 1] + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
    }
    return row[a.n % 3][b.n];
}
