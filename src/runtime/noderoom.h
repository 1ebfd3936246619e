/* noderoom.h - how much more memory a process may take before a limit of its groups stops it. */
#pragma once
#include "runtime/rtproc.h"

/* The smallest room under the limits of its memory group and of those above it, in bytes: what
 * reclaim can free counts as room. UINT64_MAX: none has a limit. 0; -ENODATA when it cannot be
 * told; -ENOMEM. */
int node_room(const struct rtproc *p, uint64_t *out);
