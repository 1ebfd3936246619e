/* pressuresock.h - the socket at which programs of guarded groups are told of `notify`.
 *
 * A program that is willing connects to it as systemd's $MEMORY_PRESSURE_WATCH has it
 * (https://systemd.io/MEMORY_PRESSURE): it becomes readable when a guard of its group carries out
 * notify, a byte each time, and none more while one is unread. Who comes while a guard has done so
 * and its mark is passed yet is told at once. Anybody may connect who can reach the path (mode
 * 0666): who may is decided by its folder, and by what is mounted into which container. What is
 * told is about the program's own group alone.
 *
 * Whose group it is: that of the process that has connected, at that moment. Who cannot be placed
 * is hung up on at once: a process of a pid namespace that we do not see (pid 0), one that has
 * ended, one whose group lies outside of what is mounted here. So is who would be one too many of
 * its guarded group (PRESSURESOCK_GROUP), or of those whose group nobody guards yet: others' room
 * is not theirs; and who comes too often: within a second PRESSURESOCK_CAME of a group, and half of
 * PRESSURESOCK_MOST of all those whose group nobody guards. When all room is taken (an eighth of
 * our descriptors, PRESSURESOCK_MOST at most) further ones wait in the kernel's queue until one
 * leaves.
 */
#pragma once
#include "base/err.h"
#include "kern/cgfs.h"
#include "net/loop.h"

enum {
    PRESSURESOCK_MOST = 512,
    PRESSURESOCK_GROUP = 64,  /* of one guarded group; of one that nobody guards */
    PRESSURESOCK_CAME = 128,  /* of one group, within a second */
    PRESSURESOCK_PATH = 1024, /* of a group; a longer one cannot be placed */
};

struct pressuresock;

struct pressuresock_options {
    struct loop *loop;
    const struct host *host;
    const struct cgfs *fs;
    /* The guarded group that a group is in, the innermost; empty: none. */
    struct str (*guarded)(void *ctx, struct str path);
    /* Whether a guard of a group that it is in has carried out notify and is above that mark. */
    bool (*above)(void *ctx, struct str path);
    void *ctx;
};

/* Listens at `path`. What somebody who was killed has left there is replaced, and nothing else: 0;
 * -errno with a text that says what is at the place, and what would work. */
int pressuresock_new(const struct pressuresock_options *o, const char *path,
                     struct pressuresock **out, struct err *err);
void pressuresock_free(struct pressuresock *s); /* removes the socket; NULL is fine */

/* What pressuresock_new refuses for its folder: 0 or -errno with the same text. Makes nothing. */
int pressuresock_check(const char *path, struct err *err);

/* Whether what is at `path` now is this one. */
bool pressuresock_is_at(const struct pressuresock *s, const char *path);

/* Whether a group is the other one or lies in it. */
bool pressuresock_is_in(struct str path, struct str group);

/* Tells those in the group (a path below the memory mount) and below it; how many. One that has not
 * read what it was told before counts: it has been told. Waits for nobody, allocates nothing. */
unsigned pressuresock_tell(struct pressuresock *s, struct str group);
