#include "profile/arena.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

enum { BLOCK = 1 << 20, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(ALIGN) char bytes[];
};

void arena_init(struct arena *a, size_t max) {
    *a = (struct arena){.left = max};
}

void arena_done(struct arena *a) {
    for (struct arena_block *next; a->block; a->block = next) {
        next = a->block->next;
        free(a->block);
    }
}

/* Large things get a block of their own, behind the one that is being filled. */
static struct arena_block *add_block(struct arena *a, size_t n) {
    size_t size = n > BLOCK / 4 ? n : BLOCK;
    struct arena_block *b;

    if (size > a->left) {
        a->error = -E2BIG;
        return NULL;
    }
    b = malloc(sizeof(*b) + size);
    if (!b) {
        a->error = -ENOMEM;
        return NULL;
    }
    a->left -= size;
    b->used = 0;
    b->size = size;
    if (size == n && a->block) {
        b->next = a->block->next;
        a->block->next = b;
    } else {
        b->next = a->block;
        a->block = b;
    }
    return b;
}

void *arena_alloc(struct arena *a, size_t n) {
    struct arena_block *b = a->block;
    void *p;

    if (n > SIZE_MAX / 2) {
        a->error = -E2BIG;
        return NULL;
    }
    n = (n + ALIGN - 1) / ALIGN * ALIGN;
    if (!b || n > b->size - b->used)
        b = add_block(a, n);
    if (!b)
        return NULL;
    p = b->bytes + b->used;
    b->used += n;
    return p;
}

static void *protobuf_alloc(void *arena, size_t n) {
    return arena_alloc(arena, n);
}

static void protobuf_free(void *arena, void *p) {
    (void)arena, (void)p;
}

ProtobufCAllocator arena_allocator(struct arena *a) {
    return (ProtobufCAllocator){protobuf_alloc, protobuf_free, a};
}
