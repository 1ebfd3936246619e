#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/heaps.h"
#include "runtime/pythonlook.h"

/* The rest of the time is for telling. */
enum { HEAP_MARGIN_US = 100 * 1000, HEAP_DEADLINE_US = 10 * 1000 * 1000 };

/* --- figures ---------------------------------------------------------------------------------- */

int python_figures(const struct rtproc *p, const struct rt_id *id, struct rt_figures *out) {
    struct pygcread read = {.fn = python_read, .ctx = (void *)(uintptr_t)p};
    struct rt_figures f = {0};
    struct python py;
    int threads;

    (void)id;
    if (python_look(p, &read, &py, NULL) < 0)
        return -ENODATA;
    for (unsigned i = 0; i < py.n; i++) {
        struct pygc_state s;

        if (pygc_state(&read, python_gc(&py, i), &s) < 0)
            return -ENODATA;
        for (unsigned g = 0; g < PY_GENERATIONS; g++)
            f.value[RT_GC_COUNT] += (uint64_t)s.collections[g];
    }
    f.have = 1u << RT_GC_COUNT;
    threads = python_threads(&read, &py);
    if (threads > 0) {
        f.value[RT_TASKS] = (uint64_t)threads;
        f.have |= 1u << RT_TASKS;
    }
    *out = f;
    return 0;
}

/* --- heap ------------------------------------------------------------------------------------- */

static const char *const object_key[PYGC_LISTS] = {"gc_objects_0", "gc_objects_1", "gc_objects_2",
                                                   "gc_frozen"};
static const char *const object_says[PYGC_LISTS] = {
    "objects of generation 0, the youngest", "objects of generation 1",
    "objects of generation 2, the oldest", "objects that gc.freeze() keeps out of collections"};
static const char *const run_key[PY_GENERATIONS] = {"gc_collections_0", "gc_collections_1",
                                                    "gc_collections_2"};
static const char *const run_says[PY_GENERATIONS] = {"collections of generation 0",
                                                     "collections of generation 1",
                                                     "collections of generation 2, full ones"};

struct totals {
    struct pygc_walk walk;
    uint64_t runs[PY_GENERATIONS], collected, uncollectable;
    bool disabled;
};

static int add_interpreter(struct pygcread *r, uint64_t gc, struct pygctypes *types,
                           int64_t deadline_us, struct totals *t) {
    struct pygc_state s = {0};
    int err = pygc_walk(r, gc, types, deadline_us, &t->walk);

    if (err == 0)
        err = pygc_state(r, gc, &s);
    if (err < 0)
        return err;
    for (unsigned g = 0; g < PY_GENERATIONS; g++) {
        t->runs[g] += (uint64_t)s.collections[g];
        t->collected += (uint64_t)s.collected[g];
        t->uncollectable += (uint64_t)s.uncollectable[g];
    }
    t->disabled |= !s.enabled;
    return 0;
}

static uint64_t sum_bytes(const struct tally *t) {
    uint64_t sum = 0;

    for (size_t i = 0; i < tally_n(t); i++)
        sum += tally_row(t, i)->bytes;
    return sum;
}

static void add_figures(struct heapview *v, const struct totals *t) {
    uint64_t objects = 0;

    for (unsigned i = 0; i < PYGC_LISTS; i++)
        objects += t->walk.objects[i];
    heapview_figure(v, "gc_objects", "objects that the collector tracks", HEAP_COUNT, objects);
    heapview_figure(v, "gc_bytes", "their shallow size", HEAP_BYTES, sum_bytes(v->types));
    for (unsigned i = 0; i < PYGC_LISTS; i++)
        if (!(t->walk.missed >> i & 1))
            heapview_figure(v, object_key[i], object_says[i], HEAP_COUNT, t->walk.objects[i]);
    for (unsigned g = 0; g < PY_GENERATIONS; g++)
        heapview_figure(v, run_key[g], run_says[g], HEAP_COUNT, t->runs[g]);
    heapview_figure(v, "gc_collected", "objects collected since its start", HEAP_COUNT,
                    t->collected);
    heapview_figure(v, "gc_uncollectable", "objects that could not be collected (gc.garbage)",
                    HEAP_COUNT, t->uncollectable);
}

static void add_notes(struct heapview *v, const struct totals *t) {
    heapview_note(v, "counted are the objects in the collector's lists, garbage in cycles too; "
                     "str, bytes, int, float and containers of nothing else are not in them");
    heapview_note(v, "bytes are shallow: the object, its headers, and the table of a list, dict "
                     "or set; not what it refers to, the attributes of instances without a dict "
                     "of their own, nor memory of extensions (numpy)");
    for (unsigned i = 0; i < PYGC_LISTS; i++)
        if (t->walk.missed >> i & 1)
            heapview_note(v,
                          "missing: %s; they changed faster than they could be read, in "
                          "several tries",
                          object_says[i]);
    if (t->walk.unread > 0)
        heapview_note(v, "%lu objects are counted without a type, as theirs could not be read",
                      t->walk.unread);
    if (t->disabled)
        heapview_note(v, "automatic collection is off (gc.disable()): garbage in cycles stays "
                         "until the program calls gc.collect()");
    if (t->uncollectable > 0)
        heapview_note(v, "some garbage could not be collected: look into gc.garbage");
}

static int fill(struct pygcread *r, const struct python *py, int64_t deadline_us,
                struct heapview *out) {
    struct pygctypes *types = NULL;
    struct totals t = {0};
    int err = pygctypes_new(r, py->layout, &types);

    for (unsigned i = 0; i < py->n && err == 0; i++)
        err = add_interpreter(r, python_gc(py, i), types, deadline_us, &t);
    if (err == 0 && t.walk.missed >> (PY_GENERATIONS - 1) & 1)
        err = -EAGAIN;
    if (err == 0)
        err = tally_new(&out->types);
    if (err == 0)
        err = pygctypes_tally(types, out->types);
    pygctypes_free(types);
    if (err < 0) {
        tally_free(out->types);
        out->types = NULL;
        return err;
    }
    tally_sort(out->types);
    out->types_are = "types";
    out->types_how = "objects that the collector tracks, read from its lists without stopping it";
    add_figures(out, &t);
    add_notes(out, &t);
    return 0;
}

static int say(int code, const struct rtproc *p, struct err *err) {
    switch (code) {
    case -EAGAIN:
        return err_set(err, code,
                       "process %d collects or changes its objects faster than they can be read; "
                       "try again, or when it has less to do",
                       p->pid);
    case -ETIMEDOUT:
        return err_set(err, code, "the objects of process %d could not be read in time", p->pid);
    case -EBADMSG:
        return err_set(err, code, "the collector's lists of process %d contradict themselves",
                       p->pid);
    case -E2BIG:
        return err_set(err, code, "process %d has more than %d types", p->pid, TALLY_ROWS);
    default:
        return err_set(err, code, "cannot read the heap of process %d:", p->pid);
    }
}

int python_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
                struct heapview *out, struct err *err) {
    int64_t deadline_us = ask->ask.deadline_us ? ask->ask.deadline_us - HEAP_MARGIN_US
                                               : clock_mono_us() + HEAP_DEADLINE_US;
    struct pygcread read;
    struct python py;
    int threads, r = pygcread_init(&read, python_read, (void *)(uintptr_t)p);

    if (r < 0)
        return say(r, p, err);
    r = python_look(p, &read, &py, err);
    if (r == 0) {
        out->id = *id;
        r = fill(&read, &py, deadline_us, out);
        if (r < 0)
            (void)say(r, p, err);
    }
    if (r == 0) {
        threads = python_threads(&read, &py);
        if (threads > 0)
            heapview_figure(out, "threads", "threads that run Python", HEAP_COUNT,
                            (uint64_t)threads);
        heapview_figure(out, "interpreters", "interpreters", HEAP_COUNT, py.n);
    }
    pygcread_done(&read);
    return r;
}
