/* testtree.h - for unit tests: a small machine of files, made below a temporary folder.
 *
 * A v1 memory hierarchy, processes with the few files discover/ reads, and whatever else a test
 * writes. Everything fails the test at once when it cannot be made. Included after <cmocka.h>.
 */
#pragma once
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kern/cgfs.h"
#include "kern/host.h"

struct testtree {
    char top[64];
    struct host host;
    struct cgfs fs;
};

struct testtree_process {
    int pid, ppid;
    const char *comm, *nspid, *group;
    const char *cmdline; /* NULs between the arguments */
    size_t cmdline_n;
    int uid, start;
};

static inline void testtree_full(const struct testtree *t, const char *path, char *out,
                                 size_t size) {
    if ((size_t)snprintf(out, size, "%s%s", t->top, path) >= size)
        fail_msg("path too long: %s", path);
}

/* All folders of the path but what follows the last '/'. */
static inline void testtree_folders(const struct testtree *t, const char *path) {
    char full[8192];

    testtree_full(t, path, full, sizeof(full));
    for (char *c = full + strlen(t->top) + 1; *c; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        mkdir(full, 0755);
        *c = '/';
    }
}

static inline void testtree_bytes(const struct testtree *t, const char *path, const char *bytes,
                                  size_t n) {
    char full[8192];
    FILE *file;

    testtree_folders(t, path);
    testtree_full(t, path, full, sizeof(full));
    file = fopen(full, "we");
    if (!file)
        fail_msg("cannot write %s", full);
    if (fwrite(bytes, 1, n, file) != n)
        fail_msg("cannot write %s", full);
    fclose(file);
}

static inline void testtree_file(const struct testtree *t, const char *path, const char *text) {
    testtree_bytes(t, path, text, strlen(text));
}

static inline void testtree_link(const struct testtree *t, const char *path, const char *to) {
    char full[8192];

    testtree_folders(t, path);
    testtree_full(t, path, full, sizeof(full));
    unlink(full);
    assert_int_equal(symlink(to, full), 0);
}

static inline void testtree_group(const struct testtree *t, const char *group, const char *procs) {
    char path[8192];

    snprintf(path, sizeof(path), "/sys/fs/cgroup/memory%s/cgroup.procs", group);
    testtree_file(t, path, procs);
}

static inline int testtree_open_group(const struct testtree *t, const char *group) {
    char path[8192], full[8192];
    int dir;

    snprintf(path, sizeof(path), "/sys/fs/cgroup/memory%s", group);
    testtree_full(t, path, full, sizeof(full));
    dir = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    return dir;
}

static inline void testtree_process(const struct testtree *t, const struct testtree_process *p) {
    char path[64], text[1024];

    snprintf(path, sizeof(path), "/proc/%d/stat", p->pid);
    snprintf(text, sizeof(text),
             "%d (%s) S %d 1 1 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 %d 1000 10 0 0 0 0 0 0 0 0 0 "
             "0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
             p->pid, p->comm, p->ppid, p->start);
    testtree_file(t, path, text);
    snprintf(path, sizeof(path), "/proc/%d/status", p->pid);
    snprintf(text, sizeof(text), "Name:\t%s\nTgid:\t%d\nPPid:\t%d\nUid:\t%d\t%d\t%d\t%d\nNSpid:\t",
             p->comm, p->pid, p->ppid, p->uid, p->uid, p->uid, p->uid);
    for (const char *c = p->nspid; *c; c++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%c", *c == ' ' ? '\t' : *c);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "\n");
    testtree_file(t, path, text);
    snprintf(path, sizeof(path), "/proc/%d/cgroup", p->pid);
    snprintf(text, sizeof(text), "4:memory:%s\n0::/\n", p->group);
    testtree_file(t, path, text);
    snprintf(path, sizeof(path), "/proc/%d/cmdline", p->pid);
    testtree_bytes(t, path, p->cmdline, p->cmdline_n);
}

static inline void testtree_init(struct testtree *t) {
    struct err err = {0};

    memset(t, 0, sizeof(*t));
    snprintf(t->top, sizeof(t->top), "/tmp/plimsoll-unit-XXXXXX");
    assert_non_null(mkdtemp(t->top));
    testtree_file(t, "/proc/stat",
                  "cpu  1 0 1 1 0 0 0 0 0 0\ncpu0 1 0 1 1 0 0 0 0 0 0\n"
                  "btime 1700000000\n");
    testtree_file(t, "/sys/fs/cgroup/memory/release_agent", "");
    testtree_group(t, "", "");
    if (host_open(t->top, &t->host, &err) < 0 || cgfs_open(&t->host, &t->fs, &err) < 0)
        fail_msg("%s", err.text);
}

static inline int testtree_remove(const char *path, const struct stat *st, int kind,
                                  struct FTW *at) {
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void testtree_delete(const struct testtree *t, const char *path) {
    char full[8192];

    testtree_full(t, path, full, sizeof(full));
    nftw(full, testtree_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void testtree_done(struct testtree *t) {
    host_done(&t->host);
    cgfs_done(&t->fs);
    testtree_delete(t, "");
}
