/* grouparg.h - the one group that a TARGET means.
 */
#pragma once
#include "act/grip.h"
#include "cmd/session.h"

struct grouparg {
    char path[4096]; /* below the memory mount */
    char name[256];  /* for people */
    int32_t pid;     /* the process that was given; 0: it was given otherwise */
};

/* For a pid the process's own group. 0; -errno with a text: nothing of that name, or several (they
 * are listed), or the machine's own root group. */
int grouparg_find(const struct cmd_context *context, const struct host *host, const struct cgfs *fs,
                  struct str text, struct grouparg *out, struct err *err);

/* Opened to act on, and named; for a pid the container around it, or its own group. 0; -errno with
 * a text. grip_done takes *out (GRIP_NONE before) either way. */
int grouparg_open(struct session *s, struct str text, struct grip *out, struct err *err);
