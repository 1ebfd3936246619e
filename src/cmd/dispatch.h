/* dispatch.h - from argv to a subcommand: what every executable with subcommands begins with. */
#pragma once
#include "cmd/cmd.h"

enum { DISPATCH_MAX = 32 };

/* Everything that main does: --help, --version, suggestions, options, the command. A command with
 * `in` is that executable's: it is replaced by it. Returns the exit code. */
int dispatch(const struct cmd *const *table, size_t n, int argc, char **argv);
