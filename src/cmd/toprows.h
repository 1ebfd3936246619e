/* toprows.h - the rows of `plimsoll top` out of what the agent tells: a list of all targets, and
 * what changed of them.
 *
 * Texts point into the JSON that is kept. What the agent does not say is unknown.
 */
#pragma once
#include <jansson.h>

#include "tui/source.h"

struct toprow {
    uint64_t uid;
    bool have_uid, is_machine, have_sample, have_total;
    uint64_t total; /* OOM kills of all instances */
    json_t *whole;  /* the row when it was last told whole */
    json_t *later;  /* limit_from as told since, or NULL */
    struct buf pod;
    char *labels; /* as model/labellist.h has them, or NULL */
    struct sample sample;
    struct tui_row row;
};

struct toprows {
    struct toprow **row;
    size_t n, room;
    size_t hint; /* where the next one of a tick probably is */
    int64_t at_ms;
    struct toprow *machine; /* one of them, or NULL */
};

enum { TOPROWS_MAX = 50000 };

/* What a row's id consists of. */
#define TOPROWS_SERIES ((UINT64_C(1) << 48) - 1)
#define TOPROWS_NO_SERIES (UINT64_C(1) << 63) /* then the rest is the agent's uid */

/* All rows anew, from an answer of /api/v1/targets or a snapshot of the stream. 0; -EBADMSG;
 * -ENOMEM: then there are none. */
int toprows_load(struct toprows *t, const json_t *answer);

/* A tick of the stream. 0; -EBADMSG, -ENOMEM: what was read of it is taken. */
int toprows_apply(struct toprows *t, const json_t *tick);

void toprows_done(struct toprows *t); /* legal on a zeroed struct */

/* The targets, without the machine itself. */
size_t toprows_count(const struct toprows *t);
const struct tui_row *toprows_at(struct toprows *t, size_t i);
