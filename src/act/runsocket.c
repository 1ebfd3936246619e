#include "act/runsocket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define FOLDER "plimsoll"

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

/* Opens, and makes if need be, the folder for our sockets. */
static int open_folder(const char *base, struct err *err) {
    auto_close int above = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_close int fd = -1;

    if (above < 0)
        return err_set(err, -errno, "cannot open '%s':", base);
    if (!ownsocket_keeps_names(above))
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

static void sweep(int folder) {
    auto_close int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!list)
        return;
    (void)take_fd(&fd);
    while ((entry = readdir(list))) {
        struct str name = str_of(entry->d_name);

        if (str_starts(name, STR("run-")) && str_ends(name, STR(".sock")))
            (void)ownsocket_clear(folder, entry->d_name);
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

/* Gives it its name, which nobody else may have. */
static int publish(const char *base, const char *run, struct runsocket *s) {
    int r = -EEXIST;

    for (unsigned i = 0; i < 2 && r == -EEXIST; i++) {
        r = runsocket_name(base, run, i > 0, s->path, sizeof(s->path));
        if (r == 0)
            r = ownsocket_publish(&s->own, last_part(s->path));
    }
    return r;
}

int runsocket_make(const char *run, struct runsocket *out, struct err *err) {
    struct runsocket s = RUNSOCKET_NONE;
    const char *base = runsocket_base();
    int r, folder;

    if (!base)
        return err_set(err, -ENOENT, "no place for a socket: $XDG_RUNTIME_DIR is not set");
    if (runsocket_name(base, run, false, s.path, sizeof(s.path)) < 0)
        return err_set(err, -ENAMETOOLONG, "'%s' is too long a path for a socket", base);
    folder = open_folder(base, err);
    if (folder < 0)
        return folder;
    sweep(folder);
    r = ownsocket_open(folder, 0600, &s.own);
    if (r == 0)
        r = publish(base, run, &s);
    if (r < 0) {
        ownsocket_remove(&s.own);
        return err_set(err, r, "cannot make the socket '%s':", s.path);
    }
    *out = s;
    return 0;
}

void runsocket_remove(struct runsocket *s) {
    auto_close int folder = -1;

    if (s->own.fd < 0)
        return;
    folder = openat(s->own.folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    ownsocket_remove(&s->own);
    if (folder >= 0)
        sweep(folder);
    *s = (struct runsocket)RUNSOCKET_NONE;
}
