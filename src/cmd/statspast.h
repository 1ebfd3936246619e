/* statspast.h - rows of `stats` as the agent tells them, for the same views as live ones.
 *
 * What the agent's JSON says is unknown is unknown here. A limit of the group's own that is null
 * counts as none, since the kernel always tells that one.
 */
#pragma once
#include <jansson.h>

#include "cmd/statsrow.h"

struct past_row {
    struct target target, inside;
    struct sample sample;
    struct stats_row row; /* without the pointers to the three */
    char *labels;         /* of the target: owned */
};

struct statspast {
    struct past_row *row;
    size_t n, room;
    json_t *answers; /* the rows' texts point into these */
};

/* Whose rows of an answer are taken. */
enum statspast_scope {
    STATSPAST_CONTAINERS,
    STATSPAST_ALL, /* of groups: as `stats --all` shows them, without the machine's own row */
    STATSPAST_EVERY,
};

/* Takes over the rows of an answer of /api/v1/targets. Those that are there already (by cgroup and
 * id) are left out. 0; -EBADMSG; -ENOMEM. */
int statspast_add(struct statspast *p, json_t *answer, enum statspast_scope scope);
void statspast_done(struct statspast *p); /* legal on a zeroed struct */

/* Takes one metric of a row into the sample; unknown when it is not there, or no such number. */
void statspast_metric(const json_t *row, enum metric m, struct sample *s);

/* A number of a row times `scale`, rounded; false when it is none, or below 0. */
bool statspast_number(const json_t *value, double scale, uint64_t *out);

/* The agent's word of a state; STATE_UNKNOWN of any other. */
enum state statspast_state(const char *word);

void statspast_sort(struct statspast *p, enum stats_sort key);

/* For struct stats_rows; ctx is a struct statspast. */
struct stats_row statspast_row(const void *ctx, size_t i);
