#include "inspect/gcpage.h"

bool gcpage_has_news(const struct gcpage *p, const struct gcpage_told *told) {
    const struct gcsummary *sum = &p->stats->sum;

    return !told->any || told->ended != p->ended || told->collections != sum->collections ||
           told->sys != sum->sys || told->released != sum->released;
}

static void number(struct json *j, const struct gcpoint *p, enum gctrace_field f, uint64_t value) {
    if (p->have >> f & 1)
        json_u64(j, value);
    else
        json_unknown(j);
}

/* In the order of "columns". */
static void add_point(struct json *j, const struct gcpoint *p) {
    json_begin_array(j);
    json_i64(j, p->at_ms);
    json_u64(j, p->n);
    json_u64(j, p->forced);
    number(j, p, GCTRACE_LIVE, p->live);
    number(j, p, GCTRACE_GOAL, p->goal);
    number(j, p, GCTRACE_HEAP_START, p->start);
    number(j, p, GCTRACE_HEAP_END, p->end);
    number(j, p, GCTRACE_STW_NS, p->stw_ns);
    if (p->have >> GCTRACE_GC_CPU & 1)
        json_centi(j, p->share);
    else
        json_unknown(j);
    number(j, p, GCTRACE_SYS, p->sys);
    number(j, p, GCTRACE_RELEASED, p->released);
    json_end(j);
}

static void add_columns(struct json *j) {
    static const char *const names[] = {"at_ms",      "collections", "forced",   "live",
                                        "goal",       "heap_start",  "heap_end", "pause_ns",
                                        "gc_cpu_pct", "sys",         "released"};

    json_key(j, "columns");
    json_begin_array(j);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        json_str(j, str_of(names[i]));
    json_end(j);
}

/* The last point a reader has may have grown meanwhile; all are others when pairs became one. */
static uint64_t first_news(const struct gcpage *p, const struct gcpage_told *told) {
    if (!told || told->per_point != p->stats->per_point || told->points > p->stats->points_n)
        return 0;
    return told->points > 0 ? told->points - 1 : 0;
}

static void add_program(struct json *j, const struct gcpage *p) {
    json_key(j, "command");
    json_begin_array(j);
    for (size_t i = 0; p->argv && p->argv[i]; i++)
        json_str(j, str_of(p->argv[i]));
    json_end(j);
    json_key(j, "began_ms");
    json_i64(j, p->began_ms);
    json_key_str(j, "state", p->ended ? STR("ended") : STR("running"));
    json_key(j, "code");
    if (p->ended)
        json_i64(j, p->code);
    else
        json_unknown(j);
}

void gcpage_add(struct buf *out, const struct gcpage *p, struct gcpage_told *told) {
    const struct gcstats *s = p->stats;
    uint64_t from = first_news(p, told);
    struct gcsummary sum;
    struct json j;

    gcstats_sum(s, &sum);
    json_start(&j, out);
    json_begin_object(&j);
    add_program(&j, p);
    json_key_u64(&j, "per_point", s->per_point);
    add_columns(&j);
    json_key_u64(&j, "from", from);
    json_key(&j, "points");
    json_begin_array(&j);
    for (uint64_t i = from; i < s->points_n; i++)
        add_point(&j, &s->point[i]);
    json_end(&j);
    json_key(&j, "summary");
    json_begin_object(&j);
    gcsay_summary(&j, &sum, p->lines);
    json_end(&j);
    json_end(&j);
    if (told)
        *told = (struct gcpage_told){
            .any = true,
            .ended = p->ended,
            .per_point = s->per_point,
            .points = s->points_n,
            .collections = s->sum.collections,
            .sys = s->sum.sys,
            .released = s->sum.released,
        };
}

const struct asset *gcpage_asset(struct str path) {
    for (size_t i = 0; i < gcpage_assets_n; i++)
        if (str_eq(path, str_of(gcpage_assets[i].path)))
            return &gcpage_assets[i];
    return NULL;
}
