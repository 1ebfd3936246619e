/* runlog.h - what a supervisor tells: a line a time for people on stderr, a JSON object a time for
 * programs (--events).
 *
 * Neither may ever block the supervision: a reader that does not read loses lines, which are
 * counted and told with the next one that fits. Regular files are appended to, each line with one
 * write.
 */
#pragma once
#include "act/exitcause.h"
#include "act/restart.h"

struct runlog {
    const char *name; /* of the run; borrowed */
    int text;         /* stderr, or -1: quiet */
    int events;       /* or -1 */
    bool own_events;  /* opened by us */
    bool verbose;
    unsigned text_lost, events_lost;
    struct buf buf; /* kept */
};

/* where: "fd:N" (an open descriptor that may be written; it is kept from the child), or a file's
 * name (made with mode 0644, appended to); NULL: none. 0, or -errno with a text. */
int runlog_open(struct runlog *log, const char *name, const char *where, bool quiet, bool verbose,
                struct err *err);
void runlog_close(struct runlog *log);

/* A line "plimsoll: NAME: TEXT". */
void runlog_say(struct runlog *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, only with -v. */
void runlog_detail(struct runlog *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What happened, each to both outputs; JSON: {"ts","event","name","pid",...}. */
struct runlog_start {
    int32_t pid;
    const char *cgroup; /* path of the outer group */
    uint64_t limit;     /* 0: none */
    uint32_t restarts;
    char *const *argv;
};
void runlog_started(struct runlog *log, const struct runlog_start *s); /* text: only with -v */

void runlog_child_oom(struct runlog *log, int32_t pid, const struct oom_evidence *oom);

struct runlog_exit {
    int32_t pid;
    const struct exit_cause *cause;
    const struct oom_evidence *oom;
    int64_t ran_us;
    bool have_peak;
    uint64_t peak, limit; /* bytes; limit 0: none */
    uint32_t restarts;
    unsigned left; /* processes it left behind */
    enum restart_answer then;
    int64_t delay_us; /* with RESTART_AGAIN */
    bool stopping;    /* told to stop: nothing follows */
};
/* "exit" event and the verdict line: what, why, how long, peak of limit, what happens next. */
void runlog_exited(struct runlog *log, const struct runlog_exit *e);

/* {"event":"stopping","signal":"TERM"}, {"event":"ended","exit_code":137,"gave_up":true} */
void runlog_stopping(struct runlog *log, int signal, int64_t grace_us);
void runlog_ended(struct runlog *log, int exit_code, bool gave_up);
