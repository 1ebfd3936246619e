#include "act/trusted.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"

enum { LINKS = 40 };

struct walk {
    int at;              /* the folder that `rest` begins in */
    char rest[PATH_MAX]; /* still to go */
    unsigned depth;      /* of `at` below / */
    unsigned links;
};

static int fail(struct err *err, int code, const char *path, struct str part, const char *what) {
    return err_set(err, code, "'%s' is not executed: '%.*s' %s", path, STR_ARG(part), what);
}

/* A folder that others are meant to write to, as /tmp and /var/mail: to take that away would break
 * what uses it. */
static bool is_common(const struct walk *w, const struct stat *st) {
    return S_ISDIR(st->st_mode) && (w->depth == 0 || (st->st_mode & (S_ISVTX | S_ISGID)));
}

/* Nobody but root and we may change it. */
static int check_owner(const struct walk *w, const struct stat *st, const char *path,
                       struct str part, struct err *err) {
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return fail(err, -EPERM, path, part, "belongs to another user");
    if (S_ISLNK(st->st_mode) || (st->st_mode & 022) == 0)
        return 0;
    if (!is_common(w, st))
        return fail(err, -EPERM, path, part, "can be written to by others (try: chmod go-w)");
    return fail(err, -EPERM, path, part,
                geteuid() == 0 ? "can be written to by others: put it into a folder that only root "
                                 "can write to"
                               : "can be written to by others: put it into a folder that only you "
                                 "can write to");
}

static int open_root(struct walk *w) {
    mem_close_fd(&w->at);
    w->depth = 0;
    w->at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return w->at < 0 ? -errno : 0;
}

/* What a link says goes before what was still to go. */
static int follow(struct walk *w, int link, const char *behind) {
    char target[PATH_MAX], rest[PATH_MAX];
    struct str text;
    int r = file_link_at(link, "", target, sizeof(target), &text);

    if (r < 0)
        return r;
    if (++w->links > LINKS)
        return -ELOOP;
    if ((size_t)snprintf(rest, sizeof(rest), "%.*s/%s", STR_ARG(text), behind) >= sizeof(rest))
        return -ENAMETOOLONG;
    memcpy(w->rest, rest, sizeof(rest));
    return text.n > 0 && text.p[0] == '/' ? open_root(w) : 0;
}

static int check_file(const struct stat *st, const char *path, struct str part, struct err *err) {
    if (!S_ISREG(st->st_mode))
        return fail(err, -EACCES, path, part, "is no regular file");
    if ((st->st_mode & 0111) == 0)
        return fail(err, -EACCES, path, part, "is not executable");
    return 0;
}

/* One part further. 0; 1: that was the file, *out is open; -errno. */
static int step(struct walk *w, const char *path, int *out, struct err *err) {
    struct str rest = str_of(w->rest), part;
    auto_close int next = -1;
    char name[NAME_MAX + 1], behind[PATH_MAX];
    bool last;
    struct stat st;
    int r;

    while (str_skip(&rest, STR("/")))
        ;
    if (!str_cut(&rest, '/', &part)) {
        part = rest;
        rest = (struct str){part.p + part.n, 0};
    }
    last = rest.n == 0;
    if (str_copy(part, name, sizeof(name)) < 0 || part.n == 0)
        return fail(err, part.n == 0 ? -EISDIR : -ENAMETOOLONG, path, str_of(path),
                    part.n == 0 ? "is a folder" : "has a part that is too long");
    (void)str_copy(rest, behind, sizeof(behind));
    next = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (next < 0 || fstat(next, &st) < 0)
        return err_set(err, -errno, "cannot open '%s' of '%s':", name, path);
    r = check_owner(w, &st, path, str_of(name), err);
    if (r < 0)
        return r;
    if (S_ISLNK(st.st_mode)) {
        r = follow(w, next, behind);
        return r < 0 ? err_set(err, r, "cannot follow '%s' of '%s':", name, path) : 0;
    }
    if (last) {
        r = check_file(&st, path, str_of(name), err);
        *out = r < 0 ? -1 : take_fd(&next);
        return r < 0 ? r : 1;
    }
    if (!S_ISDIR(st.st_mode))
        return fail(err, -ENOTDIR, path, str_of(name), "is no folder");
    close(w->at);
    w->at = take_fd(&next);
    w->depth++;
    memcpy(w->rest, behind, sizeof(behind));
    return 0;
}

int trusted_open(const char *path, struct err *err) {
    struct walk w = {.at = -1};
    int fd = -1, r;

    if (path[0] != '/')
        return err_set(err, -EINVAL, "'%s' is no absolute path", path);
    if (str_copy(str_of(path), w.rest, sizeof(w.rest)) < 0)
        return err_set(err, -ENAMETOOLONG, "'%.60s...' is too long a path", path);
    r = open_root(&w);
    if (r < 0)
        err_set(err, r, "cannot open '/':");
    while (r == 0)
        r = step(&w, path, &fd, err);
    mem_close_fd(&w.at);
    return r < 0 ? r : fd;
}
