/* sample.h - one target seen once: the only thing that travels from readers to sinks. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "model/metric.h"

#define SAMPLE_NONE UINT64_MAX /* the value of a BOUND that is known to be none */

struct sample {
    int64_t at_ms; /* wall clock of the tick, the same for all its samples */
    uint64_t have; /* bit (1 << metric): measured; unset means unknown, never zero */
    uint64_t value[METRIC_N];
};

_Static_assert(METRIC_N <= 64, "struct sample's `have` has a bit for each metric");

static inline bool sample_has(const struct sample *s, enum metric m) {
    return s->have >> m & 1;
}

static inline void sample_set(struct sample *s, enum metric m, uint64_t value) {
    s->value[m] = value;
    s->have |= 1ull << m;
}

/* Takes a value that may be missing; `have` false makes the metric unknown. */
static inline void sample_take(struct sample *s, enum metric m, bool have, uint64_t value) {
    if (have)
        sample_set(s, m, value);
    else
        s->have &= ~(1ull << m);
}

/* The metric under its JSON key, in the unit of `stats --json`; null when it is not known, when
 * it is a bound that is none, or when there is no sample (s NULL). */
void sample_add_json(struct json *j, const struct sample *s, enum metric m);
