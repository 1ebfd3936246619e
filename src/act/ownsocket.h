/* ownsocket.h - a listening unix socket that has a name in a folder.
 *
 * It is made under a name that means nothing to others and then given its own: what has that name
 * is listened on from the first moment, and nothing that has it already is ever replaced. One that
 * nobody listens on any more was left by somebody who was killed. Nothing here blocks.
 */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>

enum { OWNSOCKET_NAME = 108 }; /* what an address holds */

struct ownsocket {
    int fd;           /* listens, non-blocking; -1: none */
    int folder;       /* O_PATH; -1: none */
    struct stat made; /* what we made, to remove nothing else */
    char name[OWNSOCKET_NAME];
};

#define OWNSOCKET_NONE                                                                             \
    { .fd = -1, .folder = -1 }

/* Whether what is ours in the folder stays what it is: others may not rename or replace it. */
bool ownsocket_keeps_names(int folder);

/* Makes one without a name; the folder's descriptor is taken over, also on failure. `mode`: who may
 * connect. 0 or -errno: then it is OWNSOCKET_NONE. */
int ownsocket_open(int folder, mode_t mode, struct ownsocket *out);

/* Gives it its name, or another one. 0; -EEXIST: something has it; -errno. */
int ownsocket_publish(struct ownsocket *s, const char *name);

/* Unlinks what has the name if it is a socket of this user that nobody listens on. Whether it was
 * one. */
bool ownsocket_clear(int folder, const char *name);

/* Removes and closes it; OWNSOCKET_NONE is fine, and is what is left. */
void ownsocket_remove(struct ownsocket *s);
