/* agentclient.h - asks the agent's unix socket, and says what to do when nobody answers.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

/* The socket that is meant: `given` (--socket; NULL: not given), PLIMSOLL_SOCKET, the user's own
 * where there is one, the machine's. The text lives as long as the process's environment, or is
 * kept by this module: one at a time. */
const char *agentclient_socket(const char *given);

/* Begins a request ("/api/v1/targets") or goes on with it: "?key=value", percent-encoded. */
void agentclient_path(struct buf *request, const char *path);
void agentclient_param(struct buf *request, const char *key, struct str value);
void agentclient_param_ms(struct buf *request, const char *key, int64_t ms);

/* Asks and reads the answer's JSON into *out, whose reference the caller gets. -errno with a text:
 * nobody listens there, not allowed, what the agent says is wrong, no JSON. */
int agentclient_get(const char *socket, struct buf *request, json_t **out, struct err *err);

/* The same for those who cannot wait long: -ETIMEDOUT after so many microseconds. */
int agentclient_ask(const char *socket, struct buf *request, int64_t timeout_us, json_t **out,
                    struct err *err);

/* Why nobody answered at that socket, as text. Returns code. */
int agentclient_silence(const char *socket, int code, struct err *err);

/* Why there is nothing for that moment: since when there is history, or that there is none yet. */
int agentclient_nothing(const char *socket, int64_t at_ms, struct err *err);

/* A moment, as when_parse has it; -EINVAL with a text that says how to write one. */
int agentclient_moment(struct str text, int64_t *ms_out, struct err *err);

/* The same, but a bare "10m" means 10 minutes ago: what --since takes. */
int agentclient_since(struct str text, int64_t *ms_out, struct err *err);

/* The setter of --socket: its path, which lives as long as the command line. */
int agentclient_set_socket(struct str value, const char **out, struct err *err);
