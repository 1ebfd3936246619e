#include "profile/intern.h"

#include <errno.h>
#include <stdlib.h>

void intern_done(struct intern *t) {
    free(t->slot);
    *t = (struct intern){0};
}

int64_t intern_find(const struct intern *t, uint64_t hash,
                    bool (*same)(const void *ctx, uint32_t number), const void *ctx) {
    if (t->size == 0)
        return -1;
    for (size_t at = (uint32_t)hash & (t->size - 1); t->slot[at].number;
         at = (at + 1) & (t->size - 1))
        if (t->slot[at].hash == (uint32_t)hash && same(ctx, t->slot[at].number - 1))
            return t->slot[at].number - 1;
    return -1;
}

static void put(struct intern_slot *slot, size_t size, struct intern_slot what) {
    size_t at = what.hash & (size - 1);

    while (slot[at].number)
        at = (at + 1) & (size - 1);
    slot[at] = what;
}

static int grow(struct intern *t) {
    size_t size = t->size ? t->size * 2 : 256;
    struct intern_slot *slot = calloc(size, sizeof(*slot));

    if (!slot)
        return -ENOMEM;
    for (size_t i = 0; i < t->size; i++)
        if (t->slot[i].number)
            put(slot, size, t->slot[i]);
    free(t->slot);
    t->slot = slot;
    t->size = size;
    return 0;
}

int intern_add(struct intern *t, uint64_t hash) {
    if (t->n * 4 >= t->size * 3 && grow(t) < 0)
        return -ENOMEM;
    put(t->slot, t->size, (struct intern_slot){(uint32_t)hash, (uint32_t)t->n + 1});
    t->n++;
    return 0;
}
