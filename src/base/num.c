#include "base/num.h"

#include <errno.h>
#include <stdio.h>

/* Splits "12.5MiB" into 12, 5/10 and "MiB". */
static int split(struct str s, uint64_t *whole, uint64_t *fraction, uint64_t *scale,
                 struct str *unit) {
    size_t n = 0, dot;

    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    if (n == 0)
        return -EBADMSG;
    if (str_to_u64(str_head(s, n), whole) < 0)
        return -ERANGE;
    *fraction = 0;
    *scale = 1;
    dot = n;
    if (n < s.n && s.p[n] == '.') {
        for (n++; n < s.n && s.p[n] >= '0' && s.p[n] <= '9'; n++) {
            if (*scale >= 1000000000)
                continue; /* finer than a billionth of a unit: digits that cannot matter */
            *fraction = *fraction * 10 + (uint64_t)(s.p[n] - '0');
            *scale *= 10;
        }
        if (n == dot + 1)
            return -EBADMSG;
    }
    *unit = str_from(s, n);
    return 0;
}

static int scaled(uint64_t whole, uint64_t fraction, uint64_t scale, uint64_t unit, uint64_t *out) {
    unsigned __int128 value =
        (unsigned __int128)whole * unit + (unsigned __int128)fraction * unit / scale;

    if (value > INT64_MAX)
        return -ERANGE;
    *out = (uint64_t)value;
    return 0;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

int num_parse_size(struct str s, uint64_t *bytes_out) {
    static const char letters[] = "kmgtp";
    uint64_t whole, fraction, scale, unit = 1;
    struct str rest;
    int r = split(s, &whole, &fraction, &scale, &rest);

    if (r < 0)
        return r;
    for (unsigned i = 0; rest.n > 0 && i < 5; i++) {
        if (lower(rest.p[0]) != letters[i])
            continue;
        unit = 1ull << (10 * (i + 1));
        rest = str_from(rest, 1);
        if (rest.n == 2 && lower(rest.p[0]) == 'i')
            rest = str_from(rest, 1);
        break;
    }
    if (rest.n == 1 && lower(rest.p[0]) == 'b')
        rest.n = 0;
    if (rest.n > 0 || (unit == 1 && scale > 1))
        return -EBADMSG;
    return scaled(whole, fraction, scale, unit, bytes_out);
}

int num_parse_ms(struct str s, uint64_t *ms_out) {
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"", 1000},     {"s", 1000},     {"ms", 1},        {"m", 60000},
                 {"h", 3600000}, {"d", 86400000}, {"w", 604800000}, {"y", 31536000000}};
    uint64_t whole, fraction, scale;
    struct str rest;
    int r = split(s, &whole, &fraction, &scale, &rest);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (str_eq(rest, str_of(units[i].unit)))
            return scaled(whole, fraction, scale, units[i].ms, ms_out);
    return -EBADMSG;
}

/* bytes * 10^decimals in units of 1024^power, rounded to nearest. */
static uint64_t in_unit(uint64_t bytes, unsigned power, unsigned decimals) {
    static const unsigned scale[] = {1, 10, 100};

    return (uint64_t)(((unsigned __int128)bytes * scale[decimals] + (1ull << (10 * power - 1))) >>
                      (10 * power));
}

void num_add_iec(struct buf *b, uint64_t bytes) {
    static const char letters[] = "KMGTPE";
    unsigned power = 1;

    if (bytes < 1024) {
        buf_add_u64(b, bytes);
        buf_add_char(b, 'B');
        return;
    }
    while (power < 6 && in_unit(bytes, power, 0) >= 1024)
        power++;
    if (in_unit(bytes, power, 2) < 1000)
        num_add_centi(b, in_unit(bytes, power, 2), 2);
    else if (in_unit(bytes, power, 1) < 1000)
        num_add_centi(b, in_unit(bytes, power, 1) * 10, 1);
    else
        buf_add_u64(b, in_unit(bytes, power, 0));
    buf_add_char(b, letters[power - 1]);
}

/* "%.Ng" of a value in [1, 1000) or so, as Go prints sizes for Docker. */
static void add_docker(struct buf *b, uint64_t bytes, double base, int digits,
                       const char *const units[]) {
    double value = (double)bytes;
    unsigned i = 0;
    char text[32];

    while (value >= base && units[i + 1]) {
        value /= base;
        i++;
    }
    snprintf(text, sizeof(text), "%.*g%s", digits, value, units[i]);
    buf_add(b, str_of(text));
}

void num_add_docker_iec(struct buf *b, uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", NULL};

    add_docker(b, bytes, 1024, 4, units);
}

void num_add_docker_si(struct buf *b, uint64_t bytes) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", NULL};

    add_docker(b, bytes, 1000, 3, units);
}

void num_add_centi(struct buf *b, uint64_t hundredths, unsigned decimals) {
    unsigned rest = (unsigned)(hundredths % 100);

    buf_add_u64(b, hundredths / 100);
    if (decimals == 0)
        return;
    buf_add_char(b, '.');
    buf_add_char(b, (char)('0' + rest / 10));
    if (decimals > 1)
        buf_add_char(b, (char)('0' + rest % 10));
}

uint64_t num_centi_pct(uint64_t part, uint64_t whole) {
    unsigned __int128 pct;
    uint64_t scaled_part;

    /* nearly always it fits, and a 128-bit division costs ten times a 64-bit one */
    if (!__builtin_mul_overflow(part, 10000, &scaled_part) &&
        !__builtin_add_overflow(scaled_part, whole / 2, &scaled_part))
        return scaled_part / whole;
    pct = ((unsigned __int128)part * 10000 + whole / 2) / whole;
    return pct > UINT64_MAX ? UINT64_MAX : (uint64_t)pct;
}
