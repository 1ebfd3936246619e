/* topevents.h - events as the agent tells them (/api/v1/events), for `plimsoll top`.
 *
 * Kinds that are not known here are passed over: there will be more.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "tui/source.h"

enum { TOPEVENTS_MAX = 500 };

struct topevents {
    struct tui_event event[TOPEVENTS_MAX];
    size_t n;
    struct buf detail; /* of all */
    json_t *answer;    /* names point into it */
};

/* 0; -EBADMSG: then there are none. */
int topevents_load(struct topevents *t, json_t *answer);
void topevents_done(struct topevents *t); /* legal on a zeroed struct */
