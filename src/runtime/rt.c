#include "runtime/rt.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

const char *rt_kind_name(enum rt_kind kind) {
    static const char *const names[RT_KINDS] = {
        [RT_UNKNOWN] = "",  [RT_GO] = "go",         [RT_JVM] = "java",      [RT_OPENJ9] = "openj9",
        [RT_NODE] = "node", [RT_PYTHON] = "python", [RT_NATIVE] = "native", [RT_STATIC] = "static",
    };

    return kind < RT_KINDS ? names[kind] : "";
}

unsigned rt_rank(enum rt_kind kind) {
    if (kind == RT_UNKNOWN)
        return 0;
    return kind == RT_NATIVE || kind == RT_STATIC ? 1 : RT_RANK_COLLECTS;
}

static void add_libc(struct buf *out, const struct rt_id *id) {
    static const char *const names[] = {
        [RT_LIBC_NONE] = "native",
        [RT_LIBC_GLIBC] = "glibc",
        [RT_LIBC_MUSL] = "musl",
        [RT_LIBC_OTHER] = "native",
    };

    buf_add(out, str_of(names[id->libc]));
    if (id->libc_version[0])
        buf_add_format(out, " %s", id->libc_version);
}

void rt_add_id(struct buf *out, const struct rt_id *id) {
    static const char *const allocators[] = {
        [RT_ALLOC_JEMALLOC] = " +jemalloc",
        [RT_ALLOC_TCMALLOC] = " +tcmalloc",
        [RT_ALLOC_MIMALLOC] = " +mimalloc",
    };

    if (id->kind == RT_UNKNOWN)
        return;
    if (id->kind == RT_NATIVE)
        add_libc(out, id);
    else
        buf_add(out, str_of(rt_kind_name(id->kind)));
    if (id->kind != RT_NATIVE && id->version[0])
        buf_add_format(out, " %s", id->version);
    if (id->alloc < ARRAY_N(allocators) && allocators[id->alloc])
        buf_add(out, str_of(allocators[id->alloc]));
}

static int end_with(struct rt_result *out, enum rt_outcome outcome, const char *next) {
    out->outcome = outcome;
    (void)snprintf(out->next, sizeof(out->next), "%s", next);
    return 0;
}

int rt_refuse(struct rt_result *out, const char *next, const char *why, ...) {
    va_list args;

    va_start(args, why);
    (void)vsnprintf(out->why, sizeof(out->why), why, args);
    va_end(args);
    return end_with(out, RT_REFUSED, next);
}

int rt_fail(struct rt_result *out, const char *next, const char *why, ...) {
    va_list args;

    va_start(args, why);
    (void)vsnprintf(out->why, sizeof(out->why), why, args);
    va_end(args);
    return end_with(out, RT_FAILED, next);
}
