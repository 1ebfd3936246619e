#include "guard/pressuresock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "act/candidate.h"
#include "act/ownsocket.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/waiters.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

enum { LEAST = 16, SHARE = 8, ANYBODY = 0666, COUNTERS = 256, SECOND_US = 1000000 };

static const int64_t minute_us = 60 * 1000000;

struct place {
    bool guarded; /* when it came */
    char path[PRESSURESOCK_PATH];
};

struct pressuresock {
    struct pressuresock_options o;
    struct ownsocket socket;
    struct waiters *waiters;
    unsigned most;
    int64_t full_us; /* when it was last said that somebody was turned away, or has to wait */
    struct hash_key key;
    int64_t since_us; /* of the second that is counted: */
    unsigned strange, came[COUNTERS];
    struct place at[];
};

/* --- whose they are --------------------------------------------------------------------------- */

bool pressuresock_is_in(struct str path, struct str group) {
    if (str_eq(group, STR("/")))
        return true;
    return str_skip(&path, group) && (path.n == 0 || path.p[0] == '/');
}

/* Still the process that has connected, and no other with its pid. Before Linux 6.5 it cannot be
 * asked. */
static bool has_ended(int peer) {
    struct pollfd p = {.fd = peer, .events = POLLIN};

    return peer >= 0 && poll(&p, 1, 0) != 0;
}

static int find_place(const struct pressuresock *s, int fd, char *out, size_t size) {
    struct ucred who = {.pid = 0};
    socklen_t n = sizeof(who);
    auto_close int peer = -1;
    int r;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 || who.pid <= 0)
        return -ESRCH;
    n = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &peer, &n) < 0) {
        peer = -1;
        if (errno != ENOPROTOOPT)
            return -errno;
    }
    r = cgfs_path_of(s->o.host, s->o.fs, who.pid, out, size);
    return r == 0 && has_ended(peer) ? -ESRCH : r;
}

/* Of a group that is guarded all its groups count together, of others each by itself, and they have
 * half of the room. */
static bool has_room(const struct pressuresock *s, struct str path, struct str group) {
    unsigned same = 0, strange = 0;

    for (unsigned i = 0; i < s->most; i++) {
        struct str other = str_of(s->at[i].path);

        if (!waiters_has(s->waiters, i))
            continue;
        same += group.n > 0 ? pressuresock_is_in(other, group) : str_eq(other, path);
        strange += !s->at[i].guarded;
    }
    return same < PRESSURESOCK_GROUP && (group.n > 0 || strange < s->most / 2);
}

/* Counted as room is, so that who comes and goes takes nobody else's turn. Groups that share a
 * counter are others each time we start. */
static bool has_turn(struct pressuresock *s, struct str path, struct str group) {
    int64_t now_us = loop_now_us(s->o.loop);
    struct str who = group.n > 0 ? group : path;
    unsigned *came = &s->came[hash_str(&s->key, who) % COUNTERS];

    if (s->since_us == 0 || now_us - s->since_us >= SECOND_US) {
        memset(s->came, 0, sizeof(s->came));
        s->strange = 0;
        s->since_us = now_us;
    }
    if (*came == PRESSURESOCK_CAME || (group.n == 0 && s->strange == PRESSURESOCK_MOST / 2))
        return false;
    if (!has_room(s, path, group))
        return false;
    ++*came;
    s->strange += group.n == 0;
    return true;
}

static bool is_time_to_say(struct pressuresock *s) {
    int64_t now_us = loop_now_us(s->o.loop);

    if (s->full_us > 0 && now_us - s->full_us < minute_us)
        return false;
    s->full_us = now_us;
    return true;
}

static bool on_admit(void *ctx, unsigned number, int fd) {
    struct pressuresock *s = ctx;
    struct place *new = &s->at[number];
    struct str group;

    if (find_place(s, fd, new->path, sizeof(new->path)) < 0)
        return false;
    group = s->o.guarded(s->o.ctx, str_of(new->path));
    new->guarded = group.n > 0;
    if (has_turn(s, str_of(new->path), group))
        return true;
    if (is_time_to_say(s))
        log_line(LOG_WARN, "too many programs of '%s' want to be told: some are turned away",
                 new->path);
    return false;
}

/* What those before it were told is true yet. */
static void on_came(void *ctx, unsigned number) {
    struct pressuresock *s = ctx;

    if (waiters_count(s->waiters) == s->most && is_time_to_say(s))
        log_line(LOG_WARN, "%u programs wait to be told, the last of '%s': others have to wait",
                 s->most, s->at[number].path);
    if (s->o.above(s->o.ctx, str_of(s->at[number].path)))
        (void)waiters_tell(s->waiters, number);
}

unsigned pressuresock_tell(struct pressuresock *s, struct str group) {
    unsigned told = 0;

    for (unsigned i = 0; i < s->most; i++)
        if (waiters_has(s->waiters, i) && pressuresock_is_in(str_of(s->at[i].path), group))
            told += waiters_tell(s->waiters, i);
    return told;
}

/* --- its place -------------------------------------------------------------------------------- */

/* The folder and the name in it. */
static int open_folder(const char *path, const char **name_out, struct err *err) {
    ptrdiff_t slash = str_rfind(str_of(path), '/');
    const char *name = path + slash + 1;
    char folder[4096];
    auto_close int fd = -1;

    if (slash < 0 || path[0] != '/' || str_eq(str_of(name), STR("")) ||
        str_eq(str_of(name), STR(".")) || str_eq(str_of(name), STR("..")))
        return err_set(err, -EINVAL, "'%s' is not the full path of a socket", path);
    if (strlen(path) >= OWNSOCKET_NAME)
        return err_set(err, -ENAMETOOLONG, "the path of the socket '%s' is longer than %d bytes",
                       path, OWNSOCKET_NAME - 1);
    (void)str_copy((struct str){path, slash > 0 ? (size_t)slash : 1}, folder, sizeof(folder));
    fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "cannot open the folder '%s' for the socket '%s':", folder,
                       name);
    if (!ownsocket_keeps_names(fd))
        return err_set(err, -EPERM,
                       "'%s' can be changed by other users: no socket is made in it; a folder that "
                       "only %s may write would do",
                       folder, geteuid() == 0 ? "root" : "this user");
    *name_out = name;
    return take_fd(&fd);
}

/* Why it is not replaced. */
static int tell_taken(int folder, const char *name, const char *path, struct err *err) {
    struct stat st;

    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(err, -errno, "cannot make the socket '%s':", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, -EEXIST, "'%s' is there and no socket: it is not replaced", path);
    if (st.st_uid != geteuid())
        return err_set(err, -EEXIST, "'%s' is the socket of another user: it is not replaced",
                       path);
    return err_set(err, -EADDRINUSE, "another program listens at '%s': it is not replaced", path);
}

static int make_socket(const char *path, struct ownsocket *out, struct err *err) {
    struct ownsocket s = OWNSOCKET_NONE;
    const char *name = path; /* of its last part */
    int folder = open_folder(path, &name, err), r;

    if (folder < 0)
        return folder;
    r = ownsocket_open(folder, ANYBODY, &s);
    if (r < 0)
        return err_set(err, r, "cannot make the socket '%s':", path);
    r = ownsocket_publish(&s, name);
    if (r == -EEXIST && ownsocket_clear(s.folder, name))
        r = ownsocket_publish(&s, name);
    if (r == 0) {
        *out = s;
        return 0;
    }
    r = r == -EEXIST ? tell_taken(s.folder, name, path, err)
                     : err_set(err, r, "cannot make the socket '%s':", path);
    ownsocket_remove(&s);
    return r;
}

int pressuresock_check(const char *path, struct err *err) {
    const char *name;
    auto_close int folder = open_folder(path, &name, err);

    return folder < 0 ? folder : 0;
}

bool pressuresock_is_at(const struct pressuresock *s, const char *path) {
    struct stat st;

    return lstat(path, &st) == 0 && st.st_ino == s->socket.made.st_ino &&
           st.st_dev == s->socket.made.st_dev;
}

/* --- all of it -------------------------------------------------------------------------------- */

static unsigned room(void) {
    struct rlimit limit;
    rlim_t share;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return LEAST;
    share = limit.rlim_cur / SHARE;
    return share < LEAST ? LEAST : share > PRESSURESOCK_MOST ? PRESSURESOCK_MOST : (unsigned)share;
}

int pressuresock_new(const struct pressuresock_options *o, const char *path,
                     struct pressuresock **out, struct err *err) {
    unsigned most = room();
    struct pressuresock *s;
    int r;

    if (candidate_check_proc(o->host) < 0)
        return err_set(err, -EXDEV,
                       "/proc shows another pid namespace than ours: it cannot be told whose "
                       "programs connect to '%s'",
                       path);
    if (o->fs->memory_root[0] == '\0')
        return err_set(err, -ENODATA,
                       "the control groups are mounted from above our namespace: it cannot be told "
                       "whose programs connect to '%s'",
                       path);
    s = calloc(1, sizeof(*s) + most * sizeof(s->at[0]));
    if (!s)
        return err_set(err, -ENOMEM, "no memory for the socket '%s'", path);
    s->o = *o;
    s->most = most;
    hash_key_init(&s->key);
    s->socket = (struct ownsocket)OWNSOCKET_NONE;
    r = make_socket(path, &s->socket, err);
    if (r == 0) {
        const struct waiters_options with = {.loop = o->loop,
                                             .listener = s->socket.fd,
                                             .most = most,
                                             .admit = on_admit,
                                             .came = on_came,
                                             .ctx = s};

        r = waiters_new(&with, &s->waiters);
        if (r < 0)
            (void)err_set(err, r, "cannot watch the socket '%s':", path);
    }
    if (r < 0)
        pressuresock_free(s);
    else
        *out = s;
    return r;
}

void pressuresock_free(struct pressuresock *s) {
    if (!s)
        return;
    waiters_free(s->waiters);
    ownsocket_remove(&s->socket);
    free(s);
}
