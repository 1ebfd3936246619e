#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "kern/smaps.h"
#include "runtime/arenas.h"
#include "runtime/heaps.h"
#include "runtime/inject.h"
#include "runtime/safepoint.h"

/* --- which functions give memory back --------------------------------------------------------- */

/* Where it may be: a library, or the executable (""). */
struct place {
    const char *file, *symbol;
};

struct trim {
    enum rt_alloc alloc;
    const char *says;      /* what is called */
    const char *by_itself; /* what works without us */
    const char *data;      /* a text that it is given as its first argument */
    bool may_leave_lock, zero_is_done;
    struct place place[5];
};

static const struct trim trims[] = {
    {RT_ALLOC_LIBC,
     "glibc: malloc_trim(0)",
     "malloc_trim(0) called by the program now and then, MALLOC_TRIM_THRESHOLD_=131072 or "
     "MALLOC_ARENA_MAX=2 in its environment",
     NULL,
     true,
     false,
     {{"libc.so.6", "malloc_trim"}, {"libc-2.", "malloc_trim"}}},
    {RT_ALLOC_JEMALLOC,
     "jemalloc: mallctl(\"arena.4096.purge\")",
     "MALLOC_CONF=background_thread:true,dirty_decay_ms:1000 in its environment",
     "arena.4096.purge", /* 4096: all arenas */
     false,
     true,
     {{"libjemalloc.", "mallctl"}, {"", "mallctl"}, {"", "_rjem_mallctl"}, {"", "je_mallctl"}}},
    {RT_ALLOC_TCMALLOC,
     "tcmalloc: MallocExtension_ReleaseFreeMemory()",
     "TCMALLOC_RELEASE_RATE=10 in its environment",
     NULL,
     false,
     false,
     {{"libtcmalloc", "MallocExtension_ReleaseFreeMemory"},
      {"", "MallocExtension_ReleaseFreeMemory"}}},
};

static const struct trim *trim_of(const struct rt_id *id) {
    for (size_t i = 0; i < sizeof(trims) / sizeof(trims[0]); i++)
        if (trims[i].alloc == id->alloc)
            return &trims[i];
    return NULL;
}

static int find_place(const struct rtproc *p, const struct place *place, size_t n, uint64_t *out) {
    int r = -ENOENT;

    for (size_t i = 0; i < n && place[i].file; i++) {
        r = inject_symbol(p, place[i].file, place[i].symbol, out);
        if (r != -ENOENT)
            return r;
    }
    return r;
}

/* --- collecting ------------------------------------------------------------------------------- */

static const char *next_of(int r, const struct trim *t) {
    switch (r) {
    case -EBUSY:
        return "again, when it is less busy, or with a longer --timeout";
    case -EPERM:
        return "run as root, or as the process's user";
    case -ENOMEM:
        return "raise its limit first, then ask again";
    default:
        return t->by_itself;
    }
}

static int call_trim(const struct rtproc *p, const struct trim *t, int64_t deadline_us,
                     int64_t *result, struct err *why) {
    struct inject_call call = {.may_leave_lock = t->may_leave_lock};
    char text[64];
    int r = find_place(p, t->place, sizeof(t->place) / sizeof(t->place[0]), &call.function);

    if (r < 0)
        return err_set(why, -EOPNOTSUPP, "its %s was not found in what it maps",
                       t->place[0].symbol);
    if (t->data) {
        size_t n = strlen(t->data) + 1;

        memcpy(text, t->data, n);
        call.data = text;
        call.data_n = (uint16_t)n;
        call.data_arg = 1;
    }
    r = inject_calls(p, &call, 1, deadline_us, why);
    *result = (int32_t)call.result;
    return r;
}

int native_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
                   struct rt_result *out) {
    const struct trim *t = trim_of(id);
    struct err why = {0};
    struct buf next;
    int64_t result = 0;
    int r;

    *out = (struct rt_result){.outcome = RT_REFUSED};
    if (id->alloc == RT_ALLOC_MIMALLOC)
        return rt_refuse(out, "MIMALLOC_PURGE_DELAY=0 in its environment",
                         "mimalloc gives back by itself, and can collect the heap of the calling "
                         "thread only");
    if (!t || (id->alloc == RT_ALLOC_LIBC && id->libc != RT_LIBC_GLIBC))
        return rt_refuse(out, "a restart, or another allocator (LD_PRELOAD)",
                         id->libc == RT_LIBC_MUSL
                             ? "musl's malloc has nothing to ask for memory back"
                             : "its allocator is not known here");
    if (!ask->inject) {
        buf_init(&next, sizeof(out->next));
        buf_add_format(&next, "plimsoll gc %d --inject, or %s", p->pid, t->by_itself);
        rt_refuse(out, buf_error(&next) == 0 ? (buf_add_char(&next, '\0'), next.p) : t->by_itself,
                  "nothing asks such a program from outside; its own %s would have to be called in "
                  "it, which takes --inject",
                  t->place[0].symbol);
        buf_done(&next);
        return 0;
    }
    if (safepoint_is_stopped(p))
        return safepoint_refuse_stopped(p, out);
    r = call_trim(p, t, ask->deadline_us, &result, &why);
    if (r == -ESRCH)
        return rtproc_same(p) < 0 ? -ESRCH : rt_fail(out, "", "%s", why.text);
    if (r == -EFAULT)
        return rt_fail(out, "a restart when that is possible", "%s", why.text);
    if (r < 0)
        return rt_refuse(out, next_of(r, t), "%s", why.text);
    if (t->zero_is_done && result != 0)
        return rt_fail(out, t->by_itself, "%s said error %d", t->says, (int)result);
    out->outcome = RT_COLLECTED;
    memcpy(out->how, t->says, strlen(t->says) + 1);
    return 0;
}

/* --- the heap --------------------------------------------------------------------------------- */

struct look {
    const struct rtproc *p;
    struct arenas arenas;
};

static int read_memory(void *ctx, uint64_t address, void *out, size_t n) {
    const struct look *l = ctx;

    return rtproc_read(l->p, address, out, n);
}

static int take_mapping(void *ctx, const struct mapping *m) {
    struct look *l = ctx;

    arenas_add(&l->arenas, m, read_memory, l);
    return 0;
}

/* What mallinfo2() returns. */
struct mallinfo2_ {
    uint64_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

static int ask_mallinfo(const struct rtproc *p, int64_t deadline_us, struct mallinfo2_ *out,
                        struct err *why) {
    struct inject_call call = {
        .data = out, .data_n = sizeof(*out), .data_arg = 1, .may_leave_lock = true};

    *out = (struct mallinfo2_){0};
    if (inject_symbol(p, "libc.so.6", "mallinfo2", &call.function) < 0)
        return err_set(why, -EOPNOTSUPP, "its libc has no mallinfo2 (glibc before 2.33)");
    return inject_calls(p, &call, 1, deadline_us, why);
}

static void add_parts(const struct arenas *a, struct heapview *v) {
    static const struct {
        enum arena_part part;
        const char *key, *says;
        const char *size_key, *size_says;
    } parts[] = {
        {ARENA_MAIN, "heap_resident", "main arena ([heap]), resident", "heap_size",
         "main arena, address space"},
        {ARENA_OTHER, "arenas_resident", "arenas of threads, resident", "arenas_size",
         "arenas of threads, address space"},
        {ARENA_BLOCKS, "blocks_resident", "large blocks with mappings of their own, resident",
         "blocks_size", "large blocks, address space"},
        {ARENA_STACKS, "stacks_resident", "stacks of threads, resident", "stacks_size",
         "stacks of threads, address space"},
        {ARENA_ANON, "anon_resident", "other anonymous memory, resident", "anon_size",
         "other anonymous memory, address space"},
    };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        heapview_figure(v, parts[i].key, parts[i].says, HEAP_BYTES,
                        a->part[parts[i].part].resident);
        heapview_figure(v, parts[i].size_key, parts[i].size_says, HEAP_BYTES,
                        a->part[parts[i].part].size);
    }
    heapview_figure(v, "arenas", "arenas of threads", HEAP_COUNT, a->part[ARENA_OTHER].count);
    heapview_figure(v, "blocks", "large blocks with mappings of their own", HEAP_COUNT,
                    a->part[ARENA_BLOCKS].count);
    heapview_figure(v, "stacks", "stacks of threads", HEAP_COUNT, a->part[ARENA_STACKS].count);
    heapview_figure(v, "files_resident", "mapped files, resident", HEAP_BYTES,
                    a->part[ARENA_FILES].resident);
    heapview_figure(v, "shared_resident", "shared memory, resident", HEAP_BYTES,
                    a->part[ARENA_SHARED].resident);
}

/* "free but held by malloc: at most 300M of 388M ...". What is resident beside the blocks in use is
 * what a trim could give back, but for pages that hold a block in use; and no more than is free. */
static void note_held(const struct rtproc *p, uint64_t resident, const struct mallinfo2_ *info,
                      struct heapview *v) {
    uint64_t held = resident > info->uordblks ? resident - info->uordblks : 0;
    uint64_t resting =
        info->fordblks + info->uordblks > resident ? info->fordblks + info->uordblks - resident : 0;
    struct buf text;

    if (held > info->fordblks)
        held = info->fordblks;
    heapview_figure(v, "held", "free in malloc's arenas and resident", HEAP_BYTES, held);
    heapview_figure(v, "given_back", "free in malloc's arenas and not resident", HEAP_BYTES,
                    resting < info->fordblks ? resting : info->fordblks);
    buf_init(&text, 64);
    num_add_iec(&text, held);
    buf_add(&text, STR(" of "));
    num_add_iec(&text, resident);
    if (held > resident / 4 && held > 4 << 20)
        heapview_note(v,
                      "free but held by malloc: at most %.*s; plimsoll gc %d --inject gives back "
                      "whole pages (malloc_trim), what that leaves is fragmentation: pages that "
                      "hold a block in use",
                      (int)text.n, text.p, p->pid);
    else
        heapview_note(v,
                      "malloc holds little that is not in use: %.*s; what is resident is what "
                      "the program keeps",
                      (int)text.n, text.p);
    buf_done(&text);
}

static void add_mallinfo(const struct rtproc *p, const struct arenas *a,
                         const struct rt_heap_ask *ask, struct heapview *v) {
    uint64_t resident = a->part[ARENA_MAIN].resident + a->part[ARENA_OTHER].resident;
    struct mallinfo2_ info;
    struct err why = {0};

    if (!ask->ask.inject) {
        heapview_note(v,
                      "how much of it is in use only malloc itself knows: plimsoll heap %d "
                      "--inject calls mallinfo2() in the program",
                      p->pid);
        return;
    }
    if (ask_mallinfo(p, ask->ask.deadline_us, &info, &why) < 0) {
        heapview_note(v, "malloc was not asked: %s", why.text);
        return;
    }
    heapview_figure(v, "malloc_used", "blocks in use in arenas (kept by threads for reuse too)",
                    HEAP_BYTES, info.uordblks);
    heapview_figure(v, "malloc_free", "free blocks in arenas, resident or not", HEAP_BYTES,
                    info.fordblks);
    heapview_figure(v, "malloc_free_blocks", "free blocks in arenas", HEAP_COUNT,
                    info.ordblks + info.smblks);
    heapview_figure(v, "malloc_top", "of it at the end of the main arena", HEAP_BYTES,
                    info.keepcost);
    heapview_figure(v, "malloc_large", "large blocks with mappings of their own", HEAP_BYTES,
                    info.hblkhd);
    note_held(p, resident, &info, v);
}

int native_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
                struct heapview *out, struct err *err) {
    struct look l = {.p = p};
    int r = smaps_each(p->host->proc, p->pid, take_mapping, &l);

    if (r == -EACCES || r == -EPERM)
        return err_set(
            err, r, "cannot read the mappings of process %d; run as root, or as its user", p->pid);
    if (r < 0)
        return err_set(err, r, "cannot read the mappings of process %d:", p->pid);
    arenas_end(&l.arenas);
    out->id = *id;
    add_parts(&l.arenas, out);
    if (id->alloc == RT_ALLOC_LIBC && id->libc == RT_LIBC_GLIBC)
        add_mallinfo(p, &l.arenas, ask, out);
    else
        heapview_note(out, "its allocator is not glibc's: what it holds is among the other "
                           "anonymous memory");
    return 0;
}
