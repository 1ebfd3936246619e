/* auditreplay.h - `plimsoll guard --replay FILE`: what the guards of an audit file would decide
 * now.
 */
#pragma once
#include "cmd/cmd.h"

/* Prints each decision and whether it is made again. EXIT_DONE: all are; EXIT_BAD: one is not;
 * EXIT_FAILED with a message. */
int auditreplay(struct cmd_context *context, const char *file);
