#include "inspect/logprefix.h"

#include <string.h>

enum { PLAIN = 256, WORDS = 12 };

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_name(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!is_digit(c) && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            str_find(STR("_.:@/-"), c) < 0)
            return false;
    }
    return s.n > 0;
}

/* '9' stands for a digit, anything else for itself. */
static bool skip(struct str *s, const char *pattern) {
    size_t n = strlen(pattern);

    if (s->n < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (pattern[i] == '9' ? !is_digit(s->p[i]) : s->p[i] != pattern[i])
            return false;
    *s = str_from(*s, n);
    return true;
}

static bool is_clock(struct str s) {
    return skip(&s, "99:99:99") && s.n == 0;
}

/* 2026-11-21T12:00:00.123456789Z, or with +01:00 */
static bool is_stamp(struct str s) {
    if (!skip(&s, "9999-99-99T99:99:99"))
        return false;
    if (str_skip(&s, STR(".")))
        while (s.n > 0 && is_digit(s.p[0]))
            s = str_from(s, 1);
    return str_eq(s, STR("Z")) || ((skip(&s, "+99:99") || skip(&s, "-99:99")) && s.n == 0);
}

static bool is_month(struct str s) {
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (size_t i = 0; i + 3 < sizeof(names); i += 3)
        if (str_eq(s, (struct str){names + i, 3}))
            return true;
    return false;
}

/* [pod/NAME/CONTAINER] */
static bool is_pod(struct str s) {
    return str_skip(&s, STR("[")) && str_drop(&s, STR("]")) && str_find(s, '/') > 0 && is_name(s);
}

/* NAME[PID]: */
static bool is_tag(struct str s) {
    ptrdiff_t open = str_find(s, '[');
    struct str number = str_from(s, open > 0 ? (size_t)open + 1 : s.n);

    if (open <= 0 || !is_name(str_head(s, (size_t)open)) || !str_drop(&number, STR("]:")))
        return false;
    for (size_t i = 0; i < number.n; i++)
        if (!is_digit(number.p[i]))
            return false;
    return number.n > 0;
}

/* Without the colours that a terminal is sent. False: another control character is in it. */
static bool without_colours(struct str s, char *out, size_t *n_out) {
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\033' && i + 1 < s.n && s.p[i + 1] == '[') {
            i += 2;
            while (i < s.n && (is_digit(s.p[i]) || s.p[i] == ';'))
                i++;
            if (i == s.n || s.p[i] != 'm')
                return false;
            continue;
        }
        if ((unsigned char)s.p[i] < ' ' || n == PLAIN)
            return false;
        out[n++] = s.p[i];
    }
    *n_out = n;
    return true;
}

static size_t split(struct str s, struct str *word) {
    size_t n = 0;

    while (s.n > 0) {
        struct str one;

        if (!str_cut(&s, ' ', &one)) {
            one = s;
            s.n = 0;
        }
        if (one.n == 0)
            continue;
        if (n == WORDS)
            return 0;
        word[n++] = one;
    }
    return n;
}

bool logprefix_is(struct str s) {
    char plain[PLAIN];
    struct str w[WORDS + 1];
    size_t n, i = 0;
    bool sure = false, dated = false;

    if (s.n > PLAIN || !without_colours(s, plain, &n) || n == 0 || plain[n - 1] != ' ')
        return false;
    n = split((struct str){plain, n}, w);
    while (i < n) {
        if (is_stamp(w[i]) || is_pod(w[i])) {
            dated |= w[i].p[0] != '[';
            sure = true;
            i++;
        } else if (is_clock(w[i])) {
            i++;
        } else if (n - i >= 3 && is_month(w[i]) && is_clock(w[i + 2])) {
            dated = true;
            i += 3;
        } else if (n - i == 2 &&
                   (str_eq(w[i + 1], STR("|")) ? is_name(w[i])
                                               : dated && is_name(w[i]) && is_tag(w[i + 1]))) {
            return true;
        } else if (dated && n - i >= 2 && str_eq(w[i + 1], STR("F")) &&
                   (str_eq(w[i], STR("stdout")) || str_eq(w[i], STR("stderr")))) {
            i += 2;
        } else {
            return false;
        }
    }
    return sure;
}
