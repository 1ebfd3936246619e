/* awareint.h - what the files of aware share: a runtime's words (its options), sizes, and how much
 * of a limit a heap must leave.
 */
#pragma once
#include "runtime/aware.h"

#define AWARE_KIB 1024ull
#define AWARE_MIB (1024 * AWARE_KIB)
#define AWARE_GIB (1024 * AWARE_MIB)

/* NAME=value of an environment; false when it is not there. */
bool aware_environ(struct str variables, struct str name, struct str *out);

/* The next word of a variable like NODE_OPTIONS or JAVA_TOOL_OPTIONS (blanks between, quotes
 * dropped at both ends). */
bool aware_option_word(struct str *rest, struct str *word);

/* "6.00G" into a text; returns it. */
const char *aware_size(uint64_t bytes, char out[static 16]);

/* Fills word, says and mend from out->bound: `room` is what must be left beside it. `takes` is "of
 * heap", `mend` the mending words. */
struct aware_bound {
    const struct rt_id *id;
    const struct aware_ask *ask;
    const char *of;   /* "of heap" */
    uint64_t room;    /* bytes that must be left beside the bound */
    const char *mend; /* "" */
    const char *more; /* a clause for the sentence, "" */
};
void aware_judge(struct aware *out, const struct aware_bound *b);

void aware_java(const struct rt_id *id, struct str command, struct str variables,
                const struct aware_ask *ask, struct aware *out);
void aware_node(const struct rt_id *id, struct str command, struct str variables,
                const struct aware_ask *ask, struct aware *out);
