#include "sampler/pace.h"

enum {
    HOLD_US = 3 * 1000000,
    LOOKS = 10, /* before the limit is reached */
};

/* What part of its limit is left, in hundredths, and into how many looks that cuts a period. */
static const struct { unsigned centi, looks; } near[] = {{2, 10}, {5, 5}, {10, 2}};

static const int64_t parts[] = {1, 2, 5, 10};

static uint64_t less(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

/* Microseconds until the room is used up, if what was lost since the last look goes on. */
static int64_t time_left(const struct pace *p, uint64_t used, uint64_t room, int64_t now_us) {
    uint64_t grown = less(used, p->used), lost = less(p->room, room);
    int64_t passed = now_us - p->at_us;

    if (p->at_us == 0 || passed <= 0 || grown == 0)
        return INT64_MAX;
    if (lost > grown)
        grown = lost; /* its neighbours take of the same room */
    if (room / grown > INT64_MAX / 4 / (uint64_t)passed)
        return INT64_MAX;
    return (int64_t)((double)room / (double)grown * (double)passed);
}

static int64_t wanted(const struct pace *p, const struct sample *s, int64_t now_us,
                      int64_t slowest_us) {
    uint64_t limit = s->value[METRIC_LIMIT], used = s->value[METRIC_USED],
             room = s->value[METRIC_HEADROOM];
    int64_t period = time_left(p, used, room, now_us) / LOOKS;

    for (unsigned i = 0; i < sizeof(near) / sizeof(near[0]); i++)
        if (room >= less(limit, used) && room <= limit / 100 * near[i].centi) {
            int64_t by_room = slowest_us / near[i].looks;

            return by_room < period ? by_room : period;
        }
    return period;
}

/* The longest of the steps that is not longer than that, or the shortest. */
static int64_t step_of(int64_t period, int64_t slowest_us, int64_t fastest_us) {
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int64_t step = slowest_us / parts[i];

        if (step < fastest_us)
            break;
        if (step <= period)
            return step;
    }
    return slowest_us / 10 > fastest_us ? slowest_us / 10
                                        : (fastest_us < slowest_us ? fastest_us : slowest_us);
}

int64_t pace_next(struct pace *p, const struct sample *s, int64_t now_us, int64_t slowest_us,
                  int64_t fastest_us) {
    const uint64_t all = 1ull << METRIC_LIMIT | 1ull << METRIC_USED | 1ull << METRIC_HEADROOM;
    bool known = (s->have & all) == all;
    int64_t period = slowest_us;

    if (known)
        period = step_of(wanted(p, s, now_us, slowest_us), slowest_us, fastest_us);
    if (p->period_us == 0 || period <= p->period_us || now_us >= p->hold_us)
        p->period_us = period;
    if (period < slowest_us && period <= p->period_us)
        p->hold_us = now_us + HOLD_US;
    if (p->period_us > slowest_us)
        p->period_us = slowest_us;
    p->used = known ? s->value[METRIC_USED] : 0;
    p->room = known ? s->value[METRIC_HEADROOM] : 0;
    p->at_us = known ? now_us : 0;
    return p->period_us;
}
