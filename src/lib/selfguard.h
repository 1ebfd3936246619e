/* selfguard.h - what libplimsoll-preload.so does in a program that does not know of it.
 *
 * Where malloc is about to hand out more memory, it is asked whether there is room. From the first
 * mark on free memory is given back to the kernel and Python's collector asked to run; above the
 * gate the asking thread waits, a bounded time, for others or its own collector to make room.
 *
 * Called by threads that hold locks of which we know nothing, in signal handlers, in children of
 * fork: nothing here waits for anything but time, and errno stays as it was.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Before main. Reads $PLIMSOLL_PRELOAD and opens our group. */
void selfguard_begin(void);

/* After how many bytes handed out a thread is to ask; SIZE_MAX: never. */
size_t selfguard_quantum(void);

/* `bytes` are wanted; `may_trim`: the thread holds no lock of an allocator. false: refuse them. */
bool selfguard_ask(size_t bytes, bool may_trim);
