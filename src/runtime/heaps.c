#include "runtime/heaps.h"

#include <errno.h>

typedef int collect_fn(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
                       struct rt_result *out);
typedef int heap_fn(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
                    struct heapview *out, struct err *err);
typedef int figures_fn(const struct rtproc *p, const struct rt_id *id, struct rt_figures *out);

/* What each runtime can be asked. */
static const struct {
    collect_fn *collect;
    heap_fn *heap;
    figures_fn *figures;
} table[RT_KINDS] = {
    [RT_UNKNOWN] = {NULL, NULL, NULL},
    [RT_GO] = {go_collect, go_heap, go_figures},
    [RT_JVM] = {jvm_collect, jvm_heap, jvm_figures},
    [RT_NODE] = {node_collect, node_heap, NULL},
    [RT_PYTHON] = {python_collect, python_heap, python_figures},
    [RT_NATIVE] = {native_collect, native_heap, NULL},
};

int rt_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
               struct rt_result *out) {
    if (table[id->kind].collect)
        return table[id->kind].collect(p, id, ask, out);
    switch (id->kind) {
    case RT_OPENJ9:
        return rt_refuse(out, "jcmd PID GC.run, with the jcmd of that JDK",
                         "OpenJ9 has an attach protocol of its own, which is not spoken here");
    case RT_STATIC:
        return rt_refuse(
            out, "its own means, or a restart",
            "a static executable of no runtime known here: nothing in it can be asked");
    case RT_UNKNOWN:
    case RT_GO:
    case RT_JVM:
    case RT_NODE:
    case RT_PYTHON:
    case RT_NATIVE:
    case RT_KINDS:
        break;
    }
    return rt_refuse(out, "run as root, or as the process's user",
                     "its runtime could not be recognised");
}

int rt_heap(const struct rtproc *p, const struct rt_id *id, const struct rt_heap_ask *ask,
            struct heapview *out, struct err *err) {
    if (table[id->kind].heap)
        return table[id->kind].heap(p, id, ask, out, err);
    switch (id->kind) {
    case RT_OPENJ9:
        return err_set(err, -EOPNOTSUPP,
                       "process %d runs OpenJ9, whose attach protocol is not spoken here; jcmd of "
                       "that JDK can ask it",
                       p->pid);
    case RT_STATIC:
        return err_set(err, -EOPNOTSUPP,
                       "process %d is a static executable of no runtime known here; `plimsoll map "
                       "%d` tells which of its mappings grow",
                       p->pid, p->pid);
    case RT_UNKNOWN:
    case RT_GO:
    case RT_JVM:
    case RT_NODE:
    case RT_PYTHON:
    case RT_NATIVE:
    case RT_KINDS:
        break;
    }
    return err_set(err, -EOPNOTSUPP,
                   "the runtime of process %d could not be recognised; run as root, or as its user",
                   p->pid);
}

int rt_figures(const struct rtproc *p, const struct rt_id *id, struct rt_figures *out) {
    *out = (struct rt_figures){0};
    if (!table[id->kind].figures)
        return -ENODATA;
    return table[id->kind].figures(p, id, out);
}
