/* events.h - what happens to a target is told to the store: an instance of it begins, ends, begins
 * again, is started again in the same group, or its own limit changes.
 *
 * Of containers, virtual machines, pods and services alone, and of those only so many in a time:
 * what comes and goes by the thousand must not push out the rest. A collector that begins anew
 * tells all targets again: who was there before is remembered until its first rounds are whole, so
 * that what went on is not told twice, and what ended meanwhile is told once. While the log is
 * replayed nothing is told: it was in the same commit as the messages.
 */
#pragma once
#include "series/live.h"
#include "series/store.h"

struct events_before;

struct events {
    struct store *store; /* NULL: nothing is told */
    bool replaying;
    bool listing;     /* all is told anew */
    int64_t since_ms; /* of the first round of that; 0: not yet */
    int64_t now_ms;   /* of the last round */
    struct events_before *before;
    size_t n;
    struct buf kept, text;
    struct live_rate rate[2], guards;
    bool told_flood;
};

void events_init(struct events *e, struct store *store);
void events_done(struct events *e);

/* Before live_clear: the collector begins anew. at_ms: when these were last seen. */
void events_anew(struct events *e, const struct live *live, int64_t at_ms);
void events_round(struct events *e, int64_t at_ms); /* one is whole */

/* A row has another series; fresh: this instance was never seen. */
void events_instance(struct events *e, const struct live_row *row, bool fresh);
/* It was started again in the same group. One that does so all the time is told of now and then:
 * the number of its restarts is in each. */
void events_restart(struct events *e, struct live_row *row);
void events_gone(struct events *e, const struct live_row *row, int64_t at_ms);

/* A record of a guard, as web_add_audit has it; kind: web_audit_word. */
void events_audit(struct events *e, int64_t series, int64_t at_ms, const char *kind,
                  struct str json);

/* Before the change is in the row. */
void events_change(struct events *e, const struct live_row *row, const struct wire_change *change,
                   int64_t at_ms);
