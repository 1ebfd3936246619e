/* mem.h - who owns what: locals that release themselves, and how to hand them on. */
#pragma once
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static inline void mem_close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
}

static inline void mem_free_ptr(void *place) {
    free(*(void **)place);
}

static inline void mem_close_dir(DIR **dir) {
    if (*dir)
        closedir(*dir);
}

#define auto_close __attribute__((cleanup(mem_close_fd)))
#define auto_free __attribute__((cleanup(mem_free_ptr)))
#define auto_closedir __attribute__((cleanup(mem_close_dir)))

/* Takes the descriptor out of a place that would close it: `return take_fd(&fd);` */
static inline int take_fd(int *fd) {
    int taken = *fd;

    *fd = -1;
    return taken;
}

/* The same for a pointer. */
#define take_ptr(place)                                                                            \
    ({                                                                                             \
        __typeof__(*(place)) taken_ = *(place);                                                    \
        *(place) = NULL;                                                                           \
        taken_;                                                                                    \
    })

#define ARRAY_N(array) (sizeof(array) / sizeof((array)[0]))
