#include "tui/proctree.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

#define NONE UINT32_MAX

struct build {
    struct proctree *tree;
    const struct tui_process *p;
    uint32_t *by_pid;  /* indexes */
    uint32_t *by_size; /* indexes, in the order that siblings are drawn */
    uint32_t *parent, *first, *last, *next;
    bool *done;
    size_t n;
};

static const struct tui_process *sorting; /* one thread */

static int by_pid(const void *a, const void *b) {
    int32_t x = sorting[*(const uint32_t *)a].pid, y = sorting[*(const uint32_t *)b].pid;

    return x < y ? -1 : x > y;
}

static int by_size(const void *a, const void *b) {
    const struct tui_process *x = &sorting[*(const uint32_t *)a];
    const struct tui_process *y = &sorting[*(const uint32_t *)b];
    uint64_t x_size = x->have & PROC_BIT(PROC_RES) ? x->value[PROC_RES] : 0;
    uint64_t y_size = y->have & PROC_BIT(PROC_RES) ? y->value[PROC_RES] : 0;

    if (x_size != y_size)
        return x_size < y_size ? 1 : -1;
    return by_pid(a, b);
}

static uint32_t find(const struct build *b, int32_t pid) {
    size_t low = 0, high = b->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (b->p[b->by_pid[middle]].pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < b->n && b->p[b->by_pid[low]].pid == pid ? b->by_pid[low] : NONE;
}

/* Children are appended in the order of size. */
static void join(struct build *b) {
    for (size_t i = 0; i < b->n; i++) {
        uint32_t child = b->by_size[i];
        uint32_t parent = find(b, b->p[child].ppid);

        if (parent == child)
            parent = NONE;
        b->parent[child] = parent;
        if (parent == NONE)
            continue;
        if (b->first[parent] == NONE)
            b->first[parent] = child;
        else
            b->next[b->last[parent]] = child;
        b->last[parent] = child;
    }
}

static void add(struct build *b, uint32_t i, unsigned depth, uint16_t bars) {
    unsigned drawn = depth < PROCTREE_DEPTH_MAX ? depth : PROCTREE_DEPTH_MAX;

    b->done[i] = true;
    b->tree->node[b->tree->n++] = (struct proctree_node){
        .index = i, .depth = (uint8_t)drawn, .last = b->next[i] == NONE, .bars = bars};
}

/* A walk without recursion: a tree may be as deep as there are processes. Bars of a node above are
 * found again in what was written of it. */
static void walk(struct build *b, uint32_t root) {
    uint32_t i = root;
    unsigned depth = 0;
    uint16_t bars = 0;

    for (;;) {
        uint32_t down = b->done[i] ? NONE : b->first[i];

        if (!b->done[i])
            add(b, i, depth, bars);
        if (down != NONE && !b->done[down]) {
            if (depth > 0 && depth < PROCTREE_DEPTH_MAX && b->next[i] != NONE)
                bars |= (uint16_t)(1U << depth);
            depth++;
            i = down;
            continue;
        }
        while (i != root && (b->next[i] == NONE || b->done[b->next[i]])) {
            i = b->parent[i];
            depth--;
            if (depth < PROCTREE_DEPTH_MAX)
                bars &= (uint16_t)((1U << depth) - 1);
        }
        if (i == root)
            return;
        i = b->next[i];
    }
}

static int reserve(struct proctree *t, size_t n) {
    struct proctree_node *node;

    if (n <= t->room)
        return 0;
    node = realloc(t->node, n * sizeof(*node));
    if (!node)
        return -ENOMEM;
    t->node = node;
    t->room = n;
    return 0;
}

int proctree_build(struct proctree *t, const struct tui_process *p, size_t n) {
    auto_free uint32_t *index = n ? malloc(6 * n * sizeof(*index)) : NULL;
    auto_free bool *done = n ? calloc(n, sizeof(*done)) : NULL;
    struct build b = {.tree = t, .p = p, .n = n, .done = done};

    t->n = 0;
    if (n == 0)
        return 0;
    if (!index || !done || reserve(t, n) < 0)
        return -ENOMEM;
    b.by_pid = index;
    b.by_size = index + n;
    b.parent = index + 2 * n;
    b.first = index + 3 * n;
    b.last = index + 4 * n;
    b.next = index + 5 * n;
    for (uint32_t i = 0; i < n; i++) {
        b.by_pid[i] = b.by_size[i] = i;
        b.first[i] = b.last[i] = b.next[i] = NONE;
    }
    sorting = p;
    qsort(b.by_pid, n, sizeof(*b.by_pid), by_pid);
    qsort(b.by_size, n, sizeof(*b.by_size), by_size);
    join(&b);
    for (size_t i = 0; i < n; i++)
        if (b.parent[b.by_size[i]] == NONE)
            walk(&b, b.by_size[i]);
    for (size_t i = 0; i < n; i++) /* circles: pids that were given anew between two looks */
        if (!b.done[b.by_size[i]])
            walk(&b, b.by_size[i]);
    return 0;
}

void proctree_done(struct proctree *t) {
    free(t->node);
    *t = (struct proctree){.node = NULL};
}
