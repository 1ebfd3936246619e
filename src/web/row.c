#include "web/row.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/num.h"
#include "model/labellist.h"
#include "model/state.h"
#include "web/rowtrend.h"
#include "web/web.h"

struct str row_name(const struct wire_target *t) {
    bool named = t->uid == WIRE_UID_HOST || t->kind == TARGET_CONTAINER || t->kind == TARGET_VM ||
                 t->kind == TARGET_POD;

    return named && t->name.n > 0 ? t->name : t->path;
}

struct row row_of_live(struct site *site, struct live_row *r) {
    return (struct row){
        .t = &r->t,
        .sample = r->sample.at_ms ? &r->sample : NULL,
        .moves = rowtrend_live(site, r),
        .series = r->series,
        .live = true,
        .have_cpu = r->have_cpu,
        .cpu_centi = r->cpu_centi,
        .have_totals = true,
        .restarts = r->restarts,
        .oom_kills = r->oom_kills,
        .killed_ms = r->killed_ms,
        .guard = r->guard,
    };
}

static void key_time(struct json *j, const char *key, int64_t ms) {
    json_key(j, key);
    if (ms > 0)
        json_i64(j, ms);
    else
        json_unknown(j);
}

static bool has(const struct sample *s, enum metric m) {
    return s && sample_has(s, m);
}

static void add_key(struct json *j, const struct row *r) {
    struct buf key;

    buf_init(&key, WIRE_MESSAGE);
    if (r->key.n == 0)
        live_add_key(&key, r->t);
    json_key_str(j, "key", r->key.n ? r->key : buf_str(&key));
    buf_done(&key);
}

/* The container around it by its name, while it is there. */
static void add_inside(struct json *j, const struct site *site, struct str path) {
    const struct live *l = site->live;

    for (size_t i = 0; path.n > 0 && i < l->n; i++)
        if (str_eq(l->row[i]->t.path, path)) {
            path = row_name(&l->row[i]->t);
            break;
        }
    json_key_maybe_str(j, "inside", path);
}

static void add_labels(struct json *j, struct str labels) {
    struct labelwalk w;

    json_key(j, "labels");
    labellist_add_json(j, labels);
    json_key_maybe_str(j, "compose", labellist_compose(labels, &w) ? w.label.value : STR(""));
}

static void add_identity(struct json *j, const struct site *site, const struct row *r) {
    const struct wire_target *t = r->t;
    int64_t at_ms = r->sample ? r->sample->at_ms : r->at_ms;

    json_key_maybe(j, "uid", r->live, t->uid);
    json_key(j, "ts");
    if (at_ms > 0)
        json_time_ms(j, at_ms);
    else
        json_unknown(j);
    add_key(j, r);
    json_key_maybe(j, "series", r->series > 0, (uint64_t)r->series);
    json_key_maybe_str(j, "id", t->id);
    json_key_str(j, "name", row_name(t));
    json_key_str(j, "kind", str_of(target_kind_name(t->kind)));
    json_key_maybe_str(j, "runtime",
                       t->runtime == RUNTIME_NONE ? STR("") : str_of(runtime_name(t->runtime)));
    json_key_maybe_str(j, "lang", t->lang);
    json_key_maybe_str(j, "image", t->image);
    json_key_maybe_str(j, "pod", t->pod);
    json_key_maybe_str(j, "namespace", t->namespace);
    json_key_maybe_str(j, "container", t->container);
    json_key_maybe_str(j, "unit", t->unit);
    add_labels(j, t->labels);
    add_inside(j, site, t->inside);
    json_key_str(j, "cgroup", t->path);
    json_key_str(j, "version", t->version == WIRE_CG_V1 ? STR("v1") : STR("v2"));
    json_key_maybe(j, "init_pid", t->init_pid > 0, (uint64_t)t->init_pid);
    key_time(j, "start_ms", t->start_ms);
    key_time(j, "born_ms", (int64_t)t->born_ms);
    json_key_maybe(j, "restarts", r->have_totals, r->restarts);
    json_key_maybe(j, "oom_kills_total", r->have_totals, r->oom_kills);
    key_time(j, "oom_killed_ms", r->killed_ms);
}

static uint64_t swap_total(const struct site *site) {
    const struct live_row *host = live_find(site->live, WIRE_UID_HOST);

    return host && has(&host->sample, METRIC_SWAP_LIMIT) ? host->sample.value[METRIC_SWAP_LIMIT]
                                                         : 0;
}

static void add_used_pct(struct json *j, const struct sample *s) {
    bool have = has(s, METRIC_USED) && has(s, METRIC_LIMIT) && s->value[METRIC_LIMIT] > 0;

    json_key_centi(j, "used_pct", have,
                   have ? num_centi_pct(s->value[METRIC_USED], s->value[METRIC_LIMIT]) : 0);
}

static void add_moves(struct json *j, const struct sample *s, const struct trend_view *v) {
    bool known = v->word != TREND_UNKNOWN, have_time;
    uint64_t time_s = 0;

    json_key_maybe_str(j, "trend", known ? str_of(trend_name(v->word)) : STR(""));
    json_key(j, "trend_bytes_per_h");
    if (known)
        json_i64(j, v->bytes_per_h);
    else
        json_unknown(j);
    json_key_maybe(j, "trend_window_s", known, v->window_s);
    have_time = s && trend_time_to_limit(v, s, &time_s);
    json_key_maybe(j, "time_to_limit_s", have_time, time_s);
    json_key_maybe(j, "refaults_per_s", v->have_refaults, v->refaults_per_s);
}

static void add_guard(struct json *j, const struct live_guard *g) {
    bool hangs = g && g->hang != HANG_NONE;

    json_key(j, "guarded");
    if (g)
        json_bool(j, g->guarded);
    else
        json_unknown(j);
    json_key_maybe(j, "marks_passed", g && g->guarded, g ? g->above : 0);
    json_key_maybe_str(j, "hang", hangs ? str_of(hang_name(g->hang)) : STR(""));
    key_time(j, "hung_ms", hangs ? g->hang_ms : 0);
}

/* What is concluded from the metrics, of one look and of the time before it. */
static void add_conclusions(struct json *j, const struct site *site, const struct wire_target *t,
                            const struct sample *s, const struct trend_view *moves,
                            int64_t killed_ms, const struct live_guard *guard) {
    static const struct trend_view unknown;
    enum state state;

    moves = moves ? moves : &unknown;
    state = s ? state_moving(s, swap_total(site), moves, killed_ms) : STATE_UNKNOWN;
    if (live_guard_hangs(guard))
        state = STATE_HUNG;

    add_used_pct(j, s);
    json_key_maybe_str(j, "limit_from", has(s, METRIC_LIMIT) ? t->limit_from : STR(""));
    json_key(j, "limit_certain");
    json_bool(j, has(s, METRIC_LIMIT) && t->limit_certain);
    json_key_maybe_str(j, "state", s ? str_of(state_name(state)) : STR(""));
    add_guard(j, guard);
    add_moves(j, s, moves);
    json_key(j, "kernel_reclaimable_unknown");
    json_bool(j, s && state_kernel_unsplit(s, t->version == WIRE_CG_V1));
}

void row_add_json(struct json *j, const struct site *site, const struct row *r) {
    json_begin_object(j);
    add_identity(j, site, r);
    json_key_centi(j, "cpu_pct", r->have_cpu, r->cpu_centi);
    add_conclusions(j, site, r->t, r->sample, r->moves, r->killed_ms, r->guard);
    for (enum metric m = 0; m < METRIC_N; m++)
        sample_add_json(j, r->sample, m);
    json_end(j);
}

/* CPU time that stands still is 0 %: looked at again from time to time, and told then. */
static bool cpu_moves(const struct live_row *r, int64_t since_ms) {
    return r->changed_ms[METRIC_CPU_US] > since_ms ||
           (r->have_cpu && r->cpu_centi == 0 && r->cpu_at_ms > since_ms);
}

bool row_add_changes(struct json *j, struct site *site, struct live_row *r, int64_t since_ms) {
    const struct trend_view *moves = rowtrend_live(site, r);
    uint64_t changed = 0;

    if (r->told_ms > since_ms) {
        struct row whole = row_of_live(site, r);

        row_add_json(j, site, &whole);
        return true;
    }
    for (enum metric m = 0; m < METRIC_N; m++)
        if (r->changed_ms[m] > since_ms)
            changed |= UINT64_C(1) << m;
    if (!changed && !cpu_moves(r, since_ms) && r->moved_ms <= since_ms)
        return false;
    json_begin_object(j);
    json_key_u64(j, "uid", r->uid);
    if (cpu_moves(r, since_ms))
        json_key_centi(j, "cpu_pct", r->have_cpu, r->cpu_centi);
    for (enum metric m = 0; m < METRIC_N; m++)
        if (changed >> m & 1)
            sample_add_json(j, &r->sample, m);
    if (changed & ~(UINT64_C(1) << METRIC_CPU_US) || r->moved_ms > since_ms)
        add_conclusions(j, site, &r->t, &r->sample, moves, r->killed_ms, r->guard);
    json_end(j);
    return true;
}

/* --- names that are kept -----------------------------------------------------------------------
 */

void web_add_identity(struct buf *out, const struct wire_target *t) {
    struct json j;

    json_start(&j, out);
    json_begin_object(&j);
    json_key_u64(&j, "host", t->uid == WIRE_UID_HOST);
    json_key_str(&j, "kind", str_of(target_kind_name(t->kind)));
    json_key_str(&j, "runtime", str_of(runtime_name(t->runtime)));
    json_key_str(&j, "qos", str_of(target_qos_name(t->qos)));
    json_key_u64(&j, "version", t->version == WIRE_CG_V1 ? 1 : 2);
    json_key(&j, "limit_certain");
    json_bool(&j, t->limit_certain);
    json_key(&j, "start_ms");
    json_i64(&j, t->start_ms);
    json_key_u64(&j, "init_pid", t->init_pid > 0 ? (uint64_t)t->init_pid : 0);
    json_key_u64(&j, "born_ms", t->born_ms);
    json_key_str(&j, "path", t->path);
    json_key_str(&j, "name", t->name);
    json_key_str(&j, "id", t->id);
    json_key_str(&j, "image", t->image);
    json_key_str(&j, "pod", t->pod);
    json_key_str(&j, "namespace", t->namespace);
    json_key_str(&j, "container", t->container);
    json_key_str(&j, "unit", t->unit);
    json_key_str(&j, "inside", t->inside);
    json_key_str(&j, "limit_from", t->limit_from);
    json_key_str(&j, "labels", t->labels);
    json_end(&j);
}

static struct str text_of(const json_t *tree, const char *key) {
    const json_t *value = json_object_get(tree, key);

    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : STR("");
}

static int64_t number_of(const json_t *tree, const char *key) {
    const json_t *value = json_object_get(tree, key);

    return json_is_integer(value) ? json_integer_value(value) : 0;
}

static enum target_kind kind_of(struct str name) {
    for (enum target_kind k = 0; k < TARGET_KIND_N; k++)
        if (str_eq(name, str_of(target_kind_name(k))))
            return k;
    return TARGET_GROUP;
}

static enum runtime runtime_of(struct str name) {
    for (enum runtime r = 0; r < RUNTIME_N; r++)
        if (str_eq(name, str_of(runtime_name(r))))
            return r;
    return RUNTIME_NONE;
}

static enum target_qos qos_of(struct str name) {
    for (enum target_qos q = 0; q < QOS_N; q++)
        if (str_eq(name, str_of(target_qos_name(q))))
            return q;
    return QOS_NONE;
}

int identity_parse(struct str text, struct identity *out) {
    json_t *tree = json_loadb(text.p ? text.p : "", text.n, JSON_ALLOW_NUL, NULL);
    int64_t pid;

    if (!json_is_object(tree)) {
        json_decref(tree);
        return -EBADMSG;
    }
    pid = number_of(tree, "init_pid");
    *out = (struct identity){
        .tree = tree,
        .t =
            {
                .uid = number_of(tree, "host") ? WIRE_UID_HOST : UINT32_MAX,
                .kind = kind_of(text_of(tree, "kind")),
                .runtime = runtime_of(text_of(tree, "runtime")),
                .qos = qos_of(text_of(tree, "qos")),
                .version = number_of(tree, "version") == 1 ? WIRE_CG_V1 : WIRE_CG_V2,
                .limit_certain = json_is_true(json_object_get(tree, "limit_certain")),
                .start_ms = number_of(tree, "start_ms"),
                .init_pid = pid > 0 && pid <= INT32_MAX ? (int32_t)pid : 0,
                .born_ms = (uint64_t)number_of(tree, "born_ms"),
                .path = text_of(tree, "path"),
                .name = text_of(tree, "name"),
                .id = text_of(tree, "id"),
                .image = text_of(tree, "image"),
                .pod = text_of(tree, "pod"),
                .namespace = text_of(tree, "namespace"),
                .container = text_of(tree, "container"),
                .unit = text_of(tree, "unit"),
                .inside = text_of(tree, "inside"),
                .limit_from = text_of(tree, "limit_from"),
                .labels = text_of(tree, "labels"),
            },
    };
    return 0;
}

void identity_done(struct identity *i) {
    json_decref(i->tree);
    i->tree = NULL;
}

/* --- OOM kills ----------------------------------------------------------------------------------
 */

static void add_victim(struct json *j, const struct wire_oom *o) {
    json_key(j, "victim");
    if (o->victim_pid <= 0) {
        json_unknown(j);
        return;
    }
    json_begin_object(j);
    json_key_u64(j, "pid", (uint64_t)o->victim_pid);
    json_key_maybe_str(j, "comm", o->comm);
    json_key_u64(j, "anon", o->anon);
    json_key_u64(j, "file", o->file);
    json_key_u64(j, "shmem", o->shmem);
    json_end(j);
}

void web_add_oom(struct buf *out, const struct wire_oom *o, const struct wire_target *t) {
    struct buf key;
    struct json j;

    buf_init(&key, WIRE_MESSAGE);
    if (t)
        live_add_key(&key, t);
    json_start(&j, out);
    json_begin_object(&j);
    json_key_str(&j, "kind", STR("oom"));
    json_key(&j, "at_ms");
    json_i64(&j, o->at_ms);
    json_key(&j, "ts");
    json_time_ms(&j, o->at_ms);
    json_key_u64(&j, "uid", o->uid);
    json_key_maybe_str(&j, "key", buf_str(&key));
    json_key_maybe_str(&j, "name", t ? row_name(t) : STR(""));
    json_key_maybe_str(&j, "target", t ? t->path : STR(""));
    json_key_u64(&j, "kills", o->kills);
    json_key(&j, "sure");
    json_bool(&j, o->sure);
    json_key(&j, "outside");
    json_bool(&j, o->outside);
    add_victim(&j, o);
    json_key_maybe_str(&j, "limit_path", o->limit_path);
    json_end(&j);
    buf_done(&key);
}
