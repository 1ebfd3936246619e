/* instance.h - which making of a group this is: told apart from one made again under its path; and
 * which start of its first process, where that can be started again while the group stays.
 *
 * The inode number of a group's directory is never given twice while the machine runs (kernfs ids
 * carry a generation on 64 bits), and the machine's start has an id of its own.
 */
#pragma once
#include "kern/cgfs.h"
#include "kern/host.h"
#include "model/target.h"

/* A number of this start of the machine, from PROC/sys/kernel/random/boot_id; 0: not known. */
uint64_t instance_boot(const struct host *h);

/* Of a target that came while we were watching: whether it was born then. What is known of its
 * first process tells, or nothing does. */
bool instance_is_new(const struct target *t);

/* The group's number, the same whoever asks; 0: it is gone. Opens its directory. */
uint64_t instance_of(const struct cgfs *fs, uint64_t boot, struct str path);

/* The start of a `plimsoll run`, by its inner group, or of a container's init. 0: not known, or
 * none of those: the first process of a service may fork and end while the service goes on, and a
 * container without an init of its own ends with its engine's shim. */
uint64_t instance_run(const struct cgfs *fs, uint64_t boot, const struct target *t);
