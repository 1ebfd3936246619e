/* guardpolicies.h - the guards of the configuration, as the guard's process has them: told by a
 * fresh run of the front's executable, never by the front that runs (front/guardsout.h).
 *
 * What was told last is kept in a memory file that the agent's parent holds: a guard that is
 * started again has the same policies as the one before, whatever the file says meanwhile.
 */
#pragma once
#include "base/err.h"
#include "base/job.h"
#include "wire/wireact.h"

enum { GUARDPOLICIES_MOST = 256, GUARDPOLICIES_BYTES = 4 << 20 };

struct guardpolicies {
    struct wire_policy *at; /* NULL: none */
    unsigned n;
    char file[WIRE_TEXT + 1], socket[WIRE_TEXT + 1]; /* of the configuration; of the front */
    char pressure[WIRE_TEXT + 1];                    /* where programs are told; "": nowhere */
};

/* 0; -EBADMSG when it is cut off or wrong; -ENOMEM. *out is written on success only. */
int guardpolicies_parse(struct str bytes, struct guardpolicies *out);
void guardpolicies_done(struct guardpolicies *p);

/* The first of them that is for this target, or -1. */
int guardpolicies_find(const struct guardpolicies *p, const struct wire_target *t);

/* Runs the executable in a child; what it says is the job's answer. It prints what is wrong with
 * the configuration itself. `argv`, which lives until the job is over, ends with NULL. 0 or -errno.
 */
int guardpolicies_begin(struct job *job, const char *const *argv);

/* The same, waited for. 0; -EINVAL: the configuration is wrong, or it did not answer in time. */
int guardpolicies_ask(struct job *job, const char *const *argv, struct guardpolicies *out);

/* Into the memory file, and out of it: 0; -ENODATA when nothing whole is in it. fd -1: none. */
int guardpolicies_keep(int fd, struct str bytes);
int guardpolicies_kept(int fd, struct guardpolicies *out);
