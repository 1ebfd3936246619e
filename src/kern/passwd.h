/* passwd.h - user names from ROOT/etc/passwd, read once.
 *
 * Our own reader: NSS loads code at run time (and cannot in a static program), and `--root` has to
 * read another machine's file. Users known only to LDAP or systemd are shown by number.
 */
#pragma once
#include "base/str.h"

struct passwd; /* an immutable table */

/* Reads DIR/etc/passwd (DIR: an open root directory). A file that is missing or unreadable gives
 * an empty table, not an error. 0 or -ENOMEM; passwd_free takes NULL. */
int passwd_open(int root, struct passwd **out);
void passwd_free(struct passwd *p);

/* The same from text, which is copied. Lines that are none are skipped. */
int passwd_parse(struct str text, struct passwd **out);

/* The name of a user id; false when the file has none. The text lives as long as the table. When
 * several names have one id, the first counts, as in getpwuid(3). */
bool passwd_name(const struct passwd *p, uint32_t uid, struct str *out);
