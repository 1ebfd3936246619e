/* guardsout.h - `plimsoll-front --guards`: the guards of the configuration for the agent's guard,
 * written to a descriptor as it reads them (wire/wireact.h).
 *
 * A fresh run of the executable, as whoever starts the agent, and not the front that serves HTTP: a
 * front that was taken over must not say what root runs.
 */
#pragma once
#include "front/config.h"

/* 0 or -errno. */
int guardsout_write(const struct config *c, const char *file, int fd);
