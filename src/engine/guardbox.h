/* guardbox.h - messages that wait until a socket takes them: the last so many, in room that was
 * taken at the start. Nothing here allocates or blocks but guardbox_new.
 */
#pragma once
#include "wire/wire.h"

enum { GUARDBOX_MOST = 1024, GUARDBOX_BYTES = 1 << 20 };

struct guardbox; /* zeroed pages are touched: a locked process has them */

int guardbox_new(int fd, struct guardbox **out); /* fd stays the caller's. 0 or -ENOMEM */
void guardbox_free(struct guardbox *b);

/* Behind those that wait; the oldest are dropped for it when there is no room. */
void guardbox_put(struct guardbox *b, const struct wire_out *w);
/* As many as the socket takes now. */
void guardbox_flush(struct guardbox *b);

unsigned guardbox_waiting(const struct guardbox *b);
uint64_t guardbox_dropped(const struct guardbox *b); /* since its start */
