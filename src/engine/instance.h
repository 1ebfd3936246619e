/* instance.h - which making of a group this is: told apart from one made again under its path.
 *
 * The inode number of a group's directory is never given twice while the machine runs (kernfs ids
 * carry a generation on 64 bits), and the machine's start has an id of its own.
 */
#pragma once
#include "kern/cgfs.h"
#include "kern/host.h"

/* A number of this start of the machine, from PROC/sys/kernel/random/boot_id; 0: not known. */
uint64_t instance_boot(const struct host *h);

/* The group's number, the same whoever asks; 0: it is gone. Opens its directory. */
uint64_t instance_of(const struct cgfs *fs, uint64_t boot, struct str path);
