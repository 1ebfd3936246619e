#include "act/sibling.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kern/cgtree.h"

struct search {
    const struct grip *g;
    const char *ours; /* the name of the one on our path */
    size_t ours_n;
    uint64_t own, total;
    bool found;
    uint64_t most; /* of the others */
    char name[256];
};

static int add_group(void *ctx, int parent, const char *name) {
    auto_close int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct search *s = ctx;
    uint64_t used;
    int r;

    if (dir < 0)
        return errno == ENOENT || errno == ENODEV ? 0 : -errno;
    r = grip_used_at(s->g, dir, &used);
    if (r == -ENOENT || r == -ENODEV)
        return 0;
    if (r < 0)
        return r;
    s->total = used > UINT64_MAX - s->total ? UINT64_MAX : s->total + used;
    if (strlen(name) == s->ours_n && memcmp(name, s->ours, s->ours_n) == 0) {
        s->own = used;
        s->found = true;
    } else if (used > s->most) {
        s->most = used;
        (void)str_copy(str_of(name), s->name, sizeof(s->name));
    }
    return 0;
}

/* Of the groups directly below `dir`, whose path is so much of ours. */
static int is_largest(const struct grip *g, int dir, size_t path_n, size_t child_n, char *who,
                      size_t size) {
    struct search s = {.g = g, .ours = g->path + path_n + 1, .ours_n = child_n - path_n - 1};
    uint64_t above = 0;
    int r = cgtree_names(dir, add_group, &s);

    if (r == 0)
        r = grip_used_at(g, dir, &above);
    if (r < 0 || !s.found) {
        (void)snprintf(who, size, "a group below %.*s that cannot be read", (int)path_n, g->path);
        return 0;
    }
    if (s.most > s.own) {
        (void)snprintf(who, size, "%s", s.name);
        return 0;
    }
    if (above > s.total && above - s.total > s.own) {
        (void)snprintf(who, size, "what is in %.*s itself", (int)path_n, g->path);
        return 0;
    }
    return 1;
}

/* Where the part of the path that begins behind `at` ends. */
static size_t next_end(const char *path, size_t at) {
    return at + 1 + strcspn(path + at + 1, "/");
}

static const struct grip_level *find_level(const struct grip *g, unsigned up) {
    for (unsigned i = 1; i < g->levels; i++)
        if (grip_level_up(g, &g->level[i]) == up)
            return &g->level[i];
    return NULL;
}

int sibling_is_to_blame(const struct grip *g, unsigned level, char *who, size_t size) {
    const struct grip_level *l = find_level(g, level);
    auto_close int dir = -1;
    size_t at;

    if (size > 0)
        who[0] = '\0';
    if (level == 0)
        return 1;
    if (!l) {
        (void)snprintf(who, size, "a group above that is not held");
        return 0;
    }
    dir = openat(l->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (at = l->path_n; g->path[at];) {
        size_t end = next_end(g->path, at);
        char name[256];
        int below;

        if (dir < 0 || !is_largest(g, dir, at, end, who, size)) {
            if (dir < 0)
                (void)snprintf(who, size, "a group below %.*s that cannot be read", (int)at,
                               g->path);
            return 0;
        }
        if (str_copy((struct str){g->path + at + 1, end - at - 1}, name, sizeof(name)) < 0)
            name[0] = '\0';
        below = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        mem_close_fd(&dir);
        dir = below;
        at = end;
    }
    return 1;
}
