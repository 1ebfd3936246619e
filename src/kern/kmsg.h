/* kmsg.h - the kernel's log, record by record: /dev/kmsg.
 *
 * "PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;TEXT", bytes below 32, above 126 and backslashes as \xNN
 * (Documentation/ABI/testing/dev-kmsg). What a user wrote into it carries another facility than 0
 * and is told apart here: nobody forges a kernel message.
 */
#pragma once
#include "base/str.h"

enum { KMSG_RECORD = 8192 }; /* a record never is longer */

struct kmsg_record {
    uint64_t seq;
    int64_t at_us;    /* since boot */
    struct str text;  /* still escaped; what follows a newline (the dictionary) is left out */
    bool from_kernel; /* facility 0 */
    bool more;        /* continues the record before, as far as the kernel knows: another's may have
                         come between */
};

/* 0; -EBADMSG or -ERANGE on anything that is no record: then *out is untouched. */
int kmsg_parse(struct str record, struct kmsg_record *out);

/* Opens the log at its end: what is written from now on is read. Pollable descriptor; -ENOENT,
 * -EACCES, -EPERM where it is withheld (containers, users without CAP_SYSLOG). */
int kmsg_open(const char *path);

/* The next record into buf, at least KMSG_RECORD bytes. 1; 0 when there is none yet; -EPIPE when
 * records were overwritten before we read them: go on; -EBADMSG, -ERANGE: skip it; other errors are
 * lasting. Never blocks. */
int kmsg_next(int fd, char *buf, size_t size, struct kmsg_record *out);

/* Resolves \xNN; what is no such escape stays. Returns the length written to dst (at most s.n), not
 * NUL-terminated. dst may be where s is. */
size_t kmsg_unescape(struct str s, char *dst);
