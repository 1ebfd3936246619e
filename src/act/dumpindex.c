/* index.json: what the summary says, for programs, and the list of files. */
#include <string.h>

#include "act/dumpint.h"
#include "act/dumptidy.h"
#include "base/clock.h"
#include "base/mem.h"
#include "kern/limit.h"

enum { VERSION = 1 };

static void add_why(struct json *j, const struct dump *d) {
    struct buf text;

    json_key(j, "reason");
    if (!d->terms->why) {
        json_unknown(j);
        return;
    }
    buf_init(&text, 65536);
    audit_add_json(&text, d->terms->why, NULL);
    if (buf_error(&text))
        json_unknown(j);
    else
        json_raw(j, buf_str(&text));
    buf_done(&text);
}

static void add_group(struct json *j, const struct dump *d) {
    const struct grip_level *tightest = grip_tightest(d->g);
    bool has_own = d->g->levels > 0;
    uint64_t used = 0;
    bool have_used = d->have_numbers && limit_used(&d->numbers, &d->stat, &used);

    json_key_str(j, "target", str_of(d->g->path));
    json_key_str(j, "name", str_of(d->g->name));
    json_key_str(j, "cgroup", d->g->version == CG_V1 ? STR("v1") : STR("v2"));
    json_key_maybe(j, "usage", cgroup_has(&d->numbers, CGROUP_USAGE),
                   d->numbers.value[CGROUP_USAGE]);
    json_key_maybe(j, "used", have_used, used);
    json_key_maybe(j, "own_limit", has_own && d->g->level[0].bytes != CGROUP_NO_LIMIT,
                   has_own ? d->g->level[0].bytes : 0);
    json_key_maybe(j, "limit", tightest, tightest ? tightest->bytes : 0);
    json_key(j, "limit_path");
    if (tightest)
        json_str(j, (struct str){d->g->path, tightest->path_n});
    else
        json_unknown(j);
    json_key_maybe(j, "anon", memstat_has(&d->stat, MEMSTAT_ANON), d->stat.value[MEMSTAT_ANON]);
    json_key_maybe(j, "file", memstat_has(&d->stat, MEMSTAT_FILE), d->stat.value[MEMSTAT_FILE]);
    json_key_maybe(j, "shmem", memstat_has(&d->stat, MEMSTAT_SHMEM), d->stat.value[MEMSTAT_SHMEM]);
    json_key_maybe(j, "under_oom", cgroup_has(&d->numbers, CGROUP_UNDER_OOM),
                   d->numbers.value[CGROUP_UNDER_OOM]);
}

static void add_row(struct json *j, const struct dump_row *row) {
    static const char *const keys[DUMP_VALUES] = {
        [DUMP_RSS] = "res",         [DUMP_ANON] = "anon",     [DUMP_SHMEM] = "shmem",
        [DUMP_SWAP] = "swap",       [DUMP_PSS] = "pss",       [DUMP_USS] = "uss",
        [DUMP_FDS] = "fds",         [DUMP_UID] = "uid",       [DUMP_THREADS] = "threads",
        [DUMP_WAITING] = "waiting", [DUMP_NS_PID] = "ns_pid",
    };
    struct buf id;

    buf_init(&id, 256);
    rt_add_id(&id, &row->id);
    json_begin_object(j);
    json_key(j, "pid");
    json_i64(j, row->pid);
    json_key(j, "ppid");
    json_i64(j, row->ppid);
    json_key_str(j, "comm", (struct str){row->comm, row->comm_n});
    json_key_str(j, "state", row->gone ? STR("gone") : (struct str){&row->state, 1});
    json_key_maybe_str(j, "wchan", str_of(row->wchan));
    json_key(j, "oom_score_adj");
    if (row->have_adj)
        json_i64(j, row->oom_score_adj);
    else
        json_unknown(j);
    for (unsigned i = 0; i < DUMP_VALUES; i++)
        json_key_maybe(j, keys[i], dump_has(row, i), row->value[i]);
    json_key_maybe_str(j, "runtime", buf_str(&id));
    json_key_maybe(j, "heap_used", row->figures.have & 1u << RT_HEAP_USED,
                   row->figures.value[RT_HEAP_USED]);
    json_key_maybe(j, "heap_committed", row->figures.have & 1u << RT_HEAP_COMMITTED,
                   row->figures.value[RT_HEAP_COMMITTED]);
    json_end(j);
    buf_done(&id);
}

static void add_missing(struct json *j, const struct dump *d) {
    json_key(j, "missing");
    json_begin_array(j);
    for (unsigned i = 0; i < d->misses; i++) {
        json_begin_object(j);
        json_key_str(j, "part", str_of(d->miss[i].part));
        json_key_str(j, "why", str_of(d->miss[i].why));
        json_key(j, "failed");
        json_bool(j, !d->miss[i].lacking);
        json_key_maybe(j, "processes", d->miss[i].count > 0, d->miss[i].count);
        json_end(j);
    }
    json_end(j);
}

static int add_file(void *ctx, const char *name, uint64_t bytes) {
    struct json *j = ctx;

    if (strcmp(name, DUMP_INDEX_NEW) == 0)
        return 0;
    json_begin_object(j);
    json_key_str(j, "name", str_of(name));
    json_key_u64(j, "bytes", bytes);
    json_end(j);
    return 0;
}

int dump_add_index(struct buf *out, struct dump *d) {
    struct json j;

    json_start(&j, out);
    json_begin_object(&j);
    json_key_u64(&j, "version", VERSION);
    json_key(&j, "at_ms");
    json_i64(&j, d->at_ms);
    json_key(&j, "ts");
    json_time_ms(&j, d->at_ms);
    json_key_u64(&j, "took_ms", (uint64_t)((clock_mono_us() - d->began_us) / 1000));
    json_key(&j, "hung");
    json_bool(&j, d->terms->hung);
    json_key(&j, "cmdline");
    json_bool(&j, !d->terms->no_cmdline);
    add_group(&j, d);
    add_why(&j, d);
    json_key_u64(&j, "processes_all", d->all);
    json_key(&j, "processes");
    json_begin_array(&j);
    for (size_t i = 0; i < d->rows; i++)
        add_row(&j, &d->row[i]);
    json_end(&j);
    add_missing(&j, d);
    json_key(&j, "disk_full");
    json_bool(&j, d->store.full);
    json_key(&j, "files");
    json_begin_array(&j);
    (void)dumpstore_walk(&d->store, add_file, &j);
    json_end(&j);
    json_key(&j, "complete"); /* the last word: a file that was cut has none */
    json_bool(&j, !d->store.full);
    json_end(&j);
    buf_add_char(out, '\n');
    return buf_error(out);
}
