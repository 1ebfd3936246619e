/* audit.h - the record of everything that a guard saw change, decided and did. Plain data.
 *
 * An action has two records of one id: BEGIN is written before anything is done, END says what came
 * of it. What changes the state of a ladder without an action (a mark passed, a hang seen) has one.
 * From the records of a guard the same decisions can be made again (guard/replay.h): facts are the
 * ones that the decision was made from.
 */
#pragma once
#include "base/json.h"
#include "model/facts.h"
#include "model/hang.h"
#include "model/policy.h"

enum audit_kind {
    AUDIT_GUARD, /* a guard begins: `text` is its policy in words, `policy` the policy */
    AUDIT_MARK,  /* used passed a mark: `mark`, `up` */
    AUDIT_HANG,  /* a hang was seen or is over: `hang`, `up` */
    AUDIT_BEGIN, /* an action begins: `action`, `mark`, `text`: why */
    AUDIT_END,   /* ... and what came of it: `report`, before, after */
    AUDIT_UNDO,  /* what an action held (a pause, a throttle) is let go: `action`, `text` why */
    AUDIT_OVER,  /* a guard ends: `text` why */
    AUDIT_N,
};

enum { AUDIT_ID = 40, AUDIT_PATH = 1024, AUDIT_NAME = 256 };

struct audit {
    enum audit_kind kind;
    char id[AUDIT_ID];                       /* of the action, or of the record: sorts by time */
    int64_t at_ms;                           /* wall clock */
    char by[16];                             /* "guard", "agent", "rescue", "api" */
    char name[AUDIT_NAME], path[AUDIT_PATH]; /* of the target: shown name, group below the mount */
    char guard[64];                          /* name of the policy */
    bool dry_run;
    struct facts facts; /* at that moment */
    unsigned mark;      /* number of the mark, from 1; 0: none */
    bool up;
    struct hang hang;
    enum action action;
    struct action_report report; /* END: all; BEGIN: text says why */
    bool have_before, have_after;
    uint64_t before, after; /* bytes used */
    int64_t took_us;
};

/* "guard", "mark", "hang", "begin", "end", "undo", "over" */
const char *audit_kind_name(enum audit_kind kind);
int audit_kind_parse(struct str word, enum audit_kind *out); /* 0, or -EINVAL */

/* The kind of event that a record is in the agent's API: "hang", "gc", "guard". */
const char *audit_event_word(const struct audit *a);

/* What a fact is called in JSON; centi: told as a number with two decimals. */
const char *audit_fact_key(enum fact fact, bool *centi_out);

/* One JSON object without a newline, appended: kind, id, at_ms, ts, by, name, target, guard,
 * dry_run, then what the kind has: mark, up, hang, hang_for_ms, action, why, outcome, text, next,
 * file, pid, before, after, freed, took_ms, and facts (an object; null where not known). policy:
 * for AUDIT_GUARD, else NULL. Allocates only in `out`. */
void audit_add_json(struct buf *out, const struct audit *a, const struct policy *policy);

/* The same without kind, into an object that is open. */
void audit_add_members(struct json *j, const struct audit *a, const struct policy *policy);

/* One line for people: "95 % passed: kill 4711 (java): done in 3 ms, 480M -> 12M". */
void audit_add_line(struct buf *out, const struct audit *a);
