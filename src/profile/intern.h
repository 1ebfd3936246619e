/* intern.h - from the content of a thing to its number: the hash tables of a profile.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers 0, 1, 2 ... of things that are kept elsewhere. A zeroed one is empty. */
struct intern {
    struct intern_slot {
        uint32_t hash, number; /* number + 1; 0: free */
    } * slot;
    size_t size, n;
};

void intern_done(struct intern *t);

/* The number of the thing with this hash for which same(ctx, number) holds; -1: there is none. */
int64_t intern_find(const struct intern *t, uint64_t hash,
                    bool (*same)(const void *ctx, uint32_t number), const void *ctx);

/* Takes the next number in: t->n before the call. 0 or -ENOMEM. */
int intern_add(struct intern *t, uint64_t hash);
