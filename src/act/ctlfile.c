#include "act/ctlfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "kern/cgroup.h"

int ctlfile_text(int fd, char out[WARDEN_VALUE]) {
    char buf[256];
    struct str text;
    int r = fd < 0 ? -EBADF : file_pread(fd, buf, sizeof(buf), &text);

    return r < 0 ? r : str_copy(str_trim(text), out, WARDEN_VALUE);
}

int ctlfile_number(int fd, uint64_t *out) {
    char text[WARDEN_VALUE];
    int r = ctlfile_text(fd, text);

    return r < 0 ? r : cgroup_parse_number(str_of(text), out);
}

int ctlfile_write(int fd, const char *value) {
    size_t n = strlen(value);
    ssize_t written = fd < 0 ? (errno = EBADF, -1) : pwrite(fd, value, n, 0);

    return written < 0 ? -errno : (size_t)written == n ? 0 : -EIO;
}

int ctlfile_restore(int fd, const char *ours, const char *was) {
    char now[WARDEN_VALUE];
    int r = ctlfile_text(fd, now);

    if (r == 0 && strcmp(now, ours) == 0)
        r = ctlfile_write(fd, was);
    return r == -ENODEV ? 0 : r;
}

void ctlfile_spell(uint64_t value, char out[WARDEN_VALUE]) {
    if (value == CGROUP_NO_LIMIT)
        (void)snprintf(out, WARDEN_VALUE, "max");
    else
        (void)snprintf(out, WARDEN_VALUE, "%" PRIu64, value);
}
