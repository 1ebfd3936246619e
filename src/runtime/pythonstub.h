/* pythonstub.h - a few instructions (x86-64) that make CPython collect: take its lock, collect,
 * give the lock back. As one function, so that whoever has it called may die at any moment without
 * a lock being left taken. Pure.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Addresses in the process. */
struct pythonstub {
    uint64_t gil_check;   /* PyGILState_Check */
    uint64_t initialized; /* Py_IsInitialized */
    uint64_t ensure, enable, collect, disable, release;
};

enum {
    PYTHONSTUB_HOLDS_GIL = -1, /* the thread that was chosen is in the middle of something */
    PYTHONSTUB_NOT_READY = -2,
    PYTHONSTUB_MAX = 192,
};

/* Position-independent, takes nothing; returns what PyGC_Collect does or one of the above. Where
 * automatic collection is off it is on meanwhile: PyGC_Collect honours that. The length. */
size_t pythonstub_build(const struct pythonstub *to, unsigned char out[PYTHONSTUB_MAX]);
