/* gctrace.h - the lines that Go's collector writes with GODEBUG=gctrace=1, from Go 1.1 to today,
 * and the scavenger's (scvg, scav). Words are looked for, positions never: new fields do no harm.
 *
 * Pure and without allocation. Lines come mixed with the program's own; whoever is not one of ours
 * is GCTRACE_OTHER, also when it begins like one ("gc 12 foo"), and when another text was written
 * into the middle of it: nothing of the program's may be taken for the collector's.
 */
#pragma once
#include "base/buf.h"

enum gctrace_kind {
    GCTRACE_OTHER,
    GCTRACE_GC,
    GCTRACE_SCVG,     /* any line of the scavenger */
    GCTRACE_PERIODIC, /* "GC forced": two minutes without one, the next collection is for that */
};

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
    GCTRACE_RELEASED, /* given back and not taken again */
    GCTRACE_CONSUMED,
    GCTRACE_WORK, /* given back since the last such line */
    GCTRACE_UTIL, /* of what is held, in use; hundredths of a percent */
    GCTRACE_FIELDS,
};

struct gctrace {
    enum gctrace_kind kind;
    bool forced;   /* by the program: runtime.GC(), debug.FreeOSMemory() */
    uint32_t have; /* bit (1u << field) */
    uint64_t value[GCTRACE_FIELDS];
};

enum { GCTRACE_LINE = 512 }; /* none of them is longer */

/* A line without its newline; the carriage return that a terminal writes before it may be there. */
void gctrace_parse(struct str line, struct gctrace *out);

static inline bool gctrace_has(const struct gctrace *g, enum gctrace_field f) {
    return g->have >> f & 1;
}

/* How a text compares with the beginnings of such lines. */
enum gctrace_head {
    GCTRACE_NEVER, /* it is not one, whatever follows */
    GCTRACE_MAYBE, /* "g", "gc 12": it may become one */
    GCTRACE_BEGUN, /* "gc 12 @", "scvg4: ": surely one, but for a program that writes the same */
};

/* Of the first bytes of a line; the text may be anything, and end anywhere. */
enum gctrace_head gctrace_head(struct str text);
