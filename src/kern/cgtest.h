/* cgtest.h - for unit tests: machines of files, made below a temporary folder, and groups of the
 * real kernel where the test may make some. Included after <cmocka.h>.
 *
 * What cannot be made fails the test at once.
 */
#pragma once
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kern/cgfs.h"
#include "kern/cgroup.h"

struct cgtest {
    char top[64];
    struct host host;
    struct cgfs fs;
};

static inline void cgtest_full(const struct cgtest *t, const char *path, char *out, size_t size) {
    size_t n = strlen(t->top), m = strlen(path);

    if (n + m >= size)
        fail_msg("path too long: %s", path);
    memcpy(out, t->top, n);
    memcpy(out + n, path, m + 1);
}

/* All folders of a path that ends with '/', else those above its last component. */
static inline void cgtest_folders(const struct cgtest *t, const char *path) {
    char full[4096];

    cgtest_full(t, path, full, sizeof(full));
    for (char *c = full + strlen(t->top) + 1; *c; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        if (mkdir(full, 0755) < 0 && errno != EEXIST)
            fail_msg("cannot make %s", full);
        *c = '/';
    }
}

static inline void cgtest_bytes(const struct cgtest *t, const char *path, struct str bytes) {
    char full[4096];
    FILE *file;

    cgtest_folders(t, path);
    cgtest_full(t, path, full, sizeof(full));
    file = fopen(full, "we");
    if (!file || fwrite(bytes.p, 1, bytes.n, file) != bytes.n || fclose(file) != 0)
        fail_msg("cannot write %s", full);
}

static inline void cgtest_write(const struct cgtest *t, const char *path, const char *text) {
    cgtest_bytes(t, path, str_of(text));
}

static inline int cgtest_remove_one(const char *path, const struct stat *st, int kind,
                                    struct FTW *at) {
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static inline void cgtest_delete(const struct cgtest *t, const char *path) {
    char full[4096];

    cgtest_full(t, path, full, sizeof(full));
    nftw(full, cgtest_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The regular files of a captured folder (below the root of the source tree) to a group. */
static inline void cgtest_copy(const struct cgtest *t, const char *from, const char *to) {
    auto_closedir DIR *list = opendir(from);
    struct dirent *entry;

    if (!list) {
        fail_msg("cannot list %s", from);
        return; /* which the analyzer does not know */
    }
    while ((entry = readdir(list))) {
        char path[4096], buf[65536];
        auto_close int fd = openat(dirfd(list), entry->d_name, O_RDONLY | O_CLOEXEC);
        ssize_t n = entry->d_type == DT_REG ? read(fd, buf, sizeof(buf)) : -1;

        if (n < 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", to, entry->d_name);
        cgtest_bytes(t, path, (struct str){buf, (size_t)n});
    }
}

static inline void cgtest_init(struct cgtest *t) {
    memset(t, 0, sizeof(*t));
    t->host.root = t->host.proc = -1;
    for (unsigned i = 0; i < CG_CTL_N; i++)
        t->fs.ctl[i].dir = -1;
    snprintf(t->top, sizeof(t->top), "/tmp/plimsoll-unit-XXXXXX");
    assert_non_null(mkdtemp(t->top));
    assert_int_equal(chmod(t->top, 0755), 0); /* other users of a test shall get in */
    cgtest_folders(t, "/proc/");
}

static inline void cgtest_close(struct cgtest *t) {
    host_done(&t->host);
    cgfs_done(&t->fs);
}

static inline void cgtest_done(struct cgtest *t) {
    cgtest_close(t);
    cgtest_delete(t, "");
}

/* Opens what has been written; `live`: as if it were the machine we run on. */
static inline int cgtest_try(struct cgtest *t, bool live, struct err *err) {
    cgtest_close(t);
    assert_int_equal(host_open(t->top, &t->host, err), 0);
    t->host.live = live;
    return cgfs_open(&t->host, &t->fs, err);
}

static inline void cgtest_open(struct cgtest *t, bool live) {
    struct err err = {0};

    if (cgtest_try(t, live, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void cgtest_mounts(const struct cgtest *t, const char *mountinfo) {
    cgtest_write(t, "/proc/1/mountinfo", mountinfo);
    cgtest_write(t, "/proc/self/mountinfo", mountinfo);
}

/* A machine of v1 with a unified tree that has no controllers, as systemd calls "hybrid". */
static inline void cgtest_make_v1(const struct cgtest *t) {
    cgtest_mounts(t, "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                     "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                     "38 31 0:35 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"
                     "39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
                     "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    cgtest_folders(t, "/sys/fs/cgroup/cpu,cpuacct/");
    cgtest_folders(t, "/sys/fs/cgroup/blkio/");
    cgtest_folders(t, "/sys/fs/cgroup/pids/");
    cgtest_write(t, "/sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n");
    cgtest_copy(t, "tests/fixtures/v1/root", "/sys/fs/cgroup/memory");
    cgtest_write(t, "/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n");
}

static inline void cgtest_make_v2(const struct cgtest *t) {
    cgtest_mounts(t, "38 23 0:33 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n");
    cgtest_copy(t, "tests/fixtures/v2/root", "/sys/fs/cgroup");
    cgtest_write(t, "/proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n");
}

/* Descriptors that this process has open. */
static inline int cgtest_open_fds(void) {
    auto_closedir DIR *list = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(list);
    while (readdir(list))
        n++;
    return n;
}

/* --- the real kernel: v1 groups below a folder of our own --- */

struct cgtest_real {
    struct host host;
    struct cgfs fs;
    char group[64]; /* below the mount */
    char top[256];  /* the same as a path on this machine */
};

static inline void cgtest_real_path(const struct cgtest_real *r, const char *below, char *out,
                                    size_t size) {
    if ((size_t)snprintf(out, size, "%s%s", r->top, below) >= size)
        fail_msg("path too long: %s", below);
}

static inline void cgtest_real_mkdir(const struct cgtest_real *r, const char *below) {
    char path[512];

    cgtest_real_path(r, below, path, sizeof(path));
    assert_int_equal(mkdir(path, 0755), 0);
}

/* Children that have just died may keep the group busy for a moment. */
static inline void cgtest_remove(const char *path) {
    for (unsigned i = 0; rmdir(path) < 0 && errno == EBUSY && i < 1000; i++)
        usleep(5000);
}

static inline void cgtest_real_rmdir(const struct cgtest_real *r, const char *below) {
    char path[512];

    cgtest_real_path(r, below, path, sizeof(path));
    cgtest_remove(path);
}

/* A group of the same name in another tree of this machine, to be removed by cgtest_remove; one
 * that a failed test has left is taken. False, and *out is "": it cannot be had. */
static inline bool cgtest_real_beside(const struct cgtest_real *r, const char *tree,
                                      char out[128]) {
    int n = snprintf(out, 128, "/sys/fs/cgroup/%s%s", tree, r->group);

    if (n < 128 && (mkdir(out, 0755) == 0 || errno == EEXIST))
        return true;
    out[0] = '\0';
    return false;
}

/* 0 or the errno of the write. */
static inline int cgtest_real_write(const struct cgtest_real *r, const char *below,
                                    const char *text) {
    char path[512];
    auto_close int fd = -1;

    cgtest_real_path(r, below, path, sizeof(path));
    fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0;
}

static char cgtest_real_left[256]; /* what a test that failed did not remove */

static inline void cgtest_real_end_in(const char *group) {
    char path[512], line[32];
    FILE *list;

    (void)snprintf(path, sizeof(path), "%s/cgroup.procs", group);
    list = fopen(path, "re");
    while (list && fgets(line, sizeof(line), list)) {
        long pid = strtol(line, NULL, 10);

        if (pid > 1 && pid != getpid())
            (void)kill((pid_t)pid, SIGKILL);
    }
    if (list)
        (void)fclose(list);
}

static inline int cgtest_real_sweep_one(const char *path, const struct stat *st, int kind,
                                        struct FTW *at) {
    (void)st, (void)at;
    if (kind != FTW_DP)
        return 0;
    for (unsigned i = 0; rmdir(path) < 0 && errno == EBUSY && i < 1000; i++) {
        cgtest_real_end_in(path);
        usleep(5000);
    }
    return 0;
}

/* For the teardown of all tests. Who still runs in there is ended. */
static inline int cgtest_real_sweep(void **state) {
    (void)state;
    if (cgtest_real_left[0])
        nftw(cgtest_real_left, cgtest_real_sweep_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* After what a test before it has left was swept. False: we may not, and it was said. */
static inline bool cgtest_real_make(const char *top) {
    (void)cgtest_real_sweep(NULL);
    if (mkdir(top, 0755) < 0) {
        if (errno != EACCES && errno != EPERM && errno != EROFS)
            fail_msg("%s: %s", top, strerror(errno));
        print_message("# skipped: no control group can be made: %s\n", strerror(errno));
        return false;
    }
    (void)snprintf(cgtest_real_left, sizeof(cgtest_real_left), "%s", top);
    return true;
}

/* Nobody else's, also where another process has our pid: one that died in the middle, or one of
 * another pid namespace on the same kernel. */
static inline void cgtest_real_name(char out[64]) {
    static long long began_us;

    began_us = began_us ? began_us : (long long)clock_mono_us();
    snprintf(out, 64, "/plimsoll-unit-%d-%llx", (int)getpid(), began_us);
}

/* Makes the folder, or skips the test. */
static inline void cgtest_real_init(struct cgtest_real *r) {
    struct err err = {0};

    memset(r, 0, sizeof(*r));
    if (host_open(NULL, &r->host, &err) < 0)
        fail_msg("%s", err.text);
    if (cgfs_open(&r->host, &r->fs, &err) < 0 || r->fs.ctl[CG_MEMORY].version != CG_V1) {
        print_message("# skipped: the memory controller of this machine is not on cgroup v1\n");
        skip();
    }
    cgtest_real_name(r->group);
    snprintf(r->top, sizeof(r->top), "%.180s%s", r->fs.memory_point, r->group);
    if (!cgtest_real_make(r->top)) {
        cgfs_done(&r->fs);
        host_done(&r->host);
        skip();
    }
}

static inline void cgtest_real_done(struct cgtest_real *r) {
    cgtest_real_rmdir(r, "");
    cgfs_done(&r->fs);
    host_done(&r->host);
}
