/* gzip.h - packing and unpacking with bounds.
 */
#pragma once
#include "base/buf.h"

bool gzip_is(struct str file);

/* Unpacks all members into `out`, whose maximum is the bound, and above 16 MiB never more than
 * `ratio` times the file. 0; -EBADMSG: damaged, cut off, or followed by something else;
 * -E2BIG: more than the bounds; -ENOMEM. */
int gzip_unpack(struct str file, unsigned ratio, struct buf *out);

/* Appends; the same bytes in give the same bytes out. 0; -ENOMEM, -EFBIG. */
int gzip_pack(struct str data, struct buf *out);
