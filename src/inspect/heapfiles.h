/* heapfiles.h - the files that --out and --flame write: whole or not at all.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

/* Whether the file could be written: before anybody's heap is looked at. 0 or -errno with a
 * text. */
int heapfiles_check(const char *path, struct err *err);

/* A regular file is written under another name beside it and renamed; what is none (a FIFO,
 * /dev/stdout) is written into. A link is followed. 0 or -errno with a text. */
int heapfiles_write(const char *path, struct str content, struct err *err);
