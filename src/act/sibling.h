/* sibling.h - who uses the memory below a limit that several groups share. */
#pragma once
#include <stddef.h>

#include "act/grip.h"

/* Whether the group is to blame for the use of the group `level` levels above it (FACT_LEVEL, more
 * than 0): 1 when on the way down from there each group of our path uses the most of all that are
 * directly below the same one, and of what that one has besides them. 0 when another uses more, or
 * when it cannot be told: then `who` says which ("sibling", "what is in /a itself"). Used is what
 * reclaim cannot take (grip_used). Opens files. */
int sibling_is_to_blame(const struct grip *g, unsigned level, char *who, size_t size);
