/* guardopt.h - the options of `plimsoll guard` that make up its policy.
 */
#pragma once
#include "cmd/opt.h"
#include "model/policy.h"

struct guardopt {
    struct policy policy;
    const char *audit, *replay, *dump_dir, *pressure_socket;
    bool given_at, given_do;
    unsigned hook_args;
};

void guardopt_defaults(void *options);

/* What does not go together. 0; -EINVAL with a text. */
int guardopt_check(const struct guardopt *o, struct err *err);

/* Says on stderr which options do nothing, as no action of --do heeds them. */
void guardopt_warn(const struct guardopt *o);

/* Fewer actions than there are usual marks begin at the last of these: one alone at 95 %. */
void guardopt_settle(struct guardopt *o);
extern const struct opt guardopt_table[];
