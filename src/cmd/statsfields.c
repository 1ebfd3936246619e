#include "cmd/statsfields.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"

/* Docker's own figures: the group's own limit or the machine, working set for usage. */
static bool docker_limit(const struct stats_row *r, uint64_t *out) {
    if (!row_has(r, METRIC_OWN_LIMIT))
        return false;
    *out = row_value(r, METRIC_OWN_LIMIT);
    if (r->host_memory && *out > r->host_memory)
        *out = r->host_memory;
    return *out != SAMPLE_NONE;
}

static void add_docker_usage(struct buf *out, const struct stats_row *r) {
    uint64_t limit;

    if (!row_has(r, METRIC_WORKING_SET) || !docker_limit(r, &limit)) {
        buf_add(out, STR("-- / --"));
        return;
    }
    num_add_docker_iec(out, row_value(r, METRIC_WORKING_SET));
    buf_add(out, STR(" / "));
    num_add_docker_iec(out, limit);
}

static void add_percent(struct buf *out, bool have, uint64_t centi) {
    if (!have) {
        buf_add(out, STR("--"));
        return;
    }
    num_add_centi(out, centi, 2);
    buf_add_char(out, '%');
}

static void add_docker_mem_pct(struct buf *out, const struct stats_row *r) {
    uint64_t limit = 0;
    bool have = row_has(r, METRIC_WORKING_SET) && docker_limit(r, &limit) && limit > 0;

    add_percent(out, have, have ? num_centi_pct(row_value(r, METRIC_WORKING_SET), limit) : 0);
}

/* Docker prints zeros for a container on the machine's network, and for disks it knows nothing of;
 * what could not be read is its "--". */
static void add_docker_net(struct buf *out, const struct stats_row *r) {
    if (row_has(r, METRIC_NET_RX))
        row_add_pair(out, r, METRIC_NET_RX, METRIC_NET_TX);
    else
        buf_add(out, r->shares_network ? STR("0B / 0B") : STR("--"));
}

static void add_docker_io(struct buf *out, const struct stats_row *r) {
    if (row_has(r, METRIC_BLK_READ))
        row_add_pair(out, r, METRIC_BLK_READ, METRIC_BLK_WRITE);
    else
        buf_add(out, r->sample && !r->io_counted ? STR("0B / 0B") : STR("--"));
}

const char *const stats_fields[] = {
    "Container", "Name",  "ID",     "CPUPerc",  "MemUsage", "NetIO",      "BlockIO",   "MemPerc",
    "PIDs",      "Image", "Pod",    "Runtime",  "Cgroup",   "UsedPerc",   "LimitFrom", "PSI",
    "OOM",       "Used",  "Limit",  "Headroom", "Usage",    "WorkingSet", "Peak",      "Anon",
    "File",      "Shmem", "Kernel", "Slab",     "Swap",     "High",
};
const size_t stats_fields_n = ARRAY_N(stats_fields);
_Static_assert(ARRAY_N(stats_fields) == FIELD_N, "a name for each field");

const char *const stats_field_heads[FIELD_N] = {
    "CONTAINER", "NAME",        "CONTAINER ID", "CPU %",  "MEM USAGE / LIMIT",
    "NET I/O",   "BLOCK I/O",   "MEM %",        "PIDS",   "IMAGE",
    "POD",       "RUNTIME",     "CGROUP",       "USED %", "LIMIT FROM",
    "PSI %",     "OOM",         "USED",         "LIMIT",  "HEADROOM",
    "USAGE",     "WORKING SET", "PEAK",         "ANON",   "FILE",
    "SHMEM",     "KERNEL",      "SLAB",         "SWAP",   "HIGH",
};

static void add_text(struct buf *out, const char *text) {
    if (text)
        buf_add(out, str_of(text));
    else
        row_add_dash(out);
}

void stats_add_field(struct buf *out, const struct stats_row *r, int field) {
    static const enum metric metric_of[FIELD_N] = {
        [FIELD_USED] = METRIC_USED,
        [FIELD_LIMIT] = METRIC_LIMIT,
        [FIELD_HEADROOM] = METRIC_HEADROOM,
        [FIELD_USAGE] = METRIC_USAGE,
        [FIELD_WORKING_SET] = METRIC_WORKING_SET,
        [FIELD_PEAK] = METRIC_PEAK,
        [FIELD_ANON] = METRIC_ANON,
        [FIELD_FILE] = METRIC_FILE,
        [FIELD_SHMEM] = METRIC_SHMEM,
        [FIELD_KERNEL] = METRIC_KERNEL,
        [FIELD_SLAB] = METRIC_SLAB_RECLAIMABLE,
        [FIELD_SWAP] = METRIC_SWAP,
        [FIELD_HIGH] = METRIC_HIGH,
    };
    const struct target *t = r->target;

    switch (field) {
    case FIELD_CONTAINER:
    case FIELD_ID:
        if (t->id)
            buf_add(out, r->no_trunc ? str_of(t->id) : str_head(str_of(t->id), 12));
        else
            row_add_dash(out);
        break;
    case FIELD_NAME:
        buf_add(out, session_name(t));
        break;
    case FIELD_CPU_PERC:
        add_percent(out, r->have_cpu, r->cpu_centi);
        break;
    case FIELD_MEM_USAGE:
        add_docker_usage(out, r);
        break;
    case FIELD_MEM_PERC:
        add_docker_mem_pct(out, r);
        break;
    case FIELD_NET_IO:
        add_docker_net(out, r);
        break;
    case FIELD_BLOCK_IO:
        add_docker_io(out, r);
        break;
    case FIELD_PIDS:
        if (row_has(r, METRIC_PIDS))
            row_add_count(out, r, METRIC_PIDS);
        else
            buf_add(out, STR("--"));
        break;
    case FIELD_IMAGE:
        add_text(out, t->image);
        break;
    case FIELD_POD:
        add_text(out, t->pod);
        break;
    case FIELD_RUNTIME:
        add_text(out, runtime_name(t->runtime));
        break;
    case FIELD_CGROUP:
        buf_add(out, t->path);
        break;
    case FIELD_USED_PERC:
        row_add_used_pct(out, r);
        break;
    case FIELD_LIMIT_FROM:
        buf_add(out, row_has(r, METRIC_LIMIT) ? row_limit_from(r, false) : STR("-"));
        break;
    case FIELD_PSI:
        row_add_centi(out, row_has(r, METRIC_PSI_SOME),
                      row_has(r, METRIC_PSI_SOME) ? row_value(r, METRIC_PSI_SOME) : 0);
        break;
    case FIELD_OOM:
        row_add_count(out, r, METRIC_OOM_KILLS);
        break;
    default:
        row_add_bytes(out, r, metric_of[field]);
    }
}

unsigned stats_field_wants(int field) {
    static const unsigned field_wants[FIELD_N] = {
        [FIELD_CPU_PERC] = TICK_CPU, [FIELD_NET_IO] = TICK_NET,    [FIELD_BLOCK_IO] = TICK_IO,
        [FIELD_PIDS] = TICK_PIDS,    [FIELD_PSI] = TICK_PSI,       [FIELD_SWAP] = TICK_SWAP,
        [FIELD_PEAK] = TICK_PEAK,    [FIELD_KERNEL] = TICK_KERNEL, [FIELD_HIGH] = TICK_BOUNDS,
    };

    return field_wants[field];
}

void stats_add_docker_json(struct buf *out, const struct stats_row *r) {
    static const unsigned char order[] = {FIELD_BLOCK_IO, FIELD_CPU_PERC, FIELD_CONTAINER,
                                          FIELD_ID,       FIELD_MEM_PERC, FIELD_MEM_USAGE,
                                          FIELD_NAME,     FIELD_NET_IO,   FIELD_PIDS};
    struct buf field;
    struct json j;

    buf_init(&field, 1 << 20);
    json_start(&j, out);
    json_begin_object(&j);
    for (size_t i = 0; i < ARRAY_N(order); i++) {
        buf_clear(&field);
        stats_add_field(&field, r, order[i]);
        json_key_str(&j, stats_fields[order[i]], buf_str(&field));
    }
    json_end(&j);
    buf_add_char(out, '\n');
    buf_done(&field);
}
