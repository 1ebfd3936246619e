/* writer.h - one remote: reads the log, makes samples of it, sends them, remembers how far it is.
 *
 * Runs in a thread of its own, so that a remote that is away holds up nobody else. While it is away
 * nothing is read: the store's log is the queue.
 */
#pragma once
#include "front/config.h"
#include "remote/cursor.h"
#include "remote/source.h"

struct writer_options {
    const struct config_remote *remote;
    char *token, *password; /* NULL: none */
    struct str ca;          /* empty: the system's */
    const struct source *source;
    const char *instance; /* the label `instance`, unless the configuration has one */
    int dir;              /* where the cursor lies */
    char cursor_name[CURSOR_NAME];
    struct cursor cursor;
    int stop; /* a descriptor: readable when all is to end */
};

/* What the status file tells. Counters are of this process. */
struct writer_status {
    uint64_t samples, requests;                 /* sent */
    uint64_t dropped_samples, dropped_requests; /* not wanted by the remote */
    uint64_t failures;                          /* attempts that failed and were repeated */
    uint64_t gaps, bad;                         /* see replay_counts */
    int64_t sent_ms;                            /* all up to this time is sent */
    int64_t at_ms;                              /* of the last tick that was read */
    uint64_t targets;
    bool away; /* the last attempt failed */
    char error[200];
};

struct writer;

int writer_new(const struct writer_options *options, struct writer **out, struct err *err);
void writer_free(struct writer *w);

/* Works until `stop`. 0; -errno when it cannot go on, which has been told then. */
int writer_run(struct writer *w);

/* From any thread. */
void writer_status(struct writer *w, struct writer_status *out);

/* The url without what may be secret in it. */
struct str writer_url(const struct writer *w);
