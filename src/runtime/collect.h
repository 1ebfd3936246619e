/* collect.h - a runtime made to collect and give back, with a child, a deadline and a measurement.
 *
 * The child does everything that touches the process; when it is not done by the deadline it is
 * ended, and what it changed is undone by its own guardian (inject.h, goword.h). Before and after
 * are read by us.
 */
#pragma once
#include "runtime/heaps.h"

struct collect_report {
    struct rt_id id;
    struct rt_result result;
    uint64_t rss_before, rss_after, anon_before, anon_after; /* bytes; anon: RssAnon + VmSwap */
    bool have_before, have_after;
    int64_t took_us;    /* until the runtime had answered */
    int64_t settled_us; /* until memory stopped falling */
};

/* Blocks until the runtime has answered and memory has stopped falling, at most until
 * ask->deadline_us (about 0.3 s longer when it must be ended). 0 and *out filled; -errno with a
 * text when the process is gone (-ENOMEM: the kernel killed it for memory meanwhile) or cannot be
 * looked at. */
int collect_run(const struct host *h, int32_t pid, const struct rt_ask *ask,
                struct collect_report *out, struct err *err);
