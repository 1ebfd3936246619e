#include "guard/auditlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/mem.h"

#define FOLDER "/plimsoll"
#define FILE_NAME "/audit.jsonl"

int auditlog_default_path(char *out, size_t size) {
    const char *home = secure_getenv("HOME"), *state = secure_getenv("XDG_STATE_HOME");
    int n;

    if (geteuid() == 0)
        n = snprintf(out, size, "/var/log" FOLDER FILE_NAME);
    else if (state && state[0] == '/')
        n = snprintf(out, size, "%s" FOLDER FILE_NAME, state);
    else if (home && home[0] == '/')
        n = snprintf(out, size, "%s/.local/state" FOLDER FILE_NAME, home);
    else
        return -ENOENT;
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Makes the folders above the file, those that are missing for us alone. */
static int make_folders(char *path) {
    for (char *c = path + 1; *c; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
            int r = -errno;

            *c = '/';
            return r;
        }
        *c = '/';
    }
    return 0;
}

static int open_file(const char *path) {
    int fd = open(
        path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);

    return fd < 0 ? -errno : fd;
}

/* Ours, a file, and written by nobody else. */
static int check(int fd, const char *path, struct stat *st, struct err *err) {
    if (fstat(fd, st) < 0)
        return err_set(err, -errno, "cannot look at '%s':", path);
    if (!S_ISREG(st->st_mode))
        return err_set(err, -EINVAL, "'%s' is no regular file", path);
    if (st->st_uid != geteuid() || st->st_mode & 022)
        return err_set(err, -EPERM,
                       "'%s' belongs to or can be written by others: no record there could be "
                       "believed",
                       path);
    return 0;
}

/* Whoever writes there too may have put it aside since we opened it: then what has its name now is
 * the next one, and stays. 0, also then; -errno. */
static int put_aside(int fd, const struct stat *opened, const char *path) {
    char old[4096 + 2];
    struct stat st;
    int r = 0;

    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    (void)snprintf(old, sizeof(old), "%s.1", path);
    if (lstat(path, &st) == 0 && st.st_dev == opened->st_dev && st.st_ino == opened->st_ino &&
        rename(path, old) < 0)
        r = -errno;
    (void)flock(fd, LOCK_UN);
    return r;
}

int auditlog_open(const char *path, struct err *err) {
    auto_close int fd = -1;
    char text[4096];
    struct stat st;
    int r;

    if (path)
        r = str_copy(str_of(path), text, sizeof(text));
    else
        r = auditlog_default_path(text, sizeof(text));
    if (r < 0)
        return err_set(err, r, "no place for the audit:");
    r = path ? 0 : make_folders(text);
    if (r < 0)
        return err_set(err, r, "cannot make the folder of '%s':", text);
    fd = open_file(text);
    if (fd < 0)
        return err_set(err, fd, "cannot open '%s':", text);
    r = check(fd, text, &st, err);
    if (r < 0)
        return r;
    if (st.st_size < AUDITLOG_MOST)
        return take_fd(&fd);
    if (put_aside(fd, &st, text) < 0)
        return take_fd(&fd); /* grows on */
    close(fd);
    fd = open_file(text);
    return fd < 0 ? err_set(err, fd, "cannot open '%s':", text) : take_fd(&fd);
}

int auditlog_write(int fd, const struct audit *a, const struct policy *policy, struct buf *room) {
    ssize_t n;
    int r;

    buf_clear(room);
    audit_add_json(room, a, policy);
    buf_add_char(room, '\n');
    r = buf_error(room);
    if (r < 0)
        return r;
    do
        n = write(fd, room->p, room->n);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t)n == room->n ? 0 : -ENOSPC;
}

void auditlog_id(char out[AUDIT_ID], int64_t at_ms) {
    static unsigned last;

    (void)snprintf(out, AUDIT_ID, "%011llx-%x-%x", (unsigned long long)at_ms, (unsigned)getpid(),
                   ++last);
}
