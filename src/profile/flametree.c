#include "profile/flametree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "profile/intern.h"

struct builder {
    struct flametree *t;
    size_t size;
    struct intern known; /* nodes but the root: number + 1 of the node */
    struct hash_key key;
};

struct wanted {
    const struct flametree *t;
    uint32_t parent, name;
};

static bool same_node(const void *ctx, uint32_t number) {
    const struct wanted *w = ctx;
    const struct flamenode *n = &w->t->node[number + 1];

    return n->parent == w->parent && n->name == w->name;
}

static int add_node(struct builder *b, uint32_t parent, uint32_t name) {
    struct flametree *t = b->t;

    if (t->n == b->size) {
        size_t size = b->size ? b->size * 2 : 1024;
        struct flamenode *node = reallocarray(t->node, size, sizeof(*node));

        if (!node)
            return -ENOMEM;
        t->node = node;
        b->size = size;
    }
    t->node[t->n++] = (struct flamenode){
        .name = name, .parent = parent, .child = FLAMETREE_NONE, .next = FLAMETREE_NONE};
    return 0;
}

/* The child of `at` with this name, made if need be; `at` itself when the tree is full. */
static int child_of(struct builder *b, uint32_t at, uint32_t name, uint32_t *out) {
    struct wanted w = {b->t, at, name};
    const uint32_t pair[2] = {at, name};
    uint64_t hash = hash_str(&b->key, (struct str){(const char *)pair, sizeof(pair)});
    int64_t found = intern_find(&b->known, hash, same_node, &w);

    if (found >= 0) {
        *out = (uint32_t)found + 1;
        return 0;
    }
    *out = at;
    if (b->t->n >= FLAMETREE_NODES) {
        b->t->cut = true;
        return 0;
    }
    if (add_node(b, at, name) < 0 || intern_add(&b->known, hash) < 0)
        return -ENOMEM;
    *out = b->t->n - 1;
    return 0;
}

static void add_value(struct flamenode *n, int64_t value) {
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    n->width = n->width > INT64_MAX - size ? INT64_MAX : n->width + size;
    n->change = profile_sum(n->change, value);
}

static int add_sample(struct builder *b, const struct profile *p, struct profile_sample s,
                      int64_t value) {
    uint32_t at = 0;

    add_value(&b->t->node[0], value);
    for (size_t f = s.frames; f-- > 0;) {
        uint32_t from = at;
        int r = child_of(b, at, profile_function(p, s.frame[f]), &at);

        if (r < 0)
            return r;
        if (at == from)
            break;
        add_value(&b->t->node[at], value);
    }
    return 0;
}

/* --- the order of children -------------------------------------------------------------------- */

static int compare(const void *a, const void *b, void *ctx) {
    const struct flamenode *node = ctx;
    const struct flamenode *x = &node[*(const uint32_t *)a], *y = &node[*(const uint32_t *)b];

    if (x->parent != y->parent)
        return x->parent < y->parent ? -1 : 1;
    if (x->width != y->width)
        return x->width > y->width ? -1 : 1;
    return (x->name > y->name) - (x->name < y->name);
}

static int link_children(struct flametree *t) {
    auto_free uint32_t *order = calloc(t->n, sizeof(*order));

    if (!order)
        return -ENOMEM;
    for (uint32_t i = 1; i < t->n; i++)
        order[i - 1] = i;
    if (t->n > 1)
        qsort_r(order, t->n - 1, sizeof(*order), compare, t->node);
    for (uint32_t i = t->n - 1; i-- > 0;) {
        struct flamenode *n = &t->node[order[i]], *parent = &t->node[n->parent];

        n->next = parent->child;
        parent->child = order[i];
    }
    return 0;
}

int flametree_make(const struct profile *p, unsigned type, struct flametree *out) {
    struct flametree t = {0};
    struct builder b = {.t = &t};
    int r;

    hash_key_init(&b.key);
    r = add_node(&b, FLAMETREE_NONE, FLAMETREE_NONE);
    for (size_t i = 0; i < profile_samples(p) && r == 0; i++) {
        struct profile_sample s = profile_sample(p, i);

        if (s.value[type] != 0)
            r = add_sample(&b, p, s, s.value[type]);
    }
    if (r == 0)
        r = link_children(&t);
    intern_done(&b.known);
    if (r < 0) {
        flametree_done(&t);
        return r;
    }
    *out = t;
    return 0;
}

void flametree_done(struct flametree *t) {
    free(t->node);
    *t = (struct flametree){0};
}

struct rank {
    uint64_t width;
    uint32_t depth, node;
};

static int by_rank(const void *a, const void *b) {
    const struct rank *x = a, *y = b;

    if (x->width != y->width)
        return x->width > y->width ? -1 : 1;
    if (x->depth != y->depth)
        return x->depth < y->depth ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

int flametree_widest(const struct flametree *t, size_t nodes, bool **out) {
    auto_free struct rank *rank = calloc(t->n + 1, sizeof(*rank));
    auto_free uint32_t *depth = calloc(t->n + 1, sizeof(*depth));
    bool *widest = calloc(t->n + 1, sizeof(*widest));

    if (!rank || !depth || !widest) {
        free(widest);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < t->n; i++) { /* a parent is made before its children */
        depth[i] = i > 0 ? depth[t->node[i].parent] + 1 : 0;
        rank[i] = (struct rank){t->node[i].width, depth[i], i};
    }
    qsort(rank, t->n, sizeof(*rank), by_rank);
    for (size_t i = 0; i < t->n && i < nodes; i++)
        widest[rank[i].node] = true;
    *out = widest;
    return 0;
}
