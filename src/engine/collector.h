/* collector.h - the collector's process: waits for the front's HELLO, then watches.
 *
 * Runs in a child of the agent that is made by fork; see agent.h.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

struct collector_options {
    int front;  /* our end of the socket to the front */
    int life;   /* readable when the agent's first process is gone */
    int guard;  /* our end of the socket to the guard, whether there is one or not */
    bool first; /* none ran before it: what cannot be helped is said once */
};

/* 0 when it was told to end; a negative errno with a text. */
int collector_run(const struct collector_options *options, struct err *err);
