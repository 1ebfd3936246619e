/* rt.h - the vocabulary of language runtimes: which one a process has, what was asked of it, and
 * what came of that.
 */
#pragma once
#include "base/buf.h"

enum rt_kind {
    RT_UNKNOWN, /* not looked at, or not to be read */
    RT_GO,
    RT_JVM, /* HotSpot */
    RT_OPENJ9,
    RT_NODE,
    RT_PYTHON, /* CPython */
    RT_NATIVE, /* C, C++, Rust ...: a dynamic libc and none of the above */
    RT_STATIC, /* a static executable that is none of the above */
    RT_KINDS,
};

enum rt_libc { RT_LIBC_NONE, RT_LIBC_GLIBC, RT_LIBC_MUSL, RT_LIBC_OTHER };
enum rt_alloc { RT_ALLOC_LIBC, RT_ALLOC_JEMALLOC, RT_ALLOC_TCMALLOC, RT_ALLOC_MIMALLOC };

/* Which runtime a process has. A zeroed one is "unknown". */
struct rt_id {
    enum rt_kind kind;
    enum rt_libc libc;
    enum rt_alloc alloc;
    char version[40];      /* "1.19.8", "17.0.15+6", "20.20.2", "3.11.2"; "" when not known */
    char libc_version[16]; /* "2.36"; "" when not known */
};

/* "go", "java", "openj9", "node", "python", "native", "static"; "" for RT_UNKNOWN. */
const char *rt_kind_name(enum rt_kind kind);

/* For people and for JSON: "go 1.19.8", "java 17.0.15+6", "glibc 2.36", "musl",
 * "static", with " +jemalloc" behind; nothing for RT_UNKNOWN. */
void rt_add_id(struct buf *out, const struct rt_id *id);

/* How much a kind says of a group of processes, the most first: a runtime that collects garbage
 * more than a shell that started it (1), and that more than what is not known (0). */
enum { RT_RANK_COLLECTS = 2 };
unsigned rt_rank(enum rt_kind kind);

/* What is asked of a runtime, and under which terms. */
struct rt_ask {
    bool inject;         /* writes into its memory, and calls made in its name, are allowed */
    int64_t deadline_us; /* on the monotonic clock: by then everything is undone and said */
    uint64_t limit;      /* of the memory it may use, bytes; 0: not known */
    bool brisk;          /* collect_run: memory that still falls afterwards is not waited for */
};

enum rt_outcome {
    RT_COLLECTED, /* the runtime was asked, and did it */
    RT_REFUSED,   /* nothing was done to the process: why and next say more */
    RT_FAILED,    /* something was tried and did not work; the process is as it was */
};

/* What came of asking to collect. Plain data: it goes through a pipe. */
struct rt_result {
    enum rt_outcome outcome;
    char how[160];  /* "HotSpot attach: GC.run twice" */
    char why[320];  /* of a refusal or failure: why; of a success: what it could not free, or "" */
    char next[320]; /* what would work, "" when nothing is known: a command or a flag */
    int64_t settle_us; /* the runtime gives back in the background: worth waiting so long */
};

/* Fills `out` in one line: `return rt_refuse(out, "why", "next");` returns 0. Texts are cut. */
int rt_refuse(struct rt_result *out, const char *next, const char *why, ...)
    __attribute__((format(printf, 3, 4)));
int rt_fail(struct rt_result *out, const char *next, const char *why, ...)
    __attribute__((format(printf, 3, 4)));
