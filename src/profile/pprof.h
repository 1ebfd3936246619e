/* pprof.h - profile.proto, gzipped or not: read (from anybody) and written (for `go tool pprof`).
 */
#pragma once
#include "profile/profile.h"

enum {
    PPROF_GZ_MAX = 64 << 20,      /* of the file */
    PPROF_OUT_MAX = 64 << 20,     /* of what it unpacks to */
    PPROF_RATIO = 200,            /* which above 16 MiB is never more than so many times the file */
    PPROF_MEMORY_MAX = 160 << 20, /* of what that becomes while it is read */
};

/* 0; -EBADMSG: no profile, contradicts itself; -EFBIG, -E2BIG: a bomb, or larger than the bounds;
 * -ENOMEM; each with a text that names `name` and the place. */
int pprof_read(struct str file, const char *name, struct profile **out, struct err *err);

/* Appends a gzipped profile.proto; of the same profile always the same bytes. 0; -ENOMEM, -EFBIG.
 */
int pprof_write(const struct profile *p, struct buf *out);

/* The text of /debug/pprof/goroutine?debug=1: goroutines grouped by stack. One type: "goroutines",
 * "count". */
int goroutines_read(struct str text, struct profile **out, struct err *err);
bool goroutines_is(struct str text);
