#include "runtime/noderoom.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "kern/cgroup.h"
#include "kern/limit.h"
#include "kern/proccgroup.h"

/* Its group's path below the mount, pointing into `text`. */
static int path_of(const struct rtproc *p, const struct cgfs *fs, char *text, struct str *out) {
    bool v1 = fs->ctl[CG_MEMORY].version == CG_V1;
    struct str root = str_of(fs->memory_root), all;
    struct proccgroup its = {.deleted = false};
    int r = proccgroup_read(p->host->proc, p->pid, text, PROCCGROUP_SIZE, &all);

    if (r == 0)
        r = proccgroup_parse(all, v1 ? STR("memory") : STR(""), &its);
    if (r < 0 || its.deleted || root.n == 0)
        return -ENODATA;
    *out = its.path;
    if (!str_eq(root, STR("/")) && (!str_skip(out, root) || (out->n > 0 && out->p[0] != '/')))
        return -ENODATA;
    return str_starts(*out, STR("/..")) ? -ENODATA : 0;
}

/* The room of one group; it stays as it was where the group has no limit. */
static int look_at_level(const struct cgfs *fs, struct str path, uint64_t *room) {
    struct cgroup_fds fds = {.left = 8};
    struct memstat_order order = {0};
    struct cgroup_numbers n;
    struct memstat stat;
    struct cgroup cg;
    uint64_t used;
    int r;

    cgroup_init(&cg, fs, &fds, path);
    r = cgroup_read(&cg, CGROUP_READ_LIMIT | CGROUP_READ_USAGE | CGROUP_READ_STAT, &order, &stat,
                    &n);
    cgroup_done(&cg);
    if (r < 0)
        return -ENODATA;
    if (!cgroup_has(&n, CGROUP_LIMIT) || n.value[CGROUP_LIMIT] == CGROUP_NO_LIMIT)
        return 0;
    if (!limit_used(&n, &stat, &used))
        return -ENODATA;
    used = used < n.value[CGROUP_LIMIT] ? n.value[CGROUP_LIMIT] - used : 0;
    if (used < *room)
        *room = used;
    return 0;
}

int node_room(const struct rtproc *p, uint64_t *out) {
    auto_free struct cgfs *fs = calloc(1, sizeof(*fs));
    auto_free char *text = malloc(PROCCGROUP_SIZE);
    uint64_t room = UINT64_MAX;
    struct str path;
    int r;

    if (!fs || !text)
        return -ENOMEM;
    if (cgfs_open(p->host, fs, NULL) < 0)
        return -ENODATA;
    r = path_of(p, fs, text, &path);
    while (r == 0 && path.n > 1) {
        r = look_at_level(fs, path, &room);
        path = str_head(path, (size_t)str_rfind(path, '/'));
    }
    cgfs_done(fs);
    if (r == 0)
        *out = room;
    return r;
}
