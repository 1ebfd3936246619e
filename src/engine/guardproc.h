/* guardproc.h - the guard's process: hears from the collector which targets there are, and guards
 * those that the configuration has a guard for (guard/guards.h).
 *
 * Runs in a child of the agent that is made by fork; see agent.h. It needs neither the collector
 * nor the front once it knows its targets: while those are started again it guards on, keeps its
 * last records for them, and writes all of them into the audit file itself.
 */
#pragma once
#include "base/err.h"

struct guardproc_options {
    int collector;            /* our end of the socket to the collector */
    int life;                 /* readable when the agent's first process is gone */
    int memory;               /* a memory file with the policies of before; -1: none */
    const char *const *front; /* argv of `plimsoll-front --guards`, ends with NULL */
    const char *audit;        /* path of the audit file; NULL: the default */
    unsigned starts;          /* with this one */
};

/* 0 when it was told to end, or there is nothing to guard; -EINVAL: the configuration is wrong;
 * another negative errno with a text. */
int guardproc_run(const struct guardproc_options *options, struct err *err);
