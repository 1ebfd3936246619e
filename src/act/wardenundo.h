/* wardenundo.h - one step of undoing, done. Nothing here allocates. */
#pragma once
#include "act/warden.h"

/* 0: done, or the group is gone. 1: there was nothing to undo: somebody else has written since, or
 * what it undoes has not been done yet. -EAGAIN: later
 * perhaps. Another -errno: it cannot be done. May wait for the kernel's reclaim. */
int wardenundo_step(const struct warden_step *step);

/* Whether the step before a guarded one may be done. 0; -EAGAIN: too much is used yet, of what
 * could be reclaimed too; -errno. */
int wardenundo_before(const struct warden_step *guarded);
