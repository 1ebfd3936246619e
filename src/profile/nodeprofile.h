/* nodeprofile.h - V8's sampling heap profile: JSON of the inspector, or a .heapprofile file.
 */
#pragma once
#include "profile/profile.h"

enum { NODEPROFILE_MAX = 16 << 20 }; /* bytes of JSON */

/* One type: "inuse_space", "bytes": what was allocated since sampling began and lives. The object
 * with `head` may be the whole, or `profile` or `result.profile` of it. 0; -EBADMSG, -E2BIG,
 * -EFBIG, -ENOMEM with a text. */
int nodeprofile_read(struct str json, const char *name, struct profile **out, struct err *err);
