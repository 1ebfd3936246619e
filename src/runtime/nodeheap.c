/* What a Node program's heap holds, through its inspector (nodeinspect.h): process.memoryUsage()
 * and V8's own statistics; its objects by constructor (nodecount.h); where objects come from that
 * are allocated while we watch and live at the end of that (V8's sampling profile).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kern/meminfo.h"
#include "runtime/heaps.h"
#include "runtime/nodecount.h"
#include "runtime/nodeinspect.h"
#include "runtime/noderoom.h"

enum {
    CLOSING_US = 1000 * 1000,
    SAMPLING_LEAST_US = 200 * 1000,
    SAMPLING_BYTES = 32768, /* mean distance between samples */
    SPACES = 32,
    WORKERS_US = 500 * 1000,
};

/* What may be taken in a program whose room is not known. */
static const uint64_t unasked = 1024ULL << 20;

struct work {
    const struct rtproc *p;
    const struct rt_heap_ask *ask;
    struct node_inspector inspector;
    int64_t until_us;
    char kit[NODE_KIT];
    struct heapview *view;
};

static const char *words_of(const struct work *w, int r) {
    switch (r) {
    case -EREMOTEIO:
        return w->inspector.cdp.said;
    case -ETIMEDOUT:
        return "no answer in time";
    case -EFBIG:
    case -E2BIG:
        return "too large";
    case -EPIPE:
        return "it hung up";
    default:
        return "it is not what was asked for";
    }
}

/* ---- figures ---- */

struct named_figure {
    const char *path, *key, *says;
    enum heap_unit unit;
};

static const struct named_figure usage[] = {
    {"m.rss", "rss", "resident memory of the process", HEAP_BYTES},
    {"m.heapTotal", "heap_total", "JavaScript heap: held of the kernel", HEAP_BYTES},
    {"m.heapUsed", "heap_used", "JavaScript heap: objects, also unreachable ones", HEAP_BYTES},
    {"m.external", "external", "memory outside of the heap that objects hold (Buffers too)",
     HEAP_BYTES},
    {"m.arrayBuffers", "array_buffers", "of external: ArrayBuffers and Buffers", HEAP_BYTES},
    {"h.heap_size_limit", "heap_limit", "the heap's own limit (--max-old-space-size)", HEAP_BYTES},
    {"h.total_physical_size", "heap_physical", "JavaScript heap: in memory", HEAP_BYTES},
    {"h.malloced_memory", "v8_malloced", "V8's own structures", HEAP_BYTES},
    {"h.number_of_native_contexts", "contexts", "contexts (globals)", HEAP_COUNT},
    {"h.number_of_detached_contexts", "detached_contexts",
     "contexts whose window or vm is gone, and that something still holds", HEAP_COUNT},
};

static const struct {
    const char *name, *used_key, *size_key, *used_says, *size_says;
} spaces[] = {
#define SPACE(id, says)                                                                            \
    { id "_space", id "_used", id "_size", says ": used", says ": held" }
    SPACE("new", "young objects"),
    SPACE("old", "old objects"),
    SPACE("code", "compiled code"),
    SPACE("map", "shapes of objects"),
    SPACE("large_object", "large objects"),
    SPACE("code_large_object", "large compiled code"),
    SPACE("new_large_object", "young large objects"),
    SPACE("read_only", "V8's read-only objects"),
    SPACE("shared", "shared objects"),
    SPACE("shared_large_object", "large shared objects"),
    SPACE("trusted", "V8's trusted objects"),
    SPACE("trusted_large_object", "V8's large trusted objects"),
#undef SPACE
};

/* A size or count that is none, negative or no number, is not there. */
static bool number_at(const json_t *from, const char *path, uint64_t *out) {
    const json_t *number = cdp_at(from, path);

    if (!json_is_integer(number) || json_integer_value(number) < 0)
        return false;
    *out = (uint64_t)json_integer_value(number);
    return true;
}

static void add_space(struct heapview *v, const json_t *space) {
    struct str name = cdp_text(space, "space_name");
    uint64_t used, size;

    for (size_t i = 0; i < ARRAY_N(spaces); i++) {
        if (!str_eq(name, str_of(spaces[i].name)))
            continue;
        if (!number_at(space, "space_size", &size) || size == 0)
            return;
        if (number_at(space, "space_used_size", &used))
            heapview_figure(v, spaces[i].used_key, spaces[i].used_says, HEAP_BYTES, used);
        heapview_figure(v, spaces[i].size_key, spaces[i].size_says, HEAP_BYTES, size);
        return;
    }
}

static void add_numbers(struct heapview *v, const json_t *said) {
    const json_t *list = json_object_get(said, "s"), *space;
    uint64_t value;
    size_t i;

    for (size_t j = 0; j < ARRAY_N(usage); j++)
        if (number_at(said, usage[j].path, &value))
            heapview_figure(v, usage[j].key, usage[j].says, usage[j].unit, value);
    json_array_foreach(list, i, space) {
        if (i < SPACES)
            add_space(v, space);
    }
}

/* What lies between the process's memory and what V8 accounts for. */
static void add_rest(const struct work *w) {
    uint64_t rss, total, external, now, anon;

    if (!heapview_value(w->view, "rss", &rss) || !heapview_value(w->view, "heap_total", &total) ||
        !heapview_value(w->view, "external", &external))
        return;
    if (rss >= total && rss - total >= external)
        heapview_figure(w->view, "native_rest",
                        "rss - heap_total - external: program files, native code, stacks, malloc",
                        HEAP_BYTES, rss - total - external);
    if (rtproc_rss(w->p, &now, &anon) == 0 && now >= anon)
        heapview_figure(w->view, "file_pages", "of rss: files (the node executable, libraries)",
                        HEAP_BYTES, now - anon);
}

static void explain(struct heapview *v, int32_t pid) {
    uint64_t total = 0, used = 0, external = 0, buffers = 0;

    (void)heapview_value(v, "heap_total", &total);
    (void)heapview_value(v, "heap_used", &used);
    (void)heapview_value(v, "external", &external);
    (void)heapview_value(v, "array_buffers", &buffers);
    heapview_note(v, "growing heap_used: JavaScript objects; flat heap_used with growing external "
                     "or array_buffers: Buffers; all flat with growing rss: native code, or "
                     "malloc's fragmentation");
    if (total > used && total - used > used && total - used > 16U << 20)
        heapview_note(v,
                      "most of the heap is held by V8 and unused: not leaked; `plimsoll gc %d` "
                      "makes it give that back",
                      pid);
    if (buffers > used)
        heapview_note(v, "more lies in Buffers than in the JavaScript heap");
}

static const char statistics[] =
    "function() {"
    " return { m: process.memoryUsage(), h: this.v8.getHeapStatistics(),"
    "  s: this.v8.getHeapSpaceStatistics() };"
    "}";

static int read_figures(struct work *w) {
    json_t *said = NULL;
    int r;

    if (w->ask->live) {
        r = cdp_call(&w->inspector.cdp, "HeapProfiler.collectGarbage", NULL, w->until_us, NULL);
        if (r < 0)
            return r;
    }
    r = node_get_kit(&w->inspector.cdp, w->until_us, w->kit);
    if (r == 0)
        r = node_with_kit(&w->inspector.cdp, w->kit, statistics, w->until_us, &said);
    if (r < 0)
        return r;
    add_numbers(w->view, said);
    json_decref(said);
    add_rest(w);
    explain(w->view, w->p->pid);
    return 0;
}

/* ---- constructors ---- */

/* Whether there is room for so much more: in its groups, and in the machine. */
static bool has_room(const struct work *w, uint64_t need) {
    struct meminfo m;
    uint64_t room;

    if (w->p->host->live && meminfo_read(w->p->host->proc, &m) == 0 &&
        meminfo_has(&m, MEMINFO_AVAILABLE) && m.value[MEMINFO_AVAILABLE] / 2 < need)
        return false;
    if (node_room(w->p, &room) < 0)
        return need <= unasked;
    return room > need;
}

static int keep_types(struct work *w, struct tally *types, int r, const char *how) {
    if (r == 0) {
        w->view->types = types;
        w->view->types_are = "constructors";
        w->view->types_how = how;
        return 0;
    }
    tally_free(types);
    heapview_note(w->view, "constructors are not counted: %s", words_of(w, r));
    return r;
}

/* V8 keeps the room for its handles, and malloc that for a snapshot. */
static void tell_cost(struct work *w, uint64_t before) {
    uint64_t rss, anon;

    if (rtproc_rss(w->p, &rss, &anon) == 0 && rss > before + (8U << 20))
        heapview_note(w->view,
                      "resident memory grew by %llu MiB for that: room that the program keeps, and "
                      "uses again the next time",
                      (unsigned long long)((rss - before) >> 20));
}

static int look_at_types(struct work *w) {
    uint64_t used, rss;
    struct tally *types;
    struct cdp *c = &w->inspector.cdp;
    int r;

    if (!heapview_value(w->view, "heap_used", &used) || !heapview_value(w->view, "rss", &rss) ||
        used > UINT64_MAX / 64) {
        heapview_note(w->view, "constructors are not counted: the size of the heap is not known");
        return 0;
    }
    if (!has_room(w, used * NODE_COUNT_FACTOR)) {
        heapview_note(w->view,
                      "constructors are not counted: that could take %llu MiB more in the program, "
                      "for which there may be no room",
                      (unsigned long long)(used * NODE_COUNT_FACTOR >> 20));
        return 0;
    }
    r = tally_new(&types);
    if (r < 0)
        return r;
    if (w->ask->live && has_room(w, used * NODE_WEIGH_FACTOR)) {
        r = keep_types(w, types, node_weigh_objects(c, w->until_us, types),
                       "all reachable, with their own sizes (a heap snapshot; the program stood "
                       "still for it)");
        tell_cost(w, rss);
        return r;
    }
    if (w->ask->live)
        heapview_note(
            w->view,
            "sizes are not told: a heap snapshot could take %llu MiB more in the program, "
            "for which there may be no room",
            (unsigned long long)(used * NODE_WEIGH_FACTOR >> 20));
    r = keep_types(w, types, node_count_objects(c, w->kit, w->until_us, types),
                   w->ask->live ? "reachable objects, without strings and code"
                                : "reachable objects, without strings and code (garbage was "
                                  "collected first; --live tells sizes too, by a heap snapshot)");
    tell_cost(w, rss);
    return r;
}

/* ---- sampling ---- */

static bool never(void *ctx) {
    (void)ctx;
    return false;
}

static int keep_profile(struct work *w, const json_t *result) {
    const json_t *profile = json_object_get(result, "profile");
    struct heap_blob *blob = &w->view->blob[w->view->blobs];
    char *text = json_is_object(profile) ? json_dumps(profile, JSON_COMPACT) : NULL;

    if (!text)
        return -EBADMSG;
    *blob = (struct heap_blob){.what = "sampling", .data = text, .n = strlen(text)};
    w->view->blobs++;
    return 0;
}

/* Somebody else's profile that is being taken must not be ended by us: it is asked for as it is. */
static int running_profile(struct work *w) {
    json_t *result = NULL;
    int r =
        cdp_call(&w->inspector.cdp, "HeapProfiler.getSamplingProfile", NULL, w->until_us, &result);

    if (r < 0)
        return r == -EREMOTEIO ? -ENOENT : r;
    r = keep_profile(w, result);
    json_decref(result);
    if (r == 0)
        heapview_note(w->view, "a sampling profile was being taken already: this is that one, "
                               "since its own start");
    return r;
}

static int sample(struct work *w) {
    int64_t length = (int64_t)(w->ask->seconds < 3600 ? w->ask->seconds : 3600) * 1000000;
    int64_t room = w->until_us - clock_mono_us() - 2 * CLOSING_US;
    struct cdp *c = &w->inspector.cdp;
    json_t *result = NULL;
    int r = running_profile(w);

    if (r != -ENOENT)
        return r;
    if (length > room) {
        length = room > SAMPLING_LEAST_US ? room : SAMPLING_LEAST_US;
        heapview_note(w->view, "sampled for %lld ms only: the time was over",
                      (long long)(length / 1000));
    }
    r = cdp_call(c, "HeapProfiler.startSampling",
                 json_pack("{s:i}", "samplingInterval", SAMPLING_BYTES), w->until_us, NULL);
    if (r < 0)
        return r;
    r = cdp_wait(c, never, clock_mono_us() + length);
    if (r == -ETIMEDOUT)
        r = cdp_call(c, "HeapProfiler.stopSampling", NULL, w->until_us, &result);
    if (r < 0)
        return r;
    r = keep_profile(w, result);
    json_decref(result);
    return r;
}

/* ---- workers ---- */

static void tell_workers(struct work *w) {
    int64_t soon_us = clock_mono_us() + WORKERS_US;
    unsigned n =
        node_count_workers(&w->inspector.cdp, soon_us < w->until_us ? soon_us : w->until_us);

    if (n > 0)
        heapview_note(w->view,
                      "the main thread alone is told of: it has %u worker thread%s with %s of %s "
                      "own, in rss and native_rest here",
                      n, n == 1 ? "" : "s", n == 1 ? "a heap" : "heaps", n == 1 ? "its" : "their");
}

/* ---- all of it ---- */

static int look(struct work *w, struct err *err) {
    int r = read_figures(w);

    if (r < 0)
        return err_set(err, r == -EREMOTEIO ? -EIO : r,
                       "the program did not tell about its memory: %s", words_of(w, r));
    if (w->ask->profile && w->ask->seconds > 0) {
        r = sample(w);
        if (r < 0)
            heapview_note(w->view, "no sampling profile: %s", words_of(w, r));
    }
    if (r != -EPIPE && r != -ETIMEDOUT) {
        tell_workers(w);
        (void)look_at_types(w);
    }
    return 0;
}

int node_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
              struct heapview *out, struct err *err) {
    struct work w = {
        .p = p, .ask = ask, .view = out, .until_us = ask->ask.deadline_us - CLOSING_US};
    struct rt_result why = {.outcome = RT_FAILED};
    int r, closed;

    r = node_inspector_open(p, ask->ask.deadline_us, &w.inspector, &why);
    if (r == 1 && why.next[0])
        return err_set(err, -EOPNOTSUPP, "%.230s; %.150s", why.why, why.next);
    if (r == 1)
        return err_set(err, -EOPNOTSUPP, "%s", why.why);
    if (r < 0)
        return err_set(err, r, "process %d is gone, or cannot be looked into:", p->pid);
    out->id = *id;
    heapview_note(out, "asked through its inspector on port %u, which %s", w.inspector.port,
                  w.inspector.ours ? "was opened with SIGUSR1 and is closed again"
                                   : "was open and is left open");
    r = look(&w, err);
    closed = node_inspector_close(&w.inspector, ask->ask.deadline_us);
    if (closed < 0)
        heapview_note(out, "the inspector is still open: a timer in the program or a process of "
                           "ours closes it");
    return r;
}
