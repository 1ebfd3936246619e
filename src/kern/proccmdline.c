#include "kern/proccmdline.h"

#include <errno.h>
#include <fcntl.h>

#include "base/mem.h"
#include "kern/procfile.h"

int proccmdline_read(int proc, int32_t pid, char *buf, size_t size, struct str *out) {
    char path[PROCFILE_PATH];
    auto_close int fd = openat(proc, procfile_path(path, pid, "cmdline"), O_RDONLY | O_CLOEXEC);
    struct str text = {buf, 0};
    ssize_t n;

    if (fd < 0)
        return -errno;
    if (size > PROCCMDLINE_MAX)
        size = PROCCMDLINE_MAX;
    do /* once: the kernel gives all it has that fits */
        n = pread(fd, buf, size, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    text.n = (size_t)n;
    /* One NUL ends the last argument; more of them (a process that wrote a shorter title over its
     * arguments leaves many) say nothing. */
    while (text.n > 0 && text.p[text.n - 1] == '\0')
        text.n--;
    *out = text;
    return 0;
}

bool proccmdline_arg(struct str *rest, struct str *arg) {
    if (rest->n == 0)
        return false;
    if (!str_cut(rest, '\0', arg)) {
        *arg = *rest;
        *rest = str_from(*rest, rest->n);
    }
    return true;
}

void proccmdline_add_joined(struct buf *b, struct str cmdline, struct str comm) {
    struct str arg;
    bool first = true;

    if (cmdline.n == 0) {
        buf_add_char(b, '[');
        buf_add(b, comm);
        buf_add_char(b, ']');
        return;
    }
    while (proccmdline_arg(&cmdline, &arg)) {
        if (!first)
            buf_add_char(b, ' ');
        first = false;
        buf_add(b, arg);
    }
}
