/* aware.h - which memory size a runtime believes in, and which it should: for `plimsoll doctor`.
 */
#pragma once
#include "runtime/rt.h"
#include "runtime/rtproc.h"

enum aware_word {
    AWARE_FITS,     /* its own bound is below the limit */
    AWARE_TOO_BIG,  /* its bound is above the limit, or leaves too little room */
    AWARE_UNBOUND,  /* it has no bound, and only the limit will stop it */
    AWARE_NO_LIMIT, /* the container has no limit: nothing to be wrong about */
    AWARE_UNKNOWN,  /* cannot be told: see says */
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

/* limit: bytes of the container, 0: none. machine: bytes of memory of the host. v2: the memory
 * controller's version. Pure but for reading the process's command line and environment and files
 * beside its libjvm. */
struct aware_ask {
    uint64_t limit, machine;
    bool v2;
};
int aware_look(const struct rtproc *p, const struct rt_id *id, const struct aware_ask *ask,
               struct aware *out);

/* The decisive part, pure: of the command line and environment (NUL between them). */
void aware_decide(const struct rt_id *id, struct str command, struct str environ,
                  const struct aware_ask *ask, struct aware *out);
