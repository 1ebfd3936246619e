#include "cmd/statsview.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "sampler/state.h"

enum { TABLE_MAX = 64 << 20 };

/* The columns of our own table: on paper and, where they differ, in tab-separated text. */
enum column {
    COLUMN_ID,
    COLUMN_NAME,
    COLUMN_CPU,
    COLUMN_USED,
    COLUMN_LIMIT,
    COLUMN_USED_PCT,
    COLUMN_LIMIT_FROM,
    COLUMN_USAGE,
    COLUMN_SWAP,
    COLUMN_PSI,
    COLUMN_OOM,
    COLUMN_STATE,
    COLUMN_NET,
    COLUMN_BLOCK,
    COLUMN_PIDS,
    COLUMN_TEXT_N,
    COLUMN_NET_TX = COLUMN_TEXT_N, /* plain: COLUMN_NET and COLUMN_BLOCK are what came in */
    COLUMN_BLOCK_WRITE,
    COLUMN_PLAIN_N,
};

static const struct table_column text_columns_of[COLUMN_TEXT_N] = {
    [COLUMN_ID] = {"CONTAINER ID", TABLE_LEFT, 9, TABLE_WHOLE},
    [COLUMN_NAME] = {"NAME", TABLE_LEFT, 0, TABLE_CUT_PATH},
    [COLUMN_CPU] = {"CPU %", TABLE_RIGHT, 3, TABLE_WHOLE},
    [COLUMN_USED] = {"USED", TABLE_RIGHT, 0, TABLE_WHOLE},
    [COLUMN_LIMIT] = {"LIMIT", TABLE_RIGHT, 0, TABLE_WHOLE},
    [COLUMN_USED_PCT] = {"USED %", TABLE_RIGHT, 0, TABLE_WHOLE},
    [COLUMN_LIMIT_FROM] = {"LIMIT FROM", TABLE_LEFT, 8, TABLE_CUT_PATH},
    [COLUMN_USAGE] = {"USAGE", TABLE_RIGHT, 6, TABLE_WHOLE},
    [COLUMN_SWAP] = {"SWAP", TABLE_RIGHT, 5, TABLE_WHOLE},
    [COLUMN_PSI] = {"PSI %", TABLE_RIGHT, 4, TABLE_WHOLE},
    [COLUMN_OOM] = {"OOM", TABLE_RIGHT, 2, TABLE_WHOLE},
    [COLUMN_STATE] = {"STATE", TABLE_LEFT, 0, TABLE_WHOLE},
    [COLUMN_NET] = {"NET I/O", TABLE_RIGHT, 10, TABLE_WHOLE},
    [COLUMN_BLOCK] = {"BLOCK I/O", TABLE_RIGHT, 11, TABLE_WHOLE},
    [COLUMN_PIDS] = {"PIDS", TABLE_RIGHT, 7, TABLE_WHOLE},
};

static const struct {
    enum column column;
    const char *head;
} plain_list[COLUMN_PLAIN_N] = {
    {COLUMN_ID, "CONTAINER ID"},
    {COLUMN_NAME, "NAME"},
    {COLUMN_CPU, "CPU %"},
    {COLUMN_USED, "USED"},
    {COLUMN_LIMIT, "LIMIT"},
    {COLUMN_USED_PCT, "USED %"},
    {COLUMN_LIMIT_FROM, "LIMIT FROM"},
    {COLUMN_USAGE, "USAGE"},
    {COLUMN_SWAP, "SWAP"},
    {COLUMN_PSI, "PSI %"},
    {COLUMN_OOM, "OOM"},
    {COLUMN_STATE, "STATE"},
    {COLUMN_NET, "NET RX"},
    {COLUMN_NET_TX, "NET TX"},
    {COLUMN_BLOCK, "BLOCK READ"},
    {COLUMN_BLOCK_WRITE, "BLOCK WRITE"},
    {COLUMN_PIDS, "PIDS"},
};

static const struct table_column docker_columns[] = {
    {"CONTAINER ID", TABLE_LEFT, 0, TABLE_WHOLE}, {"NAME", TABLE_LEFT, 0, TABLE_WHOLE},
    {"CPU %", TABLE_LEFT, 0, TABLE_WHOLE},        {"MEM USAGE / LIMIT", TABLE_LEFT, 0, TABLE_WHOLE},
    {"MEM %", TABLE_LEFT, 0, TABLE_WHOLE},        {"NET I/O", TABLE_LEFT, 0, TABLE_WHOLE},
    {"BLOCK I/O", TABLE_LEFT, 0, TABLE_WHOLE},    {"PIDS", TABLE_LEFT, 0, TABLE_WHOLE},
};

/* A row with all that its columns are made of. */
struct row {
    const struct session *session;
    const struct target *target;
    const struct sample *sample; /* NULL: not read, or gone since */
    struct tick_limit limit;
    enum state state;
    uint64_t cpu_centi;
    bool have_cpu, no_trunc, ascii, plain; /* plain: bytes as they are, no marks */
};

static bool has(const struct row *r, enum metric m) {
    return r->sample && sample_has(r->sample, m);
}

static uint64_t value(const struct row *r, enum metric m) {
    return r->sample->value[m];
}

static void add_dash(struct buf *out) {
    buf_add_char(out, '-');
}

static void add_bytes(struct buf *out, const struct row *r, enum metric m) {
    if (!has(r, m))
        add_dash(out);
    else if (value(r, m) == SAMPLE_NONE)
        buf_add(out, STR("none"));
    else if (r->plain)
        buf_add_u64(out, value(r, m));
    else
        num_add_iec(out, value(r, m));
}

static void add_count(struct buf *out, const struct row *r, enum metric m) {
    if (has(r, m))
        buf_add_u64(out, value(r, m));
    else
        add_dash(out);
}

static void add_centi(struct buf *out, bool have, uint64_t centi) {
    if (have)
        num_add_centi(out, centi, 2);
    else
        add_dash(out);
}

static void add_visible(struct buf *out, struct str s, const struct row *r) {
    text_add_visible(out, s, r->ascii);
}

/* A container inside of a container is shown as OUTER/INNER: its memory is in both rows. */
static void add_name(struct buf *out, const struct row *r) {
    const struct target *t = r->target;

    if (t->inside && target_is_container(t)) {
        add_visible(out, session_name(t->inside), r);
        buf_add_char(out, '/');
    }
    add_visible(out, session_name(t), r);
}

static bool used_pct(const struct row *r, uint64_t *centi_out) {
    if (!has(r, METRIC_USED) || !has(r, METRIC_LIMIT) || value(r, METRIC_LIMIT) == 0)
        return false;
    *centi_out = num_centi_pct(value(r, METRIC_USED), value(r, METRIC_LIMIT));
    return true;
}

static void add_used_pct(struct buf *out, const struct row *r) {
    uint64_t centi = 0;
    bool have = used_pct(r, &centi);

    add_centi(out, have, centi);
}

static void add_id(struct buf *out, const struct row *r) {
    struct str id = str_of(r->target->id);

    if (!r->target->id || r->target->kind == TARGET_SERVICE || r->target->kind == TARGET_SESSION)
        add_dash(out);
    else
        add_visible(out, r->no_trunc || r->plain ? id : str_head(id, 12), r);
}

/* Whose limit it is: "own", "host", another group's path, or somebody outside of what we see. */
static struct str limit_from(const struct row *r, bool words) {
    switch (r->limit.from) {
    case LIMIT_HOST:
        return STR("host");
    case LIMIT_OUTSIDE:
        return STR("outside");
    case LIMIT_LEVEL:
        break;
    }
    return words && str_eq(r->limit.path, r->target->path) ? STR("own") : r->limit.path;
}

static void add_pair(struct buf *out, const struct row *r, enum metric a, enum metric b) {
    if (!has(r, a) || !has(r, b)) {
        add_dash(out);
        return;
    }
    num_add_docker_si(out, value(r, a));
    buf_add(out, STR(" / "));
    num_add_docker_si(out, value(r, b));
}

/* v1's kernel memory, read or (when its file was not wanted) what usage has beyond anon and file.
 */
static uint64_t kernel_v1(const struct sample *s) {
    uint64_t pages = s->value[METRIC_ANON] + s->value[METRIC_FILE];

    if (sample_has(s, METRIC_KERNEL))
        return s->value[METRIC_KERNEL];
    if (!sample_has(s, METRIC_USAGE) || s->value[METRIC_USAGE] < pages)
        return 0;
    return s->value[METRIC_USAGE] - pages;
}

bool stats_kernel_unsplit(const struct session *s, const struct sample *sample) {
    uint64_t kernel;

    if (s->fs.ctl[CG_MEMORY].version == CG_V2 || !sample_has(sample, METRIC_USED))
        return false;
    kernel = kernel_v1(sample);
    return kernel >= 4 << 20 && kernel > sample->value[METRIC_USED] / 10;
}

static void add_used(struct buf *out, const struct row *r) {
    add_bytes(out, r, METRIC_USED);
    if (!r->plain && r->sample && stats_kernel_unsplit(r->session, r->sample))
        buf_add_char(out, '*');
}

/* What deserves a second look: the state and the figures behind it, and kills. */
static enum table_mark mark_of(const struct row *r, size_t column) {
    enum state state = r->state;

    switch (column) {
    case COLUMN_USED_PCT:
        return state == STATE_FULL ? TABLE_BAD : state == STATE_HIGH ? TABLE_WARN : TABLE_UNMARKED;
    case COLUMN_SWAP:
        return state == STATE_SWAPPING ? TABLE_WARN : TABLE_UNMARKED;
    case COLUMN_PSI:
        return state == STATE_STALLED ? TABLE_WARN : TABLE_UNMARKED;
    case COLUMN_OOM:
        return has(r, METRIC_OOM_KILLS) && value(r, METRIC_OOM_KILLS) > 0 ? TABLE_WARN
                                                                          : TABLE_UNMARKED;
    case COLUMN_STATE:
        return state >= STATE_THROTTLED ? TABLE_BAD
               : state > STATE_OK       ? TABLE_WARN
                                        : TABLE_UNMARKED;
    default:
        return TABLE_UNMARKED;
    }
}

static void text_cell(struct buf *out, const struct row *r, size_t column) {
    switch (column) {
    case COLUMN_ID:
        add_id(out, r);
        break;
    case COLUMN_NAME:
        add_name(out, r);
        break;
    case COLUMN_CPU:
        add_centi(out, r->have_cpu, r->cpu_centi);
        break;
    case COLUMN_USED:
        add_used(out, r);
        break;
    case COLUMN_LIMIT:
        add_bytes(out, r, METRIC_LIMIT);
        if (!r->plain && has(r, METRIC_LIMIT) && !r->limit.certain)
            buf_add_char(out, '?');
        break;
    case COLUMN_USED_PCT:
        add_used_pct(out, r);
        break;
    case COLUMN_LIMIT_FROM:
        if (has(r, METRIC_LIMIT))
            add_visible(out, limit_from(r, true), r);
        else
            add_dash(out);
        break;
    case COLUMN_USAGE:
        add_bytes(out, r, METRIC_USAGE);
        break;
    case COLUMN_SWAP:
        add_bytes(out, r, METRIC_SWAP);
        break;
    case COLUMN_PSI:
        add_centi(out, has(r, METRIC_PSI_SOME),
                  has(r, METRIC_PSI_SOME) ? value(r, METRIC_PSI_SOME) : 0);
        break;
    case COLUMN_OOM:
        add_count(out, r, METRIC_OOM_KILLS);
        break;
    case COLUMN_STATE:
        buf_add(out, str_of(state_name(r->state)));
        break;
    case COLUMN_NET:
        if (r->plain)
            add_bytes(out, r, METRIC_NET_RX);
        else
            add_pair(out, r, METRIC_NET_RX, METRIC_NET_TX);
        break;
    case COLUMN_BLOCK:
        if (r->plain)
            add_bytes(out, r, METRIC_BLK_READ);
        else
            add_pair(out, r, METRIC_BLK_READ, METRIC_BLK_WRITE);
        break;
    case COLUMN_NET_TX:
        add_bytes(out, r, METRIC_NET_TX);
        break;
    case COLUMN_BLOCK_WRITE:
        add_bytes(out, r, METRIC_BLK_WRITE);
        break;
    default:
        add_count(out, r, METRIC_PIDS);
    }
}

/* Docker's own figures: the group's own limit or the machine, working set for usage. */
static bool docker_limit(const struct row *r, uint64_t *out) {
    const struct tick_host *host = ticker_host(r->session->ticker);

    if (!has(r, METRIC_OWN_LIMIT))
        return false;
    *out = value(r, METRIC_OWN_LIMIT);
    if (host->have_mem && *out > host->mem_total)
        *out = host->mem_total;
    return *out != SAMPLE_NONE;
}

static void add_docker_usage(struct buf *out, const struct row *r) {
    uint64_t limit;

    if (!has(r, METRIC_WORKING_SET) || !docker_limit(r, &limit)) {
        buf_add(out, STR("-- / --"));
        return;
    }
    num_add_docker_iec(out, value(r, METRIC_WORKING_SET));
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

static void add_docker_mem_pct(struct buf *out, const struct row *r) {
    uint64_t limit = 0;
    bool have = has(r, METRIC_WORKING_SET) && docker_limit(r, &limit) && limit > 0;

    add_percent(out, have, have ? num_centi_pct(value(r, METRIC_WORKING_SET), limit) : 0);
}

/* Docker prints zeros for a container on the machine's network, and for disks it knows nothing of;
 * what could not be read is its "--". */
static void add_docker_net(struct buf *out, const struct row *r) {
    if (has(r, METRIC_NET_RX))
        add_pair(out, r, METRIC_NET_RX, METRIC_NET_TX);
    else
        buf_add(out, ticker_shares_network(r->session->ticker, r->target->slot) ? STR("0B / 0B")
                                                                                : STR("--"));
}

static void add_docker_io(struct buf *out, const struct row *r) {
    bool counted = r->session->fs.ctl[CG_IO].dir >= 0;

    if (has(r, METRIC_BLK_READ))
        add_pair(out, r, METRIC_BLK_READ, METRIC_BLK_WRITE);
    else
        buf_add(out, r->sample && !counted ? STR("0B / 0B") : STR("--"));
}

/* The fields of --format: Docker's first, then ours. Raw text: made visible by the caller. */
enum {
    FIELD_CONTAINER,
    FIELD_NAME,
    FIELD_ID,
    FIELD_CPU_PERC,
    FIELD_MEM_USAGE,
    FIELD_NET_IO,
    FIELD_BLOCK_IO,
    FIELD_MEM_PERC,
    FIELD_PIDS,
    FIELD_DOCKER_N,
    FIELD_IMAGE = FIELD_DOCKER_N,
    FIELD_POD,
    FIELD_RUNTIME,
    FIELD_CGROUP,
    FIELD_USED_PERC,
    FIELD_LIMIT_FROM,
    FIELD_PSI,
    FIELD_OOM,
    FIELD_USED,
    FIELD_LIMIT,
    FIELD_HEADROOM,
    FIELD_USAGE,
    FIELD_WORKING_SET,
    FIELD_PEAK,
    FIELD_ANON,
    FIELD_FILE,
    FIELD_SHMEM,
    FIELD_KERNEL,
    FIELD_SLAB,
    FIELD_SWAP,
    FIELD_HIGH,
    FIELD_N,
};

const char *const stats_fields[] = {
    "Container", "Name",  "ID",     "CPUPerc",  "MemUsage", "NetIO",      "BlockIO",   "MemPerc",
    "PIDs",      "Image", "Pod",    "Runtime",  "Cgroup",   "UsedPerc",   "LimitFrom", "PSI",
    "OOM",       "Used",  "Limit",  "Headroom", "Usage",    "WorkingSet", "Peak",      "Anon",
    "File",      "Shmem", "Kernel", "Slab",     "Swap",     "High",
};
const size_t stats_fields_n = ARRAY_N(stats_fields);
_Static_assert(ARRAY_N(stats_fields) == FIELD_N, "a name for each field");

static const char *const field_heads[FIELD_N] = {
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
        add_dash(out);
}

static void add_field(struct buf *out, const struct row *r, int field) {
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
            add_dash(out);
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
        if (has(r, METRIC_PIDS))
            add_count(out, r, METRIC_PIDS);
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
        add_used_pct(out, r);
        break;
    case FIELD_LIMIT_FROM:
        buf_add(out, has(r, METRIC_LIMIT) ? limit_from(r, false) : STR("-"));
        break;
    case FIELD_PSI:
        add_centi(out, has(r, METRIC_PSI_SOME),
                  has(r, METRIC_PSI_SOME) ? value(r, METRIC_PSI_SOME) : 0);
        break;
    case FIELD_OOM:
        add_count(out, r, METRIC_OOM_KILLS);
        break;
    default:
        add_bytes(out, r, metric_of[field]);
    }
}

static struct row row_of(const struct stats_view *v, const struct session *s, uint32_t slot) {
    struct row r = {
        .session = s,
        .target = targets_at(s->targets, slot),
        .sample = ticker_sample(s->ticker, slot),
        .no_trunc = v->no_trunc,
        .ascii = v->ascii,
        .plain = v->format == STATS_PLAIN,
    };

    ticker_limit(s->ticker, slot, &r.limit);
    if (r.sample)
        r.state = state_of(r.sample, ticker_host(s->ticker));
    r.have_cpu = r.sample && ticker_cpu(s->ticker, slot, &r.cpu_centi);
    return r;
}

static void key_text(struct json *j, const char *key, const char *text) {
    json_key(j, key);
    if (text)
        json_str(j, str_of(text));
    else
        json_unknown(j);
}

static void key_centi(struct json *j, const char *key, bool have, uint64_t centi) {
    json_key(j, key);
    if (have)
        json_centi(j, centi);
    else
        json_unknown(j);
}

static void add_identity(struct json *j, const struct row *r) {
    const struct target *t = r->target;
    enum cg_version version = r->session->fs.ctl[CG_MEMORY].version;

    json_key(j, "ts");
    json_time_ms(j, r->sample ? r->sample->at_ms : clock_wall_ms());
    key_text(j, "id", t->id);
    json_key_str(j, "name", session_name(t));
    key_text(j, "kind", target_kind_name(t->kind));
    key_text(j, "runtime", t->runtime == RUNTIME_NONE ? NULL : runtime_name(t->runtime));
    key_text(j, "image", t->image);
    key_text(j, "pod", t->pod);
    key_text(j, "namespace", t->namespace);
    key_text(j, "container", t->container);
    json_key(j, "inside");
    if (t->inside)
        json_str(j, session_name(t->inside));
    else
        json_unknown(j);
    json_key_str(j, "cgroup", t->path);
    key_text(j, "version", version == CG_V1 ? "v1" : "v2");
    json_key_maybe(j, "init_pid", t->init_pid > 0, (uint64_t)t->init_pid);
    json_key(j, "start_ms");
    if (t->start_ms > 0)
        json_i64(j, t->start_ms);
    else
        json_unknown(j);
}

static void add_metrics(struct json *j, const struct row *r) {
    for (unsigned m = 0; m < METRIC_N; m++) {
        const struct metric_info *info = metric_info(m);

        json_key(j, info->key);
        if (!has(r, m) || (info->kind == METRIC_BOUND && value(r, m) == SAMPLE_NONE))
            json_unknown(j);
        else if (info->unit == METRIC_CENTIPCT)
            json_centi(j, value(r, m));
        else if (info->unit == METRIC_FLAG)
            json_bool(j, value(r, m) != 0);
        else
            json_u64(j, value(r, m));
    }
}

static void print_json(const struct row *r, struct buf *out) {
    uint64_t pct = 0;
    struct json j;
    bool have_pct = used_pct(r, &pct);

    json_start(&j, out);
    json_begin_object(&j);
    add_identity(&j, r);
    key_centi(&j, "cpu_pct", r->have_cpu, r->cpu_centi);
    key_centi(&j, "used_pct", have_pct, pct);
    json_key(&j, "limit_from");
    if (has(r, METRIC_LIMIT))
        json_str(&j, limit_from(r, false));
    else
        json_unknown(&j);
    json_key(&j, "limit_certain");
    json_bool(&j, has(r, METRIC_LIMIT) && r->limit.certain);
    key_text(&j, "state", r->sample ? state_name(r->state) : NULL);
    json_key(&j, "kernel_reclaimable_unknown");
    json_bool(&j, r->sample && stats_kernel_unsplit(r->session, r->sample));
    add_metrics(&j, r);
    json_end(&j);
    buf_add_char(out, '\n');
}

/* Docker's own JSON: strings as its table has them. */
static void print_docker_json(const struct row *r, struct buf *out) {
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
        add_field(&field, r, order[i]);
        json_key_str(&j, stats_fields[order[i]], buf_str(&field));
    }
    json_end(&j);
    buf_add_char(out, '\n');
    buf_done(&field);
}

static void add_part(const struct template_part *part, const struct row *r, struct buf *field,
                     struct buf *out) {
    if (part->field < 0) {
        buf_add(out, part->text);
        return;
    }
    buf_clear(field);
    add_field(field, r, part->field);
    template_add_field(out, part->function, buf_str(field), r->ascii);
}

static void print_template(const struct template *t, const struct row *r, struct buf *field,
                           struct buf *out) {
    for (size_t i = 0; i < t->parts; i++)
        add_part(&t->part[i], r, field, out);
    buf_add_char(out, '\n');
}

/* "table" templates: a tab in the text between fields parts the columns. */
static void print_template_table(struct stats_view *v, const struct session *s,
                                 const uint32_t *slot, size_t n, struct buf *out) {
    static const struct table_layout layout = {.gap = 3, .minimum = 10};
    struct table_column column[TEMPLATE_PARTS + 1] = {{.head = ""}};
    struct buf field;
    struct table table;
    size_t columns = 1;

    for (size_t i = 0; i < v->template.parts; i++)
        if (v->template.part[i].field < 0)
            for (size_t at = 0; at < v->template.part[i].text.n && columns < 40; at++)
                columns += v->template.part[i].text.p[at] == '\t';
    for (size_t c = 0; c < columns; c++)
        column[c] = (struct table_column){.head = "", .align = TABLE_LEFT};
    buf_init(&field, 1 << 20);
    table_init(&table, column, columns, TABLE_MAX);
    for (size_t line = 0; line <= n; line++) { /* the heads are the first line */
        struct row r = line ? row_of(v, s, slot[line - 1]) : (struct row){0};
        size_t cell = 0;

        for (size_t i = 0; i < v->template.parts; i++) {
            const struct template_part *part = &v->template.part[i];
            struct str rest = part->text, head;

            while (part->field < 0 && str_cut(&rest, '\t', &head) && cell + 1 < columns) {
                buf_add(table_cell(&table), head);
                table_next(&table);
                cell++;
            }
            if (part->field < 0)
                buf_add(table_cell(&table), rest);
            else if (line == 0)
                buf_add(table_cell(&table), str_of(field_heads[part->field]));
            else
                add_part(part, &r, &field, table_cell(&table));
        }
        for (; cell < columns; cell++)
            table_next(&table);
    }
    (void)table_print(&table, &layout, out);
    table_done(&table);
    buf_done(&field);
}

static void print_table(struct stats_view *v, const struct session *s, const uint32_t *slot,
                        size_t n, size_t width, struct buf *out) {
    struct table_layout layout = {
        .plain = v->format == STATS_PLAIN, .head = true, .width = v->no_trunc ? 0 : width};
    bool starred = false, guessed = false;

    table_clear(&v->table);
    for (size_t i = 0; i < n; i++) {
        struct row r = row_of(v, s, slot[i]);

        for (size_t c = 0; c < v->table.columns; c++) {
            size_t column = layout.plain ? plain_list[c].column : c;

            text_cell(table_cell(&v->table), &r, column);
            table_mark(&v->table, mark_of(&r, column));
            table_next(&v->table);
        }
        starred |= r.sample && stats_kernel_unsplit(s, r.sample);
        guessed |= has(&r, METRIC_LIMIT) && !r.limit.certain;
    }
    (void)table_print(&v->table, &layout, out);
    if (layout.plain)
        return;
    if (starred)
        buf_add(out, STR("* much of it is kernel memory, part of which may be reclaimable: cgroup "
                         "v1 does not tell how much\n"));
    if (guessed)
        buf_add(out, STR("? at most: a group outside of this cgroup namespace may have a tighter "
                         "limit\n"));
}

static void print_docker(struct stats_view *v, const struct session *s, const uint32_t *slot,
                         size_t n, struct buf *out) {
    static const int field_of[] = {FIELD_ID,       FIELD_NAME,   FIELD_CPU_PERC, FIELD_MEM_USAGE,
                                   FIELD_MEM_PERC, FIELD_NET_IO, FIELD_BLOCK_IO, FIELD_PIDS};
    static const struct table_layout layout = {.head = true, .gap = 3, .minimum = 10};
    struct buf field;

    buf_init(&field, 1 << 20);
    table_clear(&v->table);
    for (size_t i = 0; i < n; i++) {
        struct row r = row_of(v, s, slot[i]);

        for (size_t c = 0; c < ARRAY_N(field_of); c++) {
            buf_clear(&field);
            add_field(&field, &r, field_of[c]);
            text_add_visible(table_cell(&v->table), buf_str(&field), v->ascii);
            table_next(&v->table);
        }
    }
    (void)table_print(&v->table, &layout, out);
    buf_done(&field);
}

unsigned stats_view_wants(const struct stats_view *v) {
    static const unsigned field_wants[FIELD_N] = {
        [FIELD_CPU_PERC] = TICK_CPU, [FIELD_NET_IO] = TICK_NET,    [FIELD_BLOCK_IO] = TICK_IO,
        [FIELD_PIDS] = TICK_PIDS,    [FIELD_PSI] = TICK_PSI,       [FIELD_SWAP] = TICK_SWAP,
        [FIELD_PEAK] = TICK_PEAK,    [FIELD_KERNEL] = TICK_KERNEL, [FIELD_HIGH] = TICK_BOUNDS,
    };
    unsigned wants = TICK_PIDS; /* never nothing: 0 would mean that no sampler is needed */

    switch (v->format) {
    case STATS_JSON:
        return TICK_ALL;
    case STATS_TEXT:
    case STATS_PLAIN:
        return TICK_ALL & ~(unsigned)(TICK_PEAK | TICK_KERNEL);
    case STATS_DOCKER:
        return TICK_CPU | TICK_PIDS | TICK_IO | TICK_NET;
    case STATS_TEMPLATE:
        break;
    }
    if (v->template.whole)
        return TICK_CPU | TICK_PIDS | TICK_IO | TICK_NET;
    for (size_t i = 0; i < v->template.parts; i++)
        if (v->template.part[i].field >= 0)
            wants |= field_wants[v->template.part[i].field];
    return wants;
}

static const struct table_column *plain_columns(void) {
    static struct table_column columns[COLUMN_PLAIN_N];

    for (size_t c = 0; c < COLUMN_PLAIN_N; c++)
        columns[c] = (struct table_column){.head = plain_list[c].head};
    return columns;
}

void stats_view_init(struct stats_view *v) {
    if (v->format == STATS_DOCKER)
        table_init(&v->table, docker_columns, ARRAY_N(docker_columns), TABLE_MAX);
    else if (v->format == STATS_PLAIN)
        table_init(&v->table, plain_columns(), COLUMN_PLAIN_N, TABLE_MAX);
    else
        table_init(&v->table, text_columns_of, COLUMN_TEXT_N, TABLE_MAX);
}

void stats_view_done(struct stats_view *v) {
    table_done(&v->table);
    template_done(&v->template);
}

void stats_view_print(struct stats_view *v, const struct session *s, const uint32_t *slot, size_t n,
                      size_t width, struct buf *out) {
    struct buf field;

    switch (v->format) {
    case STATS_TEXT:
    case STATS_PLAIN:
        print_table(v, s, slot, n, width, out);
        return;
    case STATS_DOCKER:
        print_docker(v, s, slot, n, out);
        return;
    case STATS_JSON:
    case STATS_TEMPLATE:
        break;
    }
    if (v->format == STATS_TEMPLATE && v->template.table && !v->template.whole) {
        print_template_table(v, s, slot, n, out);
        return;
    }
    buf_init(&field, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        struct row r = row_of(v, s, slot[i]);

        if (v->format == STATS_JSON)
            print_json(&r, out);
        else if (v->template.whole)
            print_docker_json(&r, out);
        else
            print_template(&v->template, &r, &field, out);
    }
    buf_done(&field);
}
