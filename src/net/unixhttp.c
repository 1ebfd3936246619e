#include "net/unixhttp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/http1.h"

/* ASCII only: no locale. */
static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool equal_ignoring_case(struct str a, struct str b) {
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

static int parse_status(struct str line, unsigned *out) {
    uint64_t number;

    if (!str_skip(&line, STR("HTTP/1.0 ")) && !str_skip(&line, STR("HTTP/1.1 ")))
        return -EBADMSG;
    if (line.n > 3 && line.p[3] != ' ')
        return -EBADMSG;
    if (line.n < 3 || str_to_u64(str_head(line, 3), &number) < 0 || number < 100)
        return -EBADMSG;
    *out = (unsigned)number;
    return 0;
}

/* What a header line means for the body. */
static int take_header(struct str line, uint64_t *length) {
    struct str name, value;

    value = line;
    if (!str_cut(&value, ':', &name) || name.n == 0)
        return -EBADMSG;
    value = str_trim(value);
    if (equal_ignoring_case(name, STR("Transfer-Encoding")) &&
        !equal_ignoring_case(value, STR("identity")))
        return -EBADMSG; /* not allowed in an answer to HTTP/1.0 */
    if (equal_ignoring_case(name, STR("Content-Encoding")) &&
        !equal_ignoring_case(value, STR("identity")))
        return -EBADMSG; /* we asked for none */
    if (equal_ignoring_case(name, STR("Content-Length"))) {
        uint64_t said;

        if (str_to_u64(value, &said) < 0 || (*length != UINT64_MAX && *length != said))
            return -EBADMSG;
        *length = said;
    }
    return 0;
}

int unixhttp_parse(struct str text, struct unixhttp *out) {
    struct unixhttp answer;
    uint64_t length = UINT64_MAX;
    struct str rest = text, line;
    bool first = true;

    for (;;) {
        int r;

        if (text.n - rest.n > UNIXHTTP_HEAD_MAX || !str_cut(&rest, '\n', &line))
            return -EBADMSG;
        (void)str_drop(&line, STR("\r"));
        if (!first && line.n == 0)
            break;
        r = first ? parse_status(line, &answer.status) : take_header(line, &length);
        if (r < 0)
            return r;
        first = false;
    }
    if (length != UINT64_MAX) {
        if (length > rest.n)
            return -EBADMSG; /* cut off */
        rest = str_head(rest, (size_t)length);
    }
    answer.body = rest;
    *out = answer;
    return 0;
}

static int connect_to(const char *path, int64_t deadline_us) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r;

    if (fd < 0)
        return -errno;
    r = str_copy(str_of(path), address.sun_path, sizeof(address.sun_path));
    if (r < 0)
        return r;
    while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) /* EAGAIN: its queue is full, and poll(2) does not help */
            return -errno;
        if (clock_mono_us() >= deadline_us)
            return -ETIMEDOUT;
        nanosleep(&pause, NULL);
    }
    return take_fd(&fd);
}

int unixhttp_get(const char *socket_path, const char *target, int64_t deadline_us,
                 struct buf *answer, struct unixhttp *out) {
    auto_close int fd = -1;

    if (!http1_is_target(target))
        return -EINVAL;
    fd = connect_to(socket_path, deadline_us);
    return fd < 0 ? fd : http1_get(fd, "localhost", target, deadline_us, answer, out);
}
