/* ask.h - the last resort for names: the engines' own sockets. Runs in a child process (job.h).
 *
 * A user's engine is asked only about that user's containers.
 */
#pragma once
#include "discover/node.h"

/* Whether an engine with a socket that we speak to may have made it. */
bool ask_may_help(const struct target *t);

/* Asks every socket that may know one of the groups that wait for it (NAMING_SOCKET). Writes, for
 * each answer about one of them, its path, a NUL, and what facts_write makes. 0; -ENOMEM, -EFBIG.
 */
int ask_sockets(const struct tree *t, int64_t deadline_us, struct buf *out);
