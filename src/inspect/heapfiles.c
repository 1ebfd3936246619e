#include "inspect/heapfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

struct place {
    char path[PATH_MAX], beside[PATH_MAX];
    bool special; /* exists and is no regular file */
    bool exists;
    mode_t mode;
};

static int find(const char *path, struct place *p, struct err *err) {
    struct stat st;
    int n;

    *p = (struct place){0};
    if (!*path)
        return err_set(err, -EINVAL, "a file name is empty");
    if (stat(path, &st) == 0) {
        p->exists = true;
        p->mode = st.st_mode & 07777;
        p->special = !S_ISREG(st.st_mode);
        if (S_ISDIR(st.st_mode))
            return err_set(err, -EISDIR, "cannot write '%s': it is a folder", path);
        if (!p->special && !realpath(path, p->path))
            return err_set(err, -errno, "cannot write '%s':", path);
    } else if (errno != ENOENT) {
        return err_set(err, -errno, "cannot write '%s':", path);
    }
    if ((!p->exists || p->special) && str_copy(str_of(path), p->path, sizeof(p->path)) < 0)
        return err_set(err, -ENAMETOOLONG, "cannot write '%s':", path);
    n = snprintf(p->beside, sizeof(p->beside), "%s.%d.part", p->path, (int)getpid());
    if (n < 0 || (size_t)n >= sizeof(p->beside))
        return err_set(err, -ENAMETOOLONG, "cannot write '%s':", path);
    return 0;
}

static int create(const struct place *p) {
    int fd = open(p->beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);

    if (fd >= 0 && p->exists)
        (void)fchmod(fd, p->mode); /* as it was; failing that, as new files are */
    return fd < 0 ? -errno : fd;
}

int heapfiles_check(const char *path, struct err *err) {
    struct place p;
    int fd, r = find(path, &p, err);

    if (r < 0 || p.special)
        return r;
    if (p.exists && access(p.path, W_OK) < 0)
        return err_set(err, -errno, "cannot write '%s':", path);
    fd = create(&p);
    if (fd < 0)
        return err_set(err, fd, "cannot write '%s':", path);
    close(fd);
    unlink(p.beside);
    return 0;
}

static int write_all(int fd, struct str s) {
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            s = str_from(s, (size_t)n);
    }
    return 0;
}

int heapfiles_write(const char *path, struct str content, struct err *err) {
    auto_close int fd = -1;
    struct place p;
    int r = find(path, &p, err);

    if (r < 0)
        return r;
    fd = p.special ? open(p.path, O_WRONLY | O_CLOEXEC | O_NOCTTY) : create(&p);
    if (fd < 0)
        return err_set(err, p.special ? -errno : fd, "cannot write '%s':", path);
    r = write_all(fd, content);
    if (r == 0 && !p.special && rename(p.beside, p.path) < 0)
        r = -errno;
    if (r < 0 && !p.special)
        unlink(p.beside);
    return r < 0 ? err_set(err, r, "cannot write '%s':", path) : 0;
}
