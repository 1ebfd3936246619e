#include "base/when.h"

#include <errno.h>

#include "base/num.h"

enum { DAY_MS = 86400000 };

#define MS_MAX INT64_C(253402300799999) /* the end of the year 9999 */
#define SECONDS_BELOW UINT64_C(100000000000)

/* Exactly n digits off the front. */
static bool digits(struct str *s, size_t n, int *out) {
    int value = 0;

    if (s->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        value = value * 10 + (s->p[i] - '0');
    }
    *s = str_from(*s, n);
    *out = value;
    return true;
}

/* Digits behind a point: thousandths, the rest is cut. */
static bool fraction(struct str *s, int *ms_out) {
    int ms = 0, scale = 100;
    size_t n = 0;

    for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++, scale /= 10)
        ms += (s->p[n] - '0') * scale;
    if (n == 0 || n > 9)
        return false;
    *s = str_from(*s, n);
    *ms_out = ms;
    return true;
}

/* HH:MM[:SS[.FFF]] off the front. */
static int clock_time(struct str *s, int64_t *ms_out) {
    int h = 0, m = 0, sec = 0, ms = 0;

    if (!digits(s, 2, &h) || !str_skip(s, STR(":")) || !digits(s, 2, &m))
        return -EBADMSG;
    if (str_skip(s, STR(":")) && !digits(s, 2, &sec))
        return -EBADMSG;
    if (str_skip(s, STR(".")) && !fraction(s, &ms))
        return -EBADMSG;
    if (h > 23 || m > 59 || sec > 60) /* 60: a leap second is the next one */
        return -ERANGE;
    *ms_out = ((h * 60 + m) * 60 + sec) * INT64_C(1000) + ms;
    return 0;
}

/* Z, +HH:MM, -HH:MM or nothing: the whole rest. */
static int zone(struct str s, int64_t *ms_out) {
    int64_t sign = 1, ms = 0;
    int r;

    *ms_out = 0;
    if (s.n == 0 || str_eq(s, STR("Z")) || str_eq(s, STR("z")))
        return 0;
    if (str_skip(&s, STR("-")))
        sign = -1;
    else if (!str_skip(&s, STR("+")))
        return -EBADMSG;
    if (s.n != 5)
        return -EBADMSG;
    r = clock_time(&s, &ms);
    *ms_out = sign * ms;
    return r;
}

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_before_year(int year) { /* since 1970 */
    int64_t y = year - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

static int calendar(struct str *s, int64_t *days_out) {
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int y = 0, m = 0, d = 0;
    int64_t days;

    if (!digits(s, 4, &y) || !str_skip(s, STR("-")) || !digits(s, 2, &m) ||
        !str_skip(s, STR("-")) || !digits(s, 2, &d))
        return -EBADMSG;
    if (y < 1970 || m < 1 || m > 12 || d < 1)
        return -ERANGE;
    if (d > before[m] - before[m - 1] + (m == 2 && is_leap(y)))
        return -ERANGE;
    days = days_before_year(y) + before[m - 1] + (m > 2 && is_leap(y)) + d - 1;
    *days_out = days;
    return 0;
}

static int rfc3339(struct str s, int64_t *ms_out) {
    int64_t days = 0, time_ms = 0, zone_ms = 0, ms;
    int r = calendar(&s, &days);

    if (r == 0 && s.n > 0) {
        if (!str_skip(&s, STR("T")) && !str_skip(&s, STR("t")) && !str_skip(&s, STR(" ")))
            return -EBADMSG;
        r = clock_time(&s, &time_ms);
        if (r == 0)
            r = zone(s, &zone_ms);
    }
    if (r < 0)
        return r;
    ms = days * DAY_MS + time_ms - zone_ms;
    if (ms < 0)
        return -ERANGE;
    *ms_out = ms;
    return 0;
}

static int count(struct str s, int64_t *ms_out) {
    struct str whole = s, rest = s;
    bool point = str_cut(&rest, '.', &whole);
    uint64_t value;
    int ms = 0, r = str_to_u64(whole, &value);

    if (r < 0)
        return r;
    if (point && (!fraction(&rest, &ms) || rest.n > 0))
        return -EBADMSG;
    if (point && value >= SECONDS_BELOW)
        return -ERANGE;
    if (value < SECONDS_BELOW)
        value *= 1000;
    if (value + (uint64_t)ms > MS_MAX)
        return -ERANGE;
    *ms_out = (int64_t)value + ms;
    return 0;
}

static int relative(struct str s, int64_t now_ms, int64_t *ms_out) {
    uint64_t ms;
    int r = num_parse_ms(s, &ms);

    if (r < 0)
        return r;
    if (now_ms < 0 || ms > (uint64_t)now_ms)
        return -ERANGE;
    *ms_out = now_ms - (int64_t)ms;
    return 0;
}

int when_parse(struct str s, int64_t now_ms, int64_t *ms_out) {
    int64_t ms = 0;
    int r;

    if (str_eq(s, STR("now"))) {
        *ms_out = now_ms;
        return 0;
    }
    if (str_skip(&s, STR("-"))) {
        r = relative(s, now_ms, &ms);
    } else if (s.n >= 5 && s.p[2] == ':') {
        r = clock_time(&s, &ms);
        if (r == 0 && s.n > 0)
            r = -EBADMSG;
        ms += now_ms - now_ms % DAY_MS;
    } else if (s.n >= 5 && s.p[4] == '-') {
        r = rfc3339(s, &ms);
    } else {
        r = count(s, &ms);
    }
    if (r < 0)
        return r;
    *ms_out = ms;
    return 0;
}
