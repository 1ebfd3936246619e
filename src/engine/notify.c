#include "engine/notify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

static struct {
    int fd;
    struct sockaddr_un address;
    socklen_t length;
    int64_t watchdog_us;
} to = {.fd = -1};

void notify_open(void) {
    const char *path = getenv("NOTIFY_SOCKET"), *watchdog = getenv("WATCHDOG_USEC");
    uint64_t us;
    size_t n;

    if (watchdog && str_to_u64(str_of(watchdog), &us) == 0 && us < INT64_MAX)
        to.watchdog_us = (int64_t)us / 3;
    n = path ? strlen(path) : 0;
    if (n == 0 || n >= sizeof(to.address.sun_path) || (*path != '/' && *path != '@'))
        return;
    to.address.sun_family = AF_UNIX;
    memcpy(to.address.sun_path, path, n);
    if (*path == '@') /* an abstract one */
        to.address.sun_path[0] = '\0';
    to.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    to.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void notify_say(const char *state) {
    if (to.fd >= 0)
        (void)sendto(to.fd, state, strlen(state), MSG_NOSIGNAL,
                     (const struct sockaddr *)&to.address, to.length);
}

int64_t notify_watchdog_us(void) {
    return to.watchdog_us;
}
