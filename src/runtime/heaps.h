/* heaps.h - the entry points of each runtime's file, and who dispatches to them.
 *
 * x_collect: asks it to collect and to give memory back. 0 and *out filled (also a refusal is 0);
 *   -errno only when the process is gone (-ESRCH) or memory is short. Blocks until
 * ask->deadline_us. x_heap: what its heap holds. 0; -errno with a text. x_figures: what can be had
 * without stopping or changing it, for the agent, within about 1 ms. -ENODATA when nothing can.
 *
 * All of them are called in a process of their own that may be killed at any moment (collect.h),
 * but x_figures, which must be safe anywhere.
 */
#pragma once
#include "base/err.h"
#include "runtime/heapview.h"
#include "runtime/rtproc.h"

struct rt_heap_ask {
    struct rt_ask ask;
    bool live;        /* JVM: --live, force a full collection first; Go: gc=1 */
    bool profile;     /* a profile is wanted too: blobs (Node: sample for `seconds`) */
    uint64_t seconds; /* of sampling where that is how it is done */
    uint16_t port;    /* --port: where pprof listens; 0: find it */
};

/* What the agent keeps of a runtime. */
enum rt_figure {
    RT_HEAP_USED,      /* bytes: live and not yet collected objects */
    RT_HEAP_COMMITTED, /* bytes: what the heap holds of the kernel */
    RT_HEAP_IDLE,      /* bytes: held, not used, not given back */
    RT_GC_COUNT,       /* collections since its start */
    RT_GC_US,          /* time the program stood still, or (JVM) was collecting, since its start */
    RT_TASKS,          /* goroutines, or the runtime's threads */
    RT_FIGURES,
};
struct rt_figures {
    uint32_t have; /* bit (1u << figure) */
    uint64_t value[RT_FIGURES];
};

int go_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
               struct rt_result *out);
int go_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
            struct heapview *out, struct err *err);
int go_figures(const struct rtproc *p, const struct rt_id *id, struct rt_figures *out);

int jvm_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
                struct rt_result *out);
int jvm_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
             struct heapview *out, struct err *err);
int jvm_figures(const struct rtproc *p, const struct rt_id *id, struct rt_figures *out);

int node_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
                 struct rt_result *out);
int node_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
              struct heapview *out, struct err *err);

int python_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
                   struct rt_result *out);
int python_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
                struct heapview *out, struct err *err);
int python_figures(const struct rtproc *p, const struct rt_id *id, struct rt_figures *out);

int native_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
                   struct rt_result *out);
int native_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
                struct heapview *out, struct err *err);

/* By id->kind. OpenJ9, static and unknown ones are refused with words. */
int rt_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
               struct rt_result *out);
int rt_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
            struct heapview *out, struct err *err);
int rt_figures(const struct rtproc *p, const struct rt_id *id, struct rt_figures *out);
