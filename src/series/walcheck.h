/* walcheck.h - whether a write-ahead log of SQLite is whole.
 *
 * SQLite takes such a log up to the first frame whose checksum does not fit, and says nothing of
 * the rest: after a kill that is right, after damage it is a loss that should be told.
 */
#pragma once

/* 0: whole, or not there; 1: frames of the newest generation stand behind one that is damaged, or
 * its head is; -errno. A log that was cut off by a kill is whole. */
int walcheck(const char *path);
