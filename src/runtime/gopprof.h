/* gopprof.h - the HTTP pages of net/http/pprof, asked on loopback inside of the process's network
 * namespace. Whoever answers there may be anybody: answers are bounded in size and time, and
 * nothing is followed.
 */
#pragma once
#include "base/buf.h"
#include "net/unixhttp.h"
#include "runtime/rtproc.h"

struct gopprof {
    uint16_t port;
    bool six;
};

/* Which of the ports that the process listens on answers as pprof does; wanted != 0: only that
 * one. 0; -ENOENT when none does, -ETIMEDOUT when one of them might, but not in time: *tried tells
 * how many were asked; -errno. Of the time until the deadline each gets a share. */
int gopprof_find(const struct rtproc *p, uint16_t wanted, int64_t deadline_us, struct gopprof *out,
                 unsigned *tried_out);

/* A page ("heap?debug=1"): 0 and out->body points into the initialised `answer`, whose maximum
 * bounds it. -EPROTO when the status is not 200, -EFBIG, -EBADMSG, -ETIMEDOUT, -errno. */
int gopprof_get(const struct rtproc *p, const struct gopprof *at, const char *page,
                int64_t deadline_us, struct buf *answer, struct unixhttp *out);

/* The same, but what comes is read and dropped. -EFBIG when it does not end. */
int gopprof_drain(const struct rtproc *p, const struct gopprof *at, const char *page,
                  int64_t deadline_us);

/* --- pure --- */
/* Whether this is the body of pprof's index page. */
bool gopprof_is_index(struct str body);
/* The value of a line "# HeapIdle = 123" of heap?debug=1; -ENOENT; -EBADMSG. The first
 * word of the value counts. */
int gopprof_memstat(struct str text, const char *name, uint64_t *out);
