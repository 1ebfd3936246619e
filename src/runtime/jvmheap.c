/* jvmheap.c - what a HotSpot JVM says of its heap, and what its counters say unasked.
 */
#include <errno.h>

#include "base/mem.h"
#include "kern/smaps.h"
#include "runtime/heaps.h"
#include "runtime/jvmattach.h"
#include "runtime/jvmprobe.h"
#include "runtime/jvmroom.h"
#include "runtime/jvmtext.h"

struct talk {
    struct jvmattach a;
    struct buf answer;
    int64_t deadline_us;
    struct heapview *view;
    struct jvm_sizes sizes;
    enum jvm_gc gc;
    bool tracks_native;
};

static int jcmd(struct talk *t, const char *command) {
    return jvmattach_jcmd(&t->a, command, t->deadline_us, &t->answer);
}

/* --- classes ---------------------------------------------------------------------------------- */

static void check_histogram(struct heapview *v, const struct jvm_histogram *h) {
    if (h->cut)
        heapview_note(v, "more than %d classes: only the first are listed", TALLY_ROWS);
    if (!h->have_said)
        heapview_note(v, "the histogram has no last line: it may be a part");
    else if (h->said_count != h->count || h->said_bytes != h->bytes)
        heapview_note(v,
                      "the histogram contradicts itself: its rows add up to %lu bytes, it says %lu",
                      h->bytes, h->said_bytes);
    heapview_figure(v, "objects", "objects in the histogram", HEAP_COUNT, h->count);
    heapview_figure(v, "objects_bytes", "their bytes", HEAP_BYTES, h->bytes);
}

static int read_classes(struct talk *t, bool live) {
    struct jvm_histogram h;
    struct tally *types;
    int r = jcmd(t, live ? "GC.class_histogram" : "GC.class_histogram -all");

    if (r != 0)
        return r < 0 ? r : -EOPNOTSUPP;
    r = tally_new(&types);
    if (r < 0)
        return r;
    r = jvmtext_histogram(buf_str(&t->answer), types, &h);
    if (r < 0) {
        tally_free(types);
        return r;
    }
    tally_sort(types);
    t->view->types = types;
    t->view->types_are = "classes";
    t->view->types_how = live ? "reachable objects, after a full collection (GC.class_histogram)"
                              : "all objects, unreachable ones too (GC.class_histogram -all)";
    check_histogram(t->view, &h);
    return 0;
}

/* --- sizes ------------------------------------------------------------------------------------ */

/* What JDK 8 has no command for, and what newer ones left out. */
static void fill_from_counters(struct talk *t) {
    static const struct {
        enum hsperf_value from;
        enum jvm_size to;
    } same[] = {
        {HSPERF_USED, JVM_HEAP_USED},
        {HSPERF_COMMITTED, JVM_HEAP_COMMITTED},
        {HSPERF_META_USED, JVM_META_USED},
        {HSPERF_META_COMMITTED, JVM_META_COMMITTED},
    };
    struct hsperf h = {0};

    if (jvmprobe_counters(t->a.p, &h) < 0)
        return;
    for (size_t i = 0; i < ARRAY_N(same); i++) {
        if (jvm_sizes_has(&t->sizes, same[i].to) || !(h.have & 1u << same[i].from) ||
            h.value[same[i].from] == 0)
            continue;
        t->sizes.value[same[i].to] = h.value[same[i].from];
        t->sizes.have |= 1u << same[i].to;
    }
}

static void read_sizes(struct talk *t) {
    uint64_t max;
    int r;

    if (jcmd(t, "VM.flags") == 0) {
        t->gc = jvmtext_gc(buf_str(&t->answer));
        if (jvmtext_flag_u64(buf_str(&t->answer), STR("MaxHeapSize"), &max)) {
            t->sizes.value[JVM_HEAP_MAX] = max;
            t->sizes.have |= 1u << JVM_HEAP_MAX;
        }
    }
    if (jcmd(t, "GC.heap_info") == 0)
        (void)jvmtext_heap_info(buf_str(&t->answer), &t->sizes);
    if (!jvm_sizes_has(&t->sizes, JVM_META_USED) && jcmd(t, "VM.metaspace") == 0)
        (void)jvmtext_metaspace(buf_str(&t->answer), &t->sizes);
    fill_from_counters(t);
    if (jcmd(t, "Compiler.codecache") == 0)
        (void)jvmtext_codecache(buf_str(&t->answer), &t->sizes);
    r = jcmd(t, "VM.native_memory summary");
    t->tracks_native = r == 0 && jvmtext_nmt(buf_str(&t->answer), &t->sizes) == 0;
}

static const struct {
    enum jvm_size size;
    const char *key, *says;
} shown[] = {
    {JVM_HEAP_USED, "heap_used", "live objects and garbage not collected yet"},
    {JVM_HEAP_COMMITTED, "heap_committed", "held of the kernel for the heap"},
    {JVM_HEAP_MAX, "heap_max", "as large as the heap may become"},
    {JVM_META_USED, "metaspace_used", "descriptions of classes"},
    {JVM_META_COMMITTED, "metaspace_committed", "held of the kernel for them"},
    {JVM_CODE_USED, "code_used", "compiled code"},
    {JVM_CODE_SIZE, "code_reserved", "addresses set aside for it"},
    {JVM_NMT_RESERVED, "nmt_reserved", "all that the JVM tracks: addresses"},
    {JVM_NMT_COMMITTED, "nmt_committed", "all that the JVM tracks: committed"},
    {JVM_NMT_HEAP, "nmt_heap", "Java heap"},
    {JVM_NMT_CLASS, "nmt_class", "classes"},
    {JVM_NMT_METASPACE, "nmt_metaspace", "metaspace"},
    {JVM_NMT_THREAD, "nmt_thread", "threads and their stacks"},
    {JVM_NMT_CODE, "nmt_code", "code cache"},
    {JVM_NMT_GC, "nmt_gc", "the collector's own"},
    {JVM_NMT_COMPILER, "nmt_compiler", "compilers"},
    {JVM_NMT_INTERNAL, "nmt_internal", "internal"},
    {JVM_NMT_SYMBOL, "nmt_symbol", "symbols"},
    {JVM_NMT_TRACKING, "nmt_tracking", "the tracking itself"},
    {JVM_NMT_CDS, "nmt_shared_classes", "shared class archive"},
    {JVM_NMT_ARENA, "nmt_arena", "arenas"},
    {JVM_NMT_OTHER, "nmt_other", "everything else it tracks"},
};

static void show_sizes(const struct talk *t) {
    for (size_t i = 0; i < ARRAY_N(shown); i++)
        if (jvm_sizes_has(&t->sizes, shown[i].size))
            heapview_figure(t->view, shown[i].key, shown[i].says, HEAP_BYTES,
                            t->sizes.value[shown[i].size]);
}

static void show_idle(const struct talk *t) {
    uint64_t used = t->sizes.value[JVM_HEAP_USED];
    uint64_t committed = t->sizes.value[JVM_HEAP_COMMITTED];

    if (jvm_sizes_has(&t->sizes, JVM_HEAP_USED) && jvm_sizes_has(&t->sizes, JVM_HEAP_COMMITTED) &&
        committed >= used)
        heapview_figure(t->view, "heap_idle", "held of the kernel, not in use", HEAP_BYTES,
                        committed - used);
}

struct region {
    uint64_t start, end, resident;
};

static int add_resident(void *ctx, const struct mapping *m) {
    struct region *r = ctx;

    /* Mappings do not straddle the ends of what was reserved in one piece. */
    if (m->start >= r->start && m->end <= r->end && smaps_have(&m->smaps, SMAPS_RSS))
        r->resident += m->smaps.value[SMAPS_RSS];
    return 0;
}

/* How much of the heap has pages: what is committed was promised, and may never have been touched.
 */
static bool heap_resident(const struct talk *t, uint64_t *out) {
    struct region r = {t->sizes.value[JVM_HEAP_START], t->sizes.value[JVM_HEAP_END], 0};

    if (!jvm_sizes_has(&t->sizes, JVM_HEAP_START) || !jvm_sizes_has(&t->sizes, JVM_HEAP_END) ||
        smaps_each(t->a.p->host->proc, t->a.p->pid, add_resident, &r) < 0)
        return false;
    *out = r.resident;
    return true;
}

/* RSS less the heap and what else the JVM tracks: what libraries and JNI took beside it. */
static void show_rest(const struct talk *t) {
    const struct jvm_sizes *s = &t->sizes;
    uint64_t rss, anon, heap, known;
    bool resident = heap_resident(t, &heap);

    if (rtproc_rss(t->a.p, &rss, &anon) < 0)
        return;
    if (resident)
        heapview_figure(t->view, "heap_resident", "of the heap, in memory now", HEAP_BYTES, heap);
    heapview_figure(t->view, "rss", "resident memory of the process", HEAP_BYTES, rss);
    if (!resident && !jvm_sizes_has(s, JVM_HEAP_COMMITTED))
        return;
    known = resident ? heap : s->value[JVM_HEAP_COMMITTED];
    known += t->tracks_native ? s->value[JVM_NMT_COMMITTED] -
                                    (s->value[JVM_NMT_HEAP] < s->value[JVM_NMT_COMMITTED]
                                         ? s->value[JVM_NMT_HEAP]
                                         : 0)
                              : s->value[JVM_META_COMMITTED] + s->value[JVM_CODE_USED];
    if (rss > known)
        heapview_figure(t->view, "native_rest",
                        t->tracks_native
                            ? "at least so much beyond all that is tracked: libraries, JNI, malloc"
                            : "beyond heap, metaspace and code: threads, the collector's own, "
                              "libraries, JNI, malloc",
                        HEAP_BYTES, rss - known);
    else
        heapview_note(t->view,
                      "of what the JVM has committed (%lu MiB) not all is resident (RSS %lu MiB): "
                      "what is native beside it cannot be told",
                      known >> 20, rss >> 20);
}

static void show_notes(const struct talk *t) {
    const char *name = jvm_gc_name(t->gc);

    if (*name)
        heapview_note(t->view, "collector: %s", name);
    if (!t->tracks_native)
        heapview_note(t->view, "native memory is not tracked: start it with "
                               "-XX:NativeMemoryTracking=summary (5 to 10 %% slower) to see more");
    if (t->a.woke)
        heapview_note(t->view,
                      "its listener was woken for this: a thread, and the socket "
                      "/tmp/.java_pid%d, stay",
                      t->a.p->ns_pid);
}

/* Reachable objects are known after a full collection alone. */
static bool lacks_room(struct talk *t, struct rt_result *why) {
    struct jvm_sizes before = {0};
    enum jvm_gc gc = JVM_GC_UNKNOWN;

    if (jcmd(t, "VM.flags") == 0)
        gc = jvmtext_gc(buf_str(&t->answer));
    if (jcmd(t, "GC.heap_info") == 0)
        (void)jvmtext_heap_info(buf_str(&t->answer), &before);
    return jvmroom_lacks(t->a.p, gc, &before, why);
}

int jvm_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
             struct heapview *out, struct err *err) {
    struct talk t = {.deadline_us = ask->ask.deadline_us, .view = out};
    struct rt_result why = {0};
    int r = jvmattach_open(p, t.deadline_us, &t.a, &why);

    if (r < 0)
        return err_set(err, r, "process %d: %s%s%s", p->pid, why.why, why.next[0] ? "; " : "",
                       why.next);
    out->id = *id;
    buf_init(&t.answer, JVMATTACH_ANSWER_MAX);
    if (ask->live && lacks_room(&t, &why))
        r = err_set(err, -ENOMEM, "process %d: %s; %s", p->pid, why.why, why.next);
    else
        r = read_classes(&t, ask->live);
    if (r == 0) {
        read_sizes(&t);
        show_sizes(&t);
        show_idle(&t);
        show_rest(&t);
        show_notes(&t);
    }
    buf_done(&t.answer);
    jvmattach_done(&t.a);
    if (why.why[0])
        return r;
    if (r == -ETIMEDOUT)
        return err_set(err, r, "the JVM %d did not answer in time", p->pid);
    return r < 0 ? err_set(err, r, "no class histogram of the JVM %d:", p->pid) : 0;
}

/* --- figures ---------------------------------------------------------------------------------- */

int jvm_figures(const struct rtproc *p, const struct rt_id *id, struct rt_figures *out) {
    static const struct {
        enum hsperf_value from;
        enum rt_figure to;
    } same[] = {
        {HSPERF_USED, RT_HEAP_USED},    {HSPERF_COMMITTED, RT_HEAP_COMMITTED},
        {HSPERF_GC_COUNT, RT_GC_COUNT}, {HSPERF_GC_US, RT_GC_US},
        {HSPERF_THREADS, RT_TASKS},
    };
    struct rt_figures f = {0};
    struct hsperf h = {0};
    int r = jvmprobe_counters(p, &h);

    (void)id;
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_N(same); i++) {
        if (!(h.have & 1u << same[i].from))
            continue;
        f.value[same[i].to] = h.value[same[i].from];
        f.have |= 1u << same[i].to;
    }
    if (f.have & 1u << RT_HEAP_USED && f.have & 1u << RT_HEAP_COMMITTED &&
        f.value[RT_HEAP_COMMITTED] >= f.value[RT_HEAP_USED]) {
        f.value[RT_HEAP_IDLE] = f.value[RT_HEAP_COMMITTED] - f.value[RT_HEAP_USED];
        f.have |= 1u << RT_HEAP_IDLE;
    }
    *out = f;
    return 0;
}
