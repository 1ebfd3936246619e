/* pressure.h - $MEMORY_PRESSURE_WATCH and $MEMORY_PRESSURE_WRITE, as
 * https://systemd.io/MEMORY_PRESSURE defines them. Pure. */
#pragma once
#include "base/str.h"

enum { PRESSURE_WRITE_MAX = 256 };

struct pressure_words {
    bool set; /* else the kernel is asked, without these */
    char path[4096];
    char write[PRESSURE_WRITE_MAX]; /* decoded */
    size_t write_n;
};

/* watch, write: the values, or NULL. 0; -EOPNOTSUPP: /dev/null, nobody wants us to; -EINVAL: not an
 * absolute path, or not base64; -E2BIG. */
int pressure_words(const char *watch, const char *write, struct pressure_words *out);
