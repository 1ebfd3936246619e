#include "engine/hostsample.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "kern/meminfo.h"
#include "kern/psi.h"
#include "kern/vmstat.h"

enum { TEXT = 16384, CPU_LINE = 512 };

static int open_in(const struct hostsample *s, const char *name) {
    return openat(s->proc, name, O_RDONLY | O_CLOEXEC);
}

void hostsample_init(struct hostsample *s, const struct host *h) {
    long ticks = sysconf(_SC_CLK_TCK);

    s->proc = h->proc;
    s->meminfo = open_in(s, "meminfo");
    s->vmstat = open_in(s, "vmstat");
    s->pressure = open_in(s, "pressure/memory");
    s->stat = open_in(s, "stat");
    s->tick_us = 1000000 / (ticks > 0 ? ticks : 100);
}

void hostsample_done(struct hostsample *s) {
    const int fd[] = {s->meminfo, s->vmstat, s->pressure, s->stat};

    for (unsigned i = 0; i < 4; i++)
        if (fd[i] >= 0)
            close(fd[i]);
    s->meminfo = s->vmstat = s->pressure = s->stat = -1;
}

static void take_sizes(struct sample *out, const struct meminfo *m) {
    static const struct {
        enum metric metric;
        enum meminfo_field field;
    } map[] = {
        {METRIC_LIMIT, MEMINFO_TOTAL},
        {METRIC_HEADROOM, MEMINFO_AVAILABLE},
        {METRIC_ANON, MEMINFO_ANON},
        {METRIC_SHMEM, MEMINFO_SHMEM},
        {METRIC_MAPPED, MEMINFO_MAPPED},
        {METRIC_DIRTY, MEMINFO_DIRTY},
        {METRIC_WRITEBACK, MEMINFO_WRITEBACK},
        {METRIC_ACTIVE_ANON, MEMINFO_ACTIVE_ANON},
        {METRIC_INACTIVE_ANON, MEMINFO_INACTIVE_ANON},
        {METRIC_ACTIVE_FILE, MEMINFO_ACTIVE_FILE},
        {METRIC_INACTIVE_FILE, MEMINFO_INACTIVE_FILE},
        {METRIC_UNEVICTABLE, MEMINFO_UNEVICTABLE},
        {METRIC_SLAB_RECLAIMABLE, MEMINFO_SLAB_RECLAIMABLE},
        {METRIC_SLAB_UNRECLAIMABLE, MEMINFO_SLAB_UNRECLAIMABLE},
        {METRIC_KERNEL_STACK, MEMINFO_KERNEL_STACK},
        {METRIC_PAGETABLES, MEMINFO_PAGETABLES},
        {METRIC_PERCPU, MEMINFO_PERCPU},
        {METRIC_ANON_THP, MEMINFO_ANON_HUGE},
        {METRIC_SWAP_LIMIT, MEMINFO_SWAP_TOTAL},
        {METRIC_SWAPCACHED, MEMINFO_SWAP_CACHED},
    };
    const uint64_t *v = m->value;

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        sample_take(out, map[i].metric, meminfo_has(m, map[i].field), v[map[i].field]);
    sample_take(out, METRIC_USAGE, true, v[MEMINFO_TOTAL] - v[MEMINFO_FREE]);
    sample_take(out, METRIC_USED, meminfo_has(m, MEMINFO_AVAILABLE),
                v[MEMINFO_TOTAL] - v[MEMINFO_AVAILABLE]);
    sample_take(out, METRIC_WORKING_SET, meminfo_has(m, MEMINFO_INACTIVE_FILE),
                v[MEMINFO_TOTAL] - v[MEMINFO_FREE] - v[MEMINFO_INACTIVE_FILE]);
    sample_take(out, METRIC_FILE, meminfo_has(m, MEMINFO_CACHED),
                v[MEMINFO_CACHED] + v[MEMINFO_BUFFERS]);
    sample_take(out, METRIC_SWAP, meminfo_has(m, MEMINFO_SWAP_TOTAL),
                v[MEMINFO_SWAP_TOTAL] - v[MEMINFO_SWAP_FREE]);
    sample_take(out, METRIC_KERNEL, meminfo_has(m, MEMINFO_SLAB_UNRECLAIMABLE),
                v[MEMINFO_SLAB_RECLAIMABLE] + v[MEMINFO_SLAB_UNRECLAIMABLE] +
                    v[MEMINFO_KERNEL_STACK] + v[MEMINFO_PAGETABLES] + v[MEMINFO_PERCPU]);
}

/* The first line of /proc/stat, "cpu  user nice system idle iowait irq softirq steal ...", whose
 * rest is long on large machines and not wanted. Guests' time is in user's. */
static bool read_cpu(const struct hostsample *s, uint64_t *us_out) {
    char buf[CPU_LINE];
    ssize_t n = s->stat >= 0 ? pread(s->stat, buf, sizeof(buf), 0) : -1;
    struct str text = {buf, n > 0 ? (size_t)n : 0}, line, word;
    uint64_t sum = 0, value;

    if (!str_cut(&text, '\n', &line) || !str_word(&line, &word) || !str_eq(word, STR("cpu")))
        return false;
    for (unsigned i = 0; i < 8 && str_word(&line, &word); i++) {
        if (str_to_u64(word, &value) < 0)
            return false;
        if (i != 3 && i != 4) /* idle, iowait */
            sum += value;
    }
    *us_out = sum * (uint64_t)s->tick_us;
    return true;
}

static void read_psi(const struct hostsample *s, char *buf, struct sample *out) {
    struct psi psi;
    struct str text;

    if (s->pressure < 0 || file_pread(s->pressure, buf, TEXT, &text) < 0 ||
        psi_parse(text, &psi) < 0)
        return;
    sample_take(out, METRIC_PSI_SOME, psi.have_some, psi.some.avg10);
    sample_take(out, METRIC_PSI_FULL, psi.have_full, psi.full.avg10);
    sample_take(out, METRIC_PSI_SOME_US, psi.have_some, psi.some.total_us);
    sample_take(out, METRIC_PSI_FULL_US, psi.have_full, psi.full.total_us);
}

static void read_events(const struct hostsample *s, char *buf, struct sample *out) {
    struct vmstat v;
    struct str text;

    if (s->vmstat < 0 || file_pread(s->vmstat, buf, TEXT, &text) < 0 || vmstat_parse(text, &v) < 0)
        return;
    sample_take(out, METRIC_OOM_KILLS, v.have >> VMSTAT_OOM_KILL & 1, v.value[VMSTAT_OOM_KILL]);
    sample_take(out, METRIC_MAJOR_FAULTS, v.have >> VMSTAT_MAJOR_FAULTS & 1,
                v.value[VMSTAT_MAJOR_FAULTS]);
    sample_take(out, METRIC_REFAULT_FILE, v.have >> VMSTAT_REFAULT_FILE & 1,
                v.value[VMSTAT_REFAULT_FILE]);
}

void hostsample_read(struct hostsample *s, int64_t at_ms, struct sample *out) {
    char buf[TEXT];
    struct meminfo m;
    struct str text;
    uint64_t cpu_us;

    *out = (struct sample){.at_ms = at_ms};
    if (s->meminfo >= 0 && file_pread(s->meminfo, buf, sizeof(buf), &text) == 0 &&
        meminfo_parse(text, &m) == 0 && meminfo_has(&m, MEMINFO_TOTAL))
        take_sizes(out, &m);
    read_psi(s, buf, out);
    read_events(s, buf, out);
    if (read_cpu(s, &cpu_us))
        sample_set(out, METRIC_CPU_US, cpu_us);
}
