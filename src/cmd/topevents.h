/* topevents.h - events as the agent tells them (/api/v1/events), for `plimsoll top`.
 *
 * Kinds that are not known here are told by their names: there will be more.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "tui/source.h"

enum { TOPEVENTS_ASKED = 500, TOPEVENTS_MAX = 2 * TOPEVENTS_ASKED };

struct topevents {
    struct tui_event event[TOPEVENTS_MAX];
    size_t begin[TOPEVENTS_MAX]; /* of its text in `detail` */
    size_t n;
    struct buf detail;      /* of all */
    json_t *answer, *kills; /* names point into them */
};

/* 0; -EBADMSG: then there are none. */
int topevents_load(struct topevents *t, json_t *answer);

/* There may be more than the answer has: it was cut. */
bool topevents_are_cut(const struct topevents *t);

/* An answer of OOM kills alone: those that are older than what is there come behind it. A kill must
 * not be lost among what starts and ends all the time. As topevents_load. */
int topevents_add_kills(struct topevents *t, json_t *answer);
/* What an event says of a limit that was `from`, and of a restart; SAMPLE_NONE is "none". */
void topevents_add_limit(struct buf *out, uint64_t from, uint64_t to);
void topevents_add_restart(struct buf *out, uint64_t restarts);

void topevents_done(struct topevents *t); /* legal on a zeroed struct */
