#include "act/around.h"

#include <string.h>

/* False: it cannot be read, as of a group that is not there. */
static bool read_v1(struct cgroup *cg, uint64_t *out) {
    struct cgroup_numbers numbers = {.have = 0};
    struct memstat_order order;
    struct memstat stat = {.have = 0};

    memset(&order, 0, sizeof(order));
    if (cgroup_read(cg, CGROUP_READ_STAT, &order, &stat, &numbers) < 0 ||
        !memstat_has(&stat, MEMSTAT_HIER_LIMIT))
        return false;
    *out = stat.value[MEMSTAT_HIER_LIMIT];
    if (*out >= CGROUP_NONE_FROM)
        *out = CGROUP_NO_LIMIT;
    return true;
}

static bool read_v2(struct cgroup *cg, uint64_t *out) {
    struct cgroup_numbers numbers = {.have = 0};

    if (cgroup_read(cg, CGROUP_READ_LIMIT, NULL, NULL, &numbers) < 0 ||
        !cgroup_has(&numbers, CGROUP_LIMIT))
        return false;
    *out = numbers.value[CGROUP_LIMIT];
    return true;
}

static bool read_one(const struct cgfs *fs, struct str path, uint64_t *out) {
    struct cgroup_fds fds = {.left = 0};
    struct cgroup cg;
    bool known;

    cgroup_init(&cg, fs, &fds, path);
    known = fs->ctl[CG_MEMORY].version == CG_V1 ? read_v1(&cg, out) : read_v2(&cg, out);
    cgroup_done(&cg);
    return known;
}

struct str around_above(struct str path) {
    if (path.n <= 1)
        return STR("");
    path.n = (size_t)str_rfind(path, '/');
    return path.n ? path : STR("/");
}

uint64_t around_limit(const struct host *h, const struct cgfs *fs, struct str path) {
    bool v1 = fs->ctl[CG_MEMORY].version == CG_V1;
    uint64_t limit = CGROUP_NO_LIMIT, one, total;

    for (bool all = false; path.n > 0 && !all; path = around_above(path)) {
        if (!read_one(fs, path, &one))
            continue;
        if (one < limit)
            limit = one;
        all = v1; /* those above are in it */
    }
    if (limit == CGROUP_NO_LIMIT)
        return limit;
    return host_mem_total(h, &total) == 0 && limit >= total ? CGROUP_NO_LIMIT : limit;
}
