#include "kern/procline.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/mem.h"
#include "kern/procfile.h"

int procline_open(struct procline *l, int proc, int32_t pid, const char *name) {
    char path[PROCFILE_PATH];
    int fd = openat(proc, procfile_path(path, pid, name), O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    l->fd = fd;
    l->from = l->to = 0;
    return 0;
}

void procline_close(struct procline *l) {
    mem_close_fd(&l->fd);
    l->fd = -1;
}

/* More bytes behind l->to; 1, 0 at the end of the file, -errno. */
static int fill(struct procline *l) {
    ssize_t n;

    if (l->from > 0) {
        memmove(l->buf, l->buf + l->from, l->to - l->from);
        l->to -= l->from;
        l->from = 0;
    }
    do
        n = read(l->fd, l->buf + l->to, sizeof(l->buf) - l->to);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    l->to += (size_t)n;
    return n > 0;
}

/* The buffer holds the head of a line and is full. Reads the rest of the line over its second
 * half, so that the first half stays for the caller. */
static int skip_line(struct procline *l, struct str *out) {
    const size_t keep = sizeof(l->buf) / 2;

    for (;;) {
        ssize_t n = read(l->fd, l->buf + keep, sizeof(l->buf) - keep);
        const char *end;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EBADMSG;
        end = memchr(l->buf + keep, '\n', (size_t)n);
        if (!end)
            continue;
        l->from = (size_t)(end + 1 - l->buf);
        l->to = keep + (size_t)n;
        *out = (struct str){l->buf, keep};
        return 1;
    }
}

int procline_next(struct procline *l, struct str *out, bool *cut_out) {
    struct str rest = {l->buf + l->from, l->to - l->from};
    int r;

    *cut_out = false;
    while (!str_cut(&rest, '\n', out)) {
        if (l->from == 0 && l->to == sizeof(l->buf)) {
            *cut_out = true;
            return skip_line(l, out);
        }
        r = fill(l);
        if (r < 0)
            return r;
        if (r == 0)
            return l->from == l->to ? 0 : -EBADMSG;
        rest = (struct str){l->buf, l->to};
    }
    l->from = l->to - rest.n;
    return 1;
}
