/* netdev.h - bytes that a network namespace has received and sent, from /proc/PID/net/dev. */
#pragma once
#include "base/str.h"

struct netdev {
    uint64_t rx, tx;     /* bytes, summed over all interfaces but the loopback "lo" */
    unsigned interfaces; /* how many those are */
};

/* 0; -EBADMSG, -ERANGE, and then *out is untouched. */
int netdev_parse(struct str text, struct netdev *out);

/* The namespace of process `pid`. -EACCES for other users' processes. */
int netdev_read(int proc, int32_t pid, struct netdev *out);
