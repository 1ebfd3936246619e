#include "model/trend.h"

#include <string.h>

enum { MIN_GROWTH = 1 << 20, MIN_GROWTH_PART = 50, THIRD_PART = 12, HOUR_MS = 3600000 };

/* --- blocks ----------------------------------------------------------------------------------- */

static uint64_t *slot(struct trend *t, uint32_t i) {
    return &t->low[(t->start + i) % TREND_BLOCKS];
}

static uint64_t low_at(const struct trend *t, uint32_t i) {
    return t->low[(t->start + i) % TREND_BLOCKS];
}

static int64_t end_of(const struct trend *t) {
    return t->first_ms + t->n * t->block_ms;
}

int64_t trend_newest_ms(const struct trend *t) {
    return t->n > 0 ? end_of(t) - t->block_ms : 0;
}

static void lower(uint64_t *low, uint64_t value) {
    if (value < *low)
        *low = value;
}

/* Blocks of twice the length, in the same time. */
static void double_blocks(struct trend *t) {
    uint64_t low[TREND_BLOCKS];
    int64_t first_ms = t->first_ms - t->first_ms % (2 * t->block_ms);
    uint32_t n = 0;

    memset(low, 0xff, sizeof(low));
    for (uint32_t i = 0; i < t->n; i++) {
        n = (uint32_t)((t->first_ms - first_ms) / t->block_ms + i) / 2;
        lower(&low[n], low_at(t, i));
    }
    memcpy(t->low, low, sizeof(low));
    t->n = t->n > 0 ? n + 1 : 0;
    t->start = 0;
    t->first_ms = first_ms;
    t->block_ms *= 2;
}

/* Blocks up to the one of that moment. */
static void reach(struct trend *t, int64_t at_ms) {
    while (at_ms >= end_of(t)) {
        if (t->n < TREND_BLOCKS) {
            *slot(t, t->n++) = TREND_MISSING;
        } else if (t->block_ms < TREND_BLOCK_MAX_MS) {
            double_blocks(t);
        } else {
            t->start = (t->start + 1) % TREND_BLOCKS;
            t->first_ms += t->block_ms;
            t->n--;
        }
    }
}

static void add_refaults(struct trend *t, const struct sample *s) {
    bool file = sample_has(s, METRIC_REFAULT_FILE), anon = sample_has(s, METRIC_REFAULT_ANON);
    struct trend_mark now = {s->at_ms, (file ? s->value[METRIC_REFAULT_FILE] : 0) +
                                           (anon ? s->value[METRIC_REFAULT_ANON] : 0)};

    if (!file && !anon) {
        memset(t->mark, 0, sizeof(t->mark));
        return;
    }
    if (t->mark[0].at_ms == 0 || now.pages < t->mark[2].pages || now.at_ms < t->mark[2].at_ms)
        t->mark[0] = t->mark[1] = now; /* the first, or the counter or the clock began anew */
    if (now.at_ms - t->mark[1].at_ms >= TREND_REFAULT_MS) {
        t->mark[0] = t->mark[1];
        t->mark[1] = now;
    }
    t->mark[2] = now;
}

void trend_add(struct trend *t, const struct sample *s) {
    int64_t at_ms = s->at_ms;

    if (at_ms <= 0)
        return;
    if (t->n > 0 &&
        (at_ms < trend_newest_ms(t) || (at_ms - end_of(t)) / t->block_ms >= TREND_BLOCKS))
        *t = (struct trend){0};
    if (t->n == 0) {
        t->block_ms = TREND_BLOCK_MS;
        t->first_ms = at_ms - at_ms % TREND_BLOCK_MS;
    }
    reach(t, at_ms);
    if (sample_has(s, METRIC_USED))
        lower(slot(t, t->n - 1), s->value[METRIC_USED]);
    add_refaults(t, s);
}

/* Lets it begin at that moment or as soon after as there is room. */
static void begin_at(struct trend *t, int64_t first_ms) {
    uint64_t low[TREND_BLOCKS];
    int64_t more;

    while (t->block_ms < TREND_BLOCK_MAX_MS &&
           (end_of(t) - first_ms + t->block_ms - 1) / t->block_ms > TREND_BLOCKS)
        double_blocks(t);
    if (first_ms >= t->first_ms)
        return;
    more = (t->first_ms - first_ms + t->block_ms - 1) / t->block_ms;
    if (more > TREND_BLOCKS - (int64_t)t->n)
        more = TREND_BLOCKS - (int64_t)t->n;
    memset(low, 0xff, sizeof(low));
    for (uint32_t i = 0; i < t->n; i++)
        low[more + i] = low_at(t, i);
    memcpy(t->low, low, sizeof(low));
    t->start = 0;
    t->n += (uint32_t)more;
    t->first_ms -= more * t->block_ms;
}

void trend_begin(struct trend *t, int64_t block_ms, int64_t first_ms, const uint64_t *low,
                 size_t n) {
    if (n == 0 || first_ms < 0 || block_ms <= 0)
        return;
    if (t->n == 0) {
        int64_t last_ms = first_ms + (int64_t)(n - 1) * block_ms;

        t->block_ms = TREND_BLOCK_MS;
        t->first_ms = last_ms - last_ms % TREND_BLOCK_MS;
        *slot(t, t->n++) = TREND_MISSING;
    }
    while (t->block_ms < block_ms && t->block_ms < TREND_BLOCK_MAX_MS)
        double_blocks(t);
    begin_at(t, first_ms);
    for (size_t i = 0; i < n; i++) {
        int64_t middle_ms = first_ms + (int64_t)i * block_ms + block_ms / 2;

        if (middle_ms >= t->first_ms && middle_ms < end_of(t))
            lower(slot(t, (uint32_t)((middle_ms - t->first_ms) / t->block_ms)), low[i]);
    }
}

/* --- what they tell --------------------------------------------------------------------------- */

/* The blocks in which it was seen: x in blocks, y in bytes. */
struct points {
    uint32_t x[TREND_BLOCKS];
    uint64_t y[TREND_BLOCKS];
    uint32_t n;
};

enum { PAIRS = TREND_BLOCKS * (TREND_BLOCKS - 1) / 2 };

/* Puts the k-th smallest at its place, no larger one before it, no smaller one behind. */
static double nth(double *v, size_t n, size_t k) {
    size_t low = 0, high = n - 1;

    while (low < high) {
        double pivot = v[low + (high - low) / 2];
        size_t i = low, j = high;

        for (;;) {
            while (i < high && v[i] < pivot)
                i++;
            while (j > low && pivot < v[j])
                j--;
            if (i >= j)
                break;
            double swap = v[i];

            v[i++] = v[j];
            v[j--] = swap;
        }
        if (k <= j)
            high = j;
        else
            low = j + 1;
    }
    return v[k];
}

static double median(double *v, size_t n) {
    double upper, below;

    if (n == 0)
        return 0;
    upper = nth(v, n, n / 2);
    below = v[0];
    if (n % 2 == 1)
        return upper;
    for (size_t i = 1; i < n / 2; i++)
        if (v[i] > below)
            below = v[i];
    return (below + upper) / 2;
}

static bool stands(const struct points *p, uint32_t from) {
    for (uint32_t i = from + 1; i < p->n; i++)
        if (p->y[i] != p->y[from])
            return false;
    return true;
}

/* Theil-Sen: the median of the slopes of all pairs from point `from` on, in bytes a block. */
static double slope_of(const struct points *p, uint32_t from) {
    double slope[PAIRS];
    size_t n = 0;

    if (stands(p, from))
        return 0;
    for (uint32_t i = from; i < p->n; i++)
        for (uint32_t j = i + 1; j < p->n; j++)
            slope[n++] = ((double)p->y[j] - (double)p->y[i]) / (double)(p->x[j] - p->x[i]);
    return median(slope, n);
}

/* Mann-Kendall with ties: whether the points that rise so outnumber those that fall (or the other
 * way round) that chance would do it in less than one of a hundred cases. |Z| > 2.576, squared. */
static bool is_monotonic(const struct points *p) {
    int64_t n = p->n, s = 0, variance = n * (n - 1) * (2 * n + 5); /* times 18 */

    for (uint32_t i = 0; i < p->n; i++) {
        int64_t same = 0;

        for (uint32_t j = 0; j < p->n; j++) {
            same += p->y[j] == p->y[i];
            if (j > i)
                s += (p->y[j] > p->y[i]) - (p->y[j] < p->y[i]);
        }
        variance -= (same - 1) * (2 * same + 5); /* as often as there are such: all of the tie */
    }
    s = s < 0 ? -s : s;
    return s > 0 && (s - 1) * (s - 1) * 18 * 1000000 > 6635776 * variance;
}

static double level_of(const struct points *p) {
    double y[TREND_BLOCKS];

    for (uint32_t i = 0; i < p->n; i++)
        y[i] = (double)p->y[i];
    return median(y, p->n);
}

/* Whether it goes on: the last third has at least a quarter of what would be its share. */
static bool persists(const struct points *p, double growth) {
    uint32_t span = p->x[p->n - 1] - p->x[0], from = p->n - 1;
    double third;

    while (from > 0 && p->x[p->n - 1] - p->x[from - 1] <= span / 3)
        from--;
    third = slope_of(p, from) * (double)(p->x[p->n - 1] - p->x[from]);
    return growth > 0 ? third >= growth / THIRD_PART : third <= growth / THIRD_PART;
}

/* Takes the largest step of that direction out: it may be all there is to a trend. */
static void flatten_step(struct points *p, bool up) {
    uint64_t largest = 0;
    uint32_t at = 0;

    for (uint32_t i = 1; i < p->n; i++) {
        uint64_t before = p->y[i - 1], now = p->y[i], step = up ? now - before : before - now;

        if ((up ? now > before : now < before) && step > largest) {
            largest = step;
            at = i;
        }
    }
    for (uint32_t i = up ? at : 0; largest > 0 && i < (up ? p->n : at); i++)
        p->y[i] = p->y[i] > largest ? p->y[i] - largest : 0;
}

static bool moves(const struct points *p, double growth) {
    double size = growth < 0 ? -growth : growth;

    return size >= MIN_GROWTH && size * MIN_GROWTH_PART >= level_of(p) && is_monotonic(p) &&
           persists(p, growth);
}

static enum trend_word word_of(const struct points *p, double slope) {
    struct points rest = *p;
    double span = (double)(p->x[p->n - 1] - p->x[0]), growth = slope * span, left;

    if (!moves(p, growth))
        return TREND_STEADY;
    flatten_step(&rest, growth > 0);
    left = slope_of(&rest, 0) * span;
    if ((growth > 0) != (left > 0) || !moves(&rest, left))
        return TREND_STEADY;
    return growth > 0 ? TREND_GROWING : TREND_SHRINKING;
}

/* In bytes an hour; what no memory can do is as much as the type holds. */
static int64_t per_hour(double slope, int64_t block_ms) {
    double value = slope * HOUR_MS / (double)block_ms;

    if (value >= 9e18 || value <= -9e18)
        return value > 0 ? INT64_MAX : -INT64_MAX;
    return (int64_t)value;
}

void trend_refaults(const struct trend *t, struct trend_view *v) {
    int64_t span_ms = t->mark[2].at_ms - t->mark[0].at_ms;

    v->have_refaults = t->mark[0].at_ms > 0 && span_ms >= TREND_BLOCK_MS;
    v->refaults_per_s = v->have_refaults
                            ? (uint64_t)((unsigned __int128)(t->mark[2].pages - t->mark[0].pages) *
                                         1000 / (uint64_t)span_ms)
                            : 0;
}

struct trend_view trend_look(const struct trend *t) {
    struct trend_view v = {TREND_UNKNOWN, 0, 0, false, 0};
    struct points p = {.n = 0};
    int64_t window_ms;
    double slope;

    trend_refaults(t, &v);
    for (uint32_t i = 0; i + 1 < t->n; i++) {
        if (low_at(t, i) == TREND_MISSING)
            continue;
        p.x[p.n] = i;
        p.y[p.n++] = low_at(t, i);
    }
    window_ms = p.n > 0 ? (p.x[p.n - 1] - p.x[0] + 1) * t->block_ms : 0;
    v.window_s = (uint32_t)(window_ms / 1000);
    if (p.n < TREND_MIN_BLOCKS || window_ms < TREND_MIN_MS)
        return v;
    slope = slope_of(&p, 0);
    v.word = word_of(&p, slope);
    if (v.word != TREND_STEADY) /* then it is chance */
        v.bytes_per_h = per_hour(slope, t->block_ms);
    return v;
}

bool trend_time_to_limit(const struct trend_view *v, const struct sample *s, uint64_t *s_out) {
    if (v->word != TREND_GROWING || v->bytes_per_h <= 0 || !sample_has(s, METRIC_HEADROOM))
        return false;
    *s_out =
        (uint64_t)((unsigned __int128)s->value[METRIC_HEADROOM] * 3600 / (uint64_t)v->bytes_per_h);
    return true;
}

const char *trend_name(enum trend_word word) {
    switch (word) {
    case TREND_STEADY:
        return "steady";
    case TREND_GROWING:
        return "growing";
    case TREND_SHRINKING:
        return "shrinking";
    case TREND_UNKNOWN:
        break;
    }
    return "-";
}
