#include "act/ownsocket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

_Static_assert(sizeof(((struct sockaddr_un *)NULL)->sun_path) == OWNSOCKET_NAME,
               "as long as an address");

bool ownsocket_keeps_names(int folder) {
    struct stat st;

    return fstat(folder, &st) == 0 && (st.st_uid == geteuid() || st.st_uid == 0) &&
           ((st.st_mode & 022) == 0 || (st.st_mode & S_ISVTX));
}

/* The folder itself, whatever happens to its path meanwhile, and however long that is. Without a
 * name: what the descriptor is of. */
static int address_of(int fd, const char *name, struct sockaddr_un *out) {
    int n;

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    n = snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d%s%s", fd, name ? "/" : "",
                 name ? name : "");
    return n > 0 && (size_t)n < sizeof(out->sun_path) ? 0 : -ENAMETOOLONG;
}

static bool is_same(int folder, const char *name, const struct stat *as) {
    struct stat st;

    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == as->st_ino &&
           st.st_dev == as->st_dev;
}

bool ownsocket_clear(int folder, const char *name) {
    auto_close int fd = -1, left = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct sockaddr_un address;
    struct stat st;

    if (left < 0 || address_of(left, NULL, &address) < 0 || fstat(left, &st) < 0 ||
        !S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 &&
           errno == ECONNREFUSED && is_same(folder, name, &st) && unlinkat(folder, name, 0) == 0;
}

/* Nobody but us may connect from the first moment; and when others may, the queue is so long that
 * who connects does not have to wait for us. */
static int listen_at(struct ownsocket *s, mode_t mode) {
    struct sockaddr_un address;
    mode_t before;
    int r = address_of(s->folder, s->name, &address);

    if (r < 0)
        return r;
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return -errno;
    before = umask(0177);
    r = bind(s->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    umask(before);
    if (r < 0)
        return r;
    if (fstatat(s->folder, s->name, &s->made, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (listen(s->fd, SOMAXCONN) == 0 &&
        ((mode & 0777) == 0600 || fchmodat(s->folder, s->name, mode & 0777, 0) == 0))
        return 0;
    r = -errno;
    if (is_same(s->folder, s->name, &s->made))
        (void)unlinkat(s->folder, s->name, 0);
    return r;
}

static void close_both(struct ownsocket *s) {
    mem_close_fd(&s->fd);
    mem_close_fd(&s->folder);
    *s = (struct ownsocket)OWNSOCKET_NONE;
}

int ownsocket_open(int folder, mode_t mode, struct ownsocket *out) {
    struct ownsocket s = {.fd = -1, .folder = folder};
    int r;

    (void)snprintf(s.name, sizeof(s.name), ".%d-%llx", (int)getpid(),
                   (unsigned long long)clock_mono_us());
    r = listen_at(&s, mode);
    if (r < 0)
        close_both(&s);
    *out = s;
    return r;
}

int ownsocket_publish(struct ownsocket *s, const char *name) {
    char to[OWNSOCKET_NAME];
    struct stat now;
    int r = str_copy(str_of(name), to, sizeof(to));

    if (r < 0)
        return -ENAMETOOLONG;
    if (renameat2(s->folder, s->name, s->folder, to, RENAME_NOREPLACE) < 0)
        return -errno;
    memcpy(s->name, to, sizeof(s->name));
    if (fstatat(s->folder, to, &now, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(now.st_mode))
        return -ENOENT;
    s->made = now;
    return 0;
}

void ownsocket_remove(struct ownsocket *s) {
    if (s->fd >= 0 && is_same(s->folder, s->name, &s->made))
        (void)unlinkat(s->folder, s->name, 0);
    close_both(s);
}
