/* scribe.h - a process of its own that writes records down, so that no disk keeps a guard waiting.
 *
 * A record is safe once it is in a ring of memory that both share: the scribe writes what is there
 * also when its owner was killed, and ends then. What the disk does not take is tried again each
 * second; what could not be written when all ends is printed on stderr. TERM, INT and HUP are not
 * for it.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

struct scribe;

/* Forks it; `file` stays the caller's. path: where the file is, which is put aside as auditlog.h
 * says when it has become too large; NULL, or one that is too long: it grows on. 0 or -errno with a
 * text. */
int scribe_start(int file, const char *path, struct scribe **out, struct err *err);

/* Waits until all is written, a second at most, and ends it. NULL is fine. */
void scribe_end(struct scribe *s);

/* Waits so long at most; true: all is written. */
bool scribe_wait(struct scribe *s, int64_t us);

/* Hands it a text, whole or not at all. 0; -ENOSPC: no room, since nothing could be written for
 * long. Never blocks, allocates nothing. */
int scribe_write(struct scribe *s, struct str text);

/* How much it would take now, bytes. */
size_t scribe_room(const struct scribe *s);

/* Now and then, when there is memory for a fork: if it was ended by somebody, another goes on where
 * it was. */
void scribe_check(struct scribe *s);
