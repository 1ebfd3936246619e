#include "model/state.h"

#include <assert.h>

#include "base/num.h"

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

enum state state_of(const struct sample *s, uint64_t swap_total) {
    bool known = sample_has(s, METRIC_USED) && sample_has(s, METRIC_LIMIT);
    uint64_t used = s->value[METRIC_USED], limit = s->value[METRIC_LIMIT];

    if (sample_has(s, METRIC_UNDER_OOM) && s->value[METRIC_UNDER_OOM])
        return STATE_HUNG;
    if (reaches(known, used, limit, STATE_FULL_CENTI))
        return STATE_FULL;
    if (reaches(known && sample_has(s, METRIC_HIGH) && s->value[METRIC_HIGH] != SAMPLE_NONE, used,
                s->value[METRIC_HIGH], STATE_FULL_CENTI))
        return STATE_THROTTLED;
    if (sample_has(s, METRIC_PSI_FULL) && s->value[METRIC_PSI_FULL] >= STATE_STALL_CENTI)
        return STATE_STALLED;
    if (is_swapping(s, swap_total))
        return STATE_SWAPPING;
    if (reaches(known, used, limit, STATE_HIGH_CENTI))
        return STATE_HIGH;
    return known ? STATE_OK : STATE_UNKNOWN;
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
        [STATE_UNKNOWN] = "-",         [STATE_OK] = "ok",           [STATE_HIGH] = "high",
        [STATE_SWAPPING] = "swapping", [STATE_STALLED] = "stalled", [STATE_THROTTLED] = "throttled",
        [STATE_FULL] = "full",         [STATE_HUNG] = "HUNG",
    };

    assert(state < STATE_N);
    return names[state];
}
