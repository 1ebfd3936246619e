/* row.h - a target as the JSON API tells it: its names, its metrics, what follows from them.
 *
 * The keys are those of `plimsoll stats --json`, and how it moves (rowtrend.h). The same function
 * writes what is (from the live table) and what was (from the store, which keeps the names as
 * web_add_identity wrote them).
 */
#pragma once
#include "base/json.h"
#include "web/site.h"

struct row {
    const struct wire_target *t;
    const struct sample *sample;    /* NULL: not read yet */
    const struct trend_view *moves; /* NULL: not known */
    struct str key;                 /* of the logical target; empty: it is made from t */
    int64_t series, at_ms;          /* at_ms: when there is no sample */
    bool live;                      /* it has a uid */
    bool have_cpu;
    uint64_t cpu_centi;
    bool have_totals; /* the two below */
    uint64_t restarts, oom_kills;
    int64_t killed_ms;              /* the newest OOM kill; 0: none is known */
    const struct live_guard *guard; /* NULL: nothing is known */
};

struct row row_of_live(struct site *site, struct live_row *r);

/* The name that people know it by: as in the NAME column. */
struct str row_name(const struct wire_target *t);

/* All of it as an object. */
void row_add_json(struct json *j, const struct site *site, const struct row *r);

/* {"uid":N, what changed after since_ms}; nothing at all when nothing did. True: written. */
bool row_add_changes(struct json *j, struct site *site, struct live_row *r, int64_t since_ms);

/* Names that were kept: parsed again. The target's texts live until identity_done. */
struct identity {
    struct wire_target t;
    void *tree;
};

int identity_parse(struct str text, struct identity *out); /* 0; -EBADMSG */
void identity_done(struct identity *i);
