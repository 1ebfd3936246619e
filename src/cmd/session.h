/* session.h - what every command that looks at groups opens first: the machine, its hierarchies,
 * the table of targets, the sampler, and the wiring between the last two.
 */
#pragma once
#include "cmd/cmd.h"
#include "discover/resolve.h"
#include "discover/targets.h"
#include "sampler/tick.h"

struct session {
    struct host host;
    struct cgfs fs;
    struct targets *targets;
    struct ticker *ticker;
    uint64_t changes; /* grows with each target that comes, goes or gets another name */
    bool failed;      /* out of memory while taking in a target */
    unsigned told;    /* health lines already said */
};

struct session_options {
    enum targets_scope scope;
    unsigned want; /* TICK_ bits; 0: no sampler is needed */
    bool watch;    /* a stream: follow what comes and goes */
};

/* 0 or -errno with a text. */
int session_open(struct session *s, const struct cmd_context *context,
                 const struct session_options *options, struct err *err);
void session_close(struct session *s);

/* The target of that group, taken into the table, and asked about for 0.3 s at most; NULL: there is
 * none. */
const struct target *session_settled(struct session *s, struct str path);

/* Lines about what could not be seen (permissions, watches, descriptors), each said once; appended
 * to `out` without their newline-terminated prefix, or NULL: on stderr. */
void session_tell(struct session *s, struct buf *out);

/* The name to show: a container's name, or the path of a group that is none. */
struct str session_name(const struct target *t);
