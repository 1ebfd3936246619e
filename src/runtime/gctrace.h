/* gctrace.h - the lines that Go's collector writes with GODEBUG=gctrace=1, from Go 1.5 to today,
 * and the scavenger's (scvg, scav). Words are looked for, positions never: new fields do no harm.
 *
 * Pure and without allocation. Lines come mixed with the program's own; whoever is not one of ours
 * is GCTRACE_OTHER, also when it begins like one ("gc 12 foo").
 */
#pragma once
#include "base/buf.h"

enum gctrace_kind { GCTRACE_OTHER, GCTRACE_GC, GCTRACE_SCVG };

enum gctrace_field {
    GCTRACE_NUMBER,   /* of the collection, since its start */
    GCTRACE_AT_US,    /* since the program's start */
    GCTRACE_GC_CPU,   /* share of CPU time in collection since its start, hundredths of a percent */
    GCTRACE_CLOCK_NS, /* wall time of all phases */
    GCTRACE_STW_NS,   /* of which the program stood still */
    GCTRACE_CPU_NS,   /* CPU time of all phases */
    GCTRACE_HEAP_START, /* bytes, at its start, at its end, and live after it */
    GCTRACE_HEAP_END,
    GCTRACE_LIVE,
    GCTRACE_GOAL,
    GCTRACE_STACKS, /* scannable, bytes */
    GCTRACE_GLOBALS,
    GCTRACE_PROCS,
    /* of scvg/scav lines, bytes */
    GCTRACE_INUSE,
    GCTRACE_IDLE,
    GCTRACE_SYS,
    GCTRACE_RELEASED,
    GCTRACE_CONSUMED,
    GCTRACE_FIELDS,
};

struct gctrace {
    enum gctrace_kind kind;
    bool forced;
    uint32_t have; /* bit (1u << field) */
    uint64_t value[GCTRACE_FIELDS];
};

/* A line without its newline. */
void gctrace_parse(struct str line, struct gctrace *out);
