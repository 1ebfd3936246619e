#include "act/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

extern char **environ;

enum { ARGUMENTS_MAX = 4 << 20, SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U /* Linux 6.3 */
#endif

/* Where vm.memfd_noexec says so, a copy must be told to be a program. */
static int make_memfd(const char *name) {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? -errno : fd;
}

int sealed_copy(int fd, const char *name) {
    auto_close int copy = make_memfd(name);
    struct stat st;
    off_t at = 0;

    if (copy < 0)
        return copy;
    if (fstat(fd, &st) < 0)
        return -errno;
    while (at < st.st_size) {
        ssize_t n = sendfile(copy, fd, &at, (size_t)(st.st_size - at));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
    }
    if (fchmod(copy, 0500) < 0 || fcntl(copy, F_ADD_SEALS, SEALS) < 0)
        return -errno;
    return take_fd(&copy);
}

bool sealed_are_we(void) {
    auto_close int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int seals = exe < 0 ? -1 : fcntl(exe, F_GET_SEALS);

    return seals >= 0 && (seals & SEALS) == SEALS;
}

/* The arguments as they were given to us. *memory_out is the caller's. */
static int load_arguments(char ***out, char **memory_out) {
    auto_close int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    auto_free char *text = NULL;
    size_t size = 0, n = 0;
    char **argv;
    int r = fd < 0 ? -errno : file_load_unsized(fd, ARGUMENTS_MAX, &text, &size);

    if (r < 0)
        return r;
    for (size_t i = 0; i < size; i++)
        n += text[i] == '\0';
    argv = calloc(n + 1, sizeof(*argv));
    if (!argv)
        return -ENOMEM;
    for (size_t i = 0, at = 0; i < n; i++) {
        argv[i] = text + at;
        while (text[at])
            at++;
        at++;
    }
    *out = argv;
    *memory_out = take_ptr(&text);
    return 0;
}

int sealed_become(struct err *err) {
    auto_close int exe = -1, copy = -1;
    auto_free char *memory = NULL;
    auto_free char **argv = NULL;
    int r;

    if (sealed_are_we()) {
        prctl(PR_SET_NAME, "plimsoll"); /* it is called by the number of a descriptor */
        return 0;
    }
    exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    copy = exe < 0 ? -errno : sealed_copy(exe, "plimsoll");
    if (copy < 0)
        return err_set(err, copy, "cannot make a copy of plimsoll that nobody can change:");
    r = load_arguments(&argv, &memory);
    if (r < 0)
        return err_set(err, r, "cannot read our own command line:");
    fexecve(copy, argv, environ);
    return err_set(err, -errno, "cannot go on as a copy that nobody can change:");
}
