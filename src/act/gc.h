/* gc.h - the runtimes of a group made to collect garbage and to give memory back.
 */
#pragma once
#include "act/grip.h"
#include "model/policy.h"

/* The processes of the group, the largest first: those of a runtime that collects, and others from
 * some size on when the policy allows to inject. Blocks until the deadline at most; forks children
 * (runtime/collect.h). What memory falls afterwards in the background is not waited for. 0 and
 * *report: DONE when one at least has collected. */
int gc_run(struct grip *g, const struct policy *p, int64_t deadline_us,
           struct action_report *report);
