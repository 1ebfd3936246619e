/* arena.h - memory for what somebody else's data unpack to: bounded, and released in one go.
 *
 * A message of two bytes becomes a struct of a hundred; the bound is on the memory, not on the
 * message.
 */
#pragma once
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

struct arena {
    struct arena_block *block; /* newest first */
    size_t left;               /* bytes until the bound */
    int error;                 /* why something was refused: -E2BIG, -ENOMEM; 0 */
};

void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a);

/* Zeroed never; aligned for anything. NULL beyond the bound or without memory. */
void *arena_alloc(struct arena *a, size_t n);

/* As protobuf-c wants it: what is freed stays until arena_done. */
ProtobufCAllocator arena_allocator(struct arena *a);
