#include "lib/marks.h"

enum { LEAST_US = 1000 };

uint64_t marks_bytes(uint64_t bytes, uint32_t percent) {
    return bytes / 100 * percent + bytes % 100 * percent / 100;
}

int marks_step(struct mark *m, uint64_t used, uint64_t limit) {
    uint32_t low = m->percent > m->hysteresis ? m->percent - m->hysteresis : 0;

    if (m->percent == PLIM_PRESSURE)
        return 0;
    if (!m->above && used >= marks_bytes(limit, m->percent)) {
        m->above = true;
        return 1;
    }
    if (m->above && used < marks_bytes(limit, low)) {
        m->above = false;
        return -1;
    }
    return 0;
}

uint64_t marks_distance(const struct mark *mark, unsigned n, uint64_t used, uint64_t limit) {
    uint64_t nearest = UINT64_MAX;

    for (unsigned i = 0; i < n; i++) {
        uint64_t at = marks_bytes(limit, mark[i].percent);

        if (mark[i].percent == PLIM_PRESSURE || mark[i].above)
            continue;
        if (at <= used)
            return 0;
        if (at - used < nearest)
            nearest = at - used;
    }
    return nearest;
}

void slope_see(struct slope *s, int64_t now_us, uint64_t used) {
    int64_t took = now_us - s->at_us;

    if (s->at_us != 0 && took <= 0)
        return;
    if (s->at_us != 0)
        s->per_s = used > s->used ? (uint64_t)((double)(used - s->used) * 1e6 / (double)took) : 0;
    s->at_us = now_us;
    s->used = used;
}

int64_t slope_period_us(const struct slope *s, uint64_t distance, int64_t longest_us) {
    double us;

    if (s->per_s == 0 || distance == UINT64_MAX)
        return longest_us;
    us = (double)distance * 1e6 / (4.0 * (double)s->per_s);
    if (us >= (double)longest_us)
        return longest_us;
    return us < LEAST_US ? LEAST_US : (int64_t)us;
}
