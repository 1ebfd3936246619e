/* The names that dashboards made for cAdvisor ask for. Meanings follow cAdvisor's where it has one:
 * rss is anonymous memory, "no limit" is 0, both scopes of failures_total are the hierarchy. */
#include "base/mem.h"
#include "export/family.h"

/* Bounds as cAdvisor tells them. */
static bool or_zero(const struct live_row *row, enum metric m, uint64_t *out) {
    if (!sample_has(&row->sample, m))
        return false;
    *out = row->sample.value[m] == SAMPLE_NONE ? 0 : row->sample.value[m];
    return true;
}

static bool bound(const struct live *l, const struct live_row *row, unsigned m, uint64_t *out) {
    (void)l;
    return or_zero(row, m, out);
}

/* What engines make of a reservation: v1 the soft limit, v2 memory.low. */
static bool reservation(const struct live *l, const struct live_row *row, unsigned which,
                        uint64_t *out) {
    (void)l;
    (void)which;
    if (row->t.version == WIRE_CG_V1)
        return or_zero(row, METRIC_SOFT_LIMIT, out);
    return (or_zero(row, METRIC_LOW, out) && *out > 0) || or_zero(row, METRIC_MIN, out);
}

/* On v1 cAdvisor's is of memory and swap together. */
static bool swap_limit(const struct live *l, const struct live_row *row, unsigned which,
                       uint64_t *out) {
    uint64_t own;

    (void)l;
    (void)which;
    if (!or_zero(row, METRIC_SWAP_LIMIT, out))
        return false;
    if (row->t.version == WIRE_CG_V1 && *out > 0) {
        if (!or_zero(row, METRIC_OWN_LIMIT, &own))
            return false;
        *out = own > 0 ? *out + own : 0;
    }
    return true;
}

/* memory.events has it on v2 only; on v1 the same count is failcnt. */
static bool max_events(const struct live *l, const struct live_row *row, unsigned which,
                       uint64_t *out) {
    return row->t.version == WIRE_CG_V2 && family_metric(l, row, which, out);
}

static bool start_time(const struct live *l, const struct live_row *row, unsigned which,
                       uint64_t *out) {
    (void)l;
    (void)which;
    *out = (uint64_t)row->t.start_ms;
    return row->t.start_ms > 0;
}

static bool last_seen(const struct live *l, const struct live_row *row, unsigned which,
                      uint64_t *out) {
    (void)l;
    (void)which;
    *out = (uint64_t)row->sample.at_ms / 1000;
    return row->sample.at_ms > 0;
}

static bool processes(const struct live *l, const struct live_row *row, unsigned which,
                      uint64_t *out) {
    struct wire_in body = {row->procs, row->procs_n};
    struct wire_procs head;

    (void)l;
    (void)which;
    if (!row->procs || wire_read_procs(&body, &head) < 0)
        return false;
    *out = head.total;
    return true;
}

static bool of_machine(const struct live *l, const struct live_row *row, unsigned m,
                       uint64_t *out) {
    row = live_find(l, WIRE_UID_HOST);
    return row && or_zero(row, m, out);
}

static bool cores(const struct live *l, const struct live_row *row, unsigned which, uint64_t *out) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    (void)l;
    (void)row;
    (void)which;
    *out = (uint64_t)n;
    return n > 0;
}

#define DECIMALS(METRIC)                                                                           \
    ((METRIC) == METRIC_CPU_US || (METRIC) == METRIC_PSI_SOME_US || (METRIC) == METRIC_PSI_FULL_US \
         ? PROM_MICRO                                                                              \
         : PROM_WHOLE)
#define PLAIN(NAME, COUNTER, METRIC, HELP)                                                         \
    {                                                                                              \
        .name = (NAME), .help = (HELP), .counter = (COUNTER), .decimals = DECIMALS(METRIC),        \
        .get = family_metric, .lines = 1, .line = {                                                \
            {(METRIC), NULL}                                                                       \
        }                                                                                          \
    }
#define GAUGE(NAME, METRIC, HELP) PLAIN(NAME, false, METRIC, HELP)
#define COUNTER(NAME, METRIC, HELP) PLAIN(NAME, true, METRIC, HELP)

static const struct family families[] = {
    GAUGE("container_memory_usage_bytes", METRIC_USAGE,
          "Memory charged to the group, page cache included."),
    GAUGE("container_memory_working_set_bytes", METRIC_WORKING_SET, "Usage less inactive_file."),
    GAUGE("container_memory_rss", METRIC_ANON, "Anonymous memory in bytes: total_rss, anon."),
    GAUGE("container_memory_cache", METRIC_FILE,
          "Page cache in bytes, tmpfs and shared memory included: total_cache, file."),
    GAUGE("container_memory_mapped_file", METRIC_MAPPED,
          "Mapped files in bytes: total_mapped_file, file_mapped."),
    GAUGE("container_memory_swap", METRIC_SWAP, "Bytes in swap."),
    GAUGE("container_memory_kernel_usage", METRIC_KERNEL, "Kernel memory in bytes."),
    GAUGE("container_memory_max_usage_bytes", METRIC_PEAK, "The highest usage so far."),
    GAUGE("container_memory_total_active_file_bytes", METRIC_ACTIVE_FILE,
          "Page cache used more than once."),
    GAUGE("container_memory_total_inactive_file_bytes", METRIC_INACTIVE_FILE,
          "Page cache used once."),
    GAUGE("container_memory_file_dirty_bytes", METRIC_DIRTY,
          "Page cache that is to be written to disk."),
    GAUGE("container_memory_file_writeback_bytes", METRIC_WRITEBACK,
          "Page cache that is being written to disk."),
    {.name = "container_memory_failures_total",
     .help = "Page faults, and those of them that waited for a disk.",
     .counter = true,
     .get = family_metric,
     .lines = 4,
     .line = {{METRIC_FAULTS, "failure_type=\"pgfault\",scope=\"container\""},
              {METRIC_FAULTS, "failure_type=\"pgfault\",scope=\"hierarchy\""},
              {METRIC_MAJOR_FAULTS, "failure_type=\"pgmajfault\",scope=\"container\""},
              {METRIC_MAJOR_FAULTS, "failure_type=\"pgmajfault\",scope=\"hierarchy\""}}},
    COUNTER("container_memory_events_high_total", METRIC_HIGH_EVENTS,
            "Times the group was slowed down at memory.high."),
    {.name = "container_memory_events_max_total",
     .help = "Times a charge met memory.max and had to reclaim.",
     .counter = true,
     .get = max_events,
     .lines = 1,
     .line = {{METRIC_FAILCNT, NULL}}},
    COUNTER("container_memory_workingset_refault_anon_total", METRIC_REFAULT_ANON,
            "Swapped pages needed again soon after."),
    COUNTER("container_memory_workingset_refault_file_total", METRIC_REFAULT_FILE,
            "Cache pages read again soon after they were reclaimed."),
    COUNTER("container_pressure_memory_waiting_seconds_total", METRIC_PSI_SOME_US,
            "Time in which at least one task waited for memory."),
    COUNTER("container_pressure_memory_stalled_seconds_total", METRIC_PSI_FULL_US,
            "Time in which all tasks waited for memory."),
    {.name = "container_spec_memory_limit_bytes",
     .help = "The group's own limit, 0 without one.",
     .get = bound,
     .lines = 1,
     .line = {{METRIC_OWN_LIMIT, NULL}}},
    {.name = "container_spec_memory_reservation_limit_bytes",
     .help = "The group's soft limit or protection, 0 without one.",
     .get = reservation,
     .lines = 1},
    {.name = "container_spec_memory_swap_limit_bytes",
     .help = "The limit on swap (v1: on memory and swap together), 0 without one.",
     .get = swap_limit,
     .lines = 1},
    {.name = "container_oom_events_total",
     .help = "OOM kills, counted on when the container is made again under its name.",
     .counter = true,
     .with_lost = true,
     .over = OVER_KEPT,
     .get = family_oom_kills,
     .lines = 1},
    {.name = "container_start_time_seconds",
     .help = "When its first process started, since 1970.",
     .decimals = PROM_MILLI,
     .get = start_time,
     .lines = 1},
    {.name = "container_last_seen",
     .help = "When it was last looked at, in seconds since 1970.",
     .get = last_seen,
     .lines = 1},
    {.name = "container_cpu_usage_seconds_total",
     .help = "CPU time used.",
     .counter = true,
     .decimals = PROM_MICRO,
     .get = family_metric,
     .lines = 1,
     .line = {{METRIC_CPU_US, "cpu=\"total\""}}},
    {.name = "container_network_receive_bytes_total",
     .help = "Bytes received by all its interfaces, loopback left out; of a pod once.",
     .counter = true,
     .over = OVER_PODS,
     .get = family_metric,
     .lines = 1,
     .line = {{METRIC_NET_RX, "interface=\"all\""}}},
    {.name = "container_network_transmit_bytes_total",
     .help = "Bytes sent by all its interfaces, loopback left out; of a pod once.",
     .counter = true,
     .over = OVER_PODS,
     .get = family_metric,
     .lines = 1,
     .line = {{METRIC_NET_TX, "interface=\"all\""}}},
    {.name = "container_fs_reads_bytes_total",
     .help = "Bytes read from block devices.",
     .counter = true,
     .get = family_metric,
     .lines = 1,
     .line = {{METRIC_BLK_READ, "device=\"\""}}},
    {.name = "container_fs_writes_bytes_total",
     .help = "Bytes written to block devices.",
     .counter = true,
     .get = family_metric,
     .lines = 1,
     .line = {{METRIC_BLK_WRITE, "device=\"\""}}},
    {.name = "container_processes", .help = "Processes in it.", .get = processes, .lines = 1},
    GAUGE("container_threads", METRIC_PIDS, "Tasks in it, threads counted."),
    {.name = "container_threads_max",
     .help = "How many tasks there may be, 0 without a limit.",
     .get = bound,
     .lines = 1,
     .line = {{METRIC_PIDS_LIMIT, NULL}}},
    {.name = "machine_memory_bytes",
     .help = "Memory of the machine.",
     .over = OVER_ONCE,
     .get = of_machine,
     .lines = 1,
     .line = {{METRIC_LIMIT, NULL}}},
    {.name = "machine_swap_bytes",
     .help = "Swap of the machine.",
     .over = OVER_ONCE,
     .get = of_machine,
     .lines = 1,
     .line = {{METRIC_SWAP_LIMIT, NULL}}},
    {.name = "machine_cpu_cores",
     .help = "CPUs of the machine that are online.",
     .over = OVER_ONCE,
     .get = cores,
     .lines = 1},
};

static const struct family failcnt_family = COUNTER(
    "container_memory_failcnt", METRIC_FAILCNT, "Times a charge met the limit and had to reclaim.");

bool family_cadvisor(unsigned i, bool failcnt, struct family *out) {
    if (i < ARRAY_N(families))
        *out = families[i];
    else if (i == ARRAY_N(families) && failcnt)
        *out = failcnt_family;
    else
        return false;
    return true;
}
