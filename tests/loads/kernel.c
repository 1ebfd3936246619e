/* Memory that the kernel itself holds on behalf of a process. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

#define PIPE_BYTES (1 << 20)

/* Asks for files that are not there: the kernel remembers each "no" until memory runs short. */
static int run_dentries(const struct load_args *args) {
    int dir = open(args->scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st;

    if (dir < 0)
        return -errno;
    for (uint64_t i = 0; i < args->amount; i++) {
        char name[64];

        snprintf(name, sizeof(name), "missing-%d-%llu", (int)getpid(), (unsigned long long)i);
        if (fstatat(dir, name, &st, 0) == 0)
            return -EEXIST;
    }
    return 0;
}

static int run_pipes(const struct load_args *args) {
    static char page[4096];

    memset(page, 'x', sizeof(page));
    for (uint64_t i = 0; i < args->amount; i++) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
            return -errno;
        if (fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) < 0)
            return -errno;
        for (size_t done = 0; done < PIPE_BYTES; done += sizeof(page)) {
            if (write(ends[1], page, sizeof(page)) != (ssize_t)sizeof(page))
                return -errno;
        }
    }
    return 0;
}

const struct load load_kernel[] = {
    {"dentries", "names looked for and not found", LOAD_UNIT_COUNT, false, run_dentries},
    {"pipes", "full pipes of 1 MiB", LOAD_UNIT_MIB, false, run_pipes},
    {NULL, NULL, LOAD_UNIT_COUNT, false, NULL},
};
