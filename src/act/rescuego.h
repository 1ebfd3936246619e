/* rescuego.h - Go programs of a group that hangs: a soft memory limit and a short period of forced
 * collections written into their memory before they can run, so that the first thing that they do
 * when they can is to collect.
 *
 * Nothing here waits for the program. Each process has a guardian (goguard.h) that puts back what
 * is not to stay, also when we die.
 */
#pragma once
#include "act/grip.h"
#include "base/buf.h"

enum { RESCUEGO_MOST = 16 };

struct rescuego;

/* The Go programs of the group, of versions whose layout is known. goal: what all of the group is
 * to use at most. NULL in *out, and 0, when there are none; *refused_out, when not NULL, says why
 * one was left out ("" when none was). 0 or -errno. */
int rescuego_new(const struct grip *g, uint64_t goal, int64_t deadline_us, struct rescuego **out,
                 char *refused_out, size_t refused_size);
unsigned rescuego_count(const struct rescuego *r);
int32_t rescuego_pid(const struct rescuego *r); /* of the only one; 0: of several */

/* Writes the words of those where that was not done yet: in a full group it may fail where a page
 * would have to be copied, and is to be tried again after a loan. How many have them now. */
unsigned rescuego_write(struct rescuego *r);

/* Looks at all: how many have collected since. Their period is put back then. */
unsigned rescuego_poll(struct rescuego *r);

/* Whether that was all of those that were written to. */
bool rescuego_is_done(const struct rescuego *r);

/* For programs that have collected, but have not given back: makes them, until rescuego_end. May be
 * called again and again. */
void rescuego_squeeze(struct rescuego *r);

/* keep: the limit stays where what is in use fits below it; else everything is put back. Appends
 * what was done, for people. Frees. *in_use_out: bytes in use of all of them that would not fit
 * below their limits; 0: they do. */
void rescuego_end(struct rescuego *r, bool keep, struct buf *text, uint64_t *in_use_out);
