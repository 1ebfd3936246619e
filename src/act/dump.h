/* dump.h - what can be known of a group at this moment, written into a folder before anything else
 * is done to it.
 *
 * DIR/NAME-TIME/: group files as they are (memory.stat, oom_control, events, pressure, limits of
 * the chain), processes with PSS, their threads' wchan and stack, mappings, and, where they can be
 * had without the program's help or within the deadline, a JVM's class histogram, a Go program's
 * goroutines, the last ten minutes of history. summary.txt first, index.json last: without it the
 * dump is not whole. Each part has its own deadline and size, in a child of its own where it can
 * hang; what could not be had is said in the summary with why. Folders are 0700; the oldest are
 * removed beyond so many bytes or folders.
 */
#pragma once
#include "act/grip.h"
#include "model/audit.h"

struct dump_terms {
    const char *dir;         /* absolute; made when missing */
    const struct audit *why; /* what led to it; may be NULL */
    const char *socket;      /* of the agent, for history; NULL: none */
    int64_t deadline_us;
    bool hung;           /* nothing that needs the program to answer is tried */
    uint64_t most_bytes; /* of all dumps in dir; 0: 256 MiB */
    unsigned most;       /* dumps in dir; 0: 50 */
    bool no_cmdline;     /* command lines may hold secrets; environments are never written */
};

/* Blocks until the deadline at most (and some 0.2 s to write down what came of it); forks children.
 * report->file is the folder; PARTLY: something could not be had, the text says how much, the
 * summary what and why. Refused when we are in the group ourselves and it hangs. 0 and *report. */
int dump_write(struct grip *g, const struct dump_terms *terms, struct action_report *report);

/* The folder for this user: /var/log/plimsoll/dumps, else below $XDG_STATE_HOME. 0 or -errno. */
int dump_default_dir(char *out, size_t size);
