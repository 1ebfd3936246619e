#include "inspect/gcsay.h"

#include "base/num.h"
#include "tui/units.h"

void gcsay_time(struct buf *out, uint64_t ns) {
    static const struct {
        uint64_t from, unit;
        const char *name;
    } units[] = {{1000000000, 1000000000, "s"}, {1000000, 1000000, "ms"}, {0, 1000, "us"}};
    unsigned i = 0;

    while (ns < units[i].from)
        i++;
    uint64_t whole = ns / units[i].unit;
    unsigned decimals = whole < 10 ? 2 : whole < 100 ? 1 : 0;

    num_add_centi(out, ns / (units[i].unit / 100 ? units[i].unit / 100 : 1), decimals);
    buf_add(out, str_of(units[i].name));
}

static bool has(uint32_t have, enum gctrace_field f) {
    return have >> f & 1;
}

static void maybe(struct json *j, const char *key, const struct gctrace *g, enum gctrace_field f) {
    json_key_maybe(j, key, gctrace_has(g, f), g->value[f]);
}

void gcsay_collection(struct json *j, const struct gcstats *s, const struct gctrace *g,
                      int64_t at_ms) {
    json_begin_object(j);
    maybe(j, "gc", g, GCTRACE_NUMBER);
    json_key(j, "at_ms");
    json_i64(j, at_ms);
    json_key(j, "forced");
    json_bool(j, g->forced);
    json_key_centi(j, "gc_cpu_pct", gctrace_has(g, GCTRACE_GC_CPU), g->value[GCTRACE_GC_CPU]);
    maybe(j, "pause_ns", g, GCTRACE_STW_NS);
    maybe(j, "clock_ns", g, GCTRACE_CLOCK_NS);
    maybe(j, "cpu_ns", g, GCTRACE_CPU_NS);
    maybe(j, "heap_start", g, GCTRACE_HEAP_START);
    maybe(j, "heap_end", g, GCTRACE_HEAP_END);
    maybe(j, "live", g, GCTRACE_LIVE);
    maybe(j, "goal", g, GCTRACE_GOAL);
    maybe(j, "stacks", g, GCTRACE_STACKS);
    maybe(j, "globals", g, GCTRACE_GLOBALS);
    json_key_maybe(j, "sys", has(s->sum.have, GCTRACE_SYS), s->sum.sys);
    json_key_maybe(j, "released", has(s->sum.have, GCTRACE_RELEASED), s->sum.released);
    maybe(j, "procs", g, GCTRACE_PROCS);
    json_end(j);
}

void gcsay_summary(struct json *j, const struct gcsummary *s, const struct gclines *l) {
    bool seen = s->collections > 0;

    json_key_u64(j, "collections", s->collections);
    json_key_u64(j, "forced", s->forced);
    json_key_u64(j, "periodic", s->periodic);
    json_key_u64(j, "programs", s->programs);
    json_key_maybe(j, "duration_ms", seen, (uint64_t)(s->last_ms - s->first_ms));
    json_key_maybe(j, "pause_p50_ns", s->have_pause, s->p50_ns);
    json_key_maybe(j, "pause_p95_ns", s->have_pause, s->p95_ns);
    json_key_maybe(j, "pause_p99_ns", s->have_pause, s->p99_ns);
    json_key_maybe(j, "pause_max_ns", s->have_pause, s->max_ns);
    json_key_maybe(j, "pause_total_ns", s->have_pause, s->stopped_ns);
    json_key_centi(j, "gc_cpu_pct", s->have_share, s->share);
    json_key_maybe(j, "gc_cpu_ns", has(s->have, GCTRACE_CPU_NS), s->cpu_ns);
    json_key_maybe(j, "heap_max", has(s->have, GCTRACE_HEAP_START), s->heap_max);
    json_key_maybe(j, "live", has(s->have, GCTRACE_LIVE), s->live_last);
    json_key_maybe(j, "live_max", has(s->have, GCTRACE_LIVE), s->live_max);
    json_key_maybe(j, "goal", has(s->have, GCTRACE_GOAL), s->goal_last);
    json_key_maybe(j, "sys", has(s->have, GCTRACE_SYS), s->sys);
    json_key_maybe(j, "released", has(s->have, GCTRACE_RELEASED), s->released);
    json_key_str(j, "live_trend", str_of(gcstats_trend(s->trend)));
    json_key(j, "live_bytes_per_h");
    if (s->have_slope)
        json_i64(j, s->bytes_per_h);
    else
        json_unknown(j);
    json_key_u64(j, "lines", l->lines);
    json_key_u64(j, "mended", l->torn);
}

static void add_count(struct buf *out, uint64_t n, const char *one, const char *many) {
    buf_add_u64(out, n);
    buf_add_format(out, " %s", n == 1 ? one : many);
}

static void add_pauses(struct buf *out, const struct gcsummary *s) {
    buf_add(out, STR("  pauses      p50 "));
    gcsay_time(out, s->p50_ns);
    buf_add(out, STR("  p95 "));
    gcsay_time(out, s->p95_ns);
    buf_add(out, STR("  p99 "));
    gcsay_time(out, s->p99_ns);
    buf_add(out, STR("  max "));
    gcsay_time(out, s->max_ns);
    buf_add(out, STR(", "));
    gcsay_time(out, s->stopped_ns);
    buf_add(out, STR(" in all\n"));
}

static void add_slope(struct buf *out, const struct gcsummary *s) {
    if (s->programs > 1) {
        buf_add(out, STR("  live heap   of several programs: whether one grows is told when it is "
                         "looked at alone\n"));
        return;
    }
    switch (s->trend) {
    case GCTREND_UNKNOWN:
        buf_add(out, STR("  live heap   too short to tell whether it grows (a minute and 8 "
                         "collections are needed)\n"));
        return;
    case GCTREND_STEADY:
        buf_add(out, STR("  live heap   steady\n"));
        return;
    case GCTREND_GROWING:
    case GCTREND_SHRINKING:
        break;
    }
    buf_add_format(out, "  live heap   %s, ", gcstats_trend(s->trend));
    units_add_signed(out, s->bytes_per_h);
    buf_add(out, STR(" an hour\n"));
}

static void add_heap(struct buf *out, const struct gcsummary *s) {
    buf_add(out, STR("  heap        live "));
    num_add_iec(out, s->live_last);
    buf_add(out, s->programs > 1 ? STR(" in the one that collected last, at most ")
                                 : STR(" at the last, at most "));
    num_add_iec(out, s->live_max);
    buf_add(out, STR("; with garbage at most "));
    num_add_iec(out, s->heap_max);
    if (has(s->have, GCTRACE_GOAL)) {
        buf_add(out, STR("; goal "));
        num_add_iec(out, s->goal_last);
    }
    buf_add_char(out, '\n');
}

void gcsay_words(struct buf *out, const struct gcsummary *s, const struct gclines *l) {
    if (s->collections == 0) {
        buf_add(out, STR("gctrace: no collection was seen\n"
                         "  A Go program tells them on stderr with GODEBUG=gctrace=1. One that\n"
                         "  allocates little has none; what another user or a service starts has\n"
                         "  not our environment.\n"));
        return;
    }
    buf_add(out, STR("gctrace: "));
    add_count(out, s->collections, "collection", "collections");
    if (s->forced > 0)
        buf_add_format(out, ", %llu forced by the program", (unsigned long long)s->forced);
    if (s->periodic > 0)
        buf_add_format(out, ", %llu after two idle minutes", (unsigned long long)s->periodic);
    if (s->last_ms > s->first_ms) {
        buf_add(out, STR(" in "));
        gcsay_time(out, (uint64_t)(s->last_ms - s->first_ms) * 1000000);
    }
    if (s->programs > 1)
        buf_add_format(out, ", of %llu programs%s", (unsigned long long)s->programs,
                       s->programs_lost ? " or fewer" : "");
    buf_add_char(out, '\n');
    if (s->have_pause)
        add_pauses(out, s);
    if (s->have_share) {
        buf_add(out, STR("  GC CPU      "));
        num_add_centi(out, s->share, s->share % 100 ? 2 : 0);
        buf_add(out, STR("% since the start, as the runtime counts it; "));
        gcsay_time(out, s->cpu_ns);
        buf_add(out, STR(" of CPU time in all\n"));
    } else if (s->programs > 1 && has(s->have, GCTRACE_CPU_NS)) {
        buf_add(out, STR("  GC CPU      "));
        gcsay_time(out, s->cpu_ns);
        buf_add(out, STR(" of CPU time in all\n"));
    }
    add_heap(out, s);
    add_slope(out, s);
    buf_add(out, STR("  its lines   "));
    add_count(out, l->lines, "line of the program's own passed on\n",
              "lines of the program's own passed on\n");
}
