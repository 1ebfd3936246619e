/* guardstart.h - what is checked and said before a group is guarded, and what was lent at the end.
 *
 * Whose limit its marks are taken from; marks that can never be passed; what this user may not do;
 * another guard of the same group; a place for dumps.
 */
#pragma once
#include "act/grip.h"
#include "cmd/guardopt.h"

struct guardstart {
    struct grip grip;
    int name; /* a socket whose name says that this group is guarded; -1 */
    uint64_t limit[GRIP_LEVELS];
};

/* 0; -errno with a text. guardstart_done takes one whose open failed, or GUARDSTART_NONE. */
#define GUARDSTART_NONE                                                                            \
    { .grip = GRIP_NONE, .name = -1 }
int guardstart_open(struct guardstart *s, const struct host *h, const struct cgfs *fs,
                    struct str path, struct err *err);
void guardstart_done(struct guardstart *s);

/* Whether dumps can be written below `dir`, which need not be there yet; what a folder that was
 * `named` lies in must. 0 or -errno, no text. */
int guardstart_dumps(const char *dir, bool named);

/* Warnings, on stderr. */
void guardstart_warn(struct guardstart *s, const struct policy *p);

/* "limit 64M, its own", appended. */
void guardstart_add_limit(const struct guardstart *s, struct buf *out);

/* Notes the limits as they are; how much more than that one of them is now. */
void guardstart_note(struct guardstart *s);
uint64_t guardstart_lent(struct guardstart *s);
