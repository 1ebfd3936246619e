/* procfuzz.h - a tree with one process, 7, whose files are the fuzzer's input: for readers that
 * take a file in pieces.
 */
#pragma once
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char procfuzz_top[] = "/dev/shm/plimsoll-fuzz-XXXXXX";
static char procfuzz_file[64];

static void procfuzz_remove(void) {
    char path[64];

    unlink(procfuzz_file);
    snprintf(path, sizeof(path), "%s/7", procfuzz_top);
    rmdir(path);
    rmdir(procfuzz_top);
}

/* Makes TREE/7/NAME hold the data and returns TREE, open until the end of the program. */
static int procfuzz_tree(const char *name, const void *data, size_t size) {
    static int tree = -1, file = -1;
    ssize_t written;

    if (tree < 0) {
        char path[64];

        assert(mkdtemp(procfuzz_top));
        snprintf(path, sizeof(path), "%s/7", procfuzz_top);
        assert(mkdir(path, 0700) == 0);
        snprintf(procfuzz_file, sizeof(procfuzz_file), "%s/7/%s", procfuzz_top, name);
        atexit(procfuzz_remove);
        tree = open(procfuzz_top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        file = open(procfuzz_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert(tree >= 0 && file >= 0);
    }
    assert(ftruncate(file, 0) == 0);
    written = pwrite(file, data, size, 0);
    assert(written == (ssize_t)size);
    return tree;
}
