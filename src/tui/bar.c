#include "tui/bar.h"

#include "model/state.h"

enum {
    FULL_BLOCK = 0x2588, /* eighths of it follow: 0x2589 is seven, 0x258f one */
    HATCHED = 0x2591,
    LEFT_END = 0x2595,
    RIGHT_END = 0x258f,
    ALERT = 0x2503,
    HIGH = 0x250a,
};

/* value on a scale of `steps` for `whole`, rounded to nearest, at most steps. */
static int scaled(uint64_t value, uint64_t whole, int steps) {
    double share = whole > 0 ? (double)value / (double)whole : 0;

    return share >= 1 ? steps : (int)(share * steps + 0.5);
}

/* Cells [0, eighths / 8) are full, one more may be in part. The cells that were drawn. */
static int fill(struct canvas *c, int y, int x, int eighths, char plain, unsigned style) {
    int full = eighths / 8, rest = eighths % 8;

    if (c->ascii) {
        full = (eighths + 4) / 8;
        rest = 0;
    }
    for (int i = 0; i < full; i++)
        canvas_put(c, y, x + i, FULL_BLOCK, plain, style);
    if (rest)
        canvas_put(c, y, x + full, (uint32_t)(FULL_BLOCK + 8 - rest), plain, style);
    return full + (rest > 0);
}

static void mark(struct canvas *c, int y, int x, int width, uint64_t value, uint64_t limit,
                 uint32_t code, char plain, unsigned style) {
    int at = scaled(value, limit, width);

    canvas_put(c, y, x + (at < width ? at : width - 1), code, plain, style);
}

void bar_draw(struct canvas *c, int y, int x, int width, const struct sample *s) {
    int inner = width - 2, used, usage;
    uint64_t limit;

    if (!s || !sample_has(s, METRIC_USED) || !sample_has(s, METRIC_LIMIT) || inner < 1)
        return;
    limit = s->value[METRIC_LIMIT];
    used = fill(c, y, x + 1, scaled(s->value[METRIC_USED], limit, inner * 8), '#', STYLE_USED);
    usage = sample_has(s, METRIC_USAGE) ? scaled(s->value[METRIC_USAGE], limit, inner) : 0;
    for (int i = used; i < usage; i++)
        canvas_put(c, y, x + 1 + i, HATCHED, ':', STYLE_RECLAIM);
    if (sample_has(s, METRIC_HIGH) && s->value[METRIC_HIGH] < limit)
        mark(c, y, x + 1, inner, s->value[METRIC_HIGH], limit, HIGH, '|', STYLE_HIGH);
    mark(c, y, x + 1, inner, STATE_FULL_CENTI, 10000, ALERT, '!', STYLE_LIMIT);
    canvas_put(c, y, x, LEFT_END, '[', STYLE_DIM);
    canvas_put(c, y, x + width - 1, RIGHT_END, ']', STYLE_DIM);
}

int bar_legend(struct canvas *c, int y, int x, int width) {
    static const struct {
        uint32_t code;
        char plain;
        unsigned style;
        const char *word;
    } sign[] = {
        {FULL_BLOCK, '#', STYLE_USED, "used"},
        {HATCHED, ':', STYLE_RECLAIM, "reclaimable"},
        {HIGH, '|', STYLE_HIGH, "memory.high"},
        {ALERT, '!', STYLE_LIMIT, "load line, 90 %"},
    };
    int used = 0;

    for (size_t i = 0; i < sizeof(sign) / sizeof(sign[0]); i++) {
        int need = 4 + (int)str_of(sign[i].word).n;

        if (used + need > width)
            break;
        canvas_put(c, y, x + used, sign[i].code, sign[i].plain, sign[i].style);
        canvas_text(c, y, x + used + 2, need, str_of(sign[i].word), STYLE_DIM);
        used += need;
    }
    return used;
}

void bar_part(struct canvas *c, int y, int x, int width, uint64_t part, uint64_t whole,
              unsigned style) {
    int eighths = scaled(part, whole, width * 8);

    fill(c, y, x, part > 0 && eighths == 0 ? 1 : eighths, '#', style);
}
