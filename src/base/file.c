#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

/* Never hang on a FIFO, never get a terminal. */
enum { open_flags = O_RDONLY | O_NONBLOCK | O_NOCTTY };

/* Reads until the end of the file or until the buffer is full; *used counts on from what it was. */
static int fill(int fd, bool from_start, char *buf, size_t size, size_t *used) {
    while (*used < size) {
        ssize_t n = from_start ? pread(fd, buf + *used, size - *used, (off_t)*used)
                               : read(fd, buf + *used, size - *used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        *used += (size_t)n;
    }
    return -EFBIG;
}

/* Reads a file by its name; what does not fit is cut, or makes the whole of it -EFBIG. */
static int read_name(int dir, const char *name, bool cut, char *buf, size_t size, struct str *out) {
    auto_close int fd = openat(dir, name, O_CLOEXEC | open_flags);
    size_t used = 0;
    int r;

    if (fd < 0)
        return -errno;
    r = fill(fd, false, buf, size, &used);
    if (r < 0 && !(cut && r == -EFBIG))
        return r;
    *out = (struct str){buf, used};
    return 0;
}

int file_read_at(int dir, const char *name, char *buf, size_t size, struct str *out) {
    return read_name(dir, name, false, buf, size, out);
}

int file_head_at(int dir, const char *name, char *buf, size_t size, struct str *out) {
    return read_name(dir, name, true, buf, size, out);
}

int file_pread(int fd, char *buf, size_t size, struct str *out) {
    ssize_t n;
    size_t used;

    /* cgroup and /proc files give all they have at once if the buffer is large enough, and a
     * second call only to see the end would cost a third more: a short read is the end there. */
    do
        n = pread(fd, buf, size, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    used = (size_t)n;
    if (used == size) {
        int r = fill(fd, true, buf, size, &used);

        if (r < 0)
            return r;
    }
    *out = (struct str){buf, used};
    return 0;
}

int file_link_at(int dir, const char *name, char *buf, size_t size, struct str *out) {
    ssize_t n = readlinkat(dir, name, buf, size);

    if (n < 0)
        return -errno;
    if ((size_t)n == size)
        return -ENAMETOOLONG;
    *out = (struct str){buf, (size_t)n};
    return 0;
}

/* Before Linux 5.6: component by component, and any symbolic link or ".." is refused. */
static int walk_below(int dir, struct str path, int flags) {
    auto_close int at = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    struct str name;
    char text[256];

    while (at >= 0 && path.n > 0) {
        bool last = !str_cut(&path, '/', &name);
        int next;

        if (last) {
            name = path;
            path.n = 0;
        }
        if (name.n == 0 || str_eq(name, STR(".")))
            continue;
        if (str_eq(name, STR("..")) || str_copy(name, text, sizeof(text)) < 0)
            return -EINVAL;
        next = openat(at, text, O_CLOEXEC | O_NOFOLLOW | (path.n ? O_PATH : flags));
        if (next < 0)
            return -errno;
        close(at);
        at = next;
    }
    return at < 0 ? -errno : take_fd(&at);
}

static int open_in(int dir, const char *path, int flags) {
    struct open_how how = {.flags = O_CLOEXEC | (uint64_t)(unsigned)flags,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

    if (fd < 0 && errno == ENOSYS)
        return walk_below(dir, str_of(path), flags);
    return fd < 0 ? -errno : (int)fd;
}

int file_open_in(int dir, const char *path) {
    return open_in(dir, path, open_flags);
}

int file_open_dir_in(int dir, const char *path) {
    return open_in(dir, path, O_PATH | O_DIRECTORY);
}

int file_open_path_in(int dir, const char *path) {
    return open_in(dir, path, O_PATH | O_NOFOLLOW);
}

int file_load_fd(int fd, size_t max, char **out, size_t *len_out) {
    auto_free char *text = NULL;
    struct stat st;
    size_t used = 0, size;
    int r;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if ((uint64_t)st.st_size > max)
        return -EFBIG;
    size = (size_t)st.st_size + 2; /* one more than it says, to notice when it has grown */
    text = malloc(size);
    if (!text)
        return -ENOMEM;
    r = fill(fd, false, text, size - 1, &used);
    if (r < 0)
        return r;
    text[used] = '\0';
    *out = take_ptr(&text);
    *len_out = used;
    return 0;
}

int file_load_unsized(int fd, size_t max, char **out, size_t *len_out) {
    auto_free char *text = NULL;
    size_t used = 0, size = 2048;
    int r;

    do {
        char *grown = used > max ? NULL : realloc(text, (size *= 2) + 1);

        if (!grown)
            return used > max ? -EFBIG : -ENOMEM;
        text = grown;
        r = fill(fd, false, text, size, &used);
    } while (r == -EFBIG);
    if (r < 0 || used > max)
        return r < 0 ? r : -EFBIG;
    text[used] = '\0';
    *out = take_ptr(&text);
    *len_out = used;
    return 0;
}

int file_load_in(int dir, const char *path, size_t max, char **out, size_t *len_out) {
    auto_close int fd = file_open_in(dir, path);

    return fd < 0 ? fd : file_load_fd(fd, max, out, len_out);
}
