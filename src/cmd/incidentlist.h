/* incidentlist.h - OOM kills and records of guards, from the audit file and from the agent: in one
 * order, without doubles, and what of them belongs together. Pure.
 */
#pragma once
#include <jansson.h>

#include "model/audit.h"

/* An OOM kill is told in the same struct: id "oom-12", when, whom, and in report.text what. */
struct incident_record {
    bool oom;
    struct audit a;
    uint64_t kills;
};

enum { INCIDENTS_MOST = 10000 };

struct incidentlist {
    struct incident_record *record;
    size_t n, room;
    int64_t since_ms, until_ms; /* what is outside is not taken; 0: no bound */
    uint64_t damaged;           /* lines that were none */
    bool cut;                   /* there were more than INCIDENTS_MOST: the oldest are left out */
};

void incidentlist_done(struct incidentlist *l); /* legal on a zeroed struct */

/* 0 or -ENOMEM. */
int incidentlist_add(struct incidentlist *l, const struct incident_record *r);

/* Lines of an audit file. `whole`: what stands behind the last newline is a damaged line too. 0 or
 * -ENOMEM. */
int incidentlist_add_lines(struct incidentlist *l, struct str text, bool whole);

/* An answer of /api/v1/incidents. 0; -EBADMSG: it is none; -ENOMEM. */
int incidentlist_add_answer(struct incidentlist *l, const json_t *answer);

/* By time, each once. Before anything below. */
void incidentlist_settle(struct incidentlist *l);

/* Something that happened: a kill, a hang, an action. */
struct incident {
    const struct incident_record *first, *last; /* last NULL: it goes on, or its end is not known */
};

/* Which: words as in --kind (oom, hang, mark, guard for every action, or an action), none: all but
 * marks; a target by its name, its group, or the beginning of its group's last part. */
struct incident_filter {
    struct str kinds, target;
};
bool incident_is_of(const struct incident_record *r, struct str target);
int incident_check_kinds(struct str kinds, struct err *err); /* 0; -EINVAL with a text */

/* Writes at most l->n of them, oldest first: how many. */
size_t incidentlist_incidents(const struct incidentlist *l, const struct incident_filter *filter,
                              struct incident *out);

/* The word of its kind: "oom", "hang", "mark", or the action. */
const char *incident_kind(const struct incident *i);
/* What happened, what was done about it; one line each, escaped for a terminal. */
void incident_add_what(struct buf *out, const struct incident *i);
void incident_add_done(struct buf *out, const struct incident *i);
bool incident_took_us(const struct incident *i, int64_t *out);

/* Whether they tell of the same. */
bool incident_same(const struct incident_record *x, const struct incident_record *y);

/* One record as a line: of a kill too. */
void incident_add_line(struct buf *out, const struct incident_record *r);

/* The story that a record is in: all of that target from when it was well until it is well again.
 * Marks in[i] for each; how many; 0: there is no such id. *over: it is over. */
size_t incidentlist_story(const struct incidentlist *l, struct str id, bool *in, bool *over);
