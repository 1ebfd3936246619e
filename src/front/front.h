/* front.h - the front's process: owns history and HTTP, listens to the collector.
 *
 * Prepares as root what it needs (configuration, sockets, directory), gives up all rights, and then
 * only takes messages, answers and writes to its directory. Ends when the agent's first process is
 * gone or with TERM; its history is then on disk.
 */
#pragma once
#include "front/config.h"

struct front_options {
    const struct config *config;
    int collector, life; /* descriptors */
    const char *version;
};

/* 0 after an orderly end; a negative errno with a text: it could not start. */
int front_run(const struct front_options *options, struct err *err);
