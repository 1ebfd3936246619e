#include "cmd/statsrow.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/num.h"
#include "base/text.h"
#include "model/labellist.h"

bool row_has(const struct stats_row *r, enum metric m) {
    return r->sample && sample_has(r->sample, m);
}

uint64_t row_value(const struct stats_row *r, enum metric m) {
    return r->sample->value[m];
}

const char *const stats_sort_names[SORT_N] = {"name",  "cpu",   "used", "used%",
                                              "usage", "limit", "pids", "oom"};

uint64_t stats_sort_value(enum stats_sort key, const struct sample *s) {
    static const enum metric metric_of[SORT_N] = {
        [SORT_USED] = METRIC_USED,   [SORT_PCT] = METRIC_USED,  [SORT_USAGE] = METRIC_USAGE,
        [SORT_LIMIT] = METRIC_LIMIT, [SORT_PIDS] = METRIC_PIDS, [SORT_OOM] = METRIC_OOM_KILLS,
    };
    uint64_t value;

    if (!s || !sample_has(s, metric_of[key]))
        return 0;
    value = s->value[metric_of[key]];
    if (key != SORT_PCT)
        return value;
    return sample_has(s, METRIC_LIMIT) && s->value[METRIC_LIMIT] > 0
               ? (uint64_t)((unsigned __int128)value * 1000000 / s->value[METRIC_LIMIT])
               : 0;
}

int stats_compare_names(const struct target *a, const struct target *b) {
    struct str m = session_name(a), n = session_name(b);
    int r = memcmp(m.p, n.p, m.n < n.n ? m.n : n.n);

    if (r != 0 || m.n == n.n)
        return r;
    return m.n < n.n ? -1 : 1;
}

void row_add_dash(struct buf *out) {
    buf_add_char(out, '-');
}

void row_add_bytes(struct buf *out, const struct stats_row *r, enum metric m) {
    if (!row_has(r, m))
        row_add_dash(out);
    else if (row_value(r, m) == SAMPLE_NONE)
        buf_add(out, STR("none"));
    else if (r->plain)
        buf_add_u64(out, row_value(r, m));
    else
        num_add_iec(out, row_value(r, m));
}

void row_add_count(struct buf *out, const struct stats_row *r, enum metric m) {
    if (row_has(r, m))
        buf_add_u64(out, row_value(r, m));
    else
        row_add_dash(out);
}

void row_add_centi(struct buf *out, bool have, uint64_t centi) {
    if (have)
        num_add_centi(out, centi, 2);
    else
        row_add_dash(out);
}

void row_add_visible(struct buf *out, struct str s, const struct stats_row *r) {
    text_add_visible(out, s, r->ascii);
}

bool row_used_pct(const struct stats_row *r, uint64_t *centi_out) {
    if (!row_has(r, METRIC_USED) || !row_has(r, METRIC_LIMIT) || row_value(r, METRIC_LIMIT) == 0)
        return false;
    *centi_out = num_centi_pct(row_value(r, METRIC_USED), row_value(r, METRIC_LIMIT));
    return true;
}

void row_add_used_pct(struct buf *out, const struct stats_row *r) {
    uint64_t centi = 0;
    bool have = row_used_pct(r, &centi);

    row_add_centi(out, have, centi);
}

struct str row_limit_from(const struct stats_row *r, bool words) {
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

void row_add_pair(struct buf *out, const struct stats_row *r, enum metric a, enum metric b) {
    if (!row_has(r, a) || !row_has(r, b)) {
        row_add_dash(out);
        return;
    }
    num_add_docker_si(out, row_value(r, a));
    buf_add(out, STR(" / "));
    num_add_docker_si(out, row_value(r, b));
}

bool row_kernel_unsplit(const struct stats_row *r) {
    return r->sample && state_kernel_unsplit(r->sample, r->v1);
}

struct stats_row session_row(const void *ctx, size_t i) {
    const struct session *s = ((const struct session_rows *)ctx)->session;
    const struct tick_host *host = ticker_host(s->ticker);
    uint32_t slot = ((const struct session_rows *)ctx)->slot[i];
    struct stats_row r = {
        .target = targets_at(s->targets, slot),
        .sample = ticker_sample(s->ticker, slot),
        .host_memory = host->have_mem ? host->mem_total : 0,
        .v1 = s->fs.ctl[CG_MEMORY].version == CG_V1,
        .io_counted = s->fs.ctl[CG_IO].dir >= 0,
        .shares_network = ticker_shares_network(s->ticker, slot),
    };

    struct statslang *lang = ((const struct session_rows *)ctx)->lang;

    ticker_limit(s->ticker, slot, &r.limit);
    if (lang && r.target)
        r.lang = statslang_of(lang, r.target, clock_mono_us());
    if (r.sample)
        r.state = state_of(r.sample, host->have_swap ? host->swap_total : 0);
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

static void add_identity(struct json *j, const struct stats_row *r) {
    const struct target *t = r->target;

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
    json_key(j, "labels");
    labellist_add_json(j, str_of(t->labels));
    json_key(j, "inside");
    if (t->inside)
        json_str(j, session_name(t->inside));
    else
        json_unknown(j);
    json_key_str(j, "cgroup", t->path);
    key_text(j, "version", r->v1 ? "v1" : "v2");
    json_key_maybe(j, "init_pid", t->init_pid > 0, (uint64_t)t->init_pid);
    json_key(j, "start_ms");
    if (t->start_ms > 0)
        json_i64(j, t->start_ms);
    else
        json_unknown(j);
}

void row_add_json(struct buf *out, const struct stats_row *r) {
    uint64_t pct = 0;
    struct json j;
    bool have_pct = row_used_pct(r, &pct);

    json_start(&j, out);
    json_begin_object(&j);
    add_identity(&j, r);
    json_key_centi(&j, "cpu_pct", r->have_cpu, r->cpu_centi);
    json_key_centi(&j, "used_pct", have_pct, pct);
    json_key(&j, "limit_from");
    if (row_has(r, METRIC_LIMIT))
        json_str(&j, row_limit_from(r, false));
    else
        json_unknown(&j);
    json_key(&j, "limit_certain");
    json_bool(&j, row_has(r, METRIC_LIMIT) && r->limit.certain);
    key_text(&j, "state", r->sample ? state_name(r->state) : NULL);
    if (r->wide)
        json_key_maybe_str(&j, "lang", r->lang);
    json_key(&j, "kernel_reclaimable_unknown");
    json_bool(&j, row_kernel_unsplit(r));
    for (unsigned m = 0; m < METRIC_N; m++)
        sample_add_json(&j, r->sample, m);
    json_end(&j);
    buf_add_char(out, '\n');
}
