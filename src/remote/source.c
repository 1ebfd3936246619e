#include "remote/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/unixhttp.h"

enum { PATIENCE_US = 10 * 1000000 };

/* By way of the directory's descriptor: also shorter than what a socket's address has room for. */
static char *path_beside(int dir, const char *name) {
    struct buf b;

    buf_init(&b, 4096);
    buf_add_format(&b, "/proc/self/fd/%d/%s", dir, name);
    buf_add_char(&b, '\0');
    if (buf_error(&b) < 0)
        buf_done(&b);
    return b.p;
}

int source_init(struct source *s, const char *socket_path) {
    const char *slash = strrchr(socket_path, '/');
    auto_free char *dir = NULL;

    *s = (struct source){.path = strdup(socket_path), .dir = -1};
    dir = slash ? strndup(socket_path, (size_t)(slash - socket_path) + 1) : strdup(".");
    if (!s->path || !dir) {
        source_done(s);
        return -ENOMEM;
    }
    s->dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->dir >= 0)
        s->beside = path_beside(s->dir, slash ? slash + 1 : socket_path);
    return 0;
}

void source_done(struct source *s) {
    free(s->path);
    free(s->beside);
    if (s->dir >= 0)
        close(s->dir);
    *s = (struct source){.dir = -1};
}

int source_read(const struct source *s, int64_t after, struct buf *answer, struct str *rows_out) {
    int64_t deadline_us = clock_mono_us() + PATIENCE_US;
    struct unixhttp http;
    char target[64];
    int r;

    snprintf(target, sizeof(target), "/internal/log?after=%lld", (long long)after);
    r = unixhttp_get(s->path, target, deadline_us, answer, &http);
    if (r < 0 && s->beside)
        r = unixhttp_get(s->beside, target, deadline_us, answer, &http);
    if (r < 0)
        return r;
    if (http.status != 200)
        return http.status == 404 ? -ENOENT : -EIO;
    *rows_out = http.body;
    return 0;
}
