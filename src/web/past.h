/* past.h - targets of the past, out of the store.
 */
#pragma once
#include "web/row.h"

enum { PAST_SLACK_MS = 15000, PAST_MAX = 20000 };

struct past_target {
    int64_t series;
    struct str key, identity; /* point into the list's text */
    uint64_t oom_kills, instances;
};

struct past {
    struct past_target *target;
    size_t n, room, next;
    struct buf text;
    bool cut; /* there were more than PAST_MAX */
};

/* Whether a TARGET word means this target: the rules of live_resolve for what has no process any
 * more. */
bool past_matches(const struct wire_target *t, struct str key, struct str word);

/* All that were alive in [from, to], or those that `word` means. An error, also that there is no
 * such target or no history, is the answer: false. */
bool past_list(struct past *p, struct site *site, int64_t from_ms, int64_t to_ms,
               const struct str *word, struct answer *a);
void past_done(struct past *p); /* legal on a zeroed struct */

/* The series of the one target that lives or lived in the span and is called so. False: the answer
 * is an error. */
bool past_series(struct site *site, struct str word, int64_t from_ms, int64_t to_ms, int64_t *out,
                 struct answer *a);

/* Writes the next one's row as of the moment, skipping those that were not sampled then. False: the
 * end. */
bool past_add_row(struct past *p, struct site *site, int64_t at_ms, struct json *j);
