#include "kern/cgwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "kern/cgmake.h"

uint32_t cgwatch_poll_events(const struct cgwatch *w) {
    return w->version == CG_V1 ? EPOLLIN : EPOLLPRI;
}

/* v1: "EVENTFD FILE [ARGUMENT]". The kernel keeps what it needs: only the eventfd stays open. */
static int register_event(int event, int dir, const char *file, const char *argument) {
    auto_close int source = openat(dir, file, O_RDONLY | O_CLOEXEC);
    char text[64];
    int r;

    if (source < 0)
        return errno == ENOENT ? -EOPNOTSUPP : -errno;
    snprintf(text, sizeof(text), "%d %d%s", event, source, argument);
    r = cgmake_write(dir, "cgroup.event_control", str_of(text));
    /* without the events the file is missing, or knows none of that name */
    return r == -ENOENT || r == -EINVAL ? -EOPNOTSUPP : r;
}

static int register_v1(int dir, const char *file, const char *argument, struct cgwatch *out) {
    auto_close int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = event < 0 ? -errno : register_event(event, dir, file, argument);

    if (r < 0)
        return r;
    *out = (struct cgwatch){take_fd(&event), CG_V1};
    return 0;
}

/* A file is signalled once its events have moved since it was read last, or never was read. */
static int read_events(int fd) {
    char buf[256];
    ssize_t n;

    do
        n = pread(fd, buf, sizeof(buf), 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int cgwatch_oom(int dir, enum cg_version version, struct cgwatch *out) {
    auto_close int fd = -1;
    int r;

    if (version == CG_V1)
        return register_v1(dir, "memory.oom_control", "", out);
    fd = openat(dir, "memory.events", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -EOPNOTSUPP : -errno;
    r = read_events(fd);
    if (r < 0)
        return r;
    *out = (struct cgwatch){take_fd(&fd), CG_V2};
    return 0;
}

int cgwatch_usage(int dir, enum cg_version version, uint64_t bytes, struct cgwatch *out) {
    char argument[32];

    if (version != CG_V1)
        return -EOPNOTSUPP;
    snprintf(argument, sizeof(argument), " %llu", (unsigned long long)bytes);
    return register_v1(dir, "memory.usage_in_bytes", argument, out);
}

int cgwatch_add_usage(struct cgwatch *w, int dir, uint64_t bytes) {
    char argument[32];

    if (w->version != CG_V1)
        return -EOPNOTSUPP;
    snprintf(argument, sizeof(argument), " %llu", (unsigned long long)bytes);
    return register_event(w->fd, dir, "memory.usage_in_bytes", argument);
}

int cgwatch_add_oom(struct cgwatch *w, int dir) {
    return w->version != CG_V1 ? -EOPNOTSUPP : register_event(w->fd, dir, "memory.oom_control", "");
}

int cgwatch_read_usage(int dir, enum cg_version version, uint64_t *out) {
    const char *name = version == CG_V1 ? "memory.usage_in_bytes" : "memory.current";
    struct str text;
    char buf[32];
    int r = file_read_at(dir, name, buf, sizeof(buf), &text);

    if (r < 0)
        return r;
    (void)str_drop(&text, STR("\n"));
    return str_to_u64(text, out);
}

uint64_t cgwatch_take(struct cgwatch *w) {
    struct pollfd wait = {.fd = w->fd, .events = POLLPRI};
    uint64_t times;

    if (w->fd < 0)
        return 0;
    if (w->version == CG_V1)
        return read(w->fd, &times, sizeof(times)) == sizeof(times) ? times : 0;
    if (poll(&wait, 1, 0) <= 0 || !(wait.revents & POLLPRI))
        return 0;
    return read_events(w->fd) == 0;
}

void cgwatch_close(struct cgwatch *w) {
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}
