/* unixhttp.h - one GET request over a unix socket: all that engines' sockets are asked.
 *
 * HTTP/1.0, so the server closes when it is done and never sends chunks. Small, because a library
 * for it would cost more memory than the rest of the program.
 */
#pragma once
#include "base/buf.h"

enum { UNIXHTTP_HEAD_MAX = 16384 };

struct unixhttp {
    unsigned status; /* 200 */
    struct str body; /* points into the text */
};

/* Parses a whole answer (the connection was closed after it). 0; -EBADMSG when it is no HTTP
 * answer, is shorter than its Content-Length says or is encoded in any way; *out is written on
 * success only. */
int unixhttp_parse(struct str text, struct unixhttp *out);

/* Asks for `target` ("/containers/json") on a socket. `answer`, an initialised buffer whose maximum
 * bounds the answer, holds the text that *out points into. Blocks at most until deadline_us on the
 * monotonic clock: -ETIMEDOUT. -EFBIG; -EBADMSG; -EINVAL when the target has blanks or controls;
 * -errno of the socket. */
int unixhttp_get(const char *socket_path, const char *target, int64_t deadline_us,
                 struct buf *answer, struct unixhttp *out);
