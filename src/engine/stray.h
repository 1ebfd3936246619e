/* stray.h - a group that came and went before it could be a target: what it was, by its path alone.
 */
#pragma once
#include "model/target.h"
#include "wire/wire.h"

enum { STRAY_NAME = 256 };

struct stray {
    enum target_kind kind;
    enum runtime runtime;
    struct str path; /* of the group, or of the container, service or run around it */
    struct str id;   /* of the engine; may be empty */
    size_t name_n;
    char name[STRAY_NAME];
};

/* Whether it would have been a target in that scope, and which: *out points into path. */
bool stray_of(struct str path, enum wire_targets scope, struct stray *out);
