/* pathrule.h - what a cgroup's path tells about who made it: pure, no I/O.
 *
 * Every engine and init system has its habit of naming groups, and one table holds them all. Rules
 * look at the last component, some at its parents too. They never look beyond the container that
 * encloses a group: what a container builds inside of itself cannot borrow meaning from outside.
 */
#pragma once
#include "base/str.h"
#include "model/target.h"

struct pathrule {
    enum target_kind kind;
    enum runtime runtime;
    enum target_qos qos;
    struct str id;      /* the engine's id, or the name that is the id (LXC, nspawn) */
    struct str name;    /* where the path tells it: still escaped as systemd does; else empty */
    struct str unit;    /* the component, when it is a systemd unit, still escaped */
    struct str pod_uid; /* as it stands in the path: '_' may be '-' */
    bool unsure;        /* 64 hex digits below an unknown parent: a container only if its first
                           process says so */
};

/* The identity of the group `path` itself ("/a/b"). The first `base` bytes are the path of the
 * enclosing container, 0 for none. Always fills *out; TARGET_GROUP if no rule fits. Texts point
 * into path. */
void pathrule_match(struct str path, size_t base, struct pathrule *out);

/* The same without a table of groups at hand: goes from the leaf upwards to the first group that is
 * a container or virtual machine and sure of it. Returns the length of its path, 0 for none. With
 * *outer (may be NULL) the length of the path of the container enclosing that one, 0 for none. */
size_t pathrule_container(struct str path, struct pathrule *out, size_t *outer);

/* Resolves systemd's \xHH. Returns the length written to dst, which is never more than s.n and not
 * NUL-terminated. \x00 and what is no escape stay as they are. */
size_t pathrule_unescape(struct str s, char *dst);

/* A pod's UID in its canonical form, '-' for '_', and its NUL: 36 or 32 characters. false if s is
 * none. */
bool pathrule_pod_uid(struct str s, char dst[37]);
