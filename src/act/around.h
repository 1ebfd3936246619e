/* around.h - the limit that a new group at some place would be under before it has one of its own.
 */
#pragma once
#include "kern/cgroup.h"

/* The tightest limit of the group and of what is above it, as far as it can be seen; on v1 the
 * kernel tells it, whatever namespace shows. CGROUP_NO_LIMIT: none, or none below the machine's
 * memory, or it cannot be read. path: below the mount; its end may be missing. */
uint64_t around_limit(const struct host *h, const struct cgfs *fs, struct str path);

/* The group above, "" above the top. */
struct str around_above(struct str path);
