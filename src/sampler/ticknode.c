#include "sampler/ticknode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

void ticknodes_init(struct ticknodes *t, const struct cgfs *fs, int fds_reserved) {
    *t = (struct ticknodes){.fs = fs, .free = NO_NODE};
    hash_key_init(&t->key);
    cgroup_fds_init(&t->fds, fds_reserved);
}

static void node_done(struct ticknode *n) {
    cgroup_done(&n->cg);
    free(n->path);
    free(n->sample);
}

void ticknodes_done(struct ticknodes *t) {
    for (uint32_t i = 0; i < t->n; i++)
        if (t->node[i].path)
            node_done(&t->node[i]);
    free(t->node);
    free(t->bucket);
}

static uint32_t *bucket_of(const struct ticknodes *t, struct str path) {
    return &t->bucket[hash_str(&t->key, path) & (t->buckets - 1)];
}

static uint32_t find(const struct ticknodes *t, struct str path) {
    uint32_t i = t->buckets ? *bucket_of(t, path) : NO_NODE;

    while (i != NO_NODE && !str_eq(t->node[i].cg.path, path))
        i = t->node[i].next;
    return i;
}

static int grow(struct ticknodes *t) {
    uint32_t room = t->room ? 2 * t->room : 64;
    struct ticknode *node = realloc(t->node, room * sizeof(*node));
    uint32_t *bucket;

    if (!node)
        return -ENOMEM;
    t->node = node;
    bucket = realloc(t->bucket, room * sizeof(*bucket));
    if (!bucket)
        return -ENOMEM;
    t->bucket = bucket;
    t->buckets = t->room = room;
    for (uint32_t b = 0; b < room; b++)
        bucket[b] = NO_NODE;
    for (uint32_t i = 0; i < t->n; i++) {
        if (!node[i].path)
            continue;
        node[i].next = *bucket_of(t, node[i].cg.path);
        *bucket_of(t, node[i].cg.path) = i;
    }
    /* the free list ran through the same field: it is empty, or we would not grow */
    return 0;
}

static int take_node(struct ticknodes *t, uint32_t *out) {
    if (t->free != NO_NODE) {
        *out = t->free;
        t->free = t->node[*out].next;
        return 0;
    }
    if (t->n == t->room) {
        int r = grow(t);

        if (r < 0)
            return r;
    }
    *out = t->n++;
    t->node[*out].path = NULL;
    return 0;
}

static void free_node(struct ticknodes *t, uint32_t i) {
    uint32_t *link = bucket_of(t, t->node[i].cg.path);

    while (*link != i)
        link = &t->node[*link].next;
    *link = t->node[i].next;
    node_done(&t->node[i]);
    t->node[i] = (struct ticknode){.next = t->free};
    t->free = i;
}

static int make_node(struct ticknodes *t, struct str path, uint32_t *out) {
    auto_free char *copy = malloc(path.n + 1);
    struct ticknode *n;
    uint32_t *bucket;
    int r = copy ? take_node(t, out) : -ENOMEM;

    if (r < 0)
        return r;
    memcpy(copy, path.p, path.n);
    copy[path.n] = '\0';
    n = &t->node[*out];
    *n = (struct ticknode){.path = copy, .parent = NO_NODE, .is_alive = true};
    cgroup_init(&n->cg, t->fs, &t->fds, (struct str){take_ptr(&copy), path.n});
    n->born_us = clock_mono_us();
    bucket = bucket_of(t, n->cg.path);
    n->next = *bucket;
    *bucket = *out;
    return 0;
}

/* "/a/b" to "/a" to "/"; false at the top. */
static bool parent_of(struct str *path) {
    ptrdiff_t slash = str_rfind(*path, '/');

    if (path->n <= 1 || slash < 0)
        return false;
    path->n = slash == 0 ? 1 : (size_t)slash;
    return true;
}

void ticknodes_drop(struct ticknodes *t, uint32_t i) {
    while (i != NO_NODE && --t->node[i].refs == 0) {
        uint32_t parent = t->node[i].parent;

        free_node(t, i);
        i = parent;
    }
}

int ticknodes_hold(struct ticknodes *t, struct str path, uint32_t *out) {
    uint32_t child = NO_NODE, first = NO_NODE;
    unsigned levels = 1;

    do {
        uint32_t i = find(t, path);
        bool known = i != NO_NODE;
        int r = known ? 0 : make_node(t, path, &i);

        if (r < 0) {
            if (first != NO_NODE)
                ticknodes_drop(t, first);
            return r;
        }
        t->node[i].refs++;
        if (child == NO_NODE)
            first = i;
        else
            t->node[child].parent = i;
        child = i;
        levels++;
        if (known)
            break;
    } while (parent_of(&path));
    for (uint32_t i = t->node[child].parent; i != NO_NODE; i = t->node[i].parent)
        levels++;
    if (levels > t->deepest)
        t->deepest = levels;
    *out = first;
    return 0;
}

void ticknode_forget(struct ticknode *n) {
    cgroup_done(&n->cg); /* perhaps it is made again: then the descriptors would be stale */
    n->have_usage = n->have_used = n->have_kills = false;
    n->own_kills = 0;
    n->slow_us = n->rare_us = n->stat_us = 0;
}
