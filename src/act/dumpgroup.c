/* The files of the group itself, of the groups above that have a limit, and of the machine. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "act/dumpint.h"
#include "base/mem.h"
#include "kern/meminfo.h"

/* Those of both versions: what a kernel does not have is not there. */
static const char *const group_files[] = {
    "memory.stat", "memory.numa_stat", "cgroup.procs", "memory.pressure",
    /* v1 */
    "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes",
    "memory.soft_limit_in_bytes", "memory.failcnt", "memory.memsw.usage_in_bytes",
    "memory.memsw.limit_in_bytes", "memory.memsw.failcnt", "memory.oom_control",
    "memory.swappiness", "memory.use_hierarchy", "memory.kmem.usage_in_bytes",
    "memory.kmem.tcp.usage_in_bytes", "tasks",
    /* v2 */
    "memory.current", "memory.peak", "memory.max", "memory.high", "memory.low", "memory.min",
    "memory.events", "memory.events.local", "memory.oom.group", "memory.swap.current",
    "memory.swap.max", "memory.swap.high", "memory.swap.events", "memory.zswap.current",
    "cgroup.events", "cgroup.freeze", "cgroup.type", "cgroup.stat", "cpu.max", "cpu.pressure",
    "io.pressure"};

static const char *const beside_files[] = {"memory.pressure", "cpu.pressure",  "io.pressure",
                                           "cgroup.events",   "cgroup.freeze", "cgroup.stat"};
static const char *const cpu_files[] = {"cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares",
                                        "cpu.stat"};
static const char *const machine_files[] = {"meminfo", "vmstat",          "loadavg",   "swaps",
                                            "version", "pressure/memory", "buddyinfo", "uptime"};

/* "pressure/memory" -> "pressure-memory" */
static void flat_name(const char *name, char out[64]) {
    (void)snprintf(out, 64, "%s", name);
    for (char *c = out; *c; c++)
        if (*c == '/')
            *c = '-';
}

static bool is_absent(int r) {
    return r == -ENOENT || r == -ENODATA || r == -EOPNOTSUPP || r == -ENOTDIR;
}

static void copy_all(struct dump *d, int from, const char *const *names, size_t n,
                     const char *folder) {
    auto_close int to = from < 0 ? -1 : dumpstore_sub(&d->store, d->store.dir, folder);

    if (from < 0)
        return;
    if (to < 0) {
        dump_missed(d, 0, folder, to);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char name[64], part[48];
        int r;

        flat_name(names[i], name);
        r = dumpstore_copy(&d->store, from, names[i], to, name, NULL);
        if (r < 0 && !is_absent(r)) {
            (void)snprintf(part, sizeof(part), "%.15s/%.31s", folder, name);
            dump_missed(d, 0, part, r);
        }
    }
}

static void copy_levels(struct dump *d) {
    for (unsigned i = 0; i < d->g->levels; i++) {
        const struct grip_level *l = &d->g->level[i];
        char folder[24] = "group";
        auto_close int to = -1;

        if (i > 0)
            (void)snprintf(folder, sizeof(folder), "above-%u", i);
        copy_all(d, l->dir, group_files, ARRAY_N(group_files), folder);
        to = dumpstore_sub(&d->store, d->store.dir, folder);
        if (to >= 0)
            (void)dumpstore_write(&d->store, to, "path", (struct str){d->g->path, l->path_n}, NULL);
    }
}

/* Files are opened for this once: none are kept. */
static void read_numbers(struct dump *d) {
    struct cgroup_fds none = {0};
    struct cgroup cg;
    int r;

    cgroup_init(&cg, d->g->fs, &none, str_of(d->g->path));
    r = cgroup_read(&cg, (CGROUP_STAT_IF_NEW - 1) & ~(unsigned)(CGROUP_READ_CPU | CGROUP_READ_IO),
                    &d->g->order, &d->stat, &d->numbers);
    cgroup_done(&cg);
    d->have_numbers = r >= 0;
    if (r < 0)
        dump_missed(d, 0, "group", r);
}

static void read_machine(struct dump *d) {
    struct meminfo info;

    if (meminfo_read(d->g->host->proc, &info) < 0)
        return;
    if (info.have & 1u << MEMINFO_TOTAL)
        d->host_total = info.value[MEMINFO_TOTAL];
    if (info.have & 1u << MEMINFO_AVAILABLE)
        d->host_available = info.value[MEMINFO_AVAILABLE];
}

void dump_group(struct dump *d) {
    read_numbers(d);
    read_machine(d);
    copy_levels(d);
    if (d->g->version == CG_V1)
        copy_all(d, d->g->unified, beside_files, ARRAY_N(beside_files), "unified");
    copy_all(d, d->g->cpu, cpu_files, ARRAY_N(cpu_files), "cpu");
    copy_all(d, d->g->host->proc, machine_files, ARRAY_N(machine_files), "machine");
}
