/* supervise.h - the life of one run: start, watch, tell why it ended, start again or end.
 *
 * One thread, one loop: the child's pidfd, our signals, timers and the events of its group. The
 * child has our standard streams themselves: nothing it writes goes through us. With a terminal it
 * stays in our process group, so that Ctrl-C, Ctrl-Z and fg work as without us; what the terminal
 * sent to both is not sent on. We are its subreaper, or pid 1: what is orphaned is reaped.
 */
#pragma once
#include <signal.h>

#include "act/hints.h"
#include "act/pressurewatch.h"
#include "act/restart.h"
#include "act/rungroup.h"
#include "act/runlog.h"

struct supervise_options {
    const char *name;
    const char *parent; /* --cgroup-parent, or NULL */
    struct rungroup_limits limits;
    struct restart restart;
    int64_t grace_us; /* between TERM and KILL */
    enum pressure_mode pressure;
    bool hints;
    bool verbose, quiet;
    const char *events;
    char **argv, **env;
    bool ignore_pipe; /* how SIGPIPE was inherited */
    bool print;       /* show what would be done in *shown, do nothing */
};

/* Runs it to its end. Returns the exit code for our caller: the child's, 128 + signal, 125, 126,
 * 127, or 137 after giving up; with 125 err says why. Blocks. */
int supervise(const struct host *h, const struct cgfs *fs, const struct supervise_options *options,
              struct buf *shown, struct err *err);
