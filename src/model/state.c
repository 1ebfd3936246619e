#include "model/state.h"

#include <assert.h>
#include <unistd.h>

#include "base/num.h"
#include "model/highmark.h"

static bool reaches(bool known, uint64_t part, uint64_t whole, uint64_t centi) {
    return known && whole > 0 && num_centi_pct(part, whole) >= centi;
}

/* Of the swap the group may use: its own limit, or all the machine has. */
static bool is_swapping(const struct sample *s, uint64_t swap_total) {
    uint64_t may = swap_total;

    if (sample_has(s, METRIC_SWAP_LIMIT) && s->value[METRIC_SWAP_LIMIT] < may)
        may = s->value[METRIC_SWAP_LIMIT];
    return reaches(sample_has(s, METRIC_SWAP), s->value[METRIC_SWAP], may, STATE_SWAP_CENTI);
}

/* Less than `high`, since that is asked before: what fills it up is cache. */
static bool is_cache_bound(const struct sample *s) {
    return reaches(sample_has(s, METRIC_USAGE) && sample_has(s, METRIC_LIMIT) &&
                       sample_has(s, METRIC_USED),
                   s->value[METRIC_USAGE], s->value[METRIC_LIMIT], STATE_FULL_CENTI);
}

/* A guard's mark slows nobody down: it is moved as soon as it is passed. One that is not was left
 * behind. */
static bool has_high(const struct sample *s) {
    uint64_t high = s->value[METRIC_HIGH];

    if (!sample_has(s, METRIC_HIGH) || high == SAMPLE_NONE)
        return false;
    return !highmark_is(high, (uint64_t)sysconf(_SC_PAGESIZE)) ||
           (sample_has(s, METRIC_USAGE) && s->value[METRIC_USAGE] > high);
}

enum state state_of(const struct sample *s, uint64_t swap_total) {
    bool known = sample_has(s, METRIC_USED) && sample_has(s, METRIC_LIMIT);
    uint64_t used = s->value[METRIC_USED], limit = s->value[METRIC_LIMIT];

    if (sample_has(s, METRIC_UNDER_OOM) && s->value[METRIC_UNDER_OOM])
        return STATE_HUNG;
    if (reaches(known, used, limit, STATE_FULL_CENTI))
        return STATE_FULL;
    if (reaches(known && has_high(s), used, s->value[METRIC_HIGH], STATE_FULL_CENTI))
        return STATE_THROTTLED;
    if (sample_has(s, METRIC_PSI_FULL) && s->value[METRIC_PSI_FULL] >= STATE_STALL_CENTI)
        return STATE_STALLED;
    if (is_swapping(s, swap_total))
        return STATE_SWAPPING;
    if (reaches(known, used, limit, STATE_HIGH_CENTI))
        return STATE_HIGH;
    if (is_cache_bound(s))
        return STATE_CACHE;
    return known ? STATE_OK : STATE_UNKNOWN;
}

/* Where nobody tells how long tasks waited, memory that is nearly full will do. */
static bool is_thrashing(const struct sample *s, const struct trend_view *v) {
    if (!v->have_refaults || v->refaults_per_s < STATE_THRASH_REFAULTS)
        return false;
    if (sample_has(s, METRIC_PSI_SOME))
        return s->value[METRIC_PSI_SOME] >= STATE_THRASH_CENTI;
    return reaches(sample_has(s, METRIC_USAGE) && sample_has(s, METRIC_LIMIT),
                   s->value[METRIC_USAGE], s->value[METRIC_LIMIT], STATE_FULL_CENTI);
}

bool state_is_killed(int64_t killed_ms, int64_t at_ms) {
    return killed_ms > 0 && at_ms - killed_ms < STATE_KILLED_MS &&
           killed_ms - at_ms < STATE_KILLED_MS;
}

enum state state_moving(const struct sample *s, uint64_t swap_total, const struct trend_view *v,
                        int64_t killed_ms) {
    enum state state = state_of(s, swap_total);

    if (state < STATE_KILLED && state_is_killed(killed_ms, s->at_ms))
        return STATE_KILLED;
    if (state < STATE_THRASHING && is_thrashing(s, v))
        return STATE_THRASHING;
    if (state != STATE_OK)
        return state;
    switch (v->word) {
    case TREND_STEADY:
        return STATE_STEADY;
    case TREND_SHRINKING:
        return STATE_SHRINKING;
    case TREND_GROWING:
        return STATE_GROWING;
    case TREND_UNKNOWN:
        break;
    }
    return STATE_OK;
}

/* v1's kernel memory, read or (when its file was not wanted) what usage has beyond anon and file.
 */
static uint64_t kernel_v1(const struct sample *s) {
    uint64_t pages = s->value[METRIC_ANON] + s->value[METRIC_FILE];

    if (sample_has(s, METRIC_KERNEL))
        return s->value[METRIC_KERNEL];
    if (!sample_has(s, METRIC_USAGE) || s->value[METRIC_USAGE] < pages)
        return 0;
    return s->value[METRIC_USAGE] - pages;
}

bool state_kernel_unsplit(const struct sample *s, bool v1) {
    uint64_t kernel;

    if (!v1 || !sample_has(s, METRIC_USED) || sample_has(s, METRIC_SLAB_RECLAIMABLE))
        return false;
    kernel = kernel_v1(s);
    return kernel >= 4 << 20 && kernel > s->value[METRIC_USED] / 10;
}

const char *state_name(enum state state) {
    static const char *const names[STATE_N] = {
        [STATE_UNKNOWN] = "-",           [STATE_OK] = "ok",
        [STATE_STEADY] = "steady",       [STATE_SHRINKING] = "shrinking",
        [STATE_GROWING] = "growing",     [STATE_CACHE] = "cache-bound",
        [STATE_HIGH] = "high",           [STATE_SWAPPING] = "swapping",
        [STATE_STALLED] = "stalled",     [STATE_THRASHING] = "thrashing",
        [STATE_THROTTLED] = "throttled", [STATE_KILLED] = "oom-killed",
        [STATE_FULL] = "at-limit",       [STATE_HUNG] = "hung",
    };

    assert(state < STATE_N);
    return names[state];
}
