/* The sockets: made, bound and listening, before rights are given up. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "web/web.h"

enum { BACKLOG = 1024 };

static int listening(int family, const void *address, socklen_t n) {
    auto_close int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;

    if (fd < 0)
        return -errno;
    if (family != AF_UNIX)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, address, n) < 0 || listen(fd, BACKLOG) < 0)
        return -errno;
    return take_fd(&fd);
}

int web_bind_tcp(struct str address, uint16_t port, struct err *err) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    char text[INET6_ADDRSTRLEN];
    int r = -EINVAL;

    if (str_copy(address, text, sizeof(text)) < 0)
        r = -EINVAL;
    else if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        r = listening(AF_INET, &v4, sizeof(v4));
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        r = listening(AF_INET6, &v6, sizeof(v6));
    if (r < 0)
        return err_set(err, r, "cannot listen on '%.*s' port %u:", STR_ARG(address), port);
    return r;
}

/* Whether somebody takes connections there. */
static bool answers(const struct sockaddr_un *a) {
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN;
}

int web_bind_local(const char *path, struct err *err) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    mode_t mask;
    int r;

    if (str_copy(str_of(path), a.sun_path, sizeof(a.sun_path)) < 0)
        return err_set(err, -ENAMETOOLONG, "the path of the socket '%s' is longer than %zu bytes",
                       path, sizeof(a.sun_path) - 1);
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return err_set(err, -EEXIST, "'%s' is there and no socket", path);
        if (answers(&a))
            return err_set(err, -EADDRINUSE, "another program answers on '%s'", path);
        if (unlink(path) < 0)
            return err_set(err, -errno, "cannot replace '%s':", path);
    }
    mask = umask(0177); /* until the owner says otherwise it is ours alone */
    r = listening(AF_UNIX, &a, sizeof(a));
    umask(mask);
    if (r < 0)
        return err_set(err, r, "cannot listen on '%s':", path);
    return r;
}
