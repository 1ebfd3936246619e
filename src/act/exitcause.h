/* exitcause.h - why a supervised process ended: pure, no I/O.
 *
 * Three witnesses: the wait status, the kernel's counters of OOM kills in the group's tree, and the
 * kernel's log. SIGKILL alone proves nothing: anybody can send one. A counter that moved says that
 * somebody in the tree was killed for memory; the log says who, and at whose limit.
 */
#pragma once
#include "base/buf.h"
#include "kern/oomreport.h"

/* Whose limit was met. */
enum oom_whose {
    WHOSE_UNKNOWN,
    WHOSE_OWN,      /* the run's own */
    WHOSE_ANCESTOR, /* a group's around it */
    WHOSE_INSIDE,   /* one that the program made for itself, below */
    WHOSE_HOST,     /* the machine ran out of memory, or the nodes the process may use */
    WHOSE_N,
};

enum maybe { MAYBE_UNKNOWN, MAYBE_NO, MAYBE_YES };

/* What is known about OOM kills since the start, or since the last that was told. */
struct oom_evidence {
    bool have_kills;      /* counters could be read */
    uint64_t kills;       /* how many, main process included */
    uint64_t earlier;     /* of others, since the start, that were told already; when `kills` is 0
                             what follows is about the last of them */
    enum maybe main;      /* whether the main process was one of them, by the kernel's log */
    enum oom_whose whose; /* of the kill of the main process if it was one, else of the last */
    bool sure_whose;
    uint64_t limit;  /* bytes of that limit; 0: unknown */
    char path[1024]; /* its group: from the kernel's log, or as we see it; "" unknown */
    int32_t pid;     /* a victim that is not the main process, as the log has it; 0 unknown */
    char comm[64];   /* its name; "" unknown */
    bool log_lost;   /* the log was overwritten or cannot be read: `main` rests on counters */
};

enum exit_kind {
    EXIT_CAUSE_EXITED,    /* by itself, any code */
    EXIT_CAUSE_OOM,       /* killed by the kernel for memory */
    EXIT_CAUSE_OOM_CHILD, /* exited with 137 after its child was killed for memory: a wrapper */
    EXIT_CAUSE_STOPPED,   /* by us, because we were told to stop */
    EXIT_CAUSE_KILLED,    /* SIGKILL from somebody else */
    EXIT_CAUSE_SIGNAL,    /* another deadly signal: TERM, INT, HUP ... from outside */
    EXIT_CAUSE_CRASHED,   /* SEGV, ABRT, BUS, ILL, FPE, SYS, TRAP, XCPU, XFSZ */
    EXIT_CAUSE_NO_START,  /* killed for memory before the program began */
    EXIT_CAUSE_N,
};

struct exit_facts {
    int code;        /* siginfo's CLD_EXITED, CLD_KILLED, CLD_DUMPED */
    int status;      /* exit code or signal */
    bool began;      /* exec succeeded */
    int stop_signal; /* what we sent last on the way to stopping it; 0: nothing */
    struct oom_evidence oom;
};

struct exit_cause {
    enum exit_kind kind;
    int signal;           /* 0: none */
    int exit_code;        /* for the caller: the code, or 128 + signal */
    enum oom_whose whose; /* of OOM kinds */
    bool sure;            /* false: the best guess, and the text says so */
    bool core;            /* a core was dumped */
    uint64_t child_kills; /* OOM kills of others in the tree */
};

void exitcause_decide(const struct exit_facts *facts, struct exit_cause *out);

/* JSON words: "exited", "oom", "oom-child", "stopped", "killed", "signal", "crashed", "no-start";
 * "own", "ancestor", "inside", "host", "unknown". */
const char *exitcause_kind_name(enum exit_kind kind);
const char *exitcause_whose_name(enum oom_whose whose);

/* The sentence for people, without name and newline: "OOM-killed at its own limit of 60.0M". */
void exitcause_add_text(const struct exit_cause *cause, const struct oom_evidence *oom,
                        struct buf *out);
