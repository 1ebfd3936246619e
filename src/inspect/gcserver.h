/* gcserver.h - the page of `gctrace --listen`: its files, /api/v1/gctrace and an event stream.
 *
 * libmicrohttpd turned by the loop of whoever reads the program's lines; guarded as the agent's
 * page is (web/guard.h). Read-only.
 */
#pragma once
#include "base/err.h"
#include "inspect/gcpage.h"
#include "net/loop.h"

struct gcserver;

/* "127.0.0.1:7534", "[::1]:0", "localhost:8000": a listening socket. `token`: one will be asked
 * for; without, only an address of this machine's loopback is taken. */
int gcserver_bind(struct str listen, bool token, struct err *err);

/* Where it listens, "127.0.0.1:41234". */
void gcserver_where(int fd, struct buf *out);

/* Takes the socket. `page` and `token` (NULL: none) are borrowed and watched. */
int gcserver_new(struct loop *loop, int fd, const struct gcpage *page, const char *token,
                 struct gcserver **out, struct err *err);

/* When the page has ended: streams are told so, and end, as far as they take it within so long. */
void gcserver_finish(struct gcserver *s, int64_t patience_us);

void gcserver_free(struct gcserver *s);
