/* http1.h - one GET over a connection that is open already: what unixhttp.h does, for sockets that
 * were connected elsewhere (in another network namespace, say).
 */
#pragma once
#include "net/unixhttp.h"

/* As unixhttp_get; `host` is what the Host header says ("localhost:9229"). The descriptor stays the
 * caller's. No redirect is followed: its status is the answer. */
int http1_get(int fd, const char *host, const char *target, int64_t deadline_us, struct buf *answer,
              struct unixhttp *out);

/* The request alone, for whoever reads the answer otherwise. 0; -EINVAL; -ETIMEDOUT; -errno. */
int http1_ask(int fd, const char *host, const char *target, int64_t deadline_us);

/* Whether it has no blanks or controls. */
bool http1_is_target(const char *target);

/* Waits for a descriptor; sends all of a text. 0; -ETIMEDOUT; -errno. */
int http1_wait(int fd, short events, int64_t deadline_us);
int http1_send(int fd, struct str text, int64_t deadline_us);
