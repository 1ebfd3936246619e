/* opt.h - command lines: options before, between and after arguments, `--` ends them. */
#pragma once
#include "cmd/cmd.h"

/* Parses argv[1..] (argv[0] is the command's name) into the context and the command's options.
 * 0; 1 when --help was asked for; -EINVAL with a text (unknown option with a suggestion, missing or
 * superfluous argument, what a setter refused). Rearranges argv: the arguments come first. */
int opt_parse(const struct cmd *cmd, int argc, char **argv, void *options,
              struct cmd_context *context, struct err *err);

/* The help text of a command. */
void opt_add_help(const struct cmd *cmd, struct buf *out);

/* The known word nearest to what was typed, or NULL when none is near. */
const char *opt_suggest(struct str typed, const char *const *known, size_t n);

/* Ready-made setters store into fields by offset: */
int opt_size(struct str value, uint64_t *out, struct err *err);
int opt_interval_us(struct str value, int64_t *out, struct err *err); /* 50 ms to 1 day */
int opt_timeout_ms(struct str value, unsigned least_ms, uint64_t *out,
                   struct err *err); /* to 10 minutes */
