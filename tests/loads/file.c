/* Page cache: memory the kernel uses for files and gives back when it is needed. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load.h"

static char block[1 << 16];

static size_t size_of(const struct load_args *args) {
    return (size_t)args->amount * LOAD_MIB;
}

static int read_whole(int fd) {
    off_t at = 0;
    ssize_t n;

    while ((n = pread(fd, block, sizeof(block), at)) > 0)
        at += n;
    return n < 0 ? -errno : 0;
}

static int run_read_once(const struct load_args *args) {
    return read_whole(args->data_fd);
}

/* The second read marks the pages as referenced, the third moves them to the active list. */
static int run_read_thrice(const struct load_args *args) {
    int r = 0;

    for (int i = 0; i < 3 && r == 0; i++)
        r = read_whole(args->data_fd);
    return r;
}

static int run_written(const struct load_args *args) {
    int fd = open(args->scratch, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    memset(block, 'w', sizeof(block));
    for (size_t done = 0; done < size_of(args); done += sizeof(block)) {
        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
            return -errno;
    }
    return 0;
}

static int run_mmap_scan(const struct load_args *args) {
    char *at = mmap(NULL, size_of(args), PROT_READ, MAP_SHARED, args->data_fd, 0);

    if (at == MAP_FAILED)
        return -errno;
    load_scan(at, size_of(args));
    return 0;
}

/* Locks the first half of the file. */
static int run_mlock(const struct load_args *args) {
    char *at = mmap(NULL, size_of(args), PROT_READ, MAP_SHARED, args->data_fd, 0);

    if (at == MAP_FAILED)
        return -errno;
    return mlock(at, size_of(args) / 2) < 0 ? -errno : 0;
}

/* A fifth each of: private memory, shared memory, locked file, lazily freed; and a file read. */
static int run_mix(const struct load_args *args) {
    size_t part = size_of(args) / 5 / LOAD_MIB * LOAD_MIB;
    char *shared, *locked, *lazy;

    if (load_anon(part) == NULL)
        return -ENOMEM;
    shared = mmap(NULL, part, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    locked = mmap(NULL, part, PROT_READ, MAP_SHARED, args->data_fd, 0);
    lazy = load_anon(part);
    if (shared == MAP_FAILED || locked == MAP_FAILED || lazy == NULL)
        return -ENOMEM;
    load_touch(shared, part);
    if (mlock(locked, part) < 0 || madvise(lazy, part, MADV_FREE) < 0)
        return -errno;
    return read_whole(args->data_fd);
}

/* Two mappings whose files have no name any more: a deleted file and a memfd. */
static int run_nameless(const struct load_args *args) {
    int memfd = memfd_create("plimsoll-memfd", MFD_CLOEXEC);
    int fd = openat(AT_FDCWD, args->word, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    int fds[2] = {memfd, fd};

    if (memfd < 0 || fd < 0)
        return -errno;
    if (unlink(args->word) < 0)
        return -errno;
    for (size_t i = 0; i < 2; i++) {
        char *at;

        if (ftruncate(fds[i], (off_t)size_of(args)) < 0)
            return -errno;
        at = mmap(NULL, size_of(args), PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
        if (at == MAP_FAILED)
            return -errno;
        load_touch(at, size_of(args));
    }
    return 0;
}

const struct load load_file[] = {
    {"read-once", "a file, read once", LOAD_UNIT_MIB, true, run_read_once},
    {"read-thrice", "a file, read three times: on the active list", LOAD_UNIT_MIB, true,
     run_read_thrice},
    {"written", "a file, written and not synced", LOAD_UNIT_MIB, false, run_written},
    {"mmap-scan", "a file, mapped and scanned", LOAD_UNIT_MIB, true, run_mmap_scan},
    {"mlock", "a file, mapped, its first half locked", LOAD_UNIT_MIB, true, run_mlock},
    {"mix", "private, shared, locked, lazily freed and cached memory", LOAD_UNIT_MIB, true,
     run_mix},
    {"nameless", "mappings of the deleted file WORD and of a memfd", LOAD_UNIT_MIB, false,
     run_nameless},
    {NULL, NULL, LOAD_UNIT_MIB, false, NULL},
};
