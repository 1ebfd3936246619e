/* sealed.h - programs run from a copy in memory that nobody can change.
 *
 * Who runs inside of a container can be reached there by /proc/PID/exe, and a hostile image may
 * have it executed once more, with libraries of the image. The file behind must not be one of this
 * machine then: it could be opened for writing (CVE-2019-5736).
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

/* A sealed copy of an open file, to be executed (fexecve); closed by exec. Descriptor, or -errno.
 */
int sealed_copy(int fd, const char *name);

/* Whether this program runs from such a copy. */
bool sealed_are_we(void);

/* Goes on as such a copy, with the same arguments and environment: returns only when that fails,
 * -errno with a text, or when we are one already: 0. */
int sealed_become(struct err *err);
