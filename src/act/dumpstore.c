#include "act/dumpstore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "act/dumptidy.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
    NAME_KEPT = 72, /* bytes of a target's name */
    TRIES = 100,    /* folders of one second */
    PIECE = 65536,
    DEPTH_MAX = 4,
};

/* --- names ------------------------------------------------------------------------------------ */

static bool is_plain(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_';
}

void dumpstore_add_name(struct buf *out, struct str name, int64_t at_ms) {
    char text[40];
    struct buf time;
    size_t from = out->n;

    while (name.n > 0 && (name.p[0] == '/' || name.p[0] == '.' || name.p[0] == '-'))
        name = str_from(name, 1);
    if (name.n > NAME_KEPT) /* of a path the end tells more */
        name = str_from(name, name.n - NAME_KEPT);
    for (size_t i = 0; i < name.n; i++)
        buf_add_char(out, is_plain(name.p[i]) && !(i == 0 && name.p[i] == '.') ? name.p[i] : '_');
    if (out->n == from)
        buf_add(out, STR("group"));
    buf_init(&time, sizeof(text));
    clock_add_rfc3339(&time, at_ms); /* 2026-11-22T00:31:07.123Z */
    if (time.n >= 19) {
        buf_add_char(out, '-');
        for (size_t i = 0; i < 19; i++)
            if (time.p[i] != '-' && time.p[i] != ':')
                buf_add_char(out, time.p[i]);
        buf_add_char(out, 'Z');
    }
    buf_done(&time);
}

static bool are_digits(struct str s) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

bool dumpstore_is_name(struct str name, struct str *time_out) {
    ptrdiff_t dash = str_rfind(name, '-');
    struct str time;

    if (dash < 1)
        return false;
    time = str_from(name, (size_t)dash + 1);
    if (time.n < 16 || !are_digits(str_head(time, 8)) || time.p[8] != 'T' ||
        !are_digits((struct str){time.p + 9, 6}) || time.p[15] != 'Z')
        return false;
    if (time.n > 16 && (time.p[16] != '.' || !are_digits(str_from(time, 17))))
        return false;
    *time_out = time;
    return true;
}

/* --- the folder ------------------------------------------------------------------------------- */

static int make_folder(const char *path) {
    if (path[0] != '/')
        return -EINVAL;
    return mkdir(path, 0700) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES ? -errno
                                                                                         : 0;
}

void dumpstore_make_above(const char *top) {
    char part[4096];

    if (str_copy(str_of(top), part, sizeof(part)) < 0)
        return;
    for (size_t i = 1; part[i]; i++) {
        if (part[i] != '/')
            continue;
        part[i] = '\0';
        (void)make_folder(part);
        part[i] = '/';
    }
}

static int open_folder(int dir, const char *name) {
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* What a disk that fills up later cannot take away. Not every file system can promise that. */
static void reserve(int dir, const char *name) {
    auto_close int fd =
        openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd >= 0)
        (void)!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, DUMP_RESERVE);
}

static int make_dump(struct dumpstore *s, struct str name) {
    int r = 0;

    for (int i = 1; i < TRIES; i++) {
        if (i == 1)
            (void)snprintf(s->name, sizeof(s->name), "%.*s", STR_ARG(name));
        else
            (void)snprintf(s->name, sizeof(s->name), "%.*s.%d", STR_ARG(name), i);
        r = mkdirat(s->top, s->name, 0700) < 0 ? -errno : 0;
        if (r == -EEXIST)
            continue;
        if (r < 0)
            return r;
        s->dir = open_folder(s->top, s->name);
        if (s->dir < 0)
            return s->dir;
        (void)flock(s->dir, LOCK_EX | LOCK_NB);
        reserve(s->dir, DUMP_SUMMARY);
        reserve(s->dir, DUMP_INDEX_NEW);
        return 0;
    }
    return r;
}

int dumpstore_open(struct dumpstore *s, const char *top, struct str name, int64_t at_ms,
                   struct err *err) {
    struct buf folder;
    struct stat st;
    int r;

    *s = (struct dumpstore){.top = -1, .dir = -1, .left = DUMP_TOTAL_MAX};
    r = make_folder(top);
    if (r == -ENOENT)
        return err_set(err, r,
                       "cannot make the folder '%s' for dumps: what it would lie in is not "
                       "there",
                       top);
    if (r == 0)
        s->top = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r < 0 || s->top < 0)
        return err_set(err, r < 0 ? r : -errno,
                       top[0] == '/' ? "cannot make the folder '%s' for dumps:"
                                     : "'%s' is no absolute path of a folder",
                       top);
    if (fstat(s->top, &st) == 0 && (st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
        return err_set(err, -EPERM, "everybody may write into '%s': dumps are not put there", top);
    buf_init(&folder, DUMP_FOLDER - 8);
    dumpstore_add_name(&folder, name, at_ms);
    r = buf_error(&folder);
    if (r == 0)
        r = make_dump(s, buf_str(&folder));
    buf_done(&folder);
    return r < 0 ? err_set(err, r, "cannot make a folder in '%s':", top) : 0;
}

void dumpstore_done(struct dumpstore *s) {
    if (s->dir >= 0)
        close(s->dir);
    if (s->top >= 0)
        close(s->top);
    s->dir = s->top = -1;
}

int dumpstore_sub(struct dumpstore *s, int dir, const char *name) {
    if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST) {
        s->full = s->full || errno == ENOSPC || errno == EDQUOT;
        return -errno;
    }
    return open_folder(dir, name);
}

/* --- files ------------------------------------------------------------------------------------ */

static int new_file(struct dumpstore *s, int dir, const char *name) {
    int fd;

    if (s->full)
        return -ENOSPC;
    if (s->left == 0)
        return -EFBIG;
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if (errno == ENOSPC || errno == EDQUOT) {
        s->full = true;
        return -ENOSPC;
    }
    return -errno;
}

/* 0; -ENOSPC; -errno. */
static int write_all(struct dumpstore *s, int fd, struct str text) {
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT)) {
            s->full = true;
            return -ENOSPC;
        }
        if (n < 0)
            return -errno;
        s->left -= (uint64_t)n < s->left ? (uint64_t)n : s->left;
        text = str_from(text, (size_t)n);
    }
    return 0;
}

int dumpstore_write(struct dumpstore *s, int dir, const char *name, struct str text,
                    bool *cut_out) {
    auto_close int fd = new_file(s, dir, name);
    uint64_t most = s->left < DUMP_FILE_MAX ? s->left : DUMP_FILE_MAX;

    if (fd < 0)
        return fd;
    if (cut_out)
        *cut_out = text.n > most;
    return write_all(s, fd, text.n > most ? str_head(text, (size_t)most) : text);
}

/* A piece, or 0 at the end, or -errno. */
static ssize_t read_piece(int fd, char *buf, size_t size) {
    for (;;) {
        ssize_t n = read(fd, buf, size);

        if (n >= 0 || errno != EINTR)
            return n < 0 ? -errno : n;
    }
}

int dumpstore_copy(struct dumpstore *s, int from, const char *source, int dir, const char *name,
                   bool *cut_out) {
    static char piece[PIECE]; /* of this process, which has one thread; not on the heap */
    auto_close int in = openat(from, source, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    uint64_t most = s->left < DUMP_FILE_MAX ? s->left : DUMP_FILE_MAX;
    ssize_t n;

    if (in < 0)
        return -errno;
    n = read_piece(in, piece, sizeof(piece));
    if (n <= 0)
        return n < 0 ? (int)n : -ENODATA;

    auto_close int out = new_file(s, dir, name);
    int r = out < 0 ? out : 0;

    while (r == 0 && n > 0) {
        size_t take = (uint64_t)n < most ? (size_t)n : (size_t)most;

        r = write_all(s, out, (struct str){piece, take});
        most -= take;
        if (most == 0) {
            if (cut_out)
                *cut_out = true;
            break;
        }
        n = read_piece(in, piece, sizeof(piece));
    }
    return r < 0 ? r : n < 0 ? (int)n : 0;
}

/* In place: on a full disk the pages that it has are all that there are. */
static int put(struct dumpstore *s, const char *name, struct str text) {
    auto_close int fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    size_t done = 0;
    int r = 0;

    if (fd < 0)
        return -errno;
    while (r == 0 && done < text.n) {
        ssize_t n = pwrite(fd, text.p + done, text.n - done, (off_t)done);

        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            r = errno == EDQUOT ? -ENOSPC : -errno;
    }
    s->full = s->full || r == -ENOSPC;
    if (ftruncate(fd, (off_t)done) < 0 && r == 0)
        r = -errno;
    return r;
}

int dumpstore_summary(struct dumpstore *s, struct str text) {
    return put(s, DUMP_SUMMARY, text);
}

int dumpstore_index(struct dumpstore *s, struct str text) {
    int r = put(s, DUMP_INDEX_NEW, text);

    if (r < 0) {
        (void)unlinkat(s->dir, DUMP_INDEX_NEW, 0);
        return r;
    }
    return renameat(s->dir, DUMP_INDEX_NEW, s->dir, DUMP_INDEX) < 0 ? -errno : 0;
}

/* --- looking back ----------------------------------------------------------------------------- */

struct walk {
    dumpstore_file_fn *each;
    void *ctx;
    uint64_t bytes;
};

static int walk_folder(struct walk *w, int dir, const char *prefix, unsigned depth);

static int walk_entry(struct walk *w, int dir, const char *prefix, const char *entry,
                      unsigned depth) {
    char name[1024];
    struct stat st;

    if (fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    (void)snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "/" : "", entry);
    if (S_ISREG(st.st_mode)) {
        w->bytes += (uint64_t)st.st_size;
        return w->each ? w->each(w->ctx, name, (uint64_t)st.st_size) : 0;
    }
    if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
        auto_close int sub = open_folder(dir, entry);

        return sub < 0 ? 0 : walk_folder(w, sub, name, depth + 1);
    }
    return 0;
}

static int walk_folder(struct walk *w, int dir, const char *prefix, unsigned depth) {
    struct dirent *e;
    int r = 0, own = dup(dir);
    auto_closedir DIR *d = own < 0 ? NULL : fdopendir(own);

    if (!d) {
        r = -errno;
        if (own >= 0)
            close(own);
        return r;
    }
    rewinddir(d);
    while (r == 0 && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = walk_entry(w, dir, prefix, e->d_name, depth);
    return r;
}

int dumpstore_walk(struct dumpstore *s, dumpstore_file_fn *each, void *ctx) {
    struct walk w = {.each = each, .ctx = ctx};
    int r = walk_folder(&w, s->dir, "", 0);

    s->left = w.bytes < DUMP_TOTAL_MAX ? DUMP_TOTAL_MAX - w.bytes : 0;
    return r;
}

unsigned dumpstore_prune(struct dumpstore *s, unsigned most, uint64_t most_bytes) {
    return dumptidy_run(s->top, s->name, most, most_bytes);
}
