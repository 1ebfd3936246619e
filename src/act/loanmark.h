/* loanmark.h - what is lent to a group, written beside its limit: an extended attribute of the
 * limit's file, trusted.plimsoll.lent. It goes with the group, only root reads or writes it
 * (CAP_SYS_ADMIN), and who lends on top of a loan that is not taken back yet learns from it what
 * the limits were. Nothing depends on it but that: where it cannot be written it is not there.
 * Nothing here allocates.
 */
#pragma once
#include <stdint.h>

struct loanmark {
    uint64_t limit, memsw, high; /* what they were; CGROUP_NO_LIMIT: none, or no such file */
    uint64_t lent;               /* bytes, on top of limit (and memsw) */
};

/* fd: of the limit's file. Best effort. */
void loanmark_write(int fd, const struct loanmark *m);
void loanmark_remove(int fd);
/* 0; -ENODATA: none; -EBADMSG; -errno. Whether it still holds is for who compares the limits. */
int loanmark_read(int fd, struct loanmark *out);
