#include "act/runsocket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define FOLDER "plimsoll"

_Static_assert(sizeof(((struct sockaddr_un *)NULL)->sun_path) == RUNSOCKET_PATH,
               "as long as an address");

/* --- the folder --- */

const char *runsocket_base(void) {
    const char *own = geteuid() == 0 ? "/run" : secure_getenv("XDG_RUNTIME_DIR");

    return own && own[0] == '/' ? own : NULL;
}

/* Ours, and nobody else can put anything in it. */
static bool is_ours(int dir) {
    struct stat st;

    return fstat(dir, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 022) == 0;
}

/* Whether what is ours in it stays what it is: others may not rename it. */
static bool keeps_names(int dir) {
    struct stat st;

    return fstat(dir, &st) == 0 && (st.st_uid == geteuid() || st.st_uid == 0) &&
           ((st.st_mode & 022) == 0 || (st.st_mode & S_ISVTX));
}

/* Opens, and makes if need be, the folder for our sockets. */
static int open_folder(const char *base, struct err *err) {
    auto_close int above = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_close int fd = -1;

    if (above < 0)
        return err_set(err, -errno, "cannot open '%s':", base);
    if (!keeps_names(above))
        return err_set(err, -EPERM, "'%s' can be changed by others: no socket is made in it", base);
    if (mkdirat(above, "plimsoll", 0755) < 0 && errno != EEXIST)
        return err_set(err, -errno, "cannot make '%s/plimsoll':", base);
    fd = openat(above, "plimsoll", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "cannot open the folder '%s/plimsoll':", base);
    if (!is_ours(fd))
        return err_set(err, -EPERM, "'%s/plimsoll' is not ours alone: no socket is made in it",
                       base);
    return take_fd(&fd);
}

/* --- what is left --- */

/* Whether it is a socket of ours that nobody listens on. */
static bool is_left(int folder, const char *base, const char *name, struct stat *st) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = -1;
    int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/" FOLDER "/%s", base, name);

    if (n < 0 || (size_t)n >= sizeof(address.sun_path) ||
        fstatat(folder, name, st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st->st_mode) ||
        st->st_uid != geteuid())
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 &&
           errno == ECONNREFUSED;
}

static bool is_same(int folder, const char *name, const struct stat *as) {
    struct stat st;

    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == as->st_ino &&
           st.st_dev == as->st_dev;
}

static void sweep(int folder, const char *base) {
    auto_close int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    struct stat st;

    if (!list)
        return;
    (void)take_fd(&fd);
    while ((entry = readdir(list))) {
        struct str name = str_of(entry->d_name);

        if (str_starts(name, STR("run-")) && str_ends(name, STR(".sock")) &&
            is_left(folder, base, entry->d_name, &st) && is_same(folder, entry->d_name, &st))
            (void)unlinkat(folder, entry->d_name, 0);
    }
    closedir(list);
}

/* --- ours --- */

int runsocket_name(const char *base, const char *run, bool again, char *out, size_t size) {
    char pid[16] = "";
    int n;

    if (again)
        snprintf(pid, sizeof(pid), "-%d", (int)getpid());
    n = snprintf(out, size, "%s/" FOLDER "/run-%s%s.sock", base, run, pid);
    return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

static const char *last_part(const char *path) {
    return strrchr(path, '/') + 1;
}

/* Listens under a name that means nothing to others. Nobody but us may connect from the first
 * moment. */
static int listen_unnamed(const char *base, struct runsocket *s, struct sockaddr_un *address) {
    int n = snprintf(address->sun_path, sizeof(address->sun_path), "%s/" FOLDER "/.%d-%llx", base,
                     (int)getpid(), (unsigned long long)clock_mono_us());
    mode_t before;
    int r;

    if (n < 0 || (size_t)n >= sizeof(address->sun_path))
        return -ENAMETOOLONG;
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return -errno;
    before = umask(0177);
    r = bind(s->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    umask(before);
    /* A queue so long that nobody who connects has to wait for us. */
    if (r == 0 && listen(s->fd, SOMAXCONN) < 0) {
        r = -errno;
        (void)unlinkat(s->folder, last_part(address->sun_path), 0);
    }
    return r;
}

/* Gives it its name, which nobody else may have. */
static int publish(const char *base, const char *run, const char *from, struct runsocket *s) {
    int r = -EEXIST;

    for (unsigned i = 0; i < 2 && r == -EEXIST; i++) {
        r = runsocket_name(base, run, i > 0, s->path, sizeof(s->path));
        if (r == 0 &&
            renameat2(s->folder, from, s->folder, last_part(s->path), RENAME_NOREPLACE) < 0)
            r = -errno;
    }
    if (r == 0 && (fstatat(s->folder, last_part(s->path), &s->made, AT_SYMLINK_NOFOLLOW) < 0 ||
                   !S_ISSOCK(s->made.st_mode)))
        r = -ENOENT;
    return r;
}

static int make(const char *base, const char *run, struct runsocket *s, struct err *err) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int r = runsocket_name(base, run, false, s->path, sizeof(s->path));

    if (r == 0)
        r = listen_unnamed(base, s, &address);
    if (r == -ENAMETOOLONG)
        return err_set(err, r, "'%s' is too long a path for a socket", base);
    if (r == 0) {
        r = publish(base, run, last_part(address.sun_path), s);
        if (r < 0)
            (void)unlinkat(s->folder, last_part(address.sun_path), 0);
    }
    return r < 0 ? err_set(err, r, "cannot make the socket '%s':", s->path) : 0;
}

int runsocket_make(const char *run, struct runsocket *out, struct err *err) {
    struct runsocket s = RUNSOCKET_NONE;
    const char *base = runsocket_base();
    int r;

    if (!base)
        return err_set(err, -ENOENT, "no place for a socket: $XDG_RUNTIME_DIR is not set");
    s.folder = open_folder(base, err);
    if (s.folder < 0)
        return s.folder;
    sweep(s.folder, base);
    r = make(base, run, &s, err);
    if (r < 0) {
        mem_close_fd(&s.fd);
        mem_close_fd(&s.folder);
        return r;
    }
    *out = s;
    return 0;
}

void runsocket_remove(struct runsocket *s) {
    const char *base = runsocket_base();

    if (s->fd < 0)
        return;
    if (is_same(s->folder, last_part(s->path), &s->made))
        (void)unlinkat(s->folder, last_part(s->path), 0);
    close(s->fd);
    if (base)
        sweep(s->folder, base);
    close(s->folder);
    *s = (struct runsocket)RUNSOCKET_NONE;
}
