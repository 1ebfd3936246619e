/* when.h - a moment as people and programs write it. Pure.
 */
#pragma once
#include "base/str.h"

/* Milliseconds since 1970, UTC, of
 *   now, -10m, -1.5h           relative to now_ms (units as num_parse_ms has them)
 *   1763711296123              ms; below 1e11 they are seconds, which may have a fraction
 *   2026-11-21T07:48:16.123Z   RFC 3339; a blank for the T, +02:00 for the Z; seconds, zone (UTC is
 *                              meant then) and time of day may be left out
 *   07:48, 07:48:16            of now_ms' day, UTC
 * 0; -EBADMSG when it is none of these; -ERANGE for what no calendar has, or before 1970. */
int when_parse(struct str s, int64_t now_ms, int64_t *ms_out);
