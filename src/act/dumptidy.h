/* dumptidy.h - which dumps are kept: the oldest go when there are too many or they take too much.
 *
 * What goes has the name of a dump, our first line in its summary or nothing in it at all, and no
 * lock. Whatever else lies in the folder is never touched, and no link is followed.
 */
#pragma once
#include <stdint.h>

#define DUMP_SUMMARY "summary.txt"
#define DUMP_INDEX "index.json"
#define DUMP_INDEX_NEW ".index.json"
#define DUMP_MARK "plimsoll dump of " /* how each summary begins */

/* keep: the folder that stays whatever its age; it counts. How many were removed. */
unsigned dumptidy_run(int top, const char *keep, unsigned most, uint64_t most_bytes);
