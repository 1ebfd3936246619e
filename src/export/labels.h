/* labels.h - who a row is, as label text that is made once and kept with the row.
 *
 * Three texts, without braces: all labels; those that stay when the target is made again (no id
 * where there is a name: what counts over restarts must not begin a new series at each of them);
 * and its pod's, for what a pod has but once.
 */
#pragma once
#include "series/live.h"

struct labels {
    uint64_t kept_hash, pod_hash;
    uint32_t full_n, kept_n, pod_n; /* pod_n 0: not in a pod */
    char text[];                    /* one behind the other */
};

/* Makes them if *place is NULL. NULL: -ENOMEM. One allocation, for free(). */
const struct labels *labels_get(const struct wire_target *t, void **place);

struct str labels_full(const struct labels *l);
struct str labels_kept(const struct labels *l);
struct str labels_pod(const struct labels *l);
