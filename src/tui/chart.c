#include "tui/chart.h"

enum { LEVELS = 8, LOWEST_BLOCK = 0x2581, LINE = 0x2500, DOTTED = 0x2508 };

static const char plain_levels[LEVELS + 1] = ".:-=+*#@";

static bool range(const uint64_t *value, size_t n, uint64_t *low, uint64_t *high) {
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        if (value[i] == UINT64_MAX)
            continue;
        *low = !any || value[i] < *low ? value[i] : *low;
        *high = !any || value[i] > *high ? value[i] : *high;
        any = true;
    }
    return any;
}

static void level(struct canvas *c, int y, int x, int of8, unsigned style) {
    canvas_put(c, y, x, (uint32_t)(LOWEST_BLOCK + of8), plain_levels[of8], style);
}

void chart_spark(struct canvas *c, int y, int x, const uint64_t *value, size_t n, unsigned style) {
    uint64_t low = 0, high = 0;
    double span, base;

    if (!range(value, n, &low, &high))
        return;
    span = (double)(high - low);
    base = (double)low;
    if (span < (double)high / 10) { /* in the middle of a height, not where two meet */
        span = (double)high / 10;
        base = ((double)high + (double)low) / 2 - span * 0.45;
    }
    for (size_t i = 0; i < n; i++) {
        double share = span > 0 ? ((double)value[i] - base) / span : 0;

        if (value[i] != UINT64_MAX)
            level(c, y, x + (int)i, share >= 1 ? LEVELS - 1 : (int)(share * LEVELS), style);
    }
}

void chart_lane(struct canvas *c, int y, int x, const uint64_t *value, size_t n, uint64_t top,
                unsigned style) {
    for (size_t i = 0; i < n; i++) {
        double share = top > 0 ? (double)value[i] / (double)top : 0;

        if (value[i] == UINT64_MAX)
            continue;
        if (value[i] == 0)
            canvas_put(c, y, x + (int)i, 0xb7, '_', STYLE_DIM);
        else
            level(c, y, x + (int)i, share >= 1 ? LEVELS - 1 : (int)(share * LEVELS), style);
    }
}

uint64_t chart_top(const uint64_t *value, size_t n) {
    uint64_t low = 0, high = 0;

    return range(value, n, &low, &high) ? high : 0;
}

void chart_rate(uint64_t *value, size_t n, int64_t step_ms) {
    for (size_t i = n; i-- > 0;) {
        uint64_t before = i > 0 ? value[i - 1] : UINT64_MAX;

        if (value[i] == UINT64_MAX || before == UINT64_MAX || value[i] < before || step_ms <= 0)
            value[i] = UINT64_MAX;
        else /* less than one a second is still something */
            value[i] = ((value[i] - before) * 1000 + (uint64_t)step_ms - 1) / (uint64_t)step_ms;
    }
}

static uint64_t usage_of(const struct chart_column *column) {
    uint64_t sum = 0;

    for (unsigned p = 0; column->known && p < PART_N; p++)
        sum += column->parts.bytes[p];
    return sum;
}

uint64_t chart_scale(const struct chart_column *column, size_t n) {
    uint64_t top = 0, limit = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t usage = usage_of(&column[i]);

        top = usage > top ? usage : top;
        if (column[i].limit != UINT64_MAX && column[i].limit > limit)
            limit = column[i].limit;
    }
    if (limit > top && limit / 3 <= top)
        top = limit;
    return top > 0 ? top + top / 20 : 1;
}

static const struct {
    uint32_t code;
    char plain;
} signs[PART_N] = {
    [PART_ANON] = {0x2588, '#'},     [PART_SHMEM] = {0x2593, '%'}, [PART_KERNEL] = {0x259a, 'k'},
    [PART_OTHER] = {0x2573, 'x'},    [PART_SLAB] = {0x259e, 's'},  [PART_ACTIVE] = {0x2592, ':'},
    [PART_INACTIVE] = {0x2591, '.'},
};

void chart_sign(struct canvas *c, int y, int x, enum part part) {
    canvas_put(c, y, x, signs[part].code, signs[part].plain, STYLE_PART + part);
}

/* The part that a value lies in, PART_N when it is above all. */
static enum part part_at(const struct parts *parts, double value) {
    double sum = 0;

    for (unsigned p = 0; p < PART_N; p++) {
        sum += (double)parts->bytes[p];
        if (value < sum)
            return p;
    }
    return PART_N;
}

static void line(struct canvas *c, struct chart_area a, int x, uint64_t value, uint64_t scale,
                 uint32_t code, char plain, unsigned style) {
    if (value >= scale)
        return;
    canvas_put(c, a.y + a.height - 1 - (int)((double)value / (double)scale * a.height), x, code,
               plain, style);
}

void chart_stack(struct canvas *c, struct chart_area area, const struct chart_column *column,
                 uint64_t scale) {
    for (int i = 0; i < area.width; i++) {
        int x = area.x + i;

        for (int row = 0; column[i].known && row < area.height; row++) {
            double middle = (row + 0.5) * (double)scale / area.height;
            enum part part = part_at(&column[i].parts, middle);

            if (part != PART_N)
                chart_sign(c, area.y + area.height - 1 - row, x, part);
            else
                break;
        }
        line(c, area, x, column[i].high, scale, DOTTED, '~', STYLE_HIGH);
        line(c, area, x, column[i].limit, scale, LINE, '-', STYLE_LIMIT);
    }
}
