/* gcchild.h - the program that is looked at: started with GODEBUG=gctrace=1 and its stderr into a
 * pipe of ours.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct gcchild {
    pid_t pid;
    int err; /* the reading end of its stderr */
};

struct gcchild_options {
    char **argv;
    sigset_t mask; /* of the program */
    bool ignores_pipe;
    bool stdout_to_err; /* its stdout becomes our stderr */
};

/* 0; or the exit code that a shell would give, with a text. */
int gcchild_start(const struct gcchild_options *options, struct gcchild *out, struct err *err);
