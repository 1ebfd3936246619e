/* beside.h - executables of ours beside the one that runs. */
#pragma once
#include <stddef.h>

#include "base/err.h"

/* Where `name` is: in the folder of our own executable, as in the build, or in ../libexec/plimsoll,
 * as installed. 0; -ENOENT and a text. */
int beside_find(const char *name, char *out, size_t size, struct err *err);
