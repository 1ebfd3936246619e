#include "kern/limit.h"

static uint64_t less(uint64_t a, uint64_t b) {
    return a > b ? a - b : 0;
}

bool limit_used(const struct cgroup_numbers *n, const struct memstat *stat, uint64_t *out) {
    uint64_t reclaimable;

    if (!cgroup_has(n, CGROUP_USAGE) || !memstat_has(stat, MEMSTAT_INACTIVE_FILE) ||
        !memstat_has(stat, MEMSTAT_ACTIVE_FILE))
        return false;
    reclaimable = stat->value[MEMSTAT_INACTIVE_FILE] + stat->value[MEMSTAT_ACTIVE_FILE];
    if (memstat_has(stat, MEMSTAT_SLAB_RECLAIMABLE))
        reclaimable += stat->value[MEMSTAT_SLAB_RECLAIMABLE];
    *out = less(n->value[CGROUP_USAGE], reclaimable);
    return true;
}

bool limit_working_set(const struct cgroup_numbers *n, const struct memstat *stat, uint64_t *out) {
    if (!cgroup_has(n, CGROUP_USAGE) || !memstat_has(stat, MEMSTAT_INACTIVE_FILE))
        return false;
    *out = less(n->value[CGROUP_USAGE], stat->value[MEMSTAT_INACTIVE_FILE]);
    return true;
}

static void room(struct limit *l, uint64_t bytes) {
    if (!l->have_headroom || bytes < l->headroom)
        l->headroom = bytes;
    l->have_headroom = true;
}

static bool is_limited(const struct limit_level *level, uint64_t host_total) {
    return level->have_limit && level->limit != CGROUP_NO_LIMIT &&
           (host_total == 0 || level->limit < host_total);
}

bool limit_find(const struct limit_input *in, struct limit *out) {
    struct limit l = {.bytes = CGROUP_NO_LIMIT, .from = LIMIT_HOST, .certain = true};
    const struct limit_level *own = &in->level[0];
    uint64_t hier = in->hier_limit;

    for (unsigned i = 0; i < in->levels; i++) {
        const struct limit_level *level = &in->level[i];

        if (!level->have_limit && (!in->at_top || i + 1 < in->levels))
            l.certain = false;
        if (!is_limited(level, in->host_total))
            continue;
        if (level->limit < l.bytes) {
            l.bytes = level->limit;
            l.from = LIMIT_LEVEL;
            l.level = i;
        }
        if (level->have_used)
            room(&l, less(level->limit, level->used));
    }
    if (!in->at_top)
        l.certain = false;
    if (hier > 0) { /* v1: the kernel's own minimum, which sees through namespaces */
        l.certain = true;
        if (hier < l.bytes && hier < CGROUP_NONE_FROM &&
            (in->host_total == 0 || hier < in->host_total)) {
            l.bytes = hier;
            l.from = LIMIT_OUTSIDE;
            if (own->have_used) /* at most: what its other children use cannot be seen */
                room(&l, less(hier, own->used));
        }
    }
    if (l.bytes == CGROUP_NO_LIMIT) {
        if (in->host_total == 0)
            return false;
        l.bytes = in->host_total;
    }
    if (in->host_available > 0)
        room(&l, in->host_available);
    else if (l.from == LIMIT_HOST && own->have_used)
        room(&l, less(l.bytes, own->used));
    *out = l;
    return true;
}
