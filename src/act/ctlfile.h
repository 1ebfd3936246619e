/* ctlfile.h - a control file that is open: what it holds, as a text that can be written back.
 * Nothing here allocates; -EBADF for a descriptor that is -1.
 */
#pragma once
#include "act/warden.h"

/* Without blanks at the ends. 0; -ENOSPC (longer than any value of ours); -errno. */
int ctlfile_text(int fd, char out[WARDEN_VALUE]);
/* "max", and v1's largest number, are CGROUP_NO_LIMIT. 0; -EBADMSG; -errno. */
int ctlfile_number(int fd, uint64_t *out);

/* 0 or -errno; may wait for the kernel's reclaim where the file is a limit. */
int ctlfile_write(int fd, const char *value);

/* What we wrote is taken back if it is still there. 0, also when somebody else has written and when
 * the group is gone; -errno. */
int ctlfile_restore(int fd, const char *ours, const char *was);

/* "max" for CGROUP_NO_LIMIT. */
void ctlfile_spell(uint64_t value, char out[WARDEN_VALUE]);
