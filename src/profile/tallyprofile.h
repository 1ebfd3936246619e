/* tallyprofile.h - things by type (a class histogram, say) as a profile of one-frame stacks, so
 * that they can be saved and compared like one, and back.
 */
#pragma once
#include "profile/profile.h"
#include "runtime/heapview.h"

/* Types "objects"/"count" and, when any row has bytes, "space"/"bytes", which is the default. Rows
 * beyond the bounds of a profile are left out and counted: sort the tally first. 0; -ENOMEM. */
int tallyprofile_make(const struct tally *t, struct profile **out, size_t *left_out);

/* Whether a profile is such a one: those types, and no stack of more than one frame. */
bool tallyprofile_is(const struct profile *p);
