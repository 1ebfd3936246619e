/* aware.h - which memory size a runtime believes in, and which it should: for `plimsoll doctor`.
 */
#pragma once
#include "runtime/rt.h"
#include "runtime/rtproc.h"

enum aware_word {
    AWARE_FITS,      /* its own bound is below the limit */
    AWARE_TOO_BIG,   /* its bound is above the limit, or leaves too little room */
    AWARE_TOO_SMALL, /* Go: its soft limit is below what it needs: it collects without end */
    AWARE_UNBOUND,   /* it has no bound, and only the limit will stop it */
    AWARE_NO_LIMIT,  /* the container has no limit: nothing to be wrong about */
    AWARE_UNKNOWN,   /* cannot be told: see says */
};

struct aware {
    enum aware_word word;
    bool knows_cgroups; /* this version reads the container's limit (of this cgroup version) */
    bool have_bound;
    uint64_t bound;      /* bytes: the heap it would take */
    char bound_from[96]; /* "-Xmx6g", "1/4 of the machine's memory", "GOMEMLIMIT=900MiB" */
    char says[320]; /* a sentence: "java 8u121 would take 6.00G of heap in a 1.00G container" */
    char mend[320]; /* the flag or variable that mends it; "" */
};

/* limit: bytes of the container, 0: none. seen: the limit of the process's own group, which is all
 * that a runtime can read, 0: none, or the same as limit when nothing else is known. machine: bytes
 * of memory of the host. v2: the memory controller's version. threads, cpus: 0 when not known.
 * Pure but for reading the process's command line and environment. */
struct aware_ask {
    uint64_t limit, seen, machine;
    bool v2;
    unsigned threads, cpus;
    uint64_t soft_limit; /* Go: the one in force, INT64_MAX: none; 0: not known */
    uint64_t anon;       /* Go: bytes it has of its own now; 0: not known */
    uint64_t heap_max;   /* Java: the bound that the JVM tells itself; 0: not known */
};

/* "fits", "too-big", "too-small", "unbound", "no-limit", "unknown". */
const char *aware_word_name(enum aware_word word);

/* Whether it is to be mended: too big or too small. */
bool aware_is_bad(enum aware_word word);

/* 0; -ESRCH; -EACCES, -EPERM; -ENOMEM. */
int aware_look(const struct rtproc *p, const struct rt_id *id, const struct aware_ask *ask,
               struct aware *out);

/* The decisive part, pure: of the command line and environment (NUL between them). */
void aware_decide(const struct rt_id *id, struct str command, struct str variables,
                  const struct aware_ask *ask, struct aware *out);

/* The whole number at `index` of a version: 17, 0, 15, 6 of "17.0.15+6"; 8, 121 of "8u121". -1 when
 * it has none. */
int aware_version(struct str version, unsigned index);
