#include "act/dumptidy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "act/dumpstore.h"
#include "base/file.h"
#include "base/mem.h"

enum { FOLDERS_MAX = 10000, DEPTH_MAX = 6 };

struct folder {
    char name[DUMP_FOLDER];
    uint64_t bytes;
};

struct list {
    struct folder *p;
    size_t n, size;
};

typedef int entry_fn(void *ctx, int dir, const char *name);

/* Until each() returns something else than 0. */
static int each_entry(int dir, entry_fn *each, void *ctx) {
    int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    auto_closedir DIR *d = own < 0 ? NULL : fdopendir(own);
    struct dirent *e;

    if (!d) {
        r = -errno;
        if (own >= 0)
            close(own);
        return r;
    }
    while (r == 0 && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = each(ctx, dir, e->d_name);
    return r;
}

static int open_folder(int dir, const char *name) {
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

struct sum {
    uint64_t bytes;
    unsigned depth, entries;
};

static int add_size(void *ctx, int dir, const char *name) {
    struct sum *sum = ctx;
    struct stat st;

    sum->entries++;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    sum->bytes += (uint64_t)st.st_blocks * 512;
    if (S_ISDIR(st.st_mode) && sum->depth < DEPTH_MAX) {
        auto_close int sub = open_folder(dir, name);

        sum->depth++;
        if (sub >= 0)
            (void)each_entry(sub, add_size, sum);
        sum->depth--;
    }
    return 0;
}

static bool has_mark(int dir) {
    auto_close int fd =
        openat(dir, DUMP_SUMMARY, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    char head[sizeof(DUMP_MARK) - 1];

    return fd >= 0 && read(fd, head, sizeof(head)) == (ssize_t)sizeof(head) &&
           memcmp(head, DUMP_MARK, sizeof(head)) == 0;
}

/* A dump that began on a full disk may have nothing in it but empty files of ours. */
static bool is_empty(int dir, const struct sum *sum) {
    static const char *const ours[] = {DUMP_SUMMARY, DUMP_INDEX_NEW};
    unsigned n = 0;

    for (size_t i = 0; i < ARRAY_N(ours); i++) {
        struct stat st;

        n += fstatat(dir, ours[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
             st.st_size == 0;
    }
    return n == sum->entries;
}

static bool is_ours(int dir, struct sum *sum) {
    (void)each_entry(dir, add_size, sum);
    return has_mark(dir) || is_empty(dir, sum);
}

static int add_folder(void *ctx, int dir, const char *name) {
    struct list *l = ctx;
    auto_close int fd = -1;
    struct sum sum = {0};
    struct str time;

    if (strlen(name) >= DUMP_FOLDER || !dumpstore_is_name(str_of(name), &time))
        return 0;
    fd = open_folder(dir, name);
    if (fd < 0 || !is_ours(fd, &sum))
        return 0;
    if (l->n == l->size) {
        size_t size = l->size ? 2 * l->size : 64;
        struct folder *p = size > FOLDERS_MAX ? NULL : realloc(l->p, size * sizeof(*p));

        if (!p)
            return 1;
        l->p = p;
        l->size = size;
    }
    memcpy(l->p[l->n].name, name, strlen(name) + 1);
    l->p[l->n++].bytes = sum.bytes;
    return 0;
}

static int by_age(const void *a, const void *b) {
    const struct folder *x = a, *y = b;
    struct str first, second;

    if (!dumpstore_is_name(str_of(x->name), &first) ||
        !dumpstore_is_name(str_of(y->name), &second) || strcmp(first.p, second.p) == 0)
        return strcmp(x->name, y->name);
    return strcmp(first.p, second.p);
}

static int remove_entry(void *ctx, int dir, const char *name) {
    unsigned *depth = ctx;

    if (unlinkat(dir, name, 0) == 0 || errno != EISDIR || *depth >= DEPTH_MAX)
        return 0;
    auto_close int sub = open_folder(dir, name);

    if (sub < 0)
        return 0;
    ++*depth;
    (void)each_entry(sub, remove_entry, ctx);
    --*depth;
    (void)unlinkat(dir, name, AT_REMOVEDIR);
    return 0;
}

static bool remove_dump(int top, const char *name) {
    auto_close int fd = open_folder(top, name);
    struct sum sum = {0};
    unsigned depth = 0;

    /* Somebody may be writing it, and it may have become another since it was listed. */
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_ours(fd, &sum))
        return false;
    (void)each_entry(fd, remove_entry, &depth);
    return unlinkat(top, name, AT_REMOVEDIR) == 0;
}

unsigned dumptidy_run(int top, const char *keep, unsigned most, uint64_t most_bytes) {
    struct list l = {0};
    uint64_t bytes = 0;
    unsigned removed = 0;
    size_t left;

    (void)each_entry(top, add_folder, &l);
    if (l.n > 0)
        qsort(l.p, l.n, sizeof(*l.p), by_age);
    for (size_t i = 0; i < l.n; i++)
        bytes += l.p[i].bytes;
    left = l.n;
    for (size_t i = 0; i < l.n && (left > most || bytes > most_bytes); i++) {
        if (strcmp(l.p[i].name, keep) == 0 || !remove_dump(top, l.p[i].name))
            continue;
        removed++;
        left--;
        bytes -= l.p[i].bytes;
    }
    free(l.p);
    return removed;
}
