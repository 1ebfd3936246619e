#include "act/wardenundo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act/ctlfile.h"
#include "act/loanmark.h"
#include "act/stopped.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "kern/cgroup.h"

enum { DEPTH = 12 }; /* of groups below a held one */

/* What is gone needs no undoing; what another moment may bring is tried again. */
static int verdict(int r) {
    switch (r) {
    case -ENODEV:
    case -ENOENT:
        return 0;
    case -EBUSY:
    case -EINVAL: /* v1: memory+swap below memory, until that is lowered */
    case -EINTR:
    case -ENOMEM:
    case -ENFILE:
    case -EMFILE:
        return -EAGAIN;
    default:
        return r;
    }
}

static bool same(struct str now, struct str want) {
    struct str rest = now, line;
    uint64_t a, b;

    return str_eq(now, want) || (str_cut(&rest, '\n', &line) && str_eq(line, want)) ||
           (cgroup_parse_number(now, &a) == 0 && cgroup_parse_number(want, &b) == 0 && a == b);
}

/* 1: it reads so; 0: it does not; -errno. */
static int reads(int fd, const char *want) {
    char buf[256];
    struct str text;
    int r = file_pread(fd, buf, sizeof(buf), &text);

    return r < 0 ? r : same(str_trim(text), str_of(want));
}

/* Bytes used above what the limit that is to be written has room for; 0: it fits. */
static int excess_of(const struct warden_step *step, uint64_t *out) {
    uint64_t used, limit;
    int r = ctlfile_number(step->usage, &used);

    if (r < 0)
        return r;
    if (cgroup_parse_number(str_of(step->value), &limit) < 0)
        return -EBADMSG;
    *out = limit == CGROUP_NO_LIMIT || used + WARDEN_ROOM <= limit ? 0 : used + WARDEN_ROOM - limit;
    return 0;
}

static void reclaim(int fd, uint64_t bytes) {
    char room[32];
    struct buf text;

    buf_fixed(&text, room, sizeof(room));
    buf_add_format(&text, "%llu", (unsigned long long)bytes);
    (void)!pwrite(fd, room, text.n, 0); /* EAGAIN: less could be had */
}

/* -EBUSY while the limit that is to be written would be below what is used. */
static int fits(const struct warden_step *step) {
    uint64_t excess;
    int r = excess_of(step, &excess);

    if (r == 0 && excess > 0 && step->reclaims) {
        reclaim(step->reclaim, excess + WARDEN_ROOM);
        r = excess_of(step, &excess);
    }
    return r < 0 ? r : excess > 0 ? -EBUSY : 0;
}

struct entry { /* linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

static int enable_below(int dir, const char *value, unsigned depth);

static int enable_in(int parent, const char *name, const char *value, unsigned depth) {
    auto_close int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    auto_close int file = -1;
    int below, r;

    if (dir < 0)
        return verdict(-errno);
    file = openat(dir, "memory.oom_control", O_WRONLY | O_CLOEXEC);
    r = verdict(file < 0 ? -errno : ctlfile_write(file, value));
    below = enable_below(dir, value, depth + 1);
    return r < 0 ? r : below;
}

static int enable_below(int dir, const char *value, unsigned depth) {
    _Alignas(struct entry) char buf[1024];
    int worst = 0;
    long n;

    if (depth >= DEPTH)
        return -ELOOP;
    if (lseek(dir, 0, SEEK_SET) < 0)
        return verdict(-errno);
    while ((n = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(const void *)(buf + at);
            int r = 0;

            if (e->type == DT_DIR && strcmp(e->name, ".") != 0 && strcmp(e->name, "..") != 0)
                r = enable_in(dir, e->name, value, depth);
            worst = r < 0 ? r : worst;
            at += e->size;
        }
    }
    return n < 0 ? verdict(-errno) : worst;
}

static int let_continue(int list, struct str offset) {
    struct stopped first = {0};
    uint64_t at;

    if (str_to_u64(offset, &at) < 0)
        return -EINVAL;
    if (pread(list, &first, sizeof(first), (off_t)at) != sizeof(first) || first.pid <= 0)
        return 1;
    return verdict(stopped_continue(list, at));
}

int wardenundo_before(const struct warden_step *guarded) {
    if (!guarded->reclaims || (guarded->only_if[0] && reads(guarded->fd, guarded->only_if) != 1))
        return 0;
    return verdict(fits(guarded));
}

int wardenundo_step(const struct warden_step *step) {
    int r;

    if (step->kind == WARDEN_KILLER_BELOW)
        return enable_below(step->fd, step->value, 0);
    if (step->kind == WARDEN_CONTINUE)
        return let_continue(step->fd, str_of(step->value));
    if (step->only_if[0] != '\0') {
        r = reads(step->fd, step->only_if);
        if (r <= 0)
            return r == 0 ? 1 : verdict(r);
    }
    r = step->guarded ? fits(step) : 0;
    if (r == 0)
        r = ctlfile_write(step->fd, step->value);
    if (r == 0 && step->slow)
        loanmark_remove(step->fd); /* a limit: what was lent is taken back */
    return verdict(r);
}
