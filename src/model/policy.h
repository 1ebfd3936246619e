/* policy.h - what a guard is to do at which mark, and within which bounds. Plain data without
 * pointers: it goes over a socket and into the audit as it is.
 *
 * The n-th mark starts the n-th action of the list, the last mark all that follow, one after the
 * other as long as the measured effect of each does not suffice.
 */
#pragma once
#include "base/err.h"
#include "model/action.h"

enum { POLICY_MARKS = 8, POLICY_ACTIONS = 16, POLICY_TEXT = 1024 };

/* Bounds of what is given as a number, on the command line and in the configuration alike. An agent
 * alone has a cool-down at least: it guards many. */
enum {
    POLICY_TIME_MOST_MS = 3600 * 1000, /* cool-down, grace, deadline */
    POLICY_DEADLINE_LEAST_MS = 100,
    POLICY_COUNT_MOST = 1000000, /* actions in an hour, and of them kills: 1 to so many */
    POLICY_LEND_LEAST = 1 << 20,
};

struct policy_mark {
    bool bytes;     /* `value` is bytes; else hundredths of a percent of the effective limit */
    uint64_t value; /* a mark in percent: 1 to 9999 */
};

struct policy {
    char name[64]; /* of the guard, for the audit: "web", "guards[2]"; "" on the command line */
    struct policy_mark mark[POLICY_MARKS]; /* rising */
    unsigned marks;
    enum action action[POLICY_ACTIONS];
    unsigned actions;        /* at least `marks` */
    bool inject;             /* writes into a runtime's memory are allowed */
    bool dry_run;            /* all the same but the last arrow */
    bool oom_hold;           /* v1: the moment of OOM is held for a dump, 2 s at most */
    bool kill_init;          /* a container's pid 1 may be killed though others are larger */
    bool leave_high;         /* v2: memory.high is not moved to be the mark (tripwire.h) */
    uint32_t per_hour;       /* actions in an hour, at most; notify and dump not counted; */
    uint32_t kills_per_hour; /* of which term and kill */
    int64_t cooldown_us;     /* between two starts of the same action */
    int64_t grace_us;        /* of term, from SIGTERM to SIGKILL */
    int64_t deadline_us;     /* of gc, reclaim, dump and rescue, each */
    uint64_t lend;           /* bytes that a rescue may lend; 0: by the rule (lend.h) */
    uint64_t rt_limit;       /* lasting limit for Go, hundredths of a percent of the cap; 0: none */
    /* NUL-separated, ended by an empty one: argv of the hook program; globs of the names of
     * processes (comm or the last part of argv[0]) that are spared, or taken first. */
    char hook[POLICY_TEXT], protect[POLICY_TEXT], prefer[POLICY_TEXT];
};

/* Marks 80 %, 90 %, 95 %; notify, gc, reclaim; cool-down 1 s, grace and deadline 10 s, 1200 an
 * hour, of which 20 end something. */
void policy_defaults(struct policy *p);

/* "80%,90%,95%" or sizes "400M", mixed only when their order cannot be doubted (never): all of one
 * kind, rising. "gc,reclaim". 0; -EINVAL with a text that names the word. */
int policy_parse_marks(struct str text, struct policy *p, struct err *err);
int policy_parse_actions(struct str text, struct policy *p, struct err *err);
int policy_parse_mark(struct str word, struct policy_mark *out, struct err *err);

/* Adds to one of the lists of texts. 0; -ENOSPC with a text. */
int policy_add_text(char list[POLICY_TEXT], struct str text, struct err *err);
/* Walks it: *at NULL begins; false at the end. */
bool policy_next_text(const char list[POLICY_TEXT], const char **at);

/* What does not fit together: more marks than actions, marks that do not rise, kill before term
 * ... 0; -EINVAL with a text. */
int policy_check(const struct policy *p, struct err *err);

/* Whether the action is in its list. */
bool policy_has(const struct policy *p, enum action action);

/* The actions of a mark (from 0) are those from its own number on, to before this one. */
unsigned policy_list_end(const struct policy *p, unsigned mark);

/* Whether both say the same in all. */
bool policy_same(const struct policy *a, const struct policy *b);

/* A mark in bytes under this limit; 0: there is none to take it from. */
uint64_t policy_mark_bytes(const struct policy_mark *m, uint64_t limit);

/* The same policy as text, "80% notify, 90% gc, 95% reclaim+kill", appended. */
void policy_add_words(struct buf *out, const struct policy *p);
