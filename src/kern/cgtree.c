#include "kern/cgtree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"

/* Lists what an own descriptor, not read yet, has. */
static int list(int fd, cgtree_name_fn *each, void *ctx) {
    _Alignas(struct dirent64) char buf[2048];
    ssize_t n;

    while ((n = getdents64(fd, buf, sizeof(buf))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *entry = (const void *)(buf + at);
            int r = 0;

            at += entry->d_reclen;
            if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
                r = each(ctx, fd, entry->d_name);
            if (r != 0)
                return r;
        }
    }
    return n < 0 ? -errno : 0;
}

/* The kernel counts a directory's folders in its links, itself and ".." included: no need to list a
 * group that has none. Some file systems do not count and say 1. */
static bool is_leaf(int dir) {
    struct stat st;

    return fstat(dir, &st) == 0 && st.st_nlink == 2;
}

int cgtree_names(int dir, cgtree_name_fn *each, void *ctx) {
    auto_close int own = -1;
    int r;

    if (is_leaf(dir))
        return 0;
    own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = own < 0 ? -errno : list(own, each, ctx);
    return r == -ENOENT ? -ENODEV : r;
}

struct walk {
    cgtree_fn *each;
    void *ctx;
    unsigned depth;
};

static int enter(void *ctx, int parent, const char *name) {
    struct walk *w = ctx;
    auto_close int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r;

    if (dir < 0)
        return errno == ENOENT || errno == ENODEV ? 0 : -errno;
    if (w->depth >= CGTREE_DEPTH)
        return -ELOOP;
    r = w->each(w->ctx, dir);
    if (r != 0 || is_leaf(dir))
        return r;
    w->depth++;
    r = list(dir, enter, w);
    w->depth--;
    return r == -ENODEV || r == -ENOENT ? 0 : r;
}

int cgtree_each(int dir, cgtree_fn *each, void *ctx) {
    struct walk w = {each, ctx, 0};
    int r = each(ctx, dir);

    return r != 0 ? r : cgtree_names(dir, enter, &w);
}
