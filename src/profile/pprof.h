/* pprof.h - profile.proto, gzipped or not: read (from anybody) and written (for `go tool pprof`).
 */
#pragma once
#include "profile/profile.h"

enum {
    PPROF_GZ_MAX = 64 << 20,   /* of the file */
    PPROF_OUT_MAX = 256 << 20, /* of what it unpacks to; also never more than 200 times the file */
};

/* 0; -EBADMSG: no profile, contradicts itself; -EFBIG, -E2BIG: a bomb, or larger than the bounds;
 * -ENOMEM; each with a text that names `name` and the place. */
int pprof_read(struct str file, const char *name, struct profile **out, struct err *err);

/* Appends a gzipped profile.proto. */
int pprof_write(const struct profile *p, struct buf *out);

/* The text of /debug/pprof/goroutine?debug=1: goroutines grouped by stack. One type: "goroutines",
 * "count". */
int goroutines_read(struct str text, struct profile **out, struct err *err);
