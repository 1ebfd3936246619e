/* action.h - what can be done to a group that runs short of memory, and what came of it: the words
 * of policies, of the audit and of every screen.
 */
#pragma once
#include "base/buf.h"

/* In the order of the ladder: from harmless to final. */
enum action {
    ACTION_NOTIFY,   /* tell: log, event, hook program, $MEMORY_PRESSURE sockets */
    ACTION_GC,       /* its runtimes collect garbage and give memory back */
    ACTION_RECLAIM,  /* the kernel takes what it can: page cache first */
    ACTION_THROTTLE, /* slowed down: memory.high (v2), CPU quota (v1) */
    ACTION_PAUSE,    /* stopped, to be looked into or to win time: frozen memory stays */
    ACTION_DUMP,     /* what is known of it is written down */
    ACTION_RESCUE,   /* un-hung: memory lent, garbage collected, the loan taken back */
    ACTION_TERM,     /* SIGTERM to its main process, with grace, then SIGKILL to all */
    ACTION_KILL,     /* SIGKILL to the process that is to blame */
    ACTION_N,
};

/* "notify", "gc", ... */
const char *action_name(enum action a);
/* 0, or -EINVAL. */
int action_parse(struct str word, enum action *out);

enum outcome {
    OUTCOME_NONE,    /* still going on, or not known: we ended before it did */
    OUTCOME_DONE,    /* all of it was done; whether that helped, the bytes tell */
    OUTCOME_PARTLY,  /* some of it */
    OUTCOME_REFUSED, /* nothing was touched: it would harm, or may not be */
    OUTCOME_FAILED,  /* tried, and it did not work; what was changed is undone */
    OUTCOME_DRY,     /* would have been done */
    OUTCOME_N,
};
const char *outcome_name(enum outcome o); /* "none" "done" "partly" "refused" "failed" "dry-run" */
int outcome_parse(struct str word, enum outcome *out);

/* What an action says of itself. Plain data: it goes through pipes. */
enum { REPORT_TEXT = 480, REPORT_NEXT = 240, REPORT_FILE = 512 };
struct action_report {
    enum outcome outcome;
    int32_t pid;            /* that it was about; 0: none, or several */
    char text[REPORT_TEXT]; /* what was done, or why not: "Go: 2 words written, 1 collection" */
    char next[REPORT_NEXT]; /* what would work; "" */
    char file[REPORT_FILE]; /* that was written: a dump; "" */
};

/* Fill `r` in one line and return 0; texts are cut, control bytes stay (sinks escape). */
int report_done(struct action_report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int report_partly(struct action_report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int report_refused(struct action_report *r, const char *next, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int report_failed(struct action_report *r, const char *next, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
