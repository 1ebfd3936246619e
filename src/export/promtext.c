#include "export/promtext.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "export/prompage.h"

static const uint64_t power[] = {1, 10, 100, 1000, 10000, 100000, 1000000};

/* Two digits a division. */
static size_t put_whole(char *p, uint64_t value) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char digits[20];
    size_t n = sizeof(digits);

    for (; value >= 10; value /= 100)
        memcpy(digits + (n -= 2), pairs + 2 * (value % 100), 2);
    if (value > 0 || n == sizeof(digits))
        digits[--n] = (char)('0' + value);
    memcpy(p, digits + n, sizeof(digits) - n);
    return sizeof(digits) - n;
}

size_t promtext_number(char *p, uint64_t value, unsigned decimals) {
    uint64_t part;
    size_t n;

    if (decimals == PROM_WHOLE)
        return put_whole(p, value);
    part = value % power[decimals];
    n = put_whole(p, value / power[decimals]);
    if (part == 0)
        return n;
    p[n] = '.';
    for (unsigned i = decimals; i > 0; i--, part /= 10)
        p[n + i] = (char)('0' + part % 10);
    n += decimals + 1;
    while (p[n - 1] == '0')
        n--;
    return n;
}

unsigned promtext_decimals(enum metric m) {
    switch (metric_info(m)->unit) {
    case METRIC_US:
        return PROM_MICRO;
    case METRIC_CENTIPCT:
        return PROM_CENTIPCT;
    case METRIC_BYTES:
    case METRIC_COUNT:
    case METRIC_FLAG:
        break;
    }
    return PROM_WHOLE;
}

void prom_add_value(struct buf *out, enum metric m, uint64_t value) {
    char *p = buf_room(out, PROM_NUMBER);

    if (p)
        buf_grow(out, promtext_number(p, value, promtext_decimals(m)));
}

double prom_value(enum metric m, uint64_t value) {
    return (double)value / (double)power[promtext_decimals(m)];
}

enum metric prom_metric(struct str name) {
    enum metric found = METRIC_N;
    struct buf b;

    buf_init(&b, PROM_NAME);
    for (unsigned m = 0; m < METRIC_N && found == METRIC_N; m++) {
        buf_clear(&b);
        metric_add_exported(&b, m);
        if (str_eq(buf_str(&b), name))
            found = m;
    }
    buf_done(&b);
    return found;
}

/* What nearly every byte of nearly every name is. */
static size_t plain_run(struct str s) {
    size_t n = 0;

    while (n < s.n && (unsigned char)s.p[n] >= 0x20 && (unsigned char)s.p[n] < 0x7f)
        n++;
    return n;
}

void promtext_add_clean(struct buf *out, struct str s) {
    while (s.n > 0) {
        size_t n = plain_run(s);
        uint32_t code;

        buf_add(out, str_head(s, n));
        s = str_from(s, n);
        if (s.n == 0)
            return;
        n = text_decode(s, &code);
        if (n == 0)
            buf_add(out, STR("\xef\xbf\xbd"));
        else
            text_add_visible(out, str_head(s, n), false);
        s = str_from(s, n > 0 ? n : 1);
    }
}

static void add_quoted(struct buf *out, struct str s) {
    for (size_t from = 0, i = 0;; i++) {
        if (i < s.n && s.p[i] != '\\' && s.p[i] != '"')
            continue;
        buf_add(out, (struct str){s.p + from, i - from});
        if (i == s.n)
            return;
        buf_add_char(out, '\\');
        from = i;
    }
}

void prom_add_escaped(struct buf *out, struct str s) {
    struct buf clean;

    if (plain_run(s) == s.n) {
        add_quoted(out, s);
        return;
    }
    buf_init(&clean, 16 * s.n + 64);
    promtext_add_clean(&clean, s);
    add_quoted(out, buf_str(&clean));
    buf_done(&clean);
}
