/* agent.h - the collector: watches every target, remembers the last moments, guards the front.
 *
 * The privileged process. Finds targets, samples them, counts OOM kills, and tells the front, which
 * it starts, and starts again when it ends. Has no TCP socket; locked in memory; after its start
 * nothing is allocated but when targets come. Blocks in agent_run until it is told to end.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

struct agent_options {
    const char *config, *state, *listen, *socket; /* passed on to the front; NULL: not given */
    const char *front, *remote;                   /* executables; NULL: found beside our own */
    const char *audit;                            /* file of the guard's records; NULL: default */
    bool foreground;                              /* logs for people, not for a journal */
    const char *version;
};

/* 0 after an orderly end (TERM, INT), or a negative errno with a text. */
int agent_run(const struct agent_options *options, struct err *err);

/* Reads the configuration in the front's executable and prints what is wrong with it, or that it is
 * good: the exit code to end with. agent_run begins with the same. */
int agent_check(const struct agent_options *options, struct err *err);
