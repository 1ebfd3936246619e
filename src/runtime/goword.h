/* goword.h - the words of a Go runtime's memory that are read, and the two that may be written, all
 * without stopping it.
 *
 * Where they are is known from the executable's symbols; of a stripped one (-s -w) the two that can
 * be written are found by what stands in them and around them, and then only if there is exactly
 * one such place. What lies at which offset is a table by version: a version that is not in it was
 * not verified, and is refused. What was read must make sense together, or it is not believed.
 */
#pragma once
#include "base/err.h"
#include "runtime/rt.h"
#include "runtime/rtproc.h"

/* Offsets in bytes from the symbol. */
struct go_layout {
    const char *first, *last; /* versions, "1.19.8": both included */
    uint16_t machine;         /* ELF's e_machine */
    int64_t period;           /* what runtime.forcegcperiod is: ns */
    struct {                  /* runtime.gcController */
        uint16_t percent, limit, minimum, triggered, live, marked, start, in_use, released, free,
            alloc, freed, ready, size;
    } controller;
    struct { /* runtime.memstats */
        uint16_t pause_total, pauses, count, last, enabled, size;
    } stats;
    struct { /* runtime.sched; runtime.p */
        uint16_t of_runtime, dead, asleep, size, p_dead;
    } sched;
};

/* "1.19.8" on that machine; NULL when it was not verified. */
const struct go_layout *go_layout_of(const char *version, uint16_t machine);
/* "1.19.8": the versions of the table, for people. */
const char *go_layouts(void);

/* Addresses in the process; 0: not found. */
struct go_words {
    const struct go_layout *layout;
    uint64_t controller, period, stats, sched, allglen, allp;
    bool searched; /* found by their content: the executable has no symbols */
};

/* 0; -EOPNOTSUPP with a text that says what is missing; -errno (the process is gone: -ESRCH). What
 * was found in an executable is remembered, so that the second time costs some 50 us. */
int go_words_find(const struct rtproc *p, const struct rt_id *id, struct go_words *out,
                  struct err *why);

enum go_value {
    GO_PERCENT, /* GOGC; two's complement -1: off */
    GO_LIMIT,   /* bytes; INT64_MAX: none */
    GO_MINIMUM,
    GO_TRIGGERED, /* UINT64_MAX when no collection is under way */
    GO_LIVE,      /* in use by the last collection, and allocated since */
    GO_MARKED,    /* in use by the last collection */
    GO_START,     /* of the last collection, monotonic ns; 0: never */
    GO_IN_USE,    /* spans with objects */
    GO_RELEASED,  /* given back */
    GO_FREE,      /* held, not used */
    GO_ALLOC,     /* ever allocated, ever freed: their difference is HeapAlloc */
    GO_FREED,
    GO_READY, /* all memory that counts against the soft limit */
    /* only with symbols */
    GO_COUNT, /* collections done */
    GO_PAUSE_NS,
    GO_LAST,   /* end of the last collection, monotonic ns */
    GO_ASLEEP, /* 1: nothing runs, and the thread that forces collections sleeps */
    GO_GOROUTINES,
    GO_VALUES,
};
struct go_state {
    uint32_t have; /* bit (1u << value) */
    uint64_t value[GO_VALUES];
};
/* 0; -ENODATA when what is there makes no sense; -errno. Some 20 us. */
int go_words_read(const struct rtproc *p, const struct go_words *w, struct go_state *out);

static inline bool go_has(const struct go_state *s, enum go_value v) {
    return s->have >> v & 1;
}

/* --- pure, for tests --- */
/* Whether these bytes (layout->controller.size of them) can be a gcController. */
bool go_controller_fits(const struct go_layout *l, const void *bytes);
/* Whether these (layout->stats.size) can be memstats, `now_ns` being the monotonic clock. */
bool go_stats_fit(const struct go_layout *l, const void *bytes, uint64_t now_ns);
/* Places in `bytes`, which stand at `address`, that can be the one or the other: counted, and the
 * first is told. A place counts that has controller.size bytes from it on. */
struct go_hits {
    unsigned controllers, periods;
    uint64_t controller, period;
};
void go_search(const struct go_layout *l, const void *bytes, size_t n, uint64_t address,
               struct go_hits *hits);
