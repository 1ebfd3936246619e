/* Node: its inspector, opened for a moment with SIGUSR1 (nodeinspect.h). */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "runtime/heaps.h"
#include "runtime/nodecount.h"
#include "runtime/nodeinspect.h"

enum { CLOSING_US = 1000 * 1000, SETTLE_US = 1500 * 1000, WORKERS_US = 500 * 1000 };

/* Their heaps are V8's, too, but not reached by the main thread's inspector. */
static void tell_workers(struct node_inspector *i, int64_t deadline_us, struct rt_result *out) {
    int64_t soon_us = clock_mono_us() + WORKERS_US;
    unsigned n = node_count_workers(&i->cdp, soon_us < deadline_us ? soon_us : deadline_us);

    if (n > 0)
        (void)snprintf(out->why, sizeof(out->why),
                       "the main thread's heap alone was collected: it has %u worker thread%s with "
                       "%s of %s own",
                       n, n == 1 ? "" : "s", n == 1 ? "a heap" : "heaps", n == 1 ? "its" : "their");
}

static int collect(struct node_inspector *i, int64_t deadline_us, struct rt_result *out) {
    /* V8's "memory is low": everything collected, twice for what finalizers let go, and pages given
     * back. */
    int r = cdp_call(&i->cdp, "HeapProfiler.collectGarbage", NULL, deadline_us, NULL);

    if (r == 0)
        r = cdp_call(&i->cdp, "HeapProfiler.collectGarbage", NULL, deadline_us, NULL);
    if (r == 0) {
        out->outcome = RT_COLLECTED;
        out->settle_us = SETTLE_US;
        tell_workers(i, deadline_us, out);
        return 0;
    }
    if (r == -ETIMEDOUT)
        return rt_fail(out, "ask again when it is less busy; or a longer --timeout",
                       "the program was too busy to collect in time");
    return rt_fail(out, "", "its inspector refused: %s",
                   r == -EREMOTEIO ? i->cdp.said : "it hung up, or said what is not its protocol");
}

int node_collect(const struct rtproc *p, const struct rt_id *id, const struct rt_ask *ask,
                 struct rt_result *out) {
    struct node_inspector i;
    int r;

    (void)id;
    *out = (struct rt_result){.outcome = RT_FAILED};
    r = node_inspector_open(p, ask->deadline_us, &i, out);
    if (r != 0)
        return r < 0 ? r : 0;
    collect(&i, ask->deadline_us - CLOSING_US, out);
    (void)snprintf(out->how, sizeof(out->how), "inspector on port %u (%s)%s", i.port,
                   i.ours ? "opened with SIGUSR1, closed again" : "was open, left open",
                   out->outcome == RT_COLLECTED ? ": collectGarbage twice" : "");
    r = node_inspector_close(&i, ask->deadline_us);
    if (r < 0 && rtproc_same(p) == 0)
        (void)snprintf(out->why, sizeof(out->why),
                       "the inspector on port %u is still open: it is closed by a timer in the "
                       "program, or by a process of ours within %d minutes",
                       i.port, NODE_GUARD_SECONDS / 60);
    return rtproc_same(p) < 0 ? -ESRCH : 0;
}
