/* runlog.h - what a supervisor tells: a line a time for people on stderr, a JSON object a time for
 * programs (--events).
 *
 * Neither may ever block the supervision: a reader that does not read loses lines, which are
 * counted and told with the next one that fits ("(2 lines before this were lost)", "dropped":2).
 * A line has at most 4096 bytes and is one write. What is no regular file is opened anew through
 * /proc/self/fd, so that it can be written without waiting while the program, which has the same
 * stderr, finds it as it was. Only a disk can keep us waiting.
 *
 * SIGPIPE is ignored by the caller. Nothing is allocated after runlog_open.
 */
#pragma once
#include "act/exitcause.h"
#include "act/restart.h"
#include "base/err.h"

enum { RUNLOG_LINE = 4096 };

struct runlog_sink {
    int fd;        /* -1: none */
    bool own;      /* opened by us */
    bool socket;   /* written with send */
    bool torn;     /* the last line was cut by a full disk or terminal: the next begins a new one */
    unsigned lost; /* lines since the last that was written */
};

struct runlog {
    const char *name; /* of the run; borrowed */
    struct runlog_sink text, events;
    bool verbose;
    struct buf buf; /* kept */
};

/* where: "fd:N" (an open descriptor that may be written, not 0; it is kept from the child, but for
 * 1 and 2, which are the child's as well), or a file's name (made with mode 0644, appended to; a
 * FIFO needs its reader first); NULL: none. 0, or -errno with a text, and then there is nothing to
 * close. */
int runlog_open(struct runlog *log, const char *name, const char *where, bool quiet, bool verbose,
                struct err *err);
void runlog_close(struct runlog *log);

/* A line "plimsoll: NAME: TEXT". What the format makes may hold raw names: it is escaped here. */
void runlog_say(struct runlog *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, only with -v. */
void runlog_detail(struct runlog *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What happened, each to both outputs; JSON: {"ts","event","name","pid",...}. Paths above 1 KiB are
 * null there, and a command that does not fit is cut after a whole argument ("command_cut":true).
 */
struct runlog_start {
    int32_t pid;
    const char *cgroup; /* path of the outer group */
    uint64_t limit;     /* 0: none */
    uint32_t restarts;  /* before this start: 0 at the first */
    char *const *argv;
};
void runlog_started(struct runlog *log, const struct runlog_start *s); /* text: only with -v */

/* Others than the main process were killed for memory, and that goes on. pid: of the main process;
 * JSON "child-oom". */
void runlog_child_oom(struct runlog *log, int32_t pid, const struct oom_evidence *oom);

struct runlog_exit {
    int32_t pid;
    const struct exit_cause *cause;
    const struct oom_evidence *oom;
    int64_t ran_us;
    bool have_peak;
    uint64_t peak, limit; /* bytes; limit 0: none */
    uint32_t restarts;    /* as in runlog_start: without the one that follows */
    unsigned left;        /* processes it left behind */
    enum restart_answer then;
    int64_t delay_us; /* with RESTART_AGAIN */
    bool stopping;    /* told to stop: nothing follows */
};
/* "exit" event and the verdict line: what, why, how long, peak of limit, what happens next.
 * JSON "limit": after an OOM that of the group at fault, null when not known; else the run's own.
 */
void runlog_exited(struct runlog *log, const struct runlog_exit *e);

/* The "exit" of a start whose program could not be executed: "cause":"not-executed", the same keys
 * as above, null where nothing is known. why: the line for people; NULL: it is told elsewhere. */
void runlog_not_executed(struct runlog *log, int32_t pid, const char *why, int exit_code);

/* {"event":"stopping","signal":"TERM","grace_ms":10000}, {"event":"end","exit_code":137,
 * "gave_up":true}. Text: only with -v. */
void runlog_stopping(struct runlog *log, int signal, int64_t grace_us);
void runlog_ended(struct runlog *log, int exit_code, bool gave_up);

/* How long something took, for people: "850 ms", "1.2 s", "3 min 20 s", "2 h 5 min", "4 d 1 h". */
void runlog_add_duration(struct buf *b, int64_t us);

/* "TERM", "RTMIN+3"; "signal 99" for what is none. */
void runlog_add_signal(struct buf *b, int signal);
