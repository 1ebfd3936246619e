#include "cmd/guardstart.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "cmd/cmd.h"

enum { BACKLOG = 16 };

int guardstart_open(struct guardstart *s, const struct host *h, const struct cgfs *fs,
                    struct str path, struct err *err) {
    struct facts now;
    int r;

    *s = (struct guardstart)GUARDSTART_NONE;
    r = grip_open(h, fs, path, &s->grip, err);
    if (r < 0)
        return r;
    (void)grip_read(&s->grip, GRIP_STAT, &now); /* a limit outside is known after that */
    guardstart_note(s);
    return 0;
}

void guardstart_done(struct guardstart *s) {
    grip_done(&s->grip);
    mem_close_fd(&s->name);
}

int guardstart_dumps(const char *dir, bool named) {
    char path[4096];
    unsigned missing = 0;
    struct stat st;
    int r = str_copy(str_of(dir), path, sizeof(path));

    if (r < 0)
        return r;
    while (stat(path, &st) < 0) { /* what is missing is made in what is there */
        ptrdiff_t slash = str_rfind(str_of(path), '/');

        if (errno != ENOENT || slash < 0 || (named && missing++ > 0))
            return -errno;
        path[slash > 0 ? slash : 1] = '\0';
    }
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    return faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* --- limits ----------------------------------------------------------------------------------- */

void guardstart_note(struct guardstart *s) {
    (void)grip_refresh(&s->grip);
    for (unsigned i = 0; i < s->grip.levels; i++)
        s->limit[i] = s->grip.level[i].bytes;
}

uint64_t guardstart_lent(struct guardstart *s) {
    (void)grip_refresh(&s->grip);
    for (unsigned i = 0; i < s->grip.levels; i++)
        if (s->limit[i] != CGROUP_NO_LIMIT && s->grip.level[i].bytes != CGROUP_NO_LIMIT &&
            s->grip.level[i].bytes > s->limit[i])
            return s->grip.level[i].bytes - s->limit[i];
    return 0;
}

/* The one that counts now, and its group. NULL: of one that cannot be seen, or none. */
static uint64_t limit_of(const struct guardstart *s, const struct grip_level **of) {
    const struct grip_level *l = grip_tightest(&s->grip);

    *of = l;
    if (l && l->bytes <= s->grip.outside)
        return l->bytes;
    *of = NULL;
    return s->grip.outside;
}

void guardstart_add_limit(const struct guardstart *s, struct buf *out) {
    const struct grip_level *l;
    uint64_t limit = limit_of(s, &l);

    if (limit == CGROUP_NO_LIMIT) {
        buf_add(out, STR("no limit, neither its own nor of a group above"));
        return;
    }
    buf_add(out, STR("limit "));
    num_add_iec(out, limit);
    if (!l)
        buf_add(out, STR(", of a group outside of what can be seen here"));
    else if (l == &s->grip.level[0])
        buf_add(out, STR(", its own"));
    else
        buf_add_format(out, ", of %.*s above it", l->path_n ? (int)l->path_n : 1, s->grip.path);
}

/* --- warnings --------------------------------------------------------------------------------- */

static void warn_marks(const struct guardstart *s, const struct policy *p) {
    const struct grip_level *l;
    uint64_t limit = limit_of(s, &l), last = p->mark[p->marks - 1].value;
    char text[400];
    struct buf b;

    buf_fixed(&b, text, sizeof(text) - 1);
    if (limit == CGROUP_NO_LIMIT && !p->mark[0].bytes) {
        cmd_warn("it has no limit, and no group above it: marks in percent are never passed; "
                 "--at takes sizes too (--at 400M)");
        return;
    }
    if (limit == CGROUP_NO_LIMIT || !p->mark[0].bytes || last < limit)
        return;
    buf_add(&b, STR("the mark "));
    num_add_iec(&b, last);
    buf_add(&b, STR(" can never be passed: "));
    guardstart_add_limit(s, &b);
    text[buf_error(&b) < 0 ? sizeof(text) - 1 : b.n] = '\0';
    cmd_warn("%s", text);
}

static bool needs_files(const struct policy *p) {
    for (unsigned i = 0; i < p->actions; i++)
        if (p->action[i] == ACTION_RECLAIM || p->action[i] == ACTION_THROTTLE ||
            p->action[i] == ACTION_RESCUE || p->action[i] == ACTION_PAUSE)
            return true;
    return p->oom_hold;
}

static void warn_rights(const struct guardstart *s, const struct policy *p) {
    const char *file = s->grip.version == CG_V1 ? "memory.limit_in_bytes" : "memory.max";
    bool files = faccessat(s->grip.level[0].dir, file, W_OK, AT_EACCESS) == 0;
    const char *refused = "the files of its group cannot be written: reclaim, throttle, rescue "
                          "and --oom-hold will be refused";

    if (geteuid() != 0)
        cmd_warn("not root: only processes of this user can be signalled or made to collect%s%s",
                 files ? "" : "; ", files ? "" : refused);
    else if (!files && needs_files(p))
        cmd_warn("%s", refused);
}

/* The kernel forgets the name with us. It is seen in this network namespace alone. */
static void warn_other(struct guardstart *s) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct ucred peer = {.pid = 0};
    socklen_t size = sizeof(peer), n;
    auto_close int there = -1;
    struct stat st;

    if (fstat(s->grip.level[0].dir, &st) < 0)
        return;
    n = (socklen_t)snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1,
                            "plimsoll-guard-%llx-%llx", (unsigned long long)st.st_dev,
                            (unsigned long long)st.st_ino);
    n += (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1;
    s->name = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->name < 0 ||
        (bind(s->name, (struct sockaddr *)&name, n) == 0 && listen(s->name, BACKLOG) == 0))
        return;
    if (errno != EADDRINUSE)
        return;
    there = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (there >= 0 && connect(there, (struct sockaddr *)&name, n) == 0 &&
        getsockopt(there, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0)
        cmd_warn("another guard of this group runs (pid %d): both will act", peer.pid);
    else
        cmd_warn("another guard of this group runs: both will act");
}

void guardstart_warn(struct guardstart *s, const struct policy *p) {
    warn_marks(s, p);
    warn_rights(s, p);
    if (!p->dry_run)
        warn_other(s);
}
