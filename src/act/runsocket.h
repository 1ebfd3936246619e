/* runsocket.h - a listening socket that carries a run's name, in the folder for what lives as long
 * as its maker.
 *
 * run-NAME.sock below /run/plimsoll, or $XDG_RUNTIME_DIR/plimsoll for users; the folder is ours
 * alone or is not used. What has this name is listened on from the first moment: one that nobody
 * listens on was left by a supervisor that was killed, and whoever makes or removes a socket clears
 * such away.
 */
#pragma once
#include <stddef.h>

#include "act/ownsocket.h"
#include "base/err.h"

enum { RUNSOCKET_PATH = OWNSOCKET_NAME }; /* what an address holds */

struct runsocket {
    struct ownsocket own;
    char path[RUNSOCKET_PATH];
};

#define RUNSOCKET_NONE                                                                             \
    { .own = OWNSOCKET_NONE }

/* The folder that ours is in; NULL: there is none for this user. */
const char *runsocket_base(void);

/* What it will be called; `again`: with our pid, beside another of the same name. 0 or
 * -ENAMETOOLONG. */
int runsocket_name(const char *base, const char *run, bool again, char *out, size_t size);

/* Makes it; only its owner may connect. Beside a live one of the same name (below another parent)
 * it is run-NAME-PID.sock. 0 or -errno with a text. Does not block. */
int runsocket_make(const char *run, struct runsocket *out, struct err *err);
void runsocket_remove(struct runsocket *s); /* RUNSOCKET_NONE is fine, and is what is left */
