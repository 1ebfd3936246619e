/* trusted.h - a program opened so that nobody but root or us can have chosen what it is.
 *
 * Every folder on the way is owned by root or by us and not writable by others or by a group, the
 * file too; symbolic links are followed by hand, each as a folder's entry like any other. What is
 * returned is the file that was looked at: it is executed by descriptor, so it cannot be replaced
 * in between.
 */
#pragma once
#include "base/err.h"

/* path: absolute. A descriptor (O_PATH) of a regular, executable file; else -errno with a text that
 * names the part that is at fault. */
int trusted_open(const char *path, struct err *err);
