/* source.h - the store's log, asked of the front's unix socket.
 */
#pragma once
#include "base/buf.h"

enum { SOURCE_ANSWER = 64 << 20 };

struct source {
    char *path;   /* of the socket */
    char *beside; /* the same by way of a directory that was opened before; NULL: none */
    int dir;
};

/* Opens the socket's directory, if there is one by now: later we may not be allowed to walk to it.
 * 0 or -ENOMEM. */
int source_init(struct source *s, const char *socket_path);
void source_done(struct source *s);

/* What the log holds behind the row `after`; *rows_out points into `answer`. 0; -errno: try again
 * later. Blocks at most some seconds. */
int source_read(const struct source *s, int64_t after, struct buf *answer, struct str *rows_out);
