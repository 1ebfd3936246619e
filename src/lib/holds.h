/* holds.h - descriptors in a process that is not ours, proven ours before each use.
 *
 * A program may close all descriptors (closefrom) and then open files of its own under the same
 * numbers. A file of the kernel has an inode, which tells it apart; eventfds, timers and epoll
 * descriptors all share one. But an epoll descriptor knows what it watches by open file and number:
 * changing the entry of number N succeeds only if N still is the file that was added. It is itself
 * known by a token in it, a pipe, which has an inode of its own.
 *
 * What cannot be proven ours any more is left alone, not even closed.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

struct held {
    int fd;       /* -1: none */
    bool watched; /* in the epoll set */
    bool named;   /* its inode is its own */
    uint32_t events;
    dev_t dev;
    ino_t ino;
};

#define HELD_NONE                                                                                  \
    (struct held) {                                                                                \
        .fd = -1                                                                                   \
    }

struct holds {
    int epoll;
    struct held token; /* the reading end of a pipe */
    int kick;          /* the writing end */
};

/* 0 or -errno. All descriptors are close-on-exec and, where there is room, above 100: programs
 * count on low numbers. */
int holds_open(struct holds *s);

/* Whether epoll still is ours: 0 or -EBADF. */
int holds_check(const struct holds *s);

/* Takes fd (closed on failure; a negative one is an errno, passed on). holds_keep remembers its
 * inode, holds_watch adds it to the epoll set with these events as well. */
int holds_keep(struct holds *s, int fd, struct held *out);
int holds_watch(struct holds *s, int fd, uint32_t events, struct held *out);

/* Whether it still is what we opened. */
bool holds_is_ours(const struct holds *s, const struct held *h);

/* Closes it if it is ours; h becomes none. `child`: the epoll set is shared with our parent, whose
 * entries must stay. */
void holds_drop(struct holds *s, struct held *h, bool child);
void holds_close(struct holds *s, bool child);

/* Reads a kernel file from its beginning: -EBADF when it is not ours; -errno, -EFBIG. */
int held_read(const struct held *h, char *buf, size_t size, struct str *out);
