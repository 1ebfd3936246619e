/* callfilter.h - the list of system calls that a confined process may make.
 *
 * What is not on it fails with EPERM. What only an intruder would try ends the process. Calls that
 * take a wide argument (ioctl, prctl, socket, clone) are allowed for the values that are needed.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

struct callfilter_options {
    bool connect; /* makes connections, starts threads, loads libraries of name services */
};

/* For the whole life of the process; sets no_new_privs. 0 or -errno with a text. */
int callfilter_apply(const struct callfilter_options *options, struct err *err);
