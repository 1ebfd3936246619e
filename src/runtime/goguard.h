/* goguard.h - words of another process's memory, changed for a while and put back, also when we die
 * at any moment in between.
 *
 * A guardian, a process in a session of its own, shares a page with us that tells what was there
 * and what we are about to write. It puts back what we have not, when we end, however that happens,
 * or when time is up. A word that holds neither of our values was written by the program itself:
 * it is left alone.
 */
#pragma once
#include "base/err.h"
#include "runtime/rtproc.h"

enum { GOGUARD_WORDS = 2 };

struct goguard_page;
struct goguard {
    struct goguard_page *page;
    int mem;    /* /proc/PID/mem */
    int socket; /* to the guardian, who reads its end */
};

/* The guardian stands when this returns 0. It ends by itself soon after deadline_us. -errno with a
 * text. */
int goguard_start(struct goguard *g, const struct rtproc *p, int64_t deadline_us, struct err *err);

/* Writes 8 bytes and reads them back. The first time, `old` must stand there (else -ESTALE), and
 * that is what will be put back; later the value of the last time. -ECANCELED when the guardian
 * has put everything back or is gone; -errno. */
int goguard_write(struct goguard *g, unsigned word, uint64_t address, uint64_t old, uint64_t value);

/* What was written to this word stays. */
void goguard_keep(struct goguard *g, unsigned word);

/* Puts this word back now. */
int goguard_restore(struct goguard *g, unsigned word);

/* Puts all words back, and dismisses the guardian. 0; -EIO when a word could not be put back (the
 * process is ending, say). Legal on one that was not started (zeroed). */
int goguard_end(struct goguard *g);
