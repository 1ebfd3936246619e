#include "kern/procfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/mem.h"

const char *procfile_path(char path[static PROCFILE_PATH], int32_t pid, const char *name) {
    char digit[12];
    uint32_t rest = pid > 0 ? (uint32_t)pid : 0;
    size_t n = 0, used = 0, length = strlen(name);

    do
        digit[n++] = (char)('0' + rest % 10);
    while (rest /= 10);
    assert(n + 1 + length < PROCFILE_PATH);
    while (n > 0)
        path[used++] = digit[--n];
    if (length > 0)
        path[used++] = '/';
    memcpy(path + used, name, length + 1);
    return path;
}

int procfile_read(int proc, int32_t pid, const char *name, char *buf, size_t size,
                  struct str *out) {
    char path[PROCFILE_PATH];
    auto_close int fd = openat(proc, procfile_path(path, pid, name), O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : file_pread(fd, buf, size, out);
}

static int read_number(int proc, int32_t pid, const char *name, char *buf, size_t size,
                       struct str *out) {
    int r = procfile_read(proc, pid, name, buf, size, out);

    if (r < 0)
        return r == -EFBIG ? -EBADMSG : r;
    return str_drop(out, STR("\n")) ? 0 : -EBADMSG;
}

int procfile_read_u64(int proc, int32_t pid, const char *name, uint64_t *out) {
    char buf[32];
    struct str text;
    int r = read_number(proc, pid, name, buf, sizeof(buf), &text);

    return r < 0 ? r : str_to_u64(text, out);
}

int procfile_read_i64(int proc, int32_t pid, const char *name, int64_t *out) {
    char buf[32];
    struct str text;
    int r = read_number(proc, pid, name, buf, sizeof(buf), &text);

    return r < 0 ? r : str_to_i64(text, out);
}

struct entry { /* what getdents64 writes; the kernel's struct linux_dirent64 */
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
};

int procfile_names(int dir, procfile_name_fn *each, void *ctx) {
    _Alignas(struct entry) char buf[32768];

    if (lseek(dir, 0, SEEK_SET) < 0)
        return -errno;
    for (;;) {
        long n = syscall(SYS_getdents64, dir, buf, sizeof(buf));

        if (n <= 0)
            return n < 0 ? -errno : 0;
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(const void *)(buf + at);
            bool is_dots = e->name[0] == '.' &&
                           (e->name[1] == '\0' || (e->name[1] == '.' && e->name[2] == '\0'));
            int r = is_dots ? 0 : each(ctx, e->name);

            if (r != 0)
                return r;
            at += e->length;
        }
    }
}

bool procfile_gone(int r) {
    return r == -ENOENT || r == -ESRCH;
}
