#include "kern/oomcount.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "kern/cgroup.h"
#include "kern/cgtree.h"

static int read_events(int dir, const char *file, enum cg_version version,
                       struct cgroup_numbers *out) {
    char buf[512];
    struct str text;
    int r = file_read_at(dir, file, buf, sizeof(buf), &text);

    return r < 0 ? r : cgroup_parse_events(text, version, out);
}

/* A group has a list of processes as long as it is there. */
static bool is_removed(int dir) {
    return faccessat(dir, "cgroup.procs", F_OK, 0) < 0 && (errno == ENOENT || errno == ENODEV);
}

/* v1: adds what one group counts. */
static int add_kills(void *ctx, int dir) {
    struct oomcount *out = ctx;
    struct cgroup_numbers n = {.have = 0};

    if (read_events(dir, "memory.oom_control", CG_V1, &n) == 0 &&
        cgroup_has(&n, CGROUP_OOM_KILLS)) {
        out->kills += n.value[CGROUP_OOM_KILLS];
        out->have_kills = true;
    }
    return 0;
}

static void take(const struct cgroup_numbers *n, enum cgroup_field field, uint64_t *value,
                 bool *have) {
    if (!cgroup_has(n, field))
        return;
    *value = n->value[field];
    *have = true;
}

static void read_v2(int dir, struct oomcount *out) {
    struct cgroup_numbers all = {.have = 0}, own = {.have = 0};

    if (read_events(dir, "memory.events", CG_V2, &all) < 0)
        return;
    take(&all, CGROUP_OOM_KILLS, &out->kills, &out->have_kills);
    take(&all, CGROUP_OOM_EVENTS, &out->ooms, &out->have_ooms);
    if (read_events(dir, "memory.events.local", CG_V2, &own) == 0)
        take(&own, CGROUP_OOM_EVENTS, &out->local, &out->have_local);
}

int oomcount_read(int dir, enum cg_version version, struct oomcount *out) {
    struct oomcount count = {.kills = 0};

    if (version == CG_V1)
        (void)cgtree_each(dir, add_kills, &count);
    else
        read_v2(dir, &count);
    if (!count.have_kills && is_removed(dir))
        return -ENODEV;
    *out = count;
    return 0;
}
