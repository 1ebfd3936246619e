/* targetkey.h - the key of a logical target: what stays when it is made again. Restarts and kills
 * are counted by it, in the agent's history and on a screen without one.
 */
#pragma once
#include "base/buf.h"
#include "model/target.h"

/* Whatever is known of it; an empty text: nothing. */
struct targetkey {
    enum runtime runtime;
    enum target_kind kind;
    struct str name, path, unit;
    struct str inside; /* the path of the container around it */
    struct str namespace, pod, container;
};

/* Appended to out: the runtime, a colon (with the path of the container around it before another
 * colon), and namespace/pod/container, or the system's unit, or the name, or the path. Raw bytes.
 */
void targetkey_add(struct buf *out, const struct targetkey *k);

/* Not of a user's own manager: units of those bear the same names for every user. */
bool targetkey_is_of_system(struct str path);
