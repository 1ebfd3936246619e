/* pressurewatch.h - $MEMORY_PRESSURE_WATCH, as systemd defines it for services.
 *
 * The variable names a file that the program may poll. Where the kernel has PSI for the group, that
 * is its memory.pressure, with $MEMORY_PRESSURE_WRITE the base64 of what to write into it first
 * (https://systemd.io/MEMORY_PRESSURE). Elsewhere it is a stream socket of ours that becomes
 * readable when usage passes 90 % of the cap: a byte each time (none more while one is unread), at
 * most one in 50 ms (a crossing within that is told when it is over, if usage is above then), again
 * each second while it stays above, and at once for who connects while it is. Told by a v1
 * threshold or, without, by looking each 50 ms while somebody is connected.
 *
 * A program that was given $MEMORY_PRESSURE_WATCH by whoever started us keeps that: it is the
 * caller who must not replace it.
 */
#pragma once
#include "act/rungroup.h"
#include "net/loop.h"

enum pressure_mode { PRESSURE_AUTO, PRESSURE_SOCKET, PRESSURE_OFF };

struct pressurewatch;

/* Decides which it is; makes the socket: run-NAME.sock below /run/plimsoll, or
 * $XDG_RUNTIME_DIR/plimsoll for users. One that a dead supervisor left is replaced; beside a live
 * one (the same name below another parent) it is run-NAME-PID.sock. Nothing that the program could
 * use is no failure: then path is NULL; but with PRESSURE_SOCKET it is. 0 or -errno with a text.
 * Both stay borrowed. */
int pressurewatch_new(struct loop *loop, const struct rungroup *group, enum pressure_mode mode,
                      struct pressurewatch **out, struct err *err);
void pressurewatch_free(struct pressurewatch *p); /* removes the socket; NULL is fine */

/* w was made anew: usage is looked at again. */
void pressurewatch_begin(struct pressurewatch *p);

/* Values of the two variables; NULL: leave it unset. */
const char *pressurewatch_path(const struct pressurewatch *p);
const char *pressurewatch_write(const struct pressurewatch *p);

/* What would be set, without making anything: for --print. Appends shell lines, export
 * NAME='value'.
 */
void pressurewatch_add_plan(const struct rungroup_limits *limits, const struct place *place,
                            const char *name, enum pressure_mode mode, struct buf *out);
