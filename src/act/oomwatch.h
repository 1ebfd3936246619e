/* oomwatch.h - gathers the evidence of OOM kills in one run's groups, as they happen.
 *
 * Counters of the groups, OOM events of the run's group and of the group around it, and the
 * kernel's log. All descriptors are opened beforehand; nothing is allocated later.
 */
#pragma once
#include "act/exitcause.h"
#include "act/rungroup.h"
#include "net/loop.h"

struct oomwatch;

/* Called when others than the main process were killed for memory while that goes on; `evidence`
 * has main == MAYBE_NO, and is then accounted for. */
typedef void oomwatch_handler(const struct oom_evidence *evidence, void *ctx);

/* The group must be made. h: for the pid namespace. 0 or -errno; the log being withheld is no
 * failure. Watches through the loop. */
int oomwatch_new(struct loop *loop, const struct host *h, const struct cgfs *fs,
                 const struct rungroup *group, oomwatch_handler *handler, void *ctx,
                 struct oomwatch **out);
void oomwatch_free(struct oomwatch *w);

/* A start is about to be made, and w may be another than before: counters of before are forgotten.
 * Then, when it is there, the main process. */
void oomwatch_begin(struct oomwatch *w);
void oomwatch_main(struct oomwatch *w, int32_t main);

/* The main process ended (it may be reaped already; the groups still exist). Fills what is known
 * since oomwatch_begin or the last handler call; what was told before counts as `earlier`. When a
 * counter moved and the log does not tell of it yet, waits for it, at most 200 ms. */
void oomwatch_settle(struct oomwatch *w, struct oom_evidence *out);
