#include "tui/units.h"

#include <time.h>

#include "base/num.h"

void units_add_clock(struct buf *b, int64_t ms, bool date) {
    time_t seconds = (time_t)(ms / 1000);
    struct tm at;

    if (!gmtime_r(&seconds, &at)) {
        buf_add_char(b, '-');
        return;
    }
    if (date)
        buf_add_format(b, "%04d-%02d-%02d ", at.tm_year + 1900, at.tm_mon + 1, at.tm_mday);
    buf_add_format(b, "%02d:%02d:%02d", at.tm_hour, at.tm_min, at.tm_sec);
}

static void add_two(struct buf *b, uint64_t large, char unit, uint64_t small, char below) {
    buf_add_u64(b, large);
    buf_add_char(b, unit);
    if (small > 0 && large < 100) {
        buf_add_u64(b, small);
        buf_add_char(b, below);
    }
}

void units_add_duration(struct buf *b, uint64_t s) {
    enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

    if (s < 2 * MINUTE)
        add_two(b, s, 's', 0, 0);
    else if (s < 2 * HOUR)
        add_two(b, s / MINUTE, 'm', 0, 0);
    else if (s < DAY)
        add_two(b, s / HOUR, 'h', s % HOUR / MINUTE, 'm');
    else if (s < 365 * (uint64_t)DAY)
        add_two(b, s / DAY, 'd', s % DAY / HOUR, 'h');
    else
        buf_add(b, STR(">1y"));
}

void units_add_signed(struct buf *b, int64_t bytes) {
    if (bytes > 0)
        buf_add_char(b, '+');
    if (bytes < 0)
        buf_add_char(b, '-');
    num_add_iec(b, bytes < 0 ? 0 - (uint64_t)bytes : (uint64_t)bytes);
}

void units_add_count(struct buf *b, uint64_t n) {
    static const char unit[] = " KMGTPE";
    size_t i = 0;

    if (n > 9999)
        for (; n > 999 && i < 6; i++)
            n /= 1000;
    buf_add_u64(b, n);
    if (i > 0)
        buf_add_char(b, unit[i]);
}

void units_add_metric(struct buf *b, const struct sample *s, enum metric m) {
    uint64_t value;

    if (!s || !sample_has(s, m)) {
        buf_add_char(b, '-');
        return;
    }
    value = s->value[m];
    if (metric_info(m)->kind == METRIC_BOUND && value == SAMPLE_NONE)
        buf_add(b, STR("none"));
    else if (metric_info(m)->unit == METRIC_BYTES)
        num_add_iec(b, value);
    else if (metric_info(m)->unit == METRIC_CENTIPCT)
        num_add_centi(b, value, value < 1000 ? 2 : 1);
    else
        units_add_count(b, value);
}
