/* pygctype.h - the types of the objects that a walk comes by: what is needed of each to tell the
 * size of an object, how many there were, and what they are called.
 */
#pragma once
#include "base/buf.h"
#include "runtime/heapview.h"
#include "runtime/pygcread.h"
#include "runtime/pylayout.h"

struct pygctypes;

int pygctypes_new(struct pygcread *r, const struct pylayout *layout, struct pygctypes **out);
void pygctypes_free(struct pygctypes *t);

/* Counts one object at this address of this type, with its shallow size: what is allocated for it,
 * its GC header, and the tables that a list, dict or set alone owns. 0; -EBADMSG when what stands
 * there is no type; -ENOMEM; -E2BIG above TALLY_ROWS types. */
int pygctypes_count(struct pygctypes *t, uint64_t object, uint64_t type);

/* What was counted since the last keep or drop is made final, or is forgotten. */
void pygctypes_keep(struct pygctypes *t);
void pygctypes_drop(struct pygctypes *t);

/* All that is final, by name ("module.Class", builtins without a module). 0 or -errno. */
int pygctypes_tally(struct pygctypes *t, struct tally *out);
