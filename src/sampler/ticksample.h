/* ticksample.h - which value of which file goes where in a sample.
 *
 * Part of tick.c's own works. Pure. Each tells whether the sample has changed.
 */
#pragma once
#include "kern/cgroup.h"
#include "model/sample.h"

bool ticksample_put(struct sample *s, enum metric m, bool have, uint64_t value);

/* All of memory.stat; what it lacks becomes unknown. */
bool ticksample_stat(struct sample *s, const struct memstat *stat);

/* What comes of the files of `what` (CGROUP_READ_ bits); all else keeps what it had. */
bool ticksample_numbers(struct sample *s, unsigned what, enum cg_version version,
                        const struct cgroup_numbers *n);

/* Kernel memory; on v2 before "kernel" was written (Linux 5.18) the sum of its parts. */
bool ticksample_kernel(struct sample *s, const struct cgroup_numbers *n,
                       const struct memstat *stat);
