/* auditlog.h - the file of audit records: JSON lines, appended, never rewritten.
 *
 * Opened beforehand; a record is one write(2) of a line made in room that was taken at the start.
 * Beyond AUDITLOG_MOST bytes the file becomes FILE.1 (at the opening of the next). Root's own:
 * 0600, no links are followed.
 */
#pragma once
#include "model/audit.h"

enum { AUDITLOG_MOST = 64 << 20, AUDITLOG_LINE = 16 << 10 };

/* Where it is by default: /var/log/plimsoll/audit.jsonl for root, else below $XDG_STATE_HOME. 0 or
 * -errno. */
int auditlog_default_path(char *out, size_t size);

/* path NULL: the default, whose folders are made. Descriptor, or -errno with a text. */
int auditlog_open(const char *path, struct err *err);

/* 0 or -errno (-ENOSPC ...). Allocates nothing: `room` has AUDITLOG_LINE bytes to spare. */
int auditlog_write(int fd, const struct audit *a, const struct policy *policy, struct buf *room);

/* A new id: sorts by time, unique on this machine. */
void auditlog_id(char out[AUDIT_ID], int64_t at_ms);
